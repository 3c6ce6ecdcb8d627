"""The one writer of rows: rows, parked events and the position change in one commit, so they never disagree.

The writer reads documents that its cache lacks, folds the events and commits, by one of the strategies of
`commit_strategies.py`. Events that they cannot write go through `write_carefully`, which parks those that PostgreSQL
refuses.
"""

from collections.abc import Sequence

from psycopg import AsyncCursor
from psycopg.errors import DataError, IntegrityError, ProgramLimitExceeded

from shared.projections.commit_strategies import CommitStrategy
from shared.projections.definition import ProjectionDefinition, Row
from shared.projections.document_cache import DocumentCache
from shared.projections.events import IncomingEvent, contiguous
from shared.projections.folding import fold_events
from shared.projections.history_rows import write_versions
from shared.projections.row_statements import (
    given_up_from,
    insert_parked,
    load_documents,
    move_position,
    parked_streams,
    upsert_rows,
)

# PostgreSQL never takes such a row, for instance one with NUL in a text.
REFUSALS = (DataError, IntegrityError, ProgramLimitExceeded)


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
            await load_documents(cursor, self._schema, self._definition.tables, missing, cache)
        kept = cache.without_given_up(run)
        result = fold_events(self._definition.fold, kept, cache, versions=self._definition.temporal)
        if not await self._strategy.commit(cursor, run[-1], result, cache):
            return None
        cache.remember(result.documents, result.parked_since, self._cached_documents)
        self._strategy.position = run[-1].position
        return run[-1].position

    async def _begin(self, cursor: AsyncCursor[Row]) -> DocumentCache:
        # The fence comes first: parked events that others add afterwards change the epoch.
        await self._strategy.begin(cursor)
        cache = DocumentCache(parked=await parked_streams(cursor, self._schema))
        if self._definition.temporal:
            cache.given_up = await given_up_from(cursor, self._schema, self._strategy.position)
        return cache


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
    if definition.temporal:
        cache.given_up = await given_up_from(cursor, schema, run[0].position)
    await load_documents(cursor, schema, definition.tables, run, cache)
    result = fold_events(definition.fold, cache.without_given_up(run), cache, versions=definition.temporal)
    if definition.temporal:
        await write_versions(cursor, schema, result, cache)
    else:
        await upsert_rows(cursor, schema, result.last.values(), result.documents)
    await insert_parked(cursor, schema, result.parked)
