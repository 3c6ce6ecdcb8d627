"""The rows of both trees as entries of a bundle: read, selected, and written as leaves and as lines."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Generic, TypeVar

from shared.process.journal_reader import JournalRow
from shared.process.log_reader import StoredEvent
from shared.process.row_scan import RowScan
from shared.transparency.bundles import event_line, journal_line
from shared.transparency.checkpoints import Tree
from shared.transparency.leaves import event_leaves, journal_leaves

Row = TypeVar("Row", StoredEvent, JournalRow)


@dataclass(frozen=True)
class ExportQuery:
    """The content of a bundle: everything, or the entries of an account, of a range of positions, of types of events.

    `types` are names of events, such as TeamConnected, or stored names. With types the bundle has events only.
    """

    account: str | None = None
    first: int | None = None
    last: int | None = None
    types: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return self == ExportQuery()

    def written(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "types": list(self.types)}


class BundleEntries(ABC, Generic[Row]):
    """The entries of one tree that a query selects.

    Attributes:
        tree: the name of the tree.
        number: the word for the number of a row.
    """

    tree: ClassVar[Tree]
    number: ClassVar[str]

    def __init__(self, scan: RowScan, query: ExportQuery) -> None:
        self._scan = scan
        self._query = query

    @abstractmethod
    def bounds(self, size: int) -> tuple[int, int]:
        """Return the numbers between which rows are read: after the first, until the second."""

    @abstractmethod
    def read(self, after: int) -> Iterator[Sequence[Row]]:
        """Yield the rows after a number, thousands at once."""

    @abstractmethod
    def number_of(self, row: Row) -> int:
        """Return the position or the ordinal of a row."""

    @abstractmethod
    def select(self, rows: Sequence[Row]) -> tuple[list[Row], list[bytes]]:
        """Return the rows that the query selects, with their leaves."""

    @abstractmethod
    def line(self, row: Row) -> bytes:
        """Return the line of a row."""


class EventEntries(BundleEntries[StoredEvent]):
    """The events."""

    tree = "events"
    number = "position"

    def bounds(self, size: int) -> tuple[int, int]:
        first, last = self._query.first, self._query.last
        return (0 if first is None else first - 1), (size if last is None else min(last, size))

    def read(self, after: int) -> Iterator[Sequence[StoredEvent]]:
        return self._scan.events(after)

    def number_of(self, row: StoredEvent) -> int:
        return row.position

    def select(self, rows: Sequence[StoredEvent]) -> tuple[list[StoredEvent], list[bytes]]:
        found = [row for row in rows if not self._query.types or self._is_wanted(row.topic)]
        leaves = event_leaves(found)
        if self._query.account is None:
            return found, leaves
        # The account of an event is within its stored bytes, and comes first in its leaf.
        beginning = b'{"account":"%b",' % self._query.account.encode()
        both = [(row, leaf) for row, leaf in zip(found, leaves, strict=True) if leaf.startswith(beginning)]
        return [row for row, _ in both], [leaf for _, leaf in both]

    def line(self, row: StoredEvent) -> bytes:
        return event_line(row)

    def _is_wanted(self, topic: str) -> bool:
        name = topic.removeprefix("switchboard.").rpartition(".")[0]
        return topic in self._query.types or name in self._query.types


class JournalEntries(BundleEntries[JournalRow]):
    """The entries of the command journal, each at the last position of the log before it or of it."""

    tree = "journal"
    number = "ordinal"

    def bounds(self, size: int) -> tuple[int, int]:
        return 0, 0 if self._query.types else size

    def read(self, after: int) -> Iterator[Sequence[JournalRow]]:
        return self._scan.journal(after)

    def number_of(self, row: JournalRow) -> int:
        return row.ordinal

    def select(self, rows: Sequence[JournalRow]) -> tuple[list[JournalRow], list[bytes]]:
        found = [row for row in rows if self._is_wanted(row)]
        return found, journal_leaves(found)

    def line(self, row: JournalRow) -> bytes:
        return journal_line(row)

    def _is_wanted(self, row: JournalRow) -> bool:
        query = self._query
        return (
            query.account in {None, row.account}
            and (query.first is None or row.log_position >= query.first)
            and (query.last is None or row.log_position <= query.last)
        )
