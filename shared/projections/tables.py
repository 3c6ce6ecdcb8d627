"""The tables of a view: rows, position, times of commits, parked events, and dead letters that were given up."""

from collections.abc import Mapping, Sequence
from typing import Final, LiteralString

from psycopg import AsyncCursor, sql

from shared.language.events import Aggregate
from shared.projections.definition import CURRENT_TABLES, PAST_TABLES, TABLES, Index, ProjectionDefinition, Row

# `design` is the version of the projection's definition, `edition` the epoch of the rows: a fencing token.
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

# Answers that touch the aggregates of these events are incomplete until a rebuild.
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

# When a commit applied the events after one position up to another; a rebuild writes no such row.
APPLIED_TABLE: Final[LiteralString] = """
CREATE TABLE {schema}.applied (
    after bigint NOT NULL,
    position bigint PRIMARY KEY,
    at timestamptz NOT NULL
) WITH (autovacuum_vacuum_insert_threshold = 100000)
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

# A version of a row is valid from its position until that of the event that replaced it.
PAST_TABLE: Final[LiteralString] = """
CREATE TABLE {schema}.{table} (
    stream uuid NOT NULL,
    account text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    doc jsonb NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    until bigint NOT NULL
) WITH (autovacuum_vacuum_insert_threshold = 100000)
"""
# The rows as of the position in a session's setting. With the conditions inside the union, PostgreSQL would sort all
# rows of an account for a list, instead of merging two ordered scans.
ROWS_AS_OF: Final[LiteralString] = """
CREATE VIEW {schema}.{table} AS
SELECT stream, account, key, doc, version, position FROM (
    SELECT stream, account, key, doc, version, position, 9223372036854775807 AS until FROM {schema}.{current}
    UNION ALL SELECT stream, account, key, doc, version, position, until FROM {schema}.{past}
) AS versions
WHERE position <= current_setting('switchboard.as_of')::bigint AND until > current_setting('switchboard.as_of')::bigint
"""
# Readers of a history set the position of their questions; this default shows the newest rows.
AS_OF: Final = "switchboard.as_of"
NEWEST: Final = 2**63 - 2
BY_NAME: Final = Index("account, key")

INSERT_POSITION: Final[LiteralString] = "INSERT INTO {schema}.view (design, position) VALUES (%s, 0)"
# ALTER waits for all readers even where there is nothing to add, so the columns are read first.
SELECT_COLUMNS: Final[LiteralString] = """
SELECT c.relname || '.' || a.attname
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname IN ('view', 'given_up', 'applied') AND a.attnum > 0 AND NOT a.attisdropped
"""
LATER_COLUMNS: Final[Mapping[str, LiteralString]] = {
    "view.edition": "ALTER TABLE {schema}.view ADD COLUMN edition uuid NOT NULL DEFAULT gen_random_uuid()",
    "view.event": "ALTER TABLE {schema}.view ADD COLUMN event uuid",
    "view.event_at": "ALTER TABLE {schema}.view ADD COLUMN event_at bigint",
    "given_up.position": GIVEN_UP_TABLE,
    "applied.position": APPLIED_TABLE,
}


def named(query: LiteralString, schema: str, table: str = "") -> sql.Composed:
    """Fill in `{schema}` and `{table}`."""
    return sql.SQL(query).format(schema=sql.Identifier(schema), table=sql.Identifier(table or schema))


async def lock_schema(cursor: AsyncCursor[Row], schema: str) -> None:
    """Exclude others that create, drop or rename the schema, until the end of the transaction."""
    await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"view {schema}",))


async def exists(cursor: AsyncCursor[Row], schema: str) -> bool:
    await cursor.execute("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %s)", (schema,))
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def create(cursor: AsyncCursor[Row], definition: ProjectionDefinition, schema: str) -> None:
    """Create the schema with its tables and indexes, or add to an existing one what it lacks."""
    if await exists(cursor, schema):
        await add_missing_columns(cursor, schema)
    else:
        await create_without_indexes(cursor, definition, schema)
        await create_indexes(cursor, definition, schema)


async def add_missing_columns(cursor: AsyncCursor[Row], schema: str) -> None:
    """Add the columns and tables that an earlier release did not create; no row is lost."""
    await cursor.execute(SELECT_COLUMNS, (schema,))
    existing = {name for (name,) in await cursor.fetchall()}
    for name, statement in LATER_COLUMNS.items():
        if name not in existing:
            await cursor.execute(named(statement, schema))


async def create_without_indexes(cursor: AsyncCursor[Row], definition: ProjectionDefinition, schema: str) -> None:
    """Create the schema with its tables; a bulk replay is faster when the indexes come last."""
    for statement in ("CREATE SCHEMA {schema}", *VIEW_TABLES.split(";")[:-1], GIVEN_UP_TABLE, APPLIED_TABLE):
        await cursor.execute(named(statement, schema))
    for aggregate, table in TABLES.items():
        await cursor.execute(named(ROW_TABLE, schema, definition.tables[aggregate]))
        if definition.temporal:
            await _create_past(cursor, schema, aggregate, table)
    await cursor.execute(named(INSERT_POSITION, schema), (definition.version,))


async def _create_past(cursor: AsyncCursor[Row], schema: str, aggregate: Aggregate, table: str) -> None:
    past = PAST_TABLES[aggregate]
    await cursor.execute(named(PAST_TABLE, schema, past))
    names = {"schema": schema, "table": table, "current": CURRENT_TABLES[aggregate], "past": past}
    await cursor.execute(sql.SQL(ROWS_AS_OF).format(**{name: sql.Identifier(text) for name, text in names.items()}))


async def create_indexes(cursor: AsyncCursor[Row], definition: ProjectionDefinition, schema: str) -> None:
    for aggregate, table in definition.tables.items():
        await cursor.execute(named("ALTER TABLE {schema}.{table} ADD UNIQUE (account, key)", schema, table))
        indexes = definition.indexes.get(aggregate, ())
        if definition.temporal:
            await _create_history_indexes(cursor, schema, aggregate, (BY_NAME, *indexes))
        else:
            await _create_all(cursor, schema, table, indexes)


async def _create_history_indexes(
    cursor: AsyncCursor[Row], schema: str, aggregate: Aggregate, indexes: Sequence[Index]
) -> None:
    """Create the live indexes with positions behind, so that a scan skips other versions without reading them."""
    past = PAST_TABLES[aggregate]
    # With a position in it, PostgreSQL 18 would scan this index for a row by name, and skip from stream to stream.
    await cursor.execute(named("ALTER TABLE {schema}.{table} ADD PRIMARY KEY (stream, version)", schema, past))
    await _create_all(cursor, schema, past, [index.then_by("until, position") for index in indexes])
    await _create_all(cursor, schema, CURRENT_TABLES[aggregate], [index.then_by("position") for index in indexes])


async def _create_all(cursor: AsyncCursor[Row], schema: str, table: str, indexes: Sequence[Index]) -> None:
    for index in indexes:
        await cursor.execute(named("CREATE INDEX ON {schema}.{table} ", schema, table) + sql.SQL(index.on_table()))


async def drop(cursor: AsyncCursor[Row], schema: str) -> None:
    await cursor.execute(named("DROP SCHEMA IF EXISTS {schema} CASCADE", schema))
