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
from shared.projections.definition import TABLES, Design, DesignChanged, Row
from shared.projections.projection_store import create, create_indexes, create_to_fill, drop, lock_schema, named
from shared.projections.rebuild.cutover import rename, take_over
from shared.projections.rebuild.progress import Heard, Meter, nobody
from shared.projections.rebuild.replay import Filling, LogTooShort
from shared.projections.view import View

__all__ = ["LogTooShort", "build", "rebuild", "start_over"]

CLEANING_SECONDS = 5

log = structlog.get_logger(__name__)


Make = Callable[[AsyncCursor[Row], Design, str], Awaitable[None]]


# ---- the two ways to use it


async def rebuild(postgres_url: str, view: View, heard: Heard = nobody) -> int:
    """Makes the rows anew beside the live ones and puts them in their place; returns the position reached.

    Who else works on rows beside the live ones is waited for. The rows that were live are kept.

    Raises:
        LogTooShort: the log does not reach to where the live rows stand; they stay as they are.
        NotPossible: others held the live rows for too long.
        DesignChanged: somebody has built rows of this version meanwhile, and they wait to be switched to.
    """
    design = view.design
    async with _leaving_nothing(postgres_url, design.name), schemas.working(postgres_url) as connection:
        await schemas.claim(connection, design.name)
        await _require_none_waiting(connection, design)
        async with _filled(connection, postgres_url, design, heard) as filling:
            switched = await take_over(filling, schemas.old(design.name))
    view.progress.told(switched.position)
    log.info("view.rebuilt", view=design.name, position=switched.position)
    return switched.position


async def _require_none_waiting(connection: AsyncConnection[Any], design: Design) -> None:
    async with connection.cursor() as cursor:
        standing = await schemas.standing(cursor, design.name)
    if standing.live and standing.live.version != design.version and standing.waits(design.version):
        raise DesignChanged(standing.why_waiting(design.version))


async def build(postgres_url: str, design: Design, heard: Heard = nobody) -> int:
    """Makes the rows anew and leaves them beside the live ones, to be compared and switched to; the position reached.

    Rows that stood there from an earlier time are dropped.

    Raises:
        Occupied: somebody else works on rows beside the live ones.
        LogTooShort: the log has a hole.
    """
    new = schemas.new(design.name)
    async with _leaving_nothing(postgres_url, design.name), schemas.working(postgres_url) as connection:
        await schemas.claimed(connection, design.name)
        async with _filled(connection, postgres_url, design, heard) as filling:
            position = await filling.go_on()
        failpoints.reached("rebuild.filled")
        async with connection.transaction(), connection.cursor() as cursor:
            await drop(cursor, new)
            await rename(cursor, filling.schema, new)
    log.info("view.built", view=design.name, version=design.version, position=position)
    return position


# ---- filling


@asynccontextmanager
async def _filled(
    connection: AsyncConnection[Any], postgres_url: str, design: Design, heard: Heard
) -> AsyncIterator[Filling]:
    """Rows that stand, with their indexes, shortly before the log's end."""
    async with LogReader(postgres_url) as events, LogReader(postgres_url) as end:
        meter = Meter(design.name, end, heard)
        try:
            filling = await _fill(connection, events, design, meter, create_to_fill)
            meter.say("indexes", filling.position)
            await _find_by(connection, design, filling.schema)
        except UniqueViolation as error:
            # Two aggregates bear one name: which events are at fault is found while they come.
            log.warning("view.filled_again", view=design.name, error=str(error).splitlines()[0])
            filling = await _fill(connection, events, design, meter, create)
        for table in TABLES.values():
            await connection.execute(named("ANALYZE {schema}.{table}", filling.schema, table))
        yield filling


async def _fill(
    connection: AsyncConnection[Any], events: LogReader, design: Design, meter: Meter, make: Make
) -> Filling:
    schema = schemas.building(design.name)
    async with connection.transaction(), connection.cursor() as cursor:
        await drop(cursor, schema)
        await make(cursor, design, schema)
    filling = Filling(connection, events, design, schema, 0, meter.told)
    await filling.go_on()
    return filling


async def _find_by(connection: AsyncConnection[Any], design: Design, schema: str) -> None:
    async with connection.transaction(), connection.cursor() as cursor:
        await create_indexes(cursor, design, schema)


@asynccontextmanager
async def _leaving_nothing(postgres_url: str, view: str) -> AsyncIterator[None]:
    """Whatever ends what is done within, cancelling it too, half-filled rows are dropped."""
    try:
        yield
    except schemas.Occupied:
        # What is half filled is somebody else's.
        raise
    except BaseException:
        await _clear(postgres_url, view)
        raise


async def _clear(postgres_url: str, view: str) -> None:
    try:
        async with (
            await DirectAsync.connect(postgres_url) as connection,
            connection.cursor() as cursor,
        ):
            # The session that filled them ends a moment after its connection was closed.
            await cursor.execute(f"SET LOCAL lock_timeout = '{CLEANING_SECONDS}s'")
            await schemas.clear_ruins(cursor, view, wait=True)
    except psycopg.Error as error:
        log.warning("view.ruins_left", view=view, error=type(error).__name__)


async def start_over(view: View) -> None:
    """Drops the rows; the stream, read from its start, makes them again."""
    async with view.writing() as cursor:
        await lock_schema(cursor, view.design.name)
        await drop(cursor, view.design.name)
        await create(cursor, view.design, view.design.name)
    log.warning("view.started_over", view=view.design.name)
