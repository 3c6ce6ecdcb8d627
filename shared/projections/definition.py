"""The definition of a view: its name and version, the fold that makes its rows, the indexes of its queries."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, LiteralString

from shared.language.events import Aggregate
from shared.language.recorded import Recorded

TABLES: Final[Mapping[Aggregate, str]] = {
    "account": "accounts",
    "user": "users",
    "inbox": "inboxes",
    "address": "addresses",
}

# A history keeps the newest version of each row in one table, and the versions before it in another. A SQL view with
# the name of the live table shows the rows as of a position.
CURRENT_TABLES: Final[Mapping[Aggregate, str]] = {aggregate: f"{table}_current" for aggregate, table in TABLES.items()}
PAST_TABLES: Final[Mapping[Aggregate, str]] = {aggregate: f"{table}_past" for aggregate, table in TABLES.items()}

HISTORY_SUFFIX: Final = "_history"

# The JSON of one row; each service has types for its own.
Document = Mapping[str, Any]
Row = tuple[Any, ...]
Fold = Callable[[Any, Recorded], Document]


@dataclass(frozen=True, slots=True)
class Index:
    """An index on the rows of one table, in SQL: its columns, and the condition of the rows that it covers."""

    columns: LiteralString
    where: LiteralString = ""

    def then_by(self, columns: LiteralString) -> "Index":
        """Return the same index with further columns behind its own."""
        return Index(f"{self.columns}, {columns}", self.where)

    def on_table(self) -> LiteralString:
        """Return the text that follows the table in `CREATE INDEX`."""
        return f"({self.columns})" + (f" WHERE {self.where}" if self.where else "")


@dataclass(frozen=True)
class ProjectionDefinition:
    """A view: `name` is also its schema's and its consumer's, `fold` is pure and returns a new document.

    Rows of one `version` are written and read by code of that version only; code of a higher version rebuilds them.
    A `temporal` one keeps every version of each row, in a current and a past table; `history` returns it.
    """

    name: str
    version: int
    fold: Fold
    indexes: Mapping[Aggregate, Sequence[Index]]
    temporal: bool = False

    def history(self) -> "ProjectionDefinition":
        """Return the definition of the view's history: rows of the same fold and version, in a schema of their own."""
        return replace(self, name=self.name + HISTORY_SUFFIX, temporal=True)

    @property
    def view_name(self) -> str:
        """The name of the view, of a history too."""
        return self.name.removesuffix(HISTORY_SUFFIX) if self.temporal else self.name

    @property
    def tables(self) -> Mapping[Aggregate, str]:
        """The tables with the newest version of each row."""
        return CURRENT_TABLES if self.temporal else TABLES

    @property
    def row_tables(self) -> tuple[str, ...]:
        """All tables with rows."""
        return (*CURRENT_TABLES.values(), *PAST_TABLES.values()) if self.temporal else tuple(TABLES.values())


class VersionMismatchError(Exception):
    """The rows in the database are of another version of the view than this code."""
