"""Free mail domains and role names from the files in `data/`, for warnings only: they never change an address.

They are read at the first use: most processes never use them, and should start without that cost.
"""

from functools import cache
from pathlib import Path
from typing import Final

_DATA: Final = Path(__file__).with_name("data")


@cache
def free_mail_domains() -> frozenset[str]:
    """Domains, in canonical form, at which anybody gets a mailbox. A subdomain is a domain of its own."""
    return _words("free_mail_domains.txt")


@cache
def role_names() -> frozenset[str]:
    """Local parts, in lower case, that name a task or a group of people."""
    return _words("role_names.txt")


def _words(name: str) -> frozenset[str]:
    lines = (_DATA / name).read_text(encoding="ascii").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())
