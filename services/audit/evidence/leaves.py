"""The leaves of the two trees, read from PostgreSQL in their order."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

from shared.process.journal_reader import JournalReader
from shared.process.log_reader import LogReader
from shared.process.postgres import PostgresDataError
from shared.transparency.checkpoints import Tree
from shared.transparency.leaves import event_leaves, journal_leaves

# A row may have a megabyte, its leaf has less than a kilobyte.
ROWS_AT_ONCE: Final = 256


class LogChangedError(Exception):
    """The log is not the one that was hashed: rows are missing, or others are in their place."""


class Leaves(ABC):
    """The leaves of one tree. The first has number 1 in the log, and index 0 in the tree.

    Raises, from every method:
        psycopg.OperationalError: PostgreSQL does not answer; try again later.
    """

    tree: ClassVar[Tree]
    # The words for a row of the log, and for its number.
    row: ClassVar[str]
    number: ClassVar[str]

    async def after(self, size: int, limit: int) -> list[bytes]:
        """Return the leaves after the first `size` ones: `limit` of them, fewer only at the end of the log.

        Raises:
            LogChangedError: one of them is missing, or has a value that no release wrote.
        """
        found: list[bytes] = []
        while (wanted := min(limit - len(found), ROWS_AT_ONCE)) > 0:
            part = await self._part(size + len(found), wanted)
            found += part
            if len(part) < wanted:
                break
        return found

    async def _part(self, size: int, limit: int) -> list[bytes]:
        try:
            numbers, leaves = await self._read(size, limit)
        except (PostgresDataError, AttributeError, TypeError, ValueError) as error:
            # A time beyond the year 9999, a NULL: the owner of the database can store what no writer does.
            why = f"one of the next rows after {self.number} {size} has a value that nobody records: {error}"
            raise LogChangedError(why) from error
        if numbers and numbers[-1] != size + len(numbers):
            missing = next(at for at, number in enumerate(numbers, size + 1) if at != number)
            raise LogChangedError(f"the log has no {self.row} at {self.number} {missing}, and has later ones")
        return leaves

    @abstractmethod
    async def end(self) -> int:
        """Return the number of the last row; 0 without rows."""

    @abstractmethod
    async def _read(self, size: int, limit: int) -> tuple[Sequence[int], list[bytes]]:
        """Return the numbers and the leaves of the next rows."""


class EventLeaves(Leaves):
    """The events of the log."""

    tree = "events"
    row = "event"
    number = "position"

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader

    async def end(self) -> int:
        return await self._reader.end()

    async def _read(self, size: int, limit: int) -> tuple[Sequence[int], list[bytes]]:
        events = await self._reader.read(size, limit)
        return [event.position for event in events], event_leaves(events)


class JournalLeaves(Leaves):
    """The entries of the command journal."""

    tree = "journal"
    row = "entry"
    number = "ordinal"

    def __init__(self, reader: JournalReader) -> None:
        self._reader = reader

    async def end(self) -> int:
        return await self._reader.end()

    async def _read(self, size: int, limit: int) -> tuple[Sequence[int], list[bytes]]:
        entries = await self._reader.read(size, limit)
        return [entry.ordinal for entry in entries], journal_leaves(entries)
