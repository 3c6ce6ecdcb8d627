"""A view made anew from the event log equals the live one, and the live one answers and follows meanwhile.

It is filled in a schema that nobody reads. However the filling ends, but by being complete, nothing of it is left: who
is cancelled drops it, and what a killed one left is dropped by the next, or by the service.
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
from shared.projections.definition import TABLES, ProjectionDefinition, Row, VersionMismatchError
from shared.projections.projection_store import create, create_indexes, create_without_indexes, drop, lock_schema, named
from shared.projections.rebuild.cutover import exchange_schemas, rename
from shared.projections.rebuild.progress import OnProgress, ProgressReporter, ignore_progress
from shared.projections.rebuild.replay import LogIncompleteError, Replay
from shared.projections.view import View

__all__ = ["LogIncompleteError", "build", "rebuild", "recreate_empty"]

DROP_TIMEOUT_SECONDS = 5

log = structlog.get_logger(__name__)


CreateTables = Callable[[AsyncCursor[Row], ProjectionDefinition, str], Awaitable[None]]


# ---- the two ways to use it


async def rebuild(postgres_url: str, view: View, on_progress: OnProgress = ignore_progress) -> int:
    """Makes the rows anew beside the live ones and puts them in their place; returns the position reached.

    Who else works on rows beside the live ones is waited for. The rows that were live are kept.

    Raises:
        LogTooShort: the log does not reach to where the live rows stand; they stay as they are.
        NotPossible: others held the live rows for too long.
        DesignChanged: somebody has built rows of this version meanwhile, and they wait to be switched to.
    """
    definition = view.definition
    async with (
        _dropped_on_failure(postgres_url, definition.name),
        schemas.rebuild_connection(postgres_url) as connection,
    ):
        await schemas.lock_rebuild(connection, definition.name)
        await _require_none_waiting(connection, definition)
        async with _replayed(connection, postgres_url, definition, on_progress) as replay:
            result = await exchange_schemas(replay, schemas.retired(definition.name))
    view.waiters.advance(result.position)
    log.info("view.rebuilt", view=definition.name, position=result.position)
    return result.position


async def _require_none_waiting(connection: AsyncConnection[Any], definition: ProjectionDefinition) -> None:
    async with connection.cursor() as cursor:
        status = await schemas.schema_status(cursor, definition.name)
    if status.live and status.live.version != definition.version and status.has_staged(definition.version):
        raise VersionMismatchError(status.staged_message(definition.version))


async def build(postgres_url: str, definition: ProjectionDefinition, on_progress: OnProgress = ignore_progress) -> int:
    """Makes the rows anew and leaves them beside the live ones, to be compared and switched to; the position reached.

    Rows that stood there from an earlier time are dropped.

    Raises:
        Occupied: somebody else works on rows beside the live ones.
        LogTooShort: the log has a hole.
    """
    staged = schemas.staged(definition.name)
    async with (
        _dropped_on_failure(postgres_url, definition.name),
        schemas.rebuild_connection(postgres_url) as connection,
    ):
        await schemas.try_lock_rebuild(connection, definition.name)
        async with _replayed(connection, postgres_url, definition, on_progress) as replay:
            position = await replay.run()
        failpoints.reached("rebuild.filled")
        async with connection.transaction(), connection.cursor() as cursor:
            await drop(cursor, staged)
            await rename(cursor, replay.schema, staged)
    log.info("view.built", view=definition.name, version=definition.version, position=position)
    return position


# ---- filling


@asynccontextmanager
async def _replayed(
    connection: AsyncConnection[Any], postgres_url: str, definition: ProjectionDefinition, on_progress: OnProgress
) -> AsyncIterator[Replay]:
    """Rows that stand, with their indexes, shortly before the log's end."""
    async with LogReader(postgres_url) as events, LogReader(postgres_url) as end:
        reporter = ProgressReporter(definition.name, end, on_progress)
        try:
            replay = await _replay_log(connection, events, definition, reporter, create_without_indexes)
            reporter.report("indexes", replay.position)
            await _create_indexes(connection, definition, replay.schema)
        except UniqueViolation as error:
            # Two aggregates bear one name: which events are at fault is found while they come.
            log.warning("view.filled_again", view=definition.name, error=str(error).splitlines()[0])
            replay = await _replay_log(connection, events, definition, reporter, create)
        for table in TABLES.values():
            await connection.execute(named("ANALYZE {schema}.{table}", replay.schema, table))
        yield replay


async def _replay_log(
    connection: AsyncConnection[Any],
    events: LogReader,
    definition: ProjectionDefinition,
    reporter: ProgressReporter,
    create_tables: CreateTables,
) -> Replay:
    schema = schemas.building(definition.name)
    async with connection.transaction(), connection.cursor() as cursor:
        await drop(cursor, schema)
        await create_tables(cursor, definition, schema)
    replay = Replay(connection, events, definition, schema, 0, reporter.advanced)
    await replay.run()
    return replay


async def _create_indexes(connection: AsyncConnection[Any], definition: ProjectionDefinition, schema: str) -> None:
    async with connection.transaction(), connection.cursor() as cursor:
        await create_indexes(cursor, definition, schema)


@asynccontextmanager
async def _dropped_on_failure(postgres_url: str, view: str) -> AsyncIterator[None]:
    """Whatever ends what is done within, cancelling it too, half-filled rows are dropped."""
    try:
        yield
    except schemas.SchemasInUseError:
        # What is half filled is somebody else's.
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
            # The session that filled them ends a moment after its connection was closed.
            await cursor.execute(f"SET LOCAL lock_timeout = '{DROP_TIMEOUT_SECONDS}s'")
            await schemas.drop_orphaned(cursor, view, wait=True)
    except psycopg.Error as error:
        log.warning("view.ruins_left", view=view, error=type(error).__name__)


async def recreate_empty(view: View) -> None:
    """Drops the rows; the stream, read from its start, makes them again."""
    async with view.writing() as cursor:
        await lock_schema(cursor, view.definition.name)
        await drop(cursor, view.definition.name)
        await create(cursor, view.definition, view.definition.name)
    log.warning("view.started_over", view=view.definition.name)
