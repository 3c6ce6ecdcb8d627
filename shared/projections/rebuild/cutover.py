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
from shared.projections.definition import Design, Row
from shared.projections.projection_store import drop, exists, lock_schema
from shared.projections.rebuild.progress import Heard, Meter, nobody
from shared.projections.rebuild.replay import Filling, LogTooShort, opened
from shared.projections.schemas import NotPossible

# How many events may be left when the rows are held, and how long the step waits for those who hold them.
TAIL = 500
LOCK_MS = 40
PAUSE_SECONDS = 0.1
PATIENCE_SECONDS = 60.0

log = structlog.get_logger(__name__)


class _NotYet(Exception):
    """The view went on meanwhile: there is too much to apply while others wait."""


@dataclass(frozen=True)
class Switched:
    """`locked_out_ms` is how long readers and writers were made to wait at most; `tries` counts from 1."""

    version: int
    position: int
    locked_out_ms: float
    tries: int


async def switch(postgres_url: str, design: Design, heard: Heard = nobody, *, force: bool = False) -> Switched:
    """The rows that were built beside go live. Readers are of their version, or one of them is there already; `force`
    does it for nobody.

    Raises:
        NotPossible: there are none, they are of another version than this code, or nobody would answer from them.
        LogTooShort: the log does not reach to where the live rows stand.
    """
    new, old = schemas.new(design.name), schemas.old(design.name)
    return await _go_live(postgres_url, design, heard, new, kept=old, force=force)


async def back(postgres_url: str, design: Design, heard: Heard = nobody, *, force: bool = False) -> Switched:
    """The rows that were live before the last switch are brought up to date and go live again; as `switch`."""
    new, old = schemas.new(design.name), schemas.old(design.name)
    return await _go_live(postgres_url, design, heard, old, kept=new, force=force)


async def _go_live(postgres_url: str, design: Design, heard: Heard, schema: str, *, kept: str, force: bool) -> Switched:
    async with (
        schemas.working(postgres_url) as connection,
        LogReader(postgres_url) as events,
        LogReader(postgres_url) as end,
    ):
        await schemas.claimed(connection, design.name)
        filling = await opened(connection, events, design, schema)
        filling.told = Meter(design.name, end, heard, filling.position).told
        if not force:
            await _require_answers(connection, design)
        return await take_over(filling, kept)


async def _require_answers(connection: AsyncConnection[Row], design: Design) -> None:
    async with connection.cursor() as cursor:
        live = await schemas.rows_in(cursor, design.name)
        if live is None or live.version == design.version:
            return
        if not await schemas.answering(cursor, design.name, design.version):
            raise NotPossible(
                f"No process of version {design.version} is there to answer from these rows; those of {live.version} "
                "would step aside. Start one first, or force it."
            )


async def drop_beside(postgres_url: str, design: Design) -> list[schemas.Rows]:
    """Drops all rows beside the live ones, and returns what they were.

    Raises:
        NotPossible: there are none, or somebody works on them.
    """
    async with schemas.working(postgres_url) as connection:
        await schemas.claimed(connection, design.name)
        async with connection.transaction(), connection.cursor() as cursor:
            standing = await schemas.standing(cursor, design.name)
            found = [rows for rows in (standing.new, standing.old, standing.building) if rows]
            if not found:
                raise NotPossible(f"No rows stand beside those of {design.name}.")
            for rows in found:
                await drop(cursor, rows.schema)
    log.info("view.beside_dropped", view=design.name, schemas=[rows.schema for rows in found])
    return found


async def take_over(filling: Filling, kept: str) -> Switched:
    """The filling's rows go live, at the log's end or later than the live rows; those are kept in the schema `kept`.

    Raises:
        LogTooShort: the log does not reach to where the live rows stand; they stay as they are.
        NotPossible: others held the rows for all of `PATIENCE_SECONDS`.
    """
    connection, discarded = filling.connection, schemas.discarded(filling.design.name)
    await _make_room(connection, discarded)
    failpoints.reached("switch.filled")
    until, end = time.monotonic() + PATIENCE_SECONDS, -1
    for tries in count(1):
        former, end = end, await filling.go_on()
        try:
            seconds = await _exchange(connection, filling, kept)
        except (LockNotAvailable, _NotYet) as error:
            # What was applied while the rows were held is undone with the rest.
            filling.stands_at(end)
            if isinstance(error, _NotYet) and end == former:
                raise LogTooShort(f"the log ends at {end}: {error}") from error
            if time.monotonic() > until:
                raise NotPossible(f"the rows were never free within {PATIENCE_SECONDS:g} s: {error}") from error
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            switched = Switched(filling.design.version, filling.position, round(seconds * 1_000, 1), tries)
            log.info("view.switched", view=filling.design.name, **vars(switched))
            await _make_room(connection, discarded)
            return switched
    raise AssertionError("counting never ends")


async def _make_room(connection: AsyncConnection[Row], discarded: str) -> None:
    """Drops what was kept before and is no more; what was filled is on disk before anybody has to wait for it."""
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.execute("SET LOCAL synchronous_commit = on")
        await drop(cursor, discarded)


async def _exchange(connection: AsyncConnection[Row], filling: Filling, kept: str) -> float:
    """How many seconds the rows were held, from when they were asked for."""
    live = filling.design.name
    async with connection.transaction(), connection.cursor(binary=True) as cursor:
        await cursor.execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
        await cursor.execute("SET LOCAL synchronous_commit = on")
        await lock_schema(cursor, live)
        if await exists(cursor, kept):
            await rename(cursor, kept, schemas.discarded(live))
        began = time.monotonic()
        there = await _hold(cursor, live)
        if there is not None:
            await _catch_up(filling, there)
            await rename(cursor, live, kept)
        await rename(cursor, filling.schema, live)
        failpoints.reached("switch.exchanged")
    failpoints.reached("switch.committed")
    return time.monotonic() - began


async def _hold(cursor: AsyncCursor[Row], live: str) -> int | None:
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


async def _catch_up(filling: Filling, there: int) -> None:
    if there - filling.position > TAIL:
        raise _NotYet(f"the view stands at {there}, {there - filling.position} events later")
    await filling.reach(there)


async def rename(cursor: AsyncCursor[Row], schema: str, to: str) -> None:
    names = {"schema": sql.Identifier(schema), "to": sql.Identifier(to)}
    await cursor.execute(sql.SQL("ALTER SCHEMA {schema} RENAME TO {to}").format(**names))
