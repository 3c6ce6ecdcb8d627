"""A view made anew from the event log equals the live one, and questions are answered from the old rows meanwhile."""

from collections.abc import Mapping, Sequence

import psycopg
import structlog
from psycopg import AsyncConnection, AsyncCursor, sql

from shared.language.subjects import Ce
from shared.runtime.codec import Undecodable, from_state, stored_to_wire
from shared.runtime.log_reader import LogReader, Stored
from shared.runtime.view import Entry, Row, View, create, drop, following, lock_schema, write_carefully

BATCH = 5_000

log = structlog.get_logger(__name__)


class LogTooShort(Exception):
    """The event log ends before the view, or has a hole: the view cannot be made from it."""


class FromLog(Entry):
    """An event as it stands in the event log."""

    __slots__ = ("_stored",)

    def __init__(self, stored: Stored) -> None:
        super().__init__(stored.position, stored.stream, "", "", stored.topic)
        self._stored = stored
        try:
            event = self.event = from_state(*stored)
            self.aggregate, self.account = event.event.aggregate, event.account
        except Undecodable as error:
            self.error = str(error)
            headers, _ = self.evidence()
            self.aggregate = headers.get(Ce.SUBJECT, "").partition("/")[0]
            self.account = headers.get(Ce.ACCOUNT, "")

    def evidence(self) -> tuple[Mapping[str, str], bytes]:
        try:
            _, headers, body = stored_to_wire(*self._stored)
        except Undecodable:
            return {Ce.TYPE: self._stored.topic, Ce.POSITION: str(self.position)}, self._stored.state
        return headers, body


async def rebuild(postgres_url: str, view: View) -> int:
    """Makes the rows anew beside the live ones and puts them in their place; returns the position reached.

    Raises:
        LogTooShort: the log does not reach to where the live rows stand; they stay as they are.
    """
    schema = f"{view.design.name}_rebuilt"
    async with (
        LogReader(postgres_url) as reader,
        await AsyncConnection.connect(postgres_url, autocommit=True, connect_timeout=5) as connection,
    ):
        # For the session: a second rebuild waits until this one is through.
        await connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (schema,))
        await connection.execute("SET synchronous_commit = off")
        events = reader
        position = await _fill(connection, view, schema, events)
        async with connection.transaction(), connection.cursor(binary=True) as cursor:
            position = await _take_over(cursor, view, schema, events, position)
    view.progress.told(position)
    log.info("view.rebuilt", view=view.design.name, position=position)
    return position


async def _fill(connection: AsyncConnection[Row], view: View, schema: str, events: LogReader) -> int:
    async with connection.transaction(), connection.cursor() as cursor:
        await drop(cursor, schema)
        await create(cursor, view.design, schema)
    position = 0
    while stored := await events.read(position, BATCH):
        async with connection.transaction(), connection.cursor(binary=True) as cursor:
            position = await _apply(cursor, view, schema, stored, position)
    return position


async def _apply(cursor: AsyncCursor[Row], view: View, schema: str, stored: Sequence[Stored], position: int) -> int:
    run = following((FromLog(event) for event in stored), position)
    if not run:
        raise LogTooShort(f"position {position + 1} is missing in the log")
    await write_carefully(cursor, view.design, schema, run)
    return run[-1].position


async def _take_over(cursor: AsyncCursor[Row], view: View, schema: str, events: LogReader, position: int) -> int:
    """The last step, while nobody writes: what came meanwhile, then the names are exchanged."""
    live = view.design.name
    await lock_schema(cursor, live)
    there = await _live_position(cursor, live)
    while position < there:
        stored = await events.read(position, BATCH)
        if not stored:
            raise LogTooShort(f"the log ends at {position}, the view stands at {there}")
        position = await _apply(cursor, view, schema, stored, position)
    await drop(cursor, live)
    names = {"schema": sql.Identifier(schema), "live": sql.Identifier(live)}
    await cursor.execute(sql.SQL("ALTER SCHEMA {schema} RENAME TO {live}").format(**names))
    return position


async def _live_position(cursor: AsyncCursor[Row], live: str) -> int:
    """Where the live rows stand, and from here on nobody reads or writes them; 0 when there are none."""
    try:
        async with cursor.connection.transaction():
            table = sql.Identifier(live, "view")
            # Answers hold this table from their first statement on, so none sees half of each.
            await cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
            await cursor.execute(sql.SQL("SELECT position FROM {}").format(table))
            row = await cursor.fetchone()
            return int(row[0]) if row else 0
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return 0


async def start_over(view: View) -> None:
    """Drops the rows; the stream, read from its start, makes them again."""
    async with view.writing() as cursor:
        await lock_schema(cursor, view.design.name)
        await drop(cursor, view.design.name)
        await create(cursor, view.design, view.design.name)
    log.warning("view.started_over", view=view.design.name)
