"""The rows of a view and the position they are as of change in one commit, so they can never disagree.

A view keeps one row per aggregate, a document that a pure fold makes of its events (`view_rows.py`). The live rows are
in the schema that bears the view's name; rows beside them (`beside.py`) are of no concern to readers, but for a
process of another version in the moment in which it steps aside.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString
from uuid import UUID

import orjson
import psycopg
import structlog
from psycopg import AsyncConnection, AsyncCursor
from psycopg.types.json import set_json_loads

from shared.language.events import Aggregate
from shared.language.recorded import stream_id
from shared.process.log_reader import LogReader
from shared.process.postgres import Pool
from shared.projections import schemas
from shared.projections.checkpoint import Checkpoint, log_mismatch, read_checkpoint, record_event_id
from shared.projections.cooperative import ROWS_AT_ONCE
from shared.projections.definition import Doc, Fold, ProjectionDefinition, Row, VersionMismatchError
from shared.projections.document_cache import DocumentCache
from shared.projections.events import DeliveredEvent, IncomingEvent, contiguous, key_of
from shared.projections.projection_store import (
    REFUSALS,
    add_missing_columns,
    create,
    drop,
    exists,
    lock_schema,
    named,
    write_carefully,
)
from shared.projections.waiters import PositionWaiters

__all__ = [
    "READERS",
    "DeliveredEvent",
    "Fold",
    "IncomingEvent",
    "ProjectionDefinition",
    "Snapshot",
    "VersionMismatchError",
    "View",
    "contiguous",
    "key_of",
]

READERS = 4
CONNECT_SECONDS = 2.0
# A process that is stopped while it holds the row's lock may not stop the others for longer.
SESSION = {"lock_timeout": "10s", "idle_in_transaction_session_timeout": "10s"}
# A plan made while the tables were small is kept while they grow: only plans that stay good are allowed.
PLANS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}

log = structlog.get_logger(__name__)


# ---- questions' side

# The lock comes before the first look: whoever waited for it while rows were exchanged sees all of the new ones.
BEGIN: Final[LiteralString] = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE view IN ACCESS SHARE MODE
"""

# The row of an account may be large, with all of its teams: it comes with the first who asks of the account.
HEADS: Final[LiteralString] = """
SELECT v.position, EXISTS (SELECT FROM parked) OR EXISTS (SELECT FROM given_up),
       CASE q.number WHEN min(q.number) OVER (PARTITION BY q.account) THEN a.doc END, u.doc
FROM view v
CROSS JOIN unnest(%(accounts)b::text[], %(actors)b::text[]) WITH ORDINALITY AS q (account, actor, number)
LEFT JOIN accounts a ON a.account = q.account COLLATE "C" AND a.key = q.account COLLATE "C"
LEFT JOIN users u ON u.account = q.account COLLATE "C" AND u.key = q.actor COLLATE "C"
WHERE v.design = %(design)s
ORDER BY q.number
"""


# Of dead letters that wait, and of those that were given up.
INCOMPLETE: Final[LiteralString] = """
SELECT min(position) FROM (
    SELECT position, account, stream, aggregate FROM parked
    UNION ALL SELECT position, account, stream, aggregate FROM given_up
) AS dead
WHERE account = %(account)s AND (stream = ANY(%(streams)s) OR aggregate = ANY(%(aggregates)s))
"""

STANDS: Final[LiteralString] = """
SELECT position, (SELECT count(*) FROM {schema}.parked), (SELECT count(*) FROM {schema}.given_up) FROM {schema}.view
"""

LOCK_POSITION: Final[LiteralString] = """
UPDATE {schema}.view SET edition = gen_random_uuid() RETURNING design, position
"""


async def fetch_all(cursor: AsyncCursor[Row]) -> list[Row]:
    """All rows of what was executed, read in turns."""
    rows = await cursor.fetchmany(ROWS_AT_ONCE)
    while len(rows) % ROWS_AT_ONCE == 0 and (more := await cursor.fetchmany(ROWS_AT_ONCE)):
        rows += more
        await asyncio.sleep(0)
    return rows


class Snapshot:
    """Rows and position of one moment, and a record of what was looked at."""

    def __init__(self, cursor: AsyncCursor[Row], head: Row, account: str) -> None:
        self._cursor = cursor
        self.account = account
        self.position: int = head[0]
        self._anything_dead: bool = head[1]
        self.account_doc: Doc | None = head[2]
        self.actor_doc: Doc | None = head[3]
        self._streams: set[UUID] = set()
        self._aggregates: set[str] = set()

    async def select(self, query: LiteralString, params: Mapping[str, Any] | None = None) -> list[Row]:
        """Rows of a statement; `%(account)s` is given."""
        await self._cursor.execute(query, {"account": self.account, **(params or {})})
        return await fetch_all(self._cursor)

    def looked_at(self, aggregate: Aggregate, *names: str) -> None:
        """The answer depends on these aggregates; on all of the account when none is named."""
        if names:
            self._streams.update(stream_id(self.account, aggregate, name) for name in names)
        else:
            self._aggregates.add(aggregate)

    async def incomplete_since(self) -> int | None:
        """The first position that is parked, or was given up, on anything looked at."""
        if not self._anything_dead:
            return None
        self.looked_at("account", self.account)
        # The name of the schema is in the search path of a reader.
        rows = await self.select(INCOMPLETE, {"streams": list(self._streams), "aggregates": list(self._aggregates)})
        found: int | None = rows[0][0]
        return found


# ---- the view


class View:
    """One view in one database; any number of processes may serve it side by side."""

    def __init__(self, postgres_url: str, definition: ProjectionDefinition) -> None:
        self.definition = definition
        self.waiters = PositionWaiters()
        self._cache = DocumentCache(definition)
        self._version_live = asyncio.Event()
        self._url = postgres_url
        settings = SESSION | PLANS | {"search_path": f"{definition.name},public"}
        common: dict[str, Any] = {"open": False, "timeout": CONNECT_SECONDS, "reconnect_timeout": 0.0}
        self._readers = Pool(
            postgres_url,
            min_size=1,
            max_size=READERS,
            kwargs={
                "settings": settings,
                "application_name": schemas.reader_application_name(definition.name, definition.version),
                "connect_timeout": 5,
                "autocommit": True,
            },
            configure=_configure,
            **common,
        )
        self._writers = Pool(
            postgres_url,
            min_size=1,
            max_size=2,
            # What is lost with the server's last moments comes again over the bus: the position is lost with it.
            kwargs={
                "settings": settings | {"synchronous_commit": "off"},
                "application_name": f"{definition.name}-projection",
                "connect_timeout": 5,
                "autocommit": True,
            },
            configure=_configure,
            **common,
        )

    async def open(self) -> None:
        """Starts connecting; does not wait for the database."""
        await self._readers.open(wait=False)
        await self._writers.open(wait=False)

    async def close(self) -> None:
        await self._readers.close(timeout=2)
        await self._writers.close(timeout=2)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncCursor[Row]]:
        """One transaction that may write."""
        async with (
            self._writers.connection() as connection,
            connection.transaction(),
            connection.cursor(binary=True) as cursor,
        ):
            yield cursor

    async def prepare(self) -> bool:
        """Makes the schema if there is none; safe when several do so at once. False: the rows are to be made anew.

        Clears away what a rebuild that was killed has left.

        Raises:
            DesignChanged: the rows are of another version, and it is not for this process to change that.
        """
        definition = self.definition
        async with self.writing() as cursor:
            await lock_schema(cursor, definition.name)
            await schemas.drop_orphaned(cursor, definition.name)
            await create(cursor, definition, definition.name)
            schema_status = await schemas.schema_status(cursor, definition.name)
        live = schema_status.live
        assert live is not None, "made just now"
        if live.version == definition.version:
            self.waiters.advance(live.position)
            return True
        if live.version > definition.version:
            raise VersionMismatchError(
                f"the live rows are of version {live.version}; this process of {definition.version} waits"
            )
        if schema_status.has_staged(definition.version):
            raise VersionMismatchError(schema_status.staged_message(definition.version))
        return False

    async def position(self) -> int:
        """Where the rows stand, asked of the database."""
        return (await self._live_version_and_position())[1]

    async def version(self) -> int:
        """Of which version the live rows are, asked of the database."""
        return (await self._live_version_and_position())[0]

    async def dead_letter_counts(self) -> tuple[int, int, int]:
        """Where the live rows stand, how many events are parked and given up; asked where no question waits."""
        async with self.writing() as cursor:
            await cursor.execute(named(STANDS, self.definition.name))
            ((position, parked, given_up),) = await cursor.fetchall()
            return position, parked, given_up

    # ---- whether the log is still the one that the rows were made from

    async def checkpoint(self) -> Checkpoint | None:
        """Which event the live rows stand at; None when there are no rows."""
        async with self.writing() as cursor:
            # A table that is away is no reason to make all of them anew.
            there = await exists(cursor, self.definition.name)
            return await read_checkpoint(cursor, self.definition.name) if there else None

    async def log_mismatch(self) -> str | None:
        """Why the live rows cannot be of the log that is there now; None when they can."""
        checkpoint = await self.checkpoint()
        async with LogReader(self._url) as events:
            return await log_mismatch(events, checkpoint) if checkpoint else None

    async def record_event_id(self, position: int, event: str) -> None:
        """Writes down which event the rows stand at, where a release that kept no ids made them."""
        async with self.writing() as cursor:
            await record_event_id(cursor, self.definition.name, position, event)

    async def discard(self, checkpoint: Checkpoint) -> bool:
        """Drops the live rows if they still stand there: they are of a log that is gone, and nobody may read them.

        Until they are made anew questions hear that the view is being made.
        """
        async with self.writing() as cursor:
            await lock_schema(cursor, self.definition.name)
            await cursor.execute(named("LOCK TABLE {schema}.view IN ACCESS EXCLUSIVE MODE", self.definition.name))
            if await read_checkpoint(cursor, self.definition.name) != checkpoint:
                return False
            await drop(cursor, self.definition.name)
        self._cache.forget()
        self.waiters.advance(0)
        log.warning("view.discarded", view=self.definition.name, position=checkpoint.position)
        return True

    async def migrate(self) -> None:
        """Gives live rows of an earlier release what this code reads beyond them."""
        async with self.writing() as cursor:
            await lock_schema(cursor, self.definition.name)
            if await exists(cursor, self.definition.name):
                await add_missing_columns(cursor, self.definition.name)

    async def count_readers(self, version: int) -> int:
        """How many connections there are of processes of that version, whether or not they answer yet."""
        async with self._readers.connection() as connection, connection.cursor() as cursor:
            return await schemas.count_readers(cursor, self.definition.name, version)

    async def _live_version_and_position(self) -> tuple[int, int]:
        async with self._readers.connection() as connection:
            rows = await (await connection.execute("SELECT design, position FROM view")).fetchall()
        version, position = rows[0]
        if version == self.definition.version:
            # An answer that took its time may be older than what was told since.
            self.waiters.advance(max(position, self.waiters.position))
        return version, position

    async def apply(self, entries: Sequence[IncomingEvent]) -> int:
        """Applies those that follow the view's position without a gap, in one commit; returns the position after it.

        `entries` are in the order of their positions. Known ones are passed over, those behind a gap left alone.

        Raises:
            DesignChanged: the rows are of another version.
            psycopg.Error: the database is away or refuses; nothing was written.
        """
        position = await self._apply_from_cache(entries)
        if position is None:
            position = await self._apply_from_rows(entries)
        self.waiters.advance(position)
        return position

    async def _apply_from_cache(self, entries: Sequence[IncomingEvent]) -> int | None:
        try:
            async with self._writers.connection() as connection, connection.cursor(binary=True) as cursor:
                position = await self._cache.apply(cursor, entries)
        except REFUSALS:
            position = None
        except BaseException:
            # Nobody knows whether it was written.
            self._cache.forget()
            raise
        if position is None:
            self._cache.forget()
        return position

    async def _apply_from_rows(self, entries: Sequence[IncomingEvent]) -> int:
        async with self.writing() as cursor:
            position = await self.lock_position(cursor)
            run = contiguous(entries, position)
            if run:
                await write_carefully(cursor, self.definition, self.definition.name, run)
                position = run[-1].position
        return position

    async def lock_position(self, cursor: AsyncCursor[Row]) -> int:
        """Where the live rows stand; nobody else moves them before the end of the transaction.

        Whatever anybody has kept of them in memory is void from then on.

        Raises:
            DesignChanged: the rows are of another version.
        """
        schema = self.definition.name
        await cursor.execute(named(LOCK_POSITION, schema))
        row = await cursor.fetchone()
        if row is None or row[0] != self.definition.version:
            raise VersionMismatchError(
                f"the rows of {schema} are of version {row and row[0]}, not {self.definition.version}"
            )
        return int(row[1])

    @asynccontextmanager
    async def snapshots(self, askers: Sequence[tuple[str, str]]) -> AsyncIterator[list[Snapshot]]:
        """One moment of the view for several answers, each for an account and an actor, one after the other.

        Raises:
            psycopg.Error: the database is away, or the view is not made yet, or of another version.
        """
        accounts, actors = [account for account, _ in askers], [actor for _, actor in askers]
        async with self._readers.connection() as connection, connection.cursor() as cursor:
            await cursor.execute(BEGIN, prepare=False)
            heads = await self._read_heads(cursor, accounts, actors)
            if not heads:
                heads = await self._read_heads_elsewhere(cursor, accounts, actors)
            yield [Snapshot(cursor, head, account) for head, account in zip(heads, accounts, strict=True)]

    async def _read_heads(self, cursor: AsyncCursor[Row], accounts: list[str], actors: list[str]) -> list[Row]:
        await cursor.execute(HEADS, {"accounts": accounts, "actors": actors, "design": self.definition.version})
        heads = await fetch_all(cursor)
        docs = {account: head[2] for account, head in zip(accounts, heads, strict=False) if head[2] is not None}
        return [(*head[:2], docs.get(account), head[3]) for account, head in zip(accounts, heads, strict=False)]

    async def _read_heads_elsewhere(
        self, cursor: AsyncCursor[Row], accounts: list[str], actors: list[str]
    ) -> list[Row]:
        """For questions that arrive between a switch to another version and the moment this process hears of it."""
        schema = (await schemas.schema_status(cursor, self.definition.name)).inactive_schema(self.definition.version)
        if schema is None:
            raise psycopg.OperationalError("the view is being made")
        await cursor.execute("SELECT set_config('search_path', %s, true)", (f"{schema},public",))
        return await self._read_heads(cursor, accounts, actors)

    def version_is_live(self) -> None:
        """The live rows are of this code's version now: whoever waits for that goes on."""
        self._version_live.set()

    async def wait_until_live(self, seconds: float) -> None:
        """Returns when it was told that it is this version's turn, or when the time is over."""
        try:
            async with asyncio.timeout(seconds):
                await self._version_live.wait()
        except TimeoutError:
            return
        self._version_live.clear()

    @property
    def unreachable(self) -> str | None:
        """Why the last connection that was wanted could not be made."""
        return self._readers.last_error or self._writers.last_error

    async def replace_broken_readers(self) -> None:
        """Replaces connections that a restart of the database has broken."""
        await self._readers.check()


async def _configure(connection: AsyncConnection[Any]) -> None:
    set_json_loads(orjson.loads, connection)
    connection.prepare_threshold = 1
