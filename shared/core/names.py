"""When two names are one."""

import unicodedata


def name_key(name: str) -> str:
    """What makes two names the same: NFC, trimmed, case-folded (B1)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).strip().casefold())
