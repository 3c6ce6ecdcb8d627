"""Rows that stand beside the live ones take their place in one step; those that were live are kept.

Who reads or writes the live rows waits for the step, which holds them for some milliseconds: it begins when next to
nothing of the log is left to apply, and gives up at once, to try again, when somebody else holds them.
"""

import asyncio
import time
from dataclasses import dataclass
from itertools import count

import structlog
from psycopg import AsyncConnection, AsyncCursor, sql
from psycopg.errors import InvalidSchemaName, LockNotAvailable, UndefinedTable

from shared.process import failpoints
from shared.process.log_reader import LogReader
from shared.projections import schemas
from shared.projections.definition import ProjectionDefinition, Row
from shared.projections.projection_store import drop, exists, lock_schema
from shared.projections.rebuild.progress import OnProgress, ProgressReporter, ignore_progress
from shared.projections.rebuild.replay import LogIncompleteError, Replay, resume_replay
from shared.projections.schemas import PreconditionFailedError

# How many events may be left when the rows are held, and how long the step waits for those who hold them.
MAX_REMAINING = 500
LOCK_MS = 40
PAUSE_SECONDS = 0.1
MAX_WAIT_SECONDS = 60.0

log = structlog.get_logger(__name__)


class _TooFarBehindError(Exception):
    """The view went on meanwhile: there is too much to apply while others wait."""


@dataclass(frozen=True)
class CutoverResult:
    """`locked_out_ms` is how long readers and writers were made to wait at most; `tries` counts from 1."""

    version: int
    position: int
    locked_out_ms: float
    tries: int


async def cutover(
    postgres_url: str,
    definition: ProjectionDefinition,
    on_progress: OnProgress = ignore_progress,
    *,
    force: bool = False,
) -> CutoverResult:
    """The rows that were built beside go live. Readers are of their version, or one of them is there already; `force`
    does it for nobody.

    Raises:
        NotPossible: there are none, they are of another version than this code, or nobody would answer from them.
        LogTooShort: the log does not reach to where the live rows stand.
    """
    staged, retired = schemas.staged(definition.name), schemas.retired(definition.name)
    return await _cutover_to(postgres_url, definition, on_progress, staged, retired_as=retired, force=force)


async def rollback(
    postgres_url: str,
    definition: ProjectionDefinition,
    on_progress: OnProgress = ignore_progress,
    *,
    force: bool = False,
) -> CutoverResult:
    """The rows that were live before the last switch are brought up to date and go live again; as `switch`."""
    staged, retired = schemas.staged(definition.name), schemas.retired(definition.name)
    return await _cutover_to(postgres_url, definition, on_progress, retired, retired_as=staged, force=force)


async def _cutover_to(
    postgres_url: str,
    definition: ProjectionDefinition,
    on_progress: OnProgress,
    schema: str,
    *,
    retired_as: str,
    force: bool,
) -> CutoverResult:
    async with (
        schemas.rebuild_connection(postgres_url) as connection,
        LogReader(postgres_url) as events,
        LogReader(postgres_url) as end,
    ):
        await schemas.try_lock_rebuild(connection, definition.name)
        replay = await resume_replay(connection, events, definition, schema)
        replay.on_position = ProgressReporter(definition.name, end, on_progress, replay.position).advanced
        if not force:
            await _require_answers(connection, definition)
        return await exchange_schemas(replay, retired_as)


async def _require_answers(connection: AsyncConnection[Row], definition: ProjectionDefinition) -> None:
    async with connection.cursor() as cursor:
        live = await schemas.schema_info(cursor, definition.name)
        if live is None or live.version == definition.version:
            return
        if not await schemas.count_readers(cursor, definition.name, definition.version):
            raise PreconditionFailedError(
                f"No process of version {definition.version} runs to answer from these rows; those of {live.version} "
                "would stand by. Start one first, or force it."
            )


async def drop_inactive(postgres_url: str, definition: ProjectionDefinition) -> list[schemas.SchemaInfo]:
    """Drops all rows beside the live ones, and returns what they were.

    Raises:
        NotPossible: there are none, or somebody works on them.
    """
    async with schemas.rebuild_connection(postgres_url) as connection:
        await schemas.try_lock_rebuild(connection, definition.name)
        async with connection.transaction(), connection.cursor() as cursor:
            status = await schemas.schema_status(cursor, definition.name)
            found = [rows for rows in (status.staged, status.retired, status.building) if rows]
            if not found:
                raise PreconditionFailedError(f"No rows stand beside those of {definition.name}.")
            for rows in found:
                await drop(cursor, rows.schema)
    log.info("view.beside_dropped", view=definition.name, schemas=[rows.schema for rows in found])
    return found


async def exchange_schemas(replay: Replay, retired_as: str) -> CutoverResult:
    """The filling's rows go live, at the log's end or later than the live rows; those are kept in the schema `kept`.

    Raises:
        LogTooShort: the log does not reach to where the live rows stand; they stay as they are.
        NotPossible: others held the rows for all of `PATIENCE_SECONDS`.
    """
    connection, discarded = replay.connection, schemas.discarded(replay.definition.name)
    await _drop_discarded(connection, discarded)
    failpoints.reached("switch.filled")
    until, end = time.monotonic() + MAX_WAIT_SECONDS, -1
    for tries in count(1):
        former, end = end, await replay.run()
        try:
            seconds = await _exchange(connection, replay, retired_as)
        except (LockNotAvailable, _TooFarBehindError) as error:
            # What was applied while the rows were held is undone with the rest.
            replay.reset_to(end)
            if isinstance(error, _TooFarBehindError) and end == former:
                raise LogIncompleteError(f"the log ends at {end}: {error}") from error
            if time.monotonic() > until:
                raise PreconditionFailedError(
                    f"the rows were never free within {MAX_WAIT_SECONDS:g} s: {error}"
                ) from error
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            result = CutoverResult(replay.definition.version, replay.position, round(seconds * 1_000, 1), tries)
            log.info("view.switched", view=replay.definition.name, **vars(result))
            await _drop_discarded(connection, discarded)
            return result
    raise AssertionError("counting never ends")


async def _drop_discarded(connection: AsyncConnection[Row], discarded: str) -> None:
    """Drops what was kept before and is no more; what was filled is on disk before anybody has to wait for it."""
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.execute("SET LOCAL synchronous_commit = on")
        await drop(cursor, discarded)


async def _exchange(connection: AsyncConnection[Row], replay: Replay, retired_as: str) -> float:
    """How many seconds the rows were held, from when they were asked for."""
    live = replay.definition.name
    async with connection.transaction(), connection.cursor(binary=True) as cursor:
        await cursor.execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
        await cursor.execute("SET LOCAL synchronous_commit = on")
        await lock_schema(cursor, live)
        if await exists(cursor, retired_as):
            await rename(cursor, retired_as, schemas.discarded(live))
        began = time.monotonic()
        live_position = await _lock_live(cursor, live)
        if live_position is not None:
            await _catch_up(replay, live_position)
            await rename(cursor, live, retired_as)
        await rename(cursor, replay.schema, live)
        failpoints.reached("switch.exchanged")
    failpoints.reached("switch.committed")
    return time.monotonic() - began


async def _lock_live(cursor: AsyncCursor[Row], live: str) -> int | None:
    """Where the live rows stand, and from here on nobody reads or writes them; None when there are none."""
    try:
        async with cursor.connection.transaction():
            table = sql.Identifier(live, "view")
            # Answers hold this table from their first statement on, so none sees half of each.
            await cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
            await cursor.execute(sql.SQL("SELECT position FROM {}").format(table))
            row = await cursor.fetchone()
            return int(row[0]) if row else 0
    except (UndefinedTable, InvalidSchemaName):
        return None


async def _catch_up(replay: Replay, live_position: int) -> None:
    if live_position - replay.position > MAX_REMAINING:
        raise _TooFarBehindError(f"the view stands at {live_position}, {live_position - replay.position} events later")
    await replay.run_to(live_position)


async def rename(cursor: AsyncCursor[Row], schema: str, to: str) -> None:
    names = {"schema": sql.Identifier(schema), "to": sql.Identifier(to)}
    await cursor.execute(sql.SQL("ALTER SCHEMA {schema} RENAME TO {to}").format(**names))
