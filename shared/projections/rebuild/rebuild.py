"""Rebuild a view from the event log in a schema of its own, while the live rows answer and follow events.

A rebuild that fails or is cancelled drops its schema. The schema of a killed one is orphaned; the next rebuild, or the
service, drops it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection, AsyncCursor
from psycopg.errors import UniqueViolation

from shared.process import failpoints
from shared.process.log_reader import LogReader
from shared.process.postgres import DirectAsync
from shared.projections import schemas
from shared.projections.definition import ProjectionDefinition, Row, VersionMismatchError
from shared.projections.rebuild.cutover import exchange_schemas, rename
from shared.projections.rebuild.limits import LIMITS, RebuildLimits
from shared.projections.rebuild.progress import OnProgress, ProgressReporter, ignore_progress
from shared.projections.rebuild.replay import LogIncompleteError, OnPosition, Replay, ignore_position
from shared.projections.tables import create, create_indexes, create_without_indexes, drop, lock_schema, named
from shared.projections.view import View

DROP_TIMEOUT_SECONDS = 5

log = structlog.get_logger(__name__)


CreateTables = Callable[[AsyncCursor[Row], ProjectionDefinition, str], Awaitable[None]]


# ---- the two ways to use it


async def rebuild(
    postgres_url: str, view: View, on_progress: OnProgress = ignore_progress, limits: RebuildLimits = LIMITS
) -> int:
    """Rebuild the rows and make them live at once; return the position reached. The former live rows are kept.

    It waits while other work on the view's schemas is in progress.

    Raises:
        LogIncompleteError: the log ends before the position of the live rows; they stay as they are.
        PreconditionFailedError: others held the live rows for too long.
        VersionMismatchError: rows of this version were built meanwhile, and wait for a cutover.
    """
    position = await rebuild_rows(postgres_url, view.definition, on_progress, limits)
    view.waiters.advance(position)
    return position


async def rebuild_rows(
    postgres_url: str,
    definition: ProjectionDefinition,
    on_progress: OnProgress = ignore_progress,
    limits: RebuildLimits = LIMITS,
    after_batch: OnPosition = ignore_position,
) -> int:
    """As `rebuild`, without a view; `after_batch` is awaited after each batch of the replay."""
    async with (
        _dropped_on_failure(postgres_url, definition.name),
        schemas.rebuild_connection(postgres_url) as connection,
    ):
        await schemas.lock_rebuild(connection, definition.name)
        await _require_none_staged(connection, definition)
        async with _replayed(connection, postgres_url, definition, on_progress, limits, after_batch) as replay:
            result = await exchange_schemas(replay, schemas.retired(definition.name))
    log.info("view.rebuilt", view=definition.name, position=result.position)
    return result.position


async def _require_none_staged(connection: AsyncConnection[Any], definition: ProjectionDefinition) -> None:
    async with connection.cursor() as cursor:
        status = await schemas.schema_status(cursor, definition.name)
    if status.live and status.live.version != definition.version and status.has_staged(definition.version):
        raise VersionMismatchError(status.staged_message(definition.version))


async def build(
    postgres_url: str,
    definition: ProjectionDefinition,
    on_progress: OnProgress = ignore_progress,
    limits: RebuildLimits = LIMITS,
) -> int:
    """Rebuild the rows and stage them, for a comparison and a cutover; return the position reached.

    Rows that were staged before are dropped.

    Raises:
        SchemasInUseError: other work on the view's schemas is in progress.
        LogIncompleteError: the log has a gap.
    """
    staged = schemas.staged(definition.name)
    async with (
        _dropped_on_failure(postgres_url, definition.name),
        schemas.rebuild_connection(postgres_url) as connection,
    ):
        await schemas.try_lock_rebuild(connection, definition.name, limits.in_use_timeout_ms)
        async with _replayed(connection, postgres_url, definition, on_progress, limits) as replay:
            position = await replay.run()
        failpoints.reached("rebuild.filled")
        async with connection.transaction(), connection.cursor() as cursor:
            await drop(cursor, staged)
            await rename(cursor, replay.schema, staged)
    log.info("view.built", view=definition.name, version=definition.version, position=position)
    return position


# ---- replaying


@asynccontextmanager
async def _replayed(
    connection: AsyncConnection[Any],
    postgres_url: str,
    definition: ProjectionDefinition,
    on_progress: OnProgress,
    limits: RebuildLimits,
    after_batch: OnPosition = ignore_position,
) -> AsyncIterator[Replay]:
    """Rows with their indexes, as of shortly before the log's end."""

    async def advanced(position: int) -> None:
        await reporter.advanced(position)
        await after_batch(position)

    async with LogReader(postgres_url) as events, LogReader(postgres_url) as end:
        replay = Replay(connection, events, definition, schemas.building(definition.name), limits)
        reporter = ProgressReporter(definition.name, end, on_progress)
        replay.on_position = advanced
        try:
            await _replay_log(replay, create_without_indexes)
            reporter.report("indexes", replay.position)
            await _create_indexes(replay)
        except UniqueViolation as error:
            # Two aggregates have one name: with the indexes in place the replay parks the events at fault.
            log.warning("view.filled_again", view=definition.name, error=str(error).splitlines()[0])
            replay.reset_to(0)
            await _replay_log(replay, create)
        # Others may have to wait for the rest.
        replay.on_position = reporter.advanced
        for table in definition.row_tables:
            await connection.execute(named("ANALYZE {schema}.{table}", replay.schema, table))
        yield replay


async def _replay_log(replay: Replay, create_tables: CreateTables) -> None:
    async with replay.connection.transaction(), replay.connection.cursor() as cursor:
        await drop(cursor, replay.schema)
        await create_tables(cursor, replay.definition, replay.schema)
    await replay.run()


async def _create_indexes(replay: Replay) -> None:
    async with replay.connection.transaction(), replay.connection.cursor() as cursor:
        await create_indexes(cursor, replay.definition, replay.schema)


@asynccontextmanager
async def _dropped_on_failure(postgres_url: str, view: str) -> AsyncIterator[None]:
    """Drop the half-built schema when the block fails or is cancelled."""
    try:
        yield
    except schemas.SchemasInUseError:
        # The half-built schema belongs to another process.
        raise
    except BaseException:
        await _drop_building(postgres_url, view)
        raise


async def _drop_building(postgres_url: str, view: str) -> None:
    try:
        async with (
            await DirectAsync.connect(postgres_url) as connection,
            connection.cursor() as cursor,
        ):
            # The session of the replay ends a moment after its connection was closed.
            await cursor.execute(f"SET LOCAL lock_timeout = '{DROP_TIMEOUT_SECONDS}s'")
            await schemas.drop_orphaned(cursor, view, wait=True)
    except psycopg.Error as error:
        log.warning("view.ruins_left", view=view, error=type(error).__name__)


async def restore_rows(postgres_url: str, view: View) -> None:
    """Rebuild the live rows from the log; where the log is incomplete, begin with empty rows.

    Raises:
        PreconditionFailedError: others held the live rows for too long.
        VersionMismatchError: rows of this version were built meanwhile, and wait for a cutover.
    """
    try:
        await rebuild(postgres_url, view)
    except LogIncompleteError as error:
        log.warning("view.not_from_log", view=view.definition.name, error=str(error))
        await _recreate_empty(view)


async def _recreate_empty(view: View) -> None:
    """Drop the rows and begin with none: the stream, read from its start, supplies them again."""
    async with view.writing() as cursor:
        await lock_schema(cursor, view.definition.name)
        await drop(cursor, view.definition.name)
        await create(cursor, view.definition, view.definition.name)
    log.warning("view.started_over", view=view.definition.name)
