"""The process that carries events keeps the documents it wrote last, so that a commit of a view is one statement.

Nothing kept is trusted: the statement moves the position only from where it was left, and only in the same edition of
the rows, which everything that changes rows without moving the position renews. Else nothing is written, what was kept
is forgotten, and the rows are asked.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg import AsyncCursor, sql

from shared.language.events import Aggregate
from shared.process import failpoints
from shared.projections.definition import TABLES, ProjectionDefinition, Row, VersionMismatchError
from shared.projections.events import IncomingEvent, contiguous
from shared.projections.projection_store import (
    CachedState,
    FoldResult,
    columns_of,
    fold_events,
    load_documents,
    named,
    not_cached,
    remember,
    upsert_statement,
)

# As many documents as fit: about 1 kB each.
CACHED_DOCUMENTS: Final = 20_000

READ_FENCE: Final[LiteralString] = """
SELECT design, position, edition, ARRAY(SELECT DISTINCT stream FROM {schema}.parked) FROM {schema}.view
"""

MOVE_POSITION: Final[LiteralString] = """
WITH moved AS (
    UPDATE {schema}.view SET position = %(to)s, event = %(event)s, event_at = %(to)s
    WHERE design = %(design)s AND position = %(from)s AND edition = %(edition)s
    RETURNING position
)"""
RETURN_POSITION: Final[LiteralString] = " SELECT position FROM moved"


class Fence(NamedTuple):
    """Where the rows stand, in which edition, and which aggregates have parked events."""

    position: int
    epoch: UUID
    parked: frozenset[UUID]


class DocumentCache:
    """The documents of one view, as far as they are kept here."""

    def __init__(self, definition: ProjectionDefinition) -> None:
        self._design = definition
        self._fence: Fence | None = None
        self._cached = CachedState()

    def forget(self) -> None:
        self._fence = None
        self._cached = CachedState()

    async def apply(self, cursor: AsyncCursor[Row], entries: Sequence[IncomingEvent]) -> int | None:
        """Writes what follows the view's position without a gap: the position after it. None: it takes more care.

        Care is needed for events to be parked, and when somebody else has written since; nothing is written then. The
        cursor commits by itself.

        Raises:
            DesignChanged: the rows are of another version.
            psycopg.Error: the database is away or refuses; nothing was written.
        """
        fence = self._fence or await self._read_fence(cursor)
        run = contiguous(entries, fence.position)
        if not run or not fence.parked.isdisjoint(entry.stream for entry in run):
            return None
        if missing := not_cached(run, self._cached):
            await load_documents(cursor, self._design.name, missing, self._cached)
        result = fold_events(self._design.fold, run, self._cached)
        if result.parked or not await self._write(cursor, fence, run[-1], result):
            return None
        self._fence = fence._replace(position=run[-1].position)
        remember(self._cached, result, CACHED_DOCUMENTS)
        return run[-1].position

    async def _read_fence(self, cursor: AsyncCursor[Row]) -> Fence:
        await cursor.execute(named(READ_FENCE, self._design.name))
        row = await cursor.fetchone()
        if row is None or row[0] != self._design.version:
            raise VersionMismatchError(f"the rows are of version {row and row[0]}, not {self._design.version}")
        self._fence = Fence(row[1], row[2], frozenset(row[3]))
        return self._fence

    async def _write(self, cursor: AsyncCursor[Row], fence: Fence, last: IncomingEvent, result: FoldResult) -> bool:
        """Whether it was written: not if anybody else wrote since."""
        columns = columns_of(result)
        params: dict[str, object] = {
            "to": last.position,
            "event": last.id(),
            "design": self._design.version,
            "from": fence.position,
            "edition": fence.epoch,
        }
        for parameters in columns.values():
            params |= parameters
        failpoints.reached("view.folded")
        await cursor.execute(_statement(self._design.name, tuple(columns)), params)
        return await cursor.fetchone() is not None


@lru_cache
def _statement(schema: str, aggregates: tuple[Aggregate, ...]) -> sql.Composed:
    writes = [
        sql.SQL(", {table} AS ({upsert})").format(
            table=sql.Identifier(TABLES[aggregate]), upsert=upsert_statement(schema, aggregate, "moved,")
        )
        for aggregate in aggregates
    ]
    return sql.Composed([named(MOVE_POSITION, schema), *writes, sql.SQL(RETURN_POSITION)])
