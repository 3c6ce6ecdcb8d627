"""The one writer of rows: rows, parked events and the position change in one commit, so they never disagree.

The writer reads documents that its cache lacks, folds the events and commits, by one of two strategies: `LiveCommit`
is one statement that fences itself off from other writers, `BulkCommit` writes large batches with COPY. Events that
neither can write go through `write_carefully`, which parks those that PostgreSQL refuses.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, LiteralString
from uuid import UUID

from psycopg import AsyncCursor, sql
from psycopg.errors import DataError, IntegrityError, ProgramLimitExceeded

from shared.language.events import Aggregate
from shared.language.recorded import Recorded
from shared.process import failpoints
from shared.projections.definition import TABLES, ProjectionDefinition, Row, VersionMismatchError
from shared.projections.document_cache import DocumentCache
from shared.projections.events import IncomingEvent, contiguous
from shared.projections.folding import FoldResult, fold_events
from shared.projections.row_statements import (
    columns_of,
    copy_rows,
    insert_parked,
    load_documents,
    move_position,
    parked_streams,
    upsert_rows,
    upsert_statement,
)
from shared.projections.tables import named

# PostgreSQL never takes such a row, for instance one with NUL in a text.
REFUSALS = (DataError, IntegrityError, ProgramLimitExceeded)

READ_FENCE: Final[LiteralString] = "SELECT design, position, edition FROM {schema}.view"
READ_POSITION: Final[LiteralString] = "SELECT position FROM {schema}.view"
FENCED_MOVE: Final[LiteralString] = """
WITH moved AS (
    UPDATE {schema}.view SET position = %(to)s, event = %(event)s, event_at = %(to)s
    WHERE design = %(design)s AND position = %(from)s AND edition = %(edition)s
    RETURNING position
)"""
RETURN_POSITION: Final[LiteralString] = " SELECT position FROM moved"


class CommitStrategy(ABC):
    """How the result of a fold is committed together with the position."""

    position: int

    @abstractmethod
    async def begin(self, cursor: AsyncCursor[Row]) -> None:
        """Read the rows' position, and what the commits need to know besides."""

    @abstractmethod
    async def commit(
        self, cursor: AsyncCursor[Row], last: IncomingEvent, result: FoldResult, cache: DocumentCache
    ) -> bool:
        """Write the result and move the position to the last event; False when nothing was written."""


class ProjectionWriter:
    """Writes runs of events into the rows of one schema, with a cache of at most `cached_documents` (1 kB each)."""

    def __init__(
        self, definition: ProjectionDefinition, schema: str, strategy: CommitStrategy, cached_documents: int
    ) -> None:
        self._definition = definition
        self._schema = schema
        self._strategy = strategy
        self._cached_documents = cached_documents
        self._cache: DocumentCache | None = None

    def forget(self) -> None:
        """Read rows and position again before the next commit."""
        self._cache = None

    async def write(self, cursor: AsyncCursor[Row], events: Sequence[IncomingEvent]) -> int | None:
        """Write the events that follow the rows' position without a gap, and return the position after them.

        None: nothing was written, because nothing follows or the strategy cannot write it.

        Raises:
            VersionMismatchError: the rows are of another version.
            psycopg.Error: the database is away or refuses; nothing was written.
        """
        cache = self._cache = self._cache or await self._begin(cursor)
        run = contiguous(events, self._strategy.position)
        if not run:
            return None
        if missing := cache.missing(run):
            await load_documents(cursor, self._schema, missing, cache)
        result = fold_events(self._definition.fold, run, cache)
        if not await self._strategy.commit(cursor, run[-1], result, cache):
            return None
        cache.remember(result.documents, result.parked_since, self._cached_documents)
        self._strategy.position = run[-1].position
        return run[-1].position

    async def _begin(self, cursor: AsyncCursor[Row]) -> DocumentCache:
        # The fence comes first: parked events that others add afterwards change the epoch.
        await self._strategy.begin(cursor)
        return DocumentCache(parked=await parked_streams(cursor, self._schema))


# ---- the two strategies


class LiveCommit(CommitStrategy):
    """One statement, committed by itself: it moves the position only from where this process left it, in the same
    epoch. Parked events take more care.
    """

    def __init__(self, definition: ProjectionDefinition) -> None:
        self._definition = definition
        self._epoch: UUID | None = None

    async def begin(self, cursor: AsyncCursor[Row]) -> None:
        await cursor.execute(named(READ_FENCE, self._definition.name))
        row = await cursor.fetchone()
        if row is None or row[0] != self._definition.version:
            raise VersionMismatchError(f"the rows are of version {row and row[0]}, not {self._definition.version}")
        _, self.position, self._epoch = row

    async def commit(
        self, cursor: AsyncCursor[Row], last: IncomingEvent, result: FoldResult, cache: DocumentCache
    ) -> bool:
        if result.parked:
            return False
        columns = columns_of(result.last.values(), result.documents)
        parameters: dict[str, object] = {
            "to": last.position,
            "event": last.id(),
            "design": self._definition.version,
            "from": self.position,
            "edition": self._epoch,
        }
        for of_aggregate in columns.values():
            parameters |= of_aggregate
        failpoints.reached("view.folded")
        await cursor.execute(_fenced_statement(self._definition.name, tuple(columns)), parameters)
        return await cursor.fetchone() is not None


@lru_cache
def _fenced_statement(schema: str, aggregates: tuple[Aggregate, ...]) -> sql.Composed:
    writes = [
        sql.SQL(", {table} AS ({upsert})").format(
            table=sql.Identifier(TABLES[aggregate]), upsert=upsert_statement(schema, aggregate, "moved,")
        )
        for aggregate in aggregates
    ]
    return sql.Composed([named(FENCED_MOVE, schema), *writes, sql.SQL(RETURN_POSITION)])


class BulkCommit(CommitStrategy):
    """A transaction of the caller's: COPY for new rows, one statement a table for all others."""

    def __init__(self, schema: str) -> None:
        self._schema = schema

    async def begin(self, cursor: AsyncCursor[Row]) -> None:
        await cursor.execute(named(READ_POSITION, self._schema))
        ((self.position,),) = await cursor.fetchall()

    async def commit(
        self, cursor: AsyncCursor[Row], last: IncomingEvent, result: FoldResult, cache: DocumentCache
    ) -> bool:
        changed: list[Recorded] = []
        started: list[Recorded] = []
        for stream, recorded in result.last.items():
            (changed if stream in cache.documents else started).append(recorded)
        await upsert_rows(cursor, self._schema, changed, result.documents)
        await copy_rows(cursor, self._schema, started, result.documents)
        await insert_parked(cursor, self._schema, result.parked)
        await move_position(cursor, self._schema, last)
        return True


# ---- with care


async def write_carefully(
    cursor: AsyncCursor[Row], definition: ProjectionDefinition, schema: str, run: Sequence[IncomingEvent]
) -> None:
    """Write rows, parked events and position in the cursor's transaction, and park events that PostgreSQL refuses.

    Raises:
        psycopg.Error: the database is away; the transaction is lost.
    """
    await write_or_park(cursor, definition, schema, run)
    await move_position(cursor, schema, run[-1])


async def write_or_park(
    cursor: AsyncCursor[Row], definition: ProjectionDefinition, schema: str, run: Sequence[IncomingEvent]
) -> None:
    """Write rows and parked events; halve a run that PostgreSQL refuses until the one event at fault is found."""
    try:
        async with cursor.connection.transaction():
            await _write_uncached(cursor, definition, schema, run)
    except REFUSALS as error:
        if len(run) == 1:
            run[0].recorded, run[0].error = None, f"{type(error).__name__}: {error}"
            await _write_uncached(cursor, definition, schema, run)
            return
        middle = len(run) // 2
        await write_or_park(cursor, definition, schema, run[:middle])
        await write_or_park(cursor, definition, schema, run[middle:])


async def _write_uncached(
    cursor: AsyncCursor[Row], definition: ProjectionDefinition, schema: str, run: Sequence[IncomingEvent]
) -> None:
    cache = DocumentCache()
    await load_documents(cursor, schema, run, cache)
    result = fold_events(definition.fold, run, cache)
    await upsert_rows(cursor, schema, result.last.values(), result.documents)
    await insert_parked(cursor, schema, result.parked)
