"""Replay the event log into the rows of one schema at full speed, without skipping events, one commit a batch.

While one batch is written, the next is read and decoded.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection, AsyncCursor

from shared.process.log_reader import LogReader, StoredEvent
from shared.projections.checkpoint import log_mismatch, read_checkpoint
from shared.projections.commit_strategies import PositionMovedError, bulk_strategy
from shared.projections.definition import ProjectionDefinition, Row
from shared.projections.events import IncomingEvent, LoggedEvent, contiguous
from shared.projections.projection_store import REFUSALS, ProjectionWriter, write_carefully
from shared.projections.rebuild.limits import RebuildLimits
from shared.projections.schemas import PreconditionFailedError, schema_info
from shared.projections.tables import add_missing_columns, named

LOCK_POSITION: Final[LiteralString] = "SELECT position FROM {schema}.view FOR UPDATE"
# Other tasks, such as the write of the batch before, run after each so many events.
DECODED_AT_ONCE = 250

OnPosition = Callable[[int], Awaitable[None]]


class LogIncompleteError(Exception):
    """The event log ends before the view, or has a gap: no rebuild is possible from it."""


async def ignore_position(_position: int) -> None:
    """Do nothing."""


class Replay:
    """Rows in `schema` as of `position`, which `run` moves on; it calls `on_position` after every batch."""

    def __init__(
        self,
        connection: AsyncConnection[Any],
        log: LogReader,
        definition: ProjectionDefinition,
        schema: str,
        limits: RebuildLimits,
        position: int = 0,
    ) -> None:
        self.connection = connection
        self.definition = definition
        self.schema = schema
        self.position = position
        self.on_position: OnPosition = ignore_position
        self._log = log
        self.limits = limits
        self._writer = ProjectionWriter(definition, schema, bulk_strategy(definition, schema), limits.cached_documents)

    def reset_to(self, position: int) -> None:
        """Go back to a position, after the transaction with later events was rolled back."""
        self.position = position
        self._writer.forget()

    async def run(self, end: int | None = None) -> int:
        """Go on to a position, or to the end of the log; return the position reached.

        Raises:
            LogIncompleteError: the log has a gap.
            PositionMovedError: another process wrote the rows meanwhile.
            psycopg.Error: the database is away; every reported position is committed.
        """
        reading = asyncio.create_task(self._read(self.position, end))
        try:
            while run := await reading:
                reading = asyncio.create_task(self._read(run[-1].position, end))
                await self._write(run)
                self.position = run[-1].position
                await self.on_position(self.position)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        return self.position

    async def run_to(self, position: int) -> None:
        """Go on to the position of the live rows, if these rows are before it.

        Raises:
            LogIncompleteError: the log ends before it, or has a gap.
        """
        if self.position < position and await self.run(position) < position:
            raise LogIncompleteError(f"the log ends at {self.position}, the view is at {position}")

    async def _read(self, after: int, end: int | None) -> list[IncomingEvent]:
        limit = self.limits.batch if end is None else min(self.limits.batch, end - after)
        stored = await self._log.read(after, limit) if limit else []
        events: list[IncomingEvent] = []
        for first in range(0, len(stored), DECODED_AT_ONCE):
            events += decode(stored[first : first + DECODED_AT_ONCE])
            await asyncio.sleep(0)
        run = contiguous(events, after)
        if stored and not run:
            raise LogIncompleteError(f"position {after + 1} is missing in the log")
        return run

    async def _write(self, run: Sequence[IncomingEvent]) -> None:
        try:
            async with self.connection.transaction(), self.connection.cursor(binary=True) as cursor:
                await self._writer.write(cursor, run)
        except REFUSALS:
            self._writer.forget()
            async with self.connection.transaction(), self.connection.cursor(binary=True) as cursor:
                await self._lock_position(cursor, run[0].position - 1)
                await write_carefully(cursor, self.definition, self.schema, run)

    async def _lock_position(self, cursor: AsyncCursor[Row], expected: int) -> None:
        await cursor.execute(named(LOCK_POSITION, self.schema))
        ((position,),) = await cursor.fetchall()
        if position != expected:
            raise PositionMovedError(f"{self.schema} is at position {position}, not at {expected} of this writer")


async def resume_replay(
    connection: AsyncConnection[Any],
    log: LogReader,
    definition: ProjectionDefinition,
    schema: str,
    limits: RebuildLimits,
) -> Replay:
    """Return a replay that goes on where existing rows are.

    Raises:
        PreconditionFailedError: there are no rows, or they are of another version than this code, or of a lost log.
    """
    async with connection.cursor() as cursor:
        rows = await schema_info(cursor, schema)
    if rows is None:
        raise PreconditionFailedError(f"There are no rows in {schema}; `switchboard views` shows what there is.")
    if rows.version != definition.version:
        raise PreconditionFailedError(
            f"The rows in {schema} are of version {rows.version}, this code is of version {definition.version}: only "
            "code of their own version can bring them up to date. Use the release that made them."
        )
    async with connection.transaction(), connection.cursor() as cursor:
        await add_missing_columns(cursor, schema)
        checkpoint = await read_checkpoint(cursor, schema)
    if why := await log_mismatch(log, checkpoint):
        raise PreconditionFailedError(
            f"The rows in {schema} do not match this log: {why}. Drop them with `switchboard views drop`, and make new "
            "ones with `switchboard views rebuild`."
        )
    return Replay(connection, log, definition, schema, limits, checkpoint.position)


def decode(stored: Iterable[StoredEvent]) -> list[LoggedEvent]:
    return [LoggedEvent(event) for event in stored]
