"""The tables of the index: which events and attempts concern which things, in the order of the log.

A thing has an id, so that a row of `entries` is short: position and ordinal of an event (ordinal 0), or of a refused
attempt, which has the position of the last event before it. Attempts that changed nothing for another reason are in
`unchanged`, since a nightly load may give thousands of them. `relations` has the members of teams and inboxes and the
holders of addresses at the checkpoint. `clock_runs` are events whose time is before that of an earlier one.
"""

from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

from shared.process.postgres import PostgresSession
from shared.projections.tables import named

# Raise it with every change of the rows: the index is then filled again, next to the one that answers.
VERSION: Final = 1

LIVE: Final = "audit_index"
BUILDING: Final = "audit_index_building"

TABLES: Final[tuple[LiteralString, ...]] = (
    "CREATE SCHEMA {schema}",
    """
    CREATE TABLE {schema}.checkpoint (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        version integer NOT NULL,
        position bigint NOT NULL DEFAULT 0,
        event uuid,
        ordinal bigint NOT NULL DEFAULT 0,
        entry uuid,
        names bigint NOT NULL DEFAULT 0,
        latest timestamptz
    )
    """,
    """
    CREATE TABLE {schema}.names (
        id bigint PRIMARY KEY,
        account text COLLATE "C" NOT NULL,
        kind text COLLATE "C" NOT NULL,
        name text COLLATE "C" NOT NULL,
        UNIQUE (account, kind, name)
    )
    """,
    "CREATE TABLE {schema}.entries (id bigint, position bigint, ordinal bigint, PRIMARY KEY (id, position, ordinal))",
    "CREATE TABLE {schema}.unchanged (id bigint, position bigint, ordinal bigint, PRIMARY KEY (id, position, ordinal))",
    "CREATE TABLE {schema}.events (id uuid, position bigint PRIMARY KEY)",
    "CREATE INDEX ON {schema}.events (id)",
    """
    CREATE TABLE {schema}.attempts (
        ordinal bigint PRIMARY KEY,
        account text COLLATE "C" NOT NULL,
        position bigint NOT NULL,
        outcome text COLLATE "C" NOT NULL,
        reason text COLLATE "C",
        command text COLLATE "C" NOT NULL,
        actor text COLLATE "C",
        command_id uuid,
        recorded_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ON {schema}.attempts (account, position, ordinal) WHERE outcome = 'refused'",
    "CREATE INDEX ON {schema}.attempts (account, command_id) WHERE command_id IS NOT NULL",
    """
    CREATE TABLE {schema}.relations (
        account text COLLATE "C",
        kind text COLLATE "C",
        name text COLLATE "C",
        things text[] NOT NULL,
        PRIMARY KEY (account, kind, name)
    )
    """,
    """
    CREATE TABLE {schema}.clock_runs (
        position bigint PRIMARY KEY,
        until bigint NOT NULL,
        events bigint NOT NULL,
        milliseconds bigint NOT NULL,
        latest timestamptz NOT NULL
    )
    """,
    "INSERT INTO {schema}.checkpoint (version) VALUES (%s)",
)
EXISTS: Final[LiteralString] = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %s)"
READ: Final[LiteralString] = "SELECT version, position, event, ordinal, entry, names, latest FROM {schema}.checkpoint"


class IndexCheckpoint(NamedTuple):
    """How far the index is: the last event and journal entry in it, and the latest time of all events.

    `names` is the last id that was given to a thing.
    """

    version: int
    position: int
    event: UUID | None
    ordinal: int
    entry: UUID | None
    names: int
    latest: Any


async def read_checkpoint(connection: PostgresSession, schema: str) -> IndexCheckpoint | None:
    """Read the checkpoint of the index in a schema; None where there is none."""
    ((exists,),) = await (await connection.execute(EXISTS, (schema,))).fetchall()
    if not exists:
        return None
    rows = await (await connection.execute(named(READ, schema))).fetchall()
    return IndexCheckpoint(*rows[0]) if rows else None


async def create(connection: PostgresSession, schema: str) -> None:
    """Create an empty index."""
    *tables, insert = TABLES
    for statement in tables:
        await connection.execute(named(statement, schema))
    await connection.execute(named(insert, schema), (VERSION,))


async def drop(connection: PostgresSession, schema: str) -> None:
    await connection.execute(named("DROP SCHEMA IF EXISTS {schema} CASCADE", schema))


async def make_live(connection: PostgresSession) -> None:
    """Put the index that was built in the place of the one that answers."""
    async with connection.transaction():
        await drop(connection, LIVE)
        await connection.execute(named("ALTER SCHEMA {schema} RENAME TO {table}", BUILDING, LIVE))
