"""The rows of a view and the position they are as of change in one commit, so they can never disagree.

A view keeps one row per aggregate, a document that a pure fold makes of its events. Events are taken in the order of
their positions and none is ever skipped: one that cannot be applied is parked with its reason, and so is whatever
follows on the same aggregate, while all other aggregates go on.
"""

import asyncio
import heapq
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, LiteralString
from uuid import UUID

import orjson
import psycopg
import structlog
from psycopg import AsyncConnection, AsyncCursor, sql
from psycopg.errors import DataError, IntegrityError, ProgramLimitExceeded
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool

from shared.language.events import AddressEvent, Aggregate, InboxEvent, UserEvent
from shared.language.recorded import Recorded, stream_id
from shared.language.subjects import Ce
from shared.runtime import clock
from shared.runtime.codec import Undecodable, from_wire

READERS = 4
CONNECT_SECONDS = 2.0
# A process that is stopped while it holds the row's lock may not stop the others for longer.
SESSION_OPTIONS = "-c lock_timeout=10s -c idle_in_transaction_session_timeout=10s"
# A plan made while the tables were small is kept while they grow: only plans that stay good are allowed.
PLANS = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off"

TABLES: Final[Mapping[Aggregate, str]] = {
    "account": "accounts",
    "user": "users",
    "inbox": "inboxes",
    "address": "addresses",
}
# What PostgreSQL says about a row that it will never take, such as NUL in a text.
REFUSALS = (DataError, IntegrityError, ProgramLimitExceeded)

log = structlog.get_logger(__name__)

Doc = dict[str, Any]
Row = tuple[Any, ...]
Fold = Callable[[Doc | None, Recorded], Doc]
WriteRun = Callable[[AsyncCursor[Row], "Design", str, "Sequence[Entry]"], Awaitable[None]]


@dataclass(frozen=True)
class Design:
    """What one view is: the name of its schema and of its consumer, its fold, the indexes its questions need.

    `fold` is pure. An index is what follows `CREATE INDEX ON`, its table without schema. A change of `version` makes
    the rows anew from the event log.
    """

    name: str
    version: int
    fold: Fold
    indexes: Mapping[Aggregate, Sequence[LiteralString]]


class DesignChanged(Exception):
    """The rows in the database are of another version of the view than this code."""


# ---- events as they come


class Entry(ABC):
    """One event of the log. `event` is None when it cannot be read here, and `error` says why."""

    __slots__ = ("account", "aggregate", "error", "event", "position", "stream", "type")

    def __init__(self, position: int, stream: UUID, aggregate: str, account: str, type_: str) -> None:
        self.position = position
        self.stream = stream
        self.aggregate = aggregate
        self.account = account
        self.type = type_
        self.event: Recorded | None = None
        self.error = ""

    @abstractmethod
    def evidence(self) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of the CloudEvent, as kept while parked."""


class FromBus(Entry):
    """An event as it came over the bus, or as it was parked."""

    __slots__ = ("_body", "_headers")

    def __init__(self, position: int, headers: Mapping[str, str], body: bytes) -> None:
        account, subject = headers.get(Ce.ACCOUNT, ""), headers.get(Ce.SUBJECT, "")
        aggregate, _, name = subject.partition("/")
        super().__init__(position, _stream_of(account, aggregate, name), aggregate, account, headers.get(Ce.TYPE, ""))
        self._headers = headers
        self._body = body
        try:
            self.event = from_wire(headers, body, self.stream)
        except Undecodable as error:
            self.error = str(error)

    def evidence(self) -> tuple[Mapping[str, str], bytes]:
        return self._headers, self._body


def _stream_of(account: str, aggregate: str, name: str) -> UUID:
    """The stream that a `ce-subject` stands for; one of its own for a text that is none."""
    if aggregate == "address":
        try:
            return UUID(name)
        except ValueError:
            return stream_id(account, aggregate, name)
    return stream_id(account, aggregate, name)


def key_of(recorded: Recorded) -> str:
    """The aggregate's name within its account: an id, or a canonical address."""
    match recorded.event:
        case AddressEvent(address=address):
            return address
        case UserEvent(user=user):
            return user
        case InboxEvent(inbox=inbox):
            return inbox
        case _:
            return recorded.account


# ---- progress, within the process


class Progress:
    """The position last known here, and a way to wait for it; another process of the same view may be ahead."""

    def __init__(self) -> None:
        self.position = 0
        self._numbers = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @property
    def awaited(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def told(self, position: int) -> None:
        """Wakes those whose position is reached, and nobody else."""
        self.position = position
        while self._waiting and self._waiting[0][0] <= position:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)

    async def reaches(self, position: int, seconds: float) -> bool:
        """Whether the position is reached within the time."""
        if position <= self.position:
            return True
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (position, next(self._numbers), future))
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            self._waiting = [entry for entry in self._waiting if entry[2] is not future]
            heapq.heapify(self._waiting)
            return False
        return True


# ---- questions' side


class Snapshot:
    """Rows and position of one moment, and a record of what was looked at."""

    def __init__(self, cursor: AsyncCursor[Row], head: Row, account: str) -> None:
        self._cursor = cursor
        self.account = account
        self.position: int = head[0]
        self._anything_parked: bool = head[1]
        self.account_doc: Doc | None = head[2]
        self.actor_doc: Doc | None = head[3]
        self._streams: set[UUID] = set()
        self._aggregates: set[str] = set()

    async def select(self, query: LiteralString, params: Mapping[str, Any] | None = None) -> list[Row]:
        """Rows of a statement; `%(account)s` is given."""
        await self._cursor.execute(query, {"account": self.account, **(params or {})})
        return await self._cursor.fetchall()

    def looked_at(self, aggregate: Aggregate, *names: str) -> None:
        """The answer depends on these aggregates; on all of the account when none is named."""
        if names:
            self._streams.update(stream_id(self.account, aggregate, name) for name in names)
        else:
            self._aggregates.add(aggregate)

    async def incomplete_since(self) -> int | None:
        """The first position that is parked on anything looked at."""
        if not self._anything_parked:
            return None
        self.looked_at("account", self.account)
        # The name of the schema is in the search path of a reader.
        rows = await self.select(
            """
            SELECT min(position) FROM parked
            WHERE account = %(account)s AND (stream = ANY(%(streams)s) OR aggregate = ANY(%(aggregates)s))
            """,
            {"streams": list(self._streams), "aggregates": list(self._aggregates)},
        )
        found: int | None = rows[0][0]
        return found


# ---- the view


class View:
    """One view in one database; any number of processes may serve it side by side."""

    def __init__(self, postgres_url: str, design: Design) -> None:
        self.design = design
        self.progress = Progress()
        self._url = postgres_url
        options = f"{SESSION_OPTIONS} {PLANS} -c search_path={design.name},public"
        common: dict[str, Any] = {"open": False, "timeout": CONNECT_SECONDS, "reconnect_timeout": 0.0}
        self._readers = AsyncConnectionPool(
            postgres_url,
            min_size=1,
            max_size=READERS,
            kwargs={"options": options, "application_name": f"{design.name}-questions", "connect_timeout": 5},
            configure=_configure_reader,
            **common,
        )
        self._writers = AsyncConnectionPool(
            postgres_url,
            min_size=1,
            max_size=2,
            # What is lost with the server's last moments comes again over the bus: the position is lost with it.
            kwargs={
                "options": f"{options} -c synchronous_commit=off",
                "application_name": f"{design.name}-projection",
                "connect_timeout": 5,
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
        async with self._writers.connection() as connection, connection.cursor(binary=True) as cursor:
            yield cursor

    async def prepare(self) -> bool:
        """Makes the schema if there is none; safe when several do so at once. False: it is of another version."""
        async with self.writing() as cursor:
            await lock_schema(cursor, self.design.name)
            await create(cursor, self.design, self.design.name)
            await cursor.execute(_named("SELECT design, position FROM {schema}.view", self.design.name))
            row = await cursor.fetchone()
            assert row is not None, "made just now"
        if row[0] == self.design.version:
            self.progress.told(row[1])
        return bool(row[0] == self.design.version)

    async def position(self) -> int:
        """Where the rows stand, asked of the database."""
        async with self._readers.connection() as connection:
            rows = await (await connection.execute("SELECT position FROM view")).fetchall()
        position: int = rows[0][0]
        # An answer that took its time may be older than what was told since.
        self.progress.told(max(position, self.progress.position))
        return position

    async def apply(self, entries: Sequence[Entry]) -> int:
        """Applies those that follow the view's position without a gap, in one commit; returns the position after it.

        `entries` are in the order of their positions. Known ones are passed over, those behind a gap left alone.

        Raises:
            DesignChanged: the rows are of another version.
            psycopg.Error: the database is away or refuses; nothing was written.
        """
        try:
            position = await self._apply(entries, write)
        except REFUSALS:
            position = await self._apply(entries, write_carefully)
        self.progress.told(position)
        return position

    async def _apply(self, entries: Sequence[Entry], write_run: WriteRun) -> int:
        async with self.writing() as cursor:
            position = await self._lock_position(cursor, self.design.name)
            run = following(entries, position)
            if run:
                await write_run(cursor, self.design, self.design.name, run)
                position = run[-1].position
        return position

    @asynccontextmanager
    async def snapshots(self, askers: Sequence[tuple[str, str]]) -> AsyncIterator[list[Snapshot]]:
        """One moment of the view for several answers, each for an account and an actor, one after the other.

        Raises:
            psycopg.Error: the database is away, or the view is not made yet, or of another version.
        """
        accounts, actors = [account for account, _ in askers], [actor for _, actor in askers]
        async with self._readers.connection() as connection, connection.cursor() as cursor:
            await cursor.execute(HEADS, {"accounts": accounts, "actors": actors, "design": self.design.version})
            heads = await cursor.fetchall()
            if len(heads) < len(askers):
                raise psycopg.OperationalError("the view is being made")
            yield [Snapshot(cursor, head, account) for head, account in zip(heads, accounts, strict=True)]

    async def mend_readers(self) -> None:
        """Replaces connections that a restart of the database has broken."""
        await self._readers.check()

    # ---- parked events

    async def parked(self) -> list[dict[str, Any]]:
        """What is parked, in order: position, stream, aggregate, account, type, error, parked_at."""
        columns = ("position", "stream", "aggregate", "account", "type", "error", "parked_at")
        async with self._readers.connection() as connection:
            rows = await connection.execute(
                "SELECT position, stream, aggregate, account, type, error, parked_at FROM parked ORDER BY position"
            )
            return [dict(zip(columns, row, strict=True)) for row in await rows.fetchall()]

    async def retry_parked(self) -> int:
        """Applies what this code can apply by now, each aggregate in its order; how many events came through."""
        schema = self.design.name
        async with self.writing() as cursor:
            await self._lock_position(cursor, schema)
            await cursor.execute(_named("SELECT position, headers, body FROM {schema}.parked ORDER BY 1", schema))
            entries = [FromBus(row[0], orjson.loads(row[1]), row[2]) for row in await cursor.fetchall()]
            await cursor.execute(_named("DELETE FROM {schema}.parked", schema))
            await _write_or_park(cursor, self.design, schema, entries)
            await cursor.execute(_named("SELECT count(*) FROM {schema}.parked", schema))
            left = await cursor.fetchone()
            assert left is not None, "a count"
        return len(entries) - int(left[0])

    async def _lock_position(self, cursor: AsyncCursor[Row], schema: str) -> int:
        await cursor.execute(_named("SELECT design, position FROM {schema}.view FOR UPDATE", schema))
        row = await cursor.fetchone()
        if row is None or row[0] != self.design.version:
            raise DesignChanged(f"the rows of {schema} are of version {row and row[0]}, not {self.design.version}")
        return int(row[1])


async def _configure(connection: AsyncConnection[Any]) -> None:
    set_json_loads(orjson.loads, connection)
    connection.prepare_threshold = 1


async def _configure_reader(connection: AsyncConnection[Any]) -> None:
    await _configure(connection)
    await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    await connection.set_read_only(True)


# ---- rows


HEADS: Final[LiteralString] = """
SELECT v.position, EXISTS (SELECT FROM parked), a.doc, u.doc
FROM view v
CROSS JOIN unnest(%(accounts)b::text[], %(actors)b::text[]) WITH ORDINALITY AS q (account, actor, number)
LEFT JOIN accounts a ON a.account = q.account COLLATE "C" AND a.key = q.account COLLATE "C"
LEFT JOIN users u ON u.account = q.account COLLATE "C" AND u.key = q.actor COLLATE "C"
WHERE v.design = %(design)s
ORDER BY q.number
"""

VIEW_TABLES: Final[LiteralString] = """
CREATE TABLE IF NOT EXISTS {schema}.view (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    design integer NOT NULL,
    position bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS {schema}.parked (
    position bigint PRIMARY KEY,
    stream uuid NOT NULL,
    aggregate text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    headers bytea NOT NULL,
    body bytea NOT NULL,
    error text COLLATE "C" NOT NULL,
    parked_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS parked_stream_idx ON {schema}.parked (stream);
"""

ROW_TABLE: Final[LiteralString] = """
CREATE TABLE IF NOT EXISTS {schema}.{table} (
    stream uuid PRIMARY KEY,
    account text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    doc jsonb NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    UNIQUE (account, key)
)
"""

LOAD: Final[LiteralString] = """
SELECT stream, doc, NULL::bigint FROM {schema}.{table} WHERE stream = ANY(%(streams)s)
UNION ALL
SELECT stream, NULL, min(position) FROM {schema}.parked WHERE stream = ANY(%(streams)s) GROUP BY stream
"""

UPSERT: Final[LiteralString] = """
INSERT INTO {schema}.{table} AS t (stream, account, key, doc, version, position)
SELECT stream, account, key, doc::jsonb, version, position
FROM unnest(%b::uuid[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[])
    AS n (stream, account, key, doc, version, position)
ON CONFLICT (stream) DO UPDATE SET doc = excluded.doc, version = excluded.version, position = excluded.position
"""

PARK: Final[LiteralString] = """
INSERT INTO {schema}.parked VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def _named(query: LiteralString, schema: str, table: str = "") -> sql.Composed:
    return sql.SQL(query).format(schema=sql.Identifier(schema), table=sql.Identifier(table or schema))


async def lock_schema(cursor: AsyncCursor[Row], schema: str) -> None:
    """Held to the end of the transaction by whoever makes, drops or renames the schema."""
    await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"view {schema}",))


async def create(cursor: AsyncCursor[Row], design: Design, schema: str) -> None:
    """The schema with its tables, if it is not there."""
    await cursor.execute("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %s)", (schema,))
    found = await cursor.fetchone()
    if found and found[0]:
        return
    await cursor.execute(_named("CREATE SCHEMA {schema}", schema))
    for statement in VIEW_TABLES.split(";"):
        if statement.strip():
            await cursor.execute(_named(statement, schema))
    for aggregate, table in TABLES.items():
        await cursor.execute(_named(ROW_TABLE, schema, table))
        for index in design.indexes.get(aggregate, ()):
            await cursor.execute(_named("CREATE INDEX ON {schema}.{table} ", schema, table) + sql.SQL(index))
    begin = _named("INSERT INTO {schema}.view (design, position) VALUES (%s, 0)", schema)
    await cursor.execute(begin, (design.version,))


async def drop(cursor: AsyncCursor[Row], schema: str) -> None:
    await cursor.execute(_named("DROP SCHEMA IF EXISTS {schema} CASCADE", schema))


def following(entries: Iterable[Entry], position: int) -> list[Entry]:
    """The entries that follow the position one by one; known ones are left out, and those behind a gap."""
    run: list[Entry] = []
    for entry in entries:
        if entry.position == position + 1:
            run.append(entry)
            position += 1
        elif entry.position > position:
            break
    return run


async def write(cursor: AsyncCursor[Row], design: Design, schema: str, run: Sequence[Entry]) -> None:
    """Rows, parked events and position of the run, in the transaction of the cursor.

    Raises:
        psycopg.Error: among others one of `REFUSALS`, and the transaction is lost.
    """
    await _write(cursor, design, schema, run)
    await cursor.execute(_named("UPDATE {schema}.view SET position = %s", schema), (run[-1].position,))


async def write_carefully(cursor: AsyncCursor[Row], design: Design, schema: str, run: Sequence[Entry]) -> None:
    """As `write`, and parks what PostgreSQL refuses."""
    await _write_or_park(cursor, design, schema, run)
    await cursor.execute(_named("UPDATE {schema}.view SET position = %s", schema), (run[-1].position,))


async def _write_or_park(cursor: AsyncCursor[Row], design: Design, schema: str, run: Sequence[Entry]) -> None:
    """Halves what PostgreSQL refuses until the one event at fault is found."""
    try:
        async with cursor.connection.transaction():
            await _write(cursor, design, schema, run)
    except REFUSALS as error:
        if len(run) == 1:
            run[0].event, run[0].error = None, f"{type(error).__name__}: {error}"
            await _write(cursor, design, schema, run)
            return
        middle = len(run) // 2
        await _write_or_park(cursor, design, schema, run[:middle])
        await _write_or_park(cursor, design, schema, run[middle:])


async def _write(cursor: AsyncCursor[Row], design: Design, schema: str, run: Sequence[Entry]) -> None:
    docs, blocked = await _load(cursor, schema, run)
    changed: dict[UUID, Recorded] = {}
    parked: list[Entry] = []
    for entry in run:
        stream = entry.stream
        if entry.event is None or stream in blocked:
            entry.error = entry.error or f"behind position {blocked[stream]}"
        else:
            try:
                docs[stream] = design.fold(docs.get(stream), entry.event)
                changed[stream] = entry.event
                continue
            except Exception as error:  # noqa: BLE001  whatever a fold does not expect is parked with its reason
                entry.error = f"{type(error).__name__}: {error}"
        blocked.setdefault(stream, entry.position)
        parked.append(entry)
    await _upsert(cursor, schema, docs, changed)
    if parked:
        await _park(cursor, schema, parked)


async def _load(
    cursor: AsyncCursor[Row], schema: str, run: Sequence[Entry]
) -> tuple[dict[UUID, Doc | None], dict[UUID, int]]:
    """The documents of the run's aggregates, and the first parked position of those that are parked."""
    streams: dict[str, set[UUID]] = {}
    for entry in run:
        streams.setdefault(entry.aggregate, set()).add(entry.stream)
    docs: dict[UUID, Doc | None] = {}
    blocked: dict[UUID, int] = {}
    for aggregate, table in TABLES.items():
        if aggregate in streams:
            await cursor.execute(_named(LOAD, schema, table), {"streams": list(streams[aggregate])})
            for stream, doc, parked in await cursor.fetchall():
                if parked is None:
                    docs[stream] = doc
                else:
                    blocked[stream] = parked
    return docs, blocked


async def _upsert(
    cursor: AsyncCursor[Row], schema: str, docs: Mapping[UUID, Doc | None], changed: Mapping[UUID, Recorded]
) -> None:
    rows: dict[Aggregate, list[Row]] = {}
    for stream, last in changed.items():
        doc = orjson.dumps(docs[stream]).decode()
        row = (stream, last.account, key_of(last), doc, last.version, last.position)
        rows.setdefault(last.event.aggregate, []).append(row)
    for aggregate, table in TABLES.items():
        if aggregate in rows:
            columns = [list(column) for column in zip(*rows[aggregate], strict=True)]
            await cursor.execute(_named(UPSERT, schema, table), columns)


async def _park(cursor: AsyncCursor[Row], schema: str, parked: Sequence[Entry]) -> None:
    now = clock.now()
    for entry in parked:
        headers, body = entry.evidence()
        told = {name: printable(value) for name, value in headers.items()}
        texts = [printable(text) for text in (entry.aggregate, entry.account, entry.type)]
        row = (entry.position, entry.stream, *texts, orjson.dumps(told), body, printable(entry.error), now)
        await cursor.execute(_named(PARK, schema), row)
        log.error("event.parked", view=schema, position=entry.position, type=texts[2], stream=str(entry.stream))


def printable(text: str) -> str:
    """A text that PostgreSQL takes: no NUL, no lone surrogate."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
