"""The name of the mailbox behind an address: two identities that mean one mailbox have one name."""

import re
from functools import lru_cache
from typing import Final

from shared.core.address import InvalidAddressError, canonical

# Reads as an e-mail address, though no mail can be sent there: bob@corp.local, a login of Microsoft's.
_LOGIN: Final = re.compile(r"[!-?A-~]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\Z")


# A command with an identity asks for it when it is read, decided and applied.
@lru_cache(maxsize=10_000)
def mailbox_name(provider: str | None, identity: str) -> str:
    """An e-mail address in any spelling and under any provider is one name; other text is one within its provider."""
    if "@" not in identity:
        return f"{provider or ''}:{identity}"
    try:
        return f"@:{canonical(identity).address}"
    except InvalidAddressError:
        # ASCII only: other letters have capitals that two different names share.
        login = identity.strip(" ")
        return f"@:{login.lower()}" if _LOGIN.match(login) else f"{provider or ''}:{identity}"
