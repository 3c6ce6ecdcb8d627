"""How the rows of a fold are committed together with the position, so they never disagree.

`LiveCommit` is one statement that fences itself off from other writers. `BulkCommit` writes large batches with COPY,
and `HistoryCommit` all versions of a history's rows.
"""

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Final, LiteralString
from uuid import UUID

from psycopg import AsyncCursor, sql

from shared.language.events import Aggregate
from shared.language.recorded import Recorded
from shared.process import failpoints
from shared.projections.definition import TABLES, ProjectionDefinition, Row, VersionMismatchError
from shared.projections.document_cache import DocumentCache
from shared.projections.events import IncomingEvent
from shared.projections.folding import FoldResult
from shared.projections.history_rows import write_versions
from shared.projections.row_statements import (
    columns_of,
    copy_rows,
    insert_parked,
    move_position,
    upsert_rows,
    upsert_statement,
)
from shared.projections.tables import named

READ_FENCE: Final[LiteralString] = "SELECT design, position, edition FROM {schema}.view"
READ_POSITION: Final[LiteralString] = "SELECT position FROM {schema}.view"
FENCED_MOVE: Final[LiteralString] = """
WITH moved AS (
    UPDATE {schema}.view SET position = %(to)s, event = %(event)s, event_at = %(to)s
    WHERE design = %(design)s AND position = %(from)s AND edition = %(edition)s
    RETURNING position
), applied AS (
    INSERT INTO {schema}.applied SELECT %(from)s, position, clock_timestamp() FROM moved
)"""
RETURN_POSITION: Final[LiteralString] = " SELECT position FROM moved"


class PositionMovedError(Exception):
    """Another process has written these rows meanwhile, or others are in their place."""


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


class LiveCommit(CommitStrategy):
    """One statement, committed by itself: it moves the position only from where this process left it, in the same
    epoch. Parked events take more care.
    """

    def __init__(self, definition: ProjectionDefinition) -> None:
        self._definition = definition
        self._epoch: UUID | None = None

    async def begin(self, cursor: AsyncCursor[Row]) -> None:
        self.position, self._epoch = await read_fence(cursor, self._definition, self._definition.name)

    async def commit(
        self, cursor: AsyncCursor[Row], last: IncomingEvent, result: FoldResult, cache: DocumentCache
    ) -> bool:
        if result.parked:
            return False
        columns = columns_of(result.last.values(), result.documents)
        parameters = fence_parameters(self._definition, self.position, self._epoch, last)
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


class HistoryCommit(CommitStrategy):
    """A transaction of the caller's, fenced as a live commit is: all versions of a history's rows.

    Raises, from `commit`:
        PositionMovedError: the rows are not where and what this writer left.
    """

    def __init__(self, definition: ProjectionDefinition, schema: str) -> None:
        self._definition = definition
        self._schema = schema
        self._epoch: UUID | None = None

    async def begin(self, cursor: AsyncCursor[Row]) -> None:
        self.position, self._epoch = await read_fence(cursor, self._definition, self._schema)

    async def commit(
        self, cursor: AsyncCursor[Row], last: IncomingEvent, result: FoldResult, cache: DocumentCache
    ) -> bool:
        parameters = fence_parameters(self._definition, self.position, self._epoch, last)
        await cursor.execute(_fenced_statement(self._schema, ()), parameters)
        if await cursor.fetchone() is None:
            raise PositionMovedError(f"{self._schema} is no longer at position {self.position} of this writer")
        await write_versions(cursor, self._schema, result, cache)
        await insert_parked(cursor, self._schema, result.parked)
        failpoints.reached("history.written")
        return True


def bulk_strategy(definition: ProjectionDefinition, schema: str) -> CommitStrategy:
    """Return the strategy for large batches."""
    return HistoryCommit(definition, schema) if definition.temporal else BulkCommit(schema)


# ---- fences


async def read_fence(cursor: AsyncCursor[Row], definition: ProjectionDefinition, schema: str) -> tuple[int, UUID]:
    """Return position and epoch of the rows.

    Raises:
        VersionMismatchError: the rows are of another version.
    """
    await cursor.execute(named(READ_FENCE, schema))
    row = await cursor.fetchone()
    if row is None or row[0] != definition.version:
        raise VersionMismatchError(f"the rows are of version {row and row[0]}, not {definition.version}")
    _, position, epoch = row
    return position, epoch


def fence_parameters(
    definition: ProjectionDefinition, position: int, epoch: UUID | None, last: IncomingEvent
) -> dict[str, object]:
    """Return the parameters of the statement that moves the position from there, in this epoch, to the last event."""
    return {
        "to": last.position,
        "event": last.id(),
        "design": definition.version,
        "from": position,
        "edition": epoch,
    }
