"""The form in which names of inboxes or teams are compared."""

import unicodedata


def name_key(name: str) -> str:
    """The form in which equal names are equal: NFC, trimmed, case-folded (B1)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).strip().casefold())
