"""Exchange other rows with the live ones in one step (blue/green); the rows that were live are kept for a rollback.

Readers and writers of the live rows wait for the step, which holds them for some milliseconds. It begins when next to
nothing of the log is left to apply, and tries again later when others hold the rows.
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
from shared.projections.rebuild.limits import LIMITS, RebuildLimits
from shared.projections.rebuild.progress import OnProgress, ProgressReporter, ignore_progress
from shared.projections.rebuild.replay import LogIncompleteError, Replay, resume_replay
from shared.projections.schemas import PreconditionFailedError
from shared.projections.tables import drop, exists, lock_schema

log = structlog.get_logger(__name__)


class _TooFarBehindError(Exception):
    """The view went on meanwhile: there is too much to apply while others wait."""


@dataclass(frozen=True)
class CutoverResult:
    """`locked_out_ms` is the longest time that readers and writers had to wait; `tries` counts from 1."""

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
    limits: RebuildLimits = LIMITS,
) -> CutoverResult:
    """Make the staged rows live. Processes of their version must be running, unless `force` is given.

    Raises:
        PreconditionFailedError: no rows are staged, they are of another version than this code, no process would
            answer from them, or others held the live rows for too long.
        LogIncompleteError: the log ends before the position of the live rows.
    """
    staged, retired = schemas.staged(definition.name), schemas.retired(definition.name)
    return await _cutover_to(postgres_url, definition, on_progress, staged, retired, limits, force=force)


async def rollback(
    postgres_url: str,
    definition: ProjectionDefinition,
    on_progress: OnProgress = ignore_progress,
    *,
    force: bool = False,
    limits: RebuildLimits = LIMITS,
) -> CutoverResult:
    """Bring the rows that were live before the last cutover up to date and make them live again; else as `cutover`."""
    staged, retired = schemas.staged(definition.name), schemas.retired(definition.name)
    return await _cutover_to(postgres_url, definition, on_progress, retired, staged, limits, force=force)


async def _cutover_to(
    postgres_url: str,
    definition: ProjectionDefinition,
    on_progress: OnProgress,
    schema: str,
    retired_as: str,
    limits: RebuildLimits,
    *,
    force: bool,
) -> CutoverResult:
    async with (
        schemas.rebuild_connection(postgres_url) as connection,
        LogReader(postgres_url) as events,
        LogReader(postgres_url) as end,
    ):
        await schemas.try_lock_rebuild(connection, definition.name, limits.in_use_timeout_ms)
        replay = await resume_replay(connection, events, definition, schema, limits)
        replay.on_position = ProgressReporter(definition.name, end, on_progress, replay.position).advanced
        if not force:
            await _require_readers(connection, definition)
        return await exchange_schemas(replay, retired_as)


async def _require_readers(connection: AsyncConnection[Row], definition: ProjectionDefinition) -> None:
    async with connection.cursor() as cursor:
        live = await schemas.schema_info(cursor, definition.name)
        if live is None or live.version == definition.version:
            return
        if not await schemas.count_connections(cursor, schemas.process_application_name(definition)):
            raise PreconditionFailedError(
                f"No process of version {definition.version} runs to answer from these rows; those of {live.version} "
                "would stand by. Start one first, or force it."
            )


async def drop_inactive(
    postgres_url: str, definition: ProjectionDefinition, limits: RebuildLimits = LIMITS
) -> list[schemas.SchemaInfo]:
    """Drop all rows but the live ones, and return what they were.

    Raises:
        PreconditionFailedError: there are none, or other work on them is in progress.
    """
    async with schemas.rebuild_connection(postgres_url) as connection:
        await schemas.try_lock_rebuild(connection, definition.name, limits.in_use_timeout_ms)
        async with connection.transaction(), connection.cursor() as cursor:
            status = await schemas.schema_status(cursor, definition.name)
            found = [rows for rows in (status.staged, status.retired, status.building) if rows]
            if not found:
                raise PreconditionFailedError(f"{definition.name} has no rows but the live ones.")
            for rows in found:
                await drop(cursor, rows.schema)
    log.info("view.beside_dropped", view=definition.name, schemas=[rows.schema for rows in found])
    return found


async def exchange_schemas(replay: Replay, retired_as: str) -> CutoverResult:
    """Make the replay's rows live at the log's end; the former live rows are kept in the schema `retired_as`.

    Raises:
        LogIncompleteError: the log ends before the position of the live rows; they stay as they are.
        PreconditionFailedError: others held the live rows for too long.
    """
    connection, limits, discarded = replay.connection, replay.limits, schemas.discarded(replay.definition.name)
    await _drop_discarded(connection, discarded)
    failpoints.reached("switch.filled")
    until, end = time.monotonic() + limits.max_wait_seconds, -1
    for tries in count(1):
        former, end = end, await replay.run()
        try:
            seconds = await _exchange(connection, replay, retired_as)
        except (LockNotAvailable, _TooFarBehindError) as error:
            # Events that were applied while the rows were held are rolled back with the rest.
            replay.reset_to(end)
            if isinstance(error, _TooFarBehindError) and end == former:
                raise LogIncompleteError(f"the log ends at {end}: {error}") from error
            if time.monotonic() > until:
                raise PreconditionFailedError(
                    f"the rows were never free within {limits.max_wait_seconds:g} s: {error}"
                ) from error
            await asyncio.sleep(limits.pause_seconds)
        else:
            result = CutoverResult(replay.definition.version, replay.position, round(seconds * 1_000, 1), tries)
            log.info("view.switched", view=replay.definition.name, **vars(result))
            await _drop_discarded(connection, discarded)
            return result
    raise AssertionError("counting never ends")


async def _drop_discarded(connection: AsyncConnection[Row], discarded: str) -> None:
    """Drop the rows of an earlier cutover; the commit also puts replayed rows on disk before others have to wait."""
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.execute("SET LOCAL synchronous_commit = on")
        await drop(cursor, discarded)


async def _exchange(connection: AsyncConnection[Row], replay: Replay, retired_as: str) -> float:
    """Exchange the schemas; return for how many seconds the live rows were locked or waited for."""
    live = replay.definition.name
    async with connection.transaction(), connection.cursor(binary=True) as cursor:
        await cursor.execute(f"SET LOCAL lock_timeout = {replay.limits.lock_timeout_ms:d}".encode())
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
    """Lock the live rows for readers and writers, and return their position; None when there are none."""
    try:
        async with cursor.connection.transaction():
            table = sql.Identifier(live, "view")
            # Answers hold this table from their first statement on, so no answer sees half of each.
            await cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
            await cursor.execute(sql.SQL("SELECT position FROM {}").format(table))
            row = await cursor.fetchone()
            return int(row[0]) if row else 0
    except (UndefinedTable, InvalidSchemaName):
        return None


async def _catch_up(replay: Replay, live_position: int) -> None:
    remaining = live_position - replay.position
    if remaining > replay.limits.max_remaining:
        raise _TooFarBehindError(f"the view is at {live_position}, {remaining} events later")
    await replay.run_to(live_position)


async def rename(cursor: AsyncCursor[Row], schema: str, to: str) -> None:
    names = {"schema": sql.Identifier(schema), "to": sql.Identifier(to)}
    await cursor.execute(sql.SQL("ALTER SCHEMA {schema} RENAME TO {to}").format(**names))
