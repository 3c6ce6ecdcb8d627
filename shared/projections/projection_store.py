"""Events become rows, parked events and a position in one commit: a batch is folded per aggregate, and a table takes
one statement.

No event is ever skipped: one that cannot be applied is parked with its reason, and so is whatever follows on the same
aggregate, while all other aggregates go on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, LiteralString
from uuid import UUID

import orjson
import structlog
from psycopg import AsyncCursor, sql
from psycopg.errors import DataError, IntegrityError, ProgramLimitExceeded

from shared.language.events import Aggregate
from shared.language.recorded import Recorded
from shared.language.subjects import Ce
from shared.process import clock
from shared.process import postgres_arrays as arrays
from shared.process.bounded import evict_oldest
from shared.process.postgres_arrays import Array
from shared.projections.definition import TABLES, Doc, Fold, ProjectionDefinition, Row
from shared.projections.events import IncomingEvent, key_of

# What PostgreSQL says about a row that it will never take, such as NUL in a text.
REFUSALS = (DataError, IntegrityError, ProgramLimitExceeded)

log = structlog.get_logger(__name__)


# ---- the tables


VIEW_TABLES: Final[LiteralString] = """
CREATE TABLE {schema}.view (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    design integer NOT NULL,
    position bigint NOT NULL,
    edition uuid NOT NULL DEFAULT gen_random_uuid(),
    event uuid,
    event_at bigint
);
CREATE TABLE {schema}.parked (
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
CREATE INDEX parked_stream_idx ON {schema}.parked (stream);
"""

# Dead letters that were given up: answers that touch their aggregates lack them until the rows are made anew.
GIVEN_UP_TABLE: Final[LiteralString] = """
CREATE TABLE {schema}.given_up (
    position bigint PRIMARY KEY,
    stream uuid NOT NULL,
    aggregate text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    given_up_at timestamptz NOT NULL
)
"""

ROW_TABLE: Final[LiteralString] = """
CREATE TABLE {schema}.{table} (
    stream uuid PRIMARY KEY,
    account text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    doc jsonb NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL
) WITH (autovacuum_vacuum_insert_threshold = 100000)
"""

INSERT_POSITION: Final[LiteralString] = "INSERT INTO {schema}.view (design, position) VALUES (%s, 0)"
MOVE_POSITION: Final[LiteralString] = "UPDATE {schema}.view SET position = %s, event = %s, event_at = %s"
# What rows of an earlier release may lack. Asked first: ALTER waits for all readers even where there is nothing to add.
SELECT_COLUMNS: Final[LiteralString] = """
SELECT c.relname || '.' || a.attname
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname IN ('view', 'given_up') AND a.attnum > 0 AND NOT a.attisdropped
"""
LATER_COLUMNS: Final[Mapping[str, LiteralString]] = {
    "view.edition": "ALTER TABLE {schema}.view ADD COLUMN edition uuid NOT NULL DEFAULT gen_random_uuid()",
    "view.event": "ALTER TABLE {schema}.view ADD COLUMN event uuid",
    "view.event_at": "ALTER TABLE {schema}.view ADD COLUMN event_at bigint",
    "given_up.position": GIVEN_UP_TABLE,
}


def named(query: LiteralString, schema: str, table: str = "") -> sql.Composed:
    """The statement with `{schema}` and `{table}` filled in."""
    return sql.SQL(query).format(schema=sql.Identifier(schema), table=sql.Identifier(table or schema))


async def lock_schema(cursor: AsyncCursor[Row], schema: str) -> None:
    """Held to the end of the transaction by whoever makes, drops or renames the schema."""
    await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"view {schema}",))


async def exists(cursor: AsyncCursor[Row], schema: str) -> bool:
    await cursor.execute("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %s)", (schema,))
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def create(cursor: AsyncCursor[Row], definition: ProjectionDefinition, schema: str) -> None:
    """The schema with its tables and indexes, if it is not there."""
    if await exists(cursor, schema):
        await add_missing_columns(cursor, schema)
    else:
        await create_without_indexes(cursor, definition, schema)
        await create_indexes(cursor, definition, schema)


async def add_missing_columns(cursor: AsyncCursor[Row], schema: str) -> None:
    """Gives rows of an earlier release the columns and tables that came later; nothing of them is lost."""
    await cursor.execute(SELECT_COLUMNS, (schema,))
    existing = {name for (name,) in await cursor.fetchall()}
    for name, statement in LATER_COLUMNS.items():
        if name not in existing:
            await cursor.execute(named(statement, schema))


async def create_without_indexes(cursor: AsyncCursor[Row], definition: ProjectionDefinition, schema: str) -> None:
    """The schema with its tables; what rows are found by, besides their stream, comes after filling them."""
    for statement in ("CREATE SCHEMA {schema}", *VIEW_TABLES.split(";")[:-1], GIVEN_UP_TABLE):
        await cursor.execute(named(statement, schema))
    for table in TABLES.values():
        await cursor.execute(named(ROW_TABLE, schema, table))
    await cursor.execute(named(INSERT_POSITION, schema), (definition.version,))


async def create_indexes(cursor: AsyncCursor[Row], definition: ProjectionDefinition, schema: str) -> None:
    for aggregate, table in TABLES.items():
        await cursor.execute(named("ALTER TABLE {schema}.{table} ADD UNIQUE (account, key)", schema, table))
        for index in definition.indexes.get(aggregate, ()):
            await cursor.execute(named("CREATE INDEX ON {schema}.{table} ", schema, table) + sql.SQL(index))


async def drop(cursor: AsyncCursor[Row], schema: str) -> None:
    await cursor.execute(named("DROP SCHEMA IF EXISTS {schema} CASCADE", schema))


# ---- folding


@dataclass(slots=True)
class CachedState:
    """Documents as they are before a run of events, and the first parked position of the aggregates that have one."""

    docs: dict[UUID, Doc] = field(default_factory=dict)
    blocked: dict[UUID, int] = field(default_factory=dict)


@dataclass(slots=True)
class FoldResult:
    """What a run of events makes: documents with the last event of each, what is to be parked, and behind what."""

    docs: dict[UUID, Doc] = field(default_factory=dict)
    last: dict[UUID, Recorded] = field(default_factory=dict)
    parked: list[IncomingEvent] = field(default_factory=list)
    blocked: dict[UUID, int] = field(default_factory=dict)


def fold_events(fold: Fold, run: Iterable[IncomingEvent], cached: CachedState) -> FoldResult:
    """Each aggregate's events folded onto its document; `known` stays as it is."""
    result = FoldResult()
    docs, last, before = result.docs, result.last, cached.docs
    for entry in run:
        event, stream = entry.event, entry.stream
        behind = _behind(entry, cached, result) if cached.blocked or result.blocked else None
        if event is None or behind is not None:
            entry.error = entry.error or f"behind position {behind}"
        else:
            try:
                doc = docs.get(stream)
                docs[stream] = fold(before.get(stream) if doc is None else doc, event)
                last[stream] = event
                continue
            except Exception as error:  # noqa: BLE001  whatever a fold does not expect is parked with its reason
                entry.error = f"{type(error).__name__}: {error}"
        result.blocked.setdefault(stream, entry.position)
        result.parked.append(entry)
    return result


def not_cached(run: Iterable[IncomingEvent], cached: CachedState) -> list[IncomingEvent]:
    """Those whose row may be there and is not known; what begins with its first event has none yet."""
    first: dict[UUID, IncomingEvent] = {}
    for entry in run:
        first.setdefault(entry.stream, entry)
    return [
        entry
        for stream, entry in first.items()
        if entry.event and entry.event.version != 1 and stream not in cached.docs
    ]


def remember(cached: CachedState, result: FoldResult, most: int) -> None:
    """Takes over what was written, and forgets what was longest unchanged of more than `most` documents."""
    docs = cached.docs
    for stream in docs.keys() & result.docs.keys():
        del docs[stream]
    docs.update(result.docs)
    evict_oldest(docs, most)
    cached.blocked |= {stream: at for stream, at in result.blocked.items() if stream not in cached.blocked}


def _behind(entry: IncomingEvent, cached: CachedState, result: FoldResult) -> int | None:
    """The first position before the entry's at which its aggregate is parked."""
    first = cached.blocked.get(entry.stream)
    return first if first is not None and first < entry.position else result.blocked.get(entry.stream)


# ---- writing


LOAD: Final[LiteralString] = """
SELECT stream, doc, NULL::bigint FROM {schema}.{table} WHERE stream = ANY(%(streams)b::text::uuid[])
UNION ALL
SELECT stream, NULL, min(position) FROM {schema}.parked WHERE stream = ANY(%(streams)b::text::uuid[]) GROUP BY stream
"""

UPSERT: Final[LiteralString] = """
INSERT INTO {schema}.{table} AS t (stream, account, key, doc, version, position)
SELECT n.stream, n.account, n.key, n.doc::jsonb, n.version, n.position
FROM {source} unnest({columns}) AS n (stream, account, key, doc, version, position)
ON CONFLICT (stream) DO UPDATE SET doc = excluded.doc, version = excluded.version, position = excluded.position
"""
TYPES: Final = ("uuid", "text", "text", "text", "bigint", "bigint")

PARK: Final[LiteralString] = """
INSERT INTO {schema}.parked VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


async def write_carefully(
    cursor: AsyncCursor[Row], definition: ProjectionDefinition, schema: str, run: Sequence[IncomingEvent]
) -> None:
    """Rows, parked events and position of the run, in the transaction of the cursor; parks what PostgreSQL refuses.

    Raises:
        psycopg.Error: the database is away; the transaction is lost.
    """
    await write_or_park(cursor, definition, schema, run)
    await move_position(cursor, schema, run[-1])


async def move_position(cursor: AsyncCursor[Row], schema: str, last: IncomingEvent) -> None:
    """The rows are as of this event."""
    await cursor.execute(named(MOVE_POSITION, schema), (last.position, last.id(), last.position))


async def write_or_park(
    cursor: AsyncCursor[Row], definition: ProjectionDefinition, schema: str, run: Sequence[IncomingEvent]
) -> None:
    """Rows and parked events of the run; halves what PostgreSQL refuses until the one event at fault is found."""
    try:
        async with cursor.connection.transaction():
            await _write(cursor, definition, schema, run)
    except REFUSALS as error:
        if len(run) == 1:
            run[0].event, run[0].error = None, f"{type(error).__name__}: {error}"
            await _write(cursor, definition, schema, run)
            return
        middle = len(run) // 2
        await write_or_park(cursor, definition, schema, run[:middle])
        await write_or_park(cursor, definition, schema, run[middle:])


async def _write(
    cursor: AsyncCursor[Row], definition: ProjectionDefinition, schema: str, run: Sequence[IncomingEvent]
) -> None:
    cached = CachedState()
    await load_documents(cursor, schema, run, cached)
    result = fold_events(definition.fold, run, cached)
    await upsert_rows(cursor, schema, result)
    await insert_parked(cursor, schema, result.parked)


async def load_documents(
    cursor: AsyncCursor[Row], schema: str, entries: Iterable[IncomingEvent], cached: CachedState
) -> None:
    """Adds to `known` what the rows say of the entries' aggregates."""
    streams: dict[str, set[UUID]] = {}
    for entry in entries:
        streams.setdefault(entry.aggregate, set()).add(entry.stream)
    for aggregate, table in TABLES.items():
        if aggregate in streams:
            array = "{" + ",".join([stream.hex for stream in streams[aggregate]]) + "}"
            await cursor.execute(named(LOAD, schema, table), {"streams": array})
            for stream, doc, parked in await cursor.fetchall():
                if parked is None:
                    cached.docs[stream] = doc
                else:
                    cached.blocked[stream] = parked


async def upsert_rows(cursor: AsyncCursor[Row], schema: str, result: FoldResult) -> None:
    """Writes the rows, whether they are there or not."""
    for aggregate, columns in columns_of(result).items():
        await cursor.execute(upsert_statement(schema, aggregate), columns)


def upsert_statement(schema: str, aggregate: Aggregate, source: LiteralString = "") -> sql.Composed:
    """The statement that takes the columns of `columns_of`, joined to a source that ends in a comma."""
    names = {"schema": sql.Identifier(schema), "table": sql.Identifier(TABLES[aggregate])}
    columns = sql.SQL(", ").join(
        sql.Placeholder(f"{aggregate}{number}", format="b") + sql.SQL(f"::{type_}[]")
        for number, type_ in enumerate(TYPES)
    )
    return sql.SQL(UPSERT).format(**names, source=sql.SQL(source), columns=columns)


def columns_of(result: FoldResult) -> dict[Aggregate, dict[str, Array]]:
    """The rows by aggregate, as the named parameters of `upserting`."""
    return {
        aggregate: {
            f"{aggregate}0": arrays.uuids([row[0] for row in rows]),
            f"{aggregate}1": arrays.texts([row[1] for row in rows]),
            f"{aggregate}2": arrays.keys([row[2] for row in rows]),
            f"{aggregate}3": arrays.jsons([orjson.dumps(row[3]) for row in rows]),
            f"{aggregate}4": arrays.bigints([row[4] for row in rows]),
            f"{aggregate}5": arrays.bigints([row[5] for row in rows]),
        }
        for aggregate, rows in _rows_of(result).items()
    }


def _rows_of(result: FoldResult) -> dict[Aggregate, list[Row]]:
    """The rows by aggregate, in the order of the columns."""
    rows: dict[Aggregate, list[Row]] = {}
    for stream, last in result.last.items():
        row = (stream, last.account, key_of(last), result.docs[stream], last.version, last.position)
        rows.setdefault(last.event.aggregate, []).append(row)
    return rows


async def insert_parked(cursor: AsyncCursor[Row], schema: str, parked: Sequence[IncomingEvent]) -> None:
    now = clock.now()
    for entry in parked:
        headers, body = entry.evidence()
        header_texts = {name: printable(value) for name, value in headers.items()}
        texts = [printable(text) for text in (entry.aggregate, entry.account, entry.type)]
        row = (entry.position, entry.stream, *texts, orjson.dumps(header_texts), body, printable(entry.error), now)
        await cursor.execute(named(PARK, schema), row)
        log.error(
            "event.parked",
            view=schema,
            position=entry.position,
            type=texts[2],
            stream=str(entry.stream),
            command_id=header_texts.get(Ce.CAUSATION_ID),
            correlation_id=header_texts.get(Ce.CORRELATION_ID),
        )


def printable(text: str) -> str:
    """A text that PostgreSQL takes: no NUL, no lone surrogate."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
