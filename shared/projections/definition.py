"""The definition of a view: its name and version, the fold that makes its rows, the indexes of its queries."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from shared.language.events import Aggregate
from shared.language.recorded import Recorded

TABLES: Final[Mapping[Aggregate, str]] = {
    "account": "accounts",
    "user": "users",
    "inbox": "inboxes",
    "address": "addresses",
}

# The JSON of one row; each service has types for its own.
Document = Mapping[str, Any]
Row = tuple[Any, ...]
Fold = Callable[[Any, Recorded], Document]


@dataclass(frozen=True)
class ProjectionDefinition:
    """A view: `name` is also its schema's and its consumer's, `fold` is pure and returns a new document.

    An index is the text after `CREATE INDEX ON`, its table without schema. Rows of one `version` are written and read
    by code of that version only; code of a higher version rebuilds them.
    """

    name: str
    version: int
    fold: Fold
    indexes: Mapping[Aggregate, Sequence[LiteralString]]


class VersionMismatchError(Exception):
    """The rows in the database are of another version of the view than this code."""
