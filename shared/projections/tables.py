"""The tables of a view: its rows, its position, its parked events, and dead letters that an operator gave up."""

from collections.abc import Mapping
from typing import Final, LiteralString

from psycopg import AsyncCursor, sql

from shared.projections.definition import TABLES, ProjectionDefinition, Row

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
# ALTER waits for all readers even where there is nothing to add, so the columns are read first.
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
