"""Exports of other systems: each kind of file is read as people and shared mailboxes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from services.ops.loading.exports.exchange import read_exchange
from services.ops.loading.exports.export import Export
from services.ops.loading.exports.google import read_google
from services.ops.loading.exports.ldif import read_ldif
from services.ops.loading.exports.microsoft import read_microsoft
from services.ops.loading.exports.scim import read_scim

READERS: Final[Mapping[str, Callable[[Path, Export], None]]] = {
    "google": read_google,
    "microsoft": read_microsoft,
    "exchange": read_exchange,
    "scim": read_scim,
    "ldif": read_ldif,
}
