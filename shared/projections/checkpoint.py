"""The checkpoint of a view's rows, position and event id, and whether the log still has that event at the position.

A position alone does not identify its log: a log that was restored from an older backup assigns the same positions to
other events. The id of the event at the position does.
"""

from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg import AsyncCursor

from shared.process.log_reader import LogReader
from shared.projections.tables import drop, lock_schema, named
from shared.wire.event_body import Undecodable

# As JSON, since rows of an earlier release lack the columns of the id.
READ_CHECKPOINT: Final[LiteralString] = "SELECT to_jsonb(v) FROM {schema}.view v"
RECORD_EVENT_ID: Final[LiteralString] = """
UPDATE {schema}.view SET event = %s, event_at = position WHERE position = %s AND event_at IS DISTINCT FROM position
"""


class LogMismatchError(Exception):
    """The log has another event at the position of the rows, or ends before it."""


class Checkpoint(NamedTuple):
    """Rows of a version, as of a position. `event` is the id of the event there; None when it is not known."""

    version: int
    position: int
    event: UUID | None


async def read_checkpoint(cursor: AsyncCursor[Any], schema: str) -> Checkpoint:
    """Read the checkpoint of the rows in a schema.

    Raises:
        psycopg.errors.UndefinedTable: there are no such rows.
    """
    await cursor.execute(named(READ_CHECKPOINT, schema))
    ((row,),) = await cursor.fetchall()
    # A release without ids moves the position and leaves the id of an earlier event behind.
    event = row.get("event") if row.get("event_at") == row["position"] else None
    return Checkpoint(row["design"], row["position"], UUID(event) if event else None)


async def drop_unchanged(cursor: AsyncCursor[Any], view: str, schema: str, checkpoint: Checkpoint) -> bool:
    """Drop the rows in a schema of the view if they are still at this checkpoint; False when they are not."""
    await lock_schema(cursor, view)
    await cursor.execute(named("LOCK TABLE {schema}.view IN ACCESS EXCLUSIVE MODE", schema))
    if await read_checkpoint(cursor, schema) != checkpoint:
        return False
    await drop(cursor, schema)
    return True


async def record_event_id(cursor: AsyncCursor[Any], schema: str, position: int, event: str) -> None:
    """Record the id of the event at the position, where it is missing."""
    await cursor.execute(named(RECORD_EVENT_ID, schema), (UUID(event), position))


async def log_mismatch(log: LogReader, checkpoint: Checkpoint) -> str | None:
    """Say why the rows cannot be of this log; None when they can, and where there is no log.

    Raises:
        psycopg.Error: PostgreSQL does not answer.
    """
    position, restored = checkpoint.position, "the log was restored from an older backup"
    if not position:
        return None
    end = await log.end()
    if not end and await log.identity() is None:
        return None
    if end < position:
        return f"the log ends at position {end}, the rows are at {position}: {restored}"
    try:
        logged = await log.id_at(position)
    except Undecodable:
        return None
    if checkpoint.event is not None and logged is not None and logged != str(checkpoint.event):
        return f"at position {position} the log holds event {logged}, the rows had {checkpoint.event}: {restored}"
    return None
