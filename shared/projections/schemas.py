"""The schemas of a view: live rows, and other rows that a rebuild builds or that a cutover retired.

The name says the state: `<view>` is live, `<view>_building` is being filled and read by no one, `<view>_new` is
complete and staged for a cutover, `<view>_old` was live before the last cutover and is retired, `<view>_discarded` is
about to be dropped.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from psycopg import AsyncConnection, AsyncCursor
from psycopg.errors import LockNotAvailable
from psycopg.types.json import set_json_loads

from shared.process.lease import lease_application_name
from shared.process.postgres import DirectAsync
from shared.projections.definition import ProjectionDefinition, Row
from shared.projections.tables import drop, exists, named

# For the session of one rebuild: no row counts before all do, and plans are kept while the tables grow.
SESSION_SETTINGS = {
    "synchronous_commit": "off",
    "maintenance_work_mem": "256MB",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


class PreconditionFailedError(Exception):
    """The operation is not possible in the present state; nothing was changed, and the message says why."""


class SchemasInUseError(PreconditionFailedError):
    """Another rebuild, comparison or cutover of this view is in progress."""


def building(view: str) -> str:
    return f"{view}_building"


def staged(view: str) -> str:
    return f"{view}_new"


def retired(view: str) -> str:
    return f"{view}_old"


def discarded(view: str) -> str:
    return f"{view}_discarded"


@dataclass(frozen=True)
class SchemaInfo:
    """Rows in a schema of their own, of one version, as of a position."""

    schema: str
    version: int
    position: int


@dataclass(frozen=True)
class SchemaStatus:
    """The schemas of one view; `building` is one that is being filled, or that is orphaned."""

    live: SchemaInfo | None
    staged: SchemaInfo | None
    retired: SchemaInfo | None
    building: SchemaInfo | None

    def has_staged(self, version: int) -> bool:
        """Return whether rows of this version wait for a cutover."""
        return self.staged is not None and self.staged.version == version

    def staged_message(self, version: int) -> str:
        live = self.live and self.live.version
        return (
            f"the live rows are of version {live}; those of {version} are staged until they are switched to or "
            f"dropped (`switchboard views`)"
        )

    def inactive_schema(self, version: int) -> str | None:
        """Return the schema of complete rows of this version that are not live."""
        return next((rows.schema for rows in (self.retired, self.staged) if rows and rows.version == version), None)


async def schema_status(cursor: AsyncCursor[Any], view: str) -> SchemaStatus:
    """Read the status, in the transaction of the cursor if it has one."""
    return SchemaStatus(
        live=await schema_info(cursor, view),
        staged=await schema_info(cursor, staged(view)),
        retired=await schema_info(cursor, retired(view)),
        building=await schema_info(cursor, building(view)),
    )


async def schema_info(cursor: AsyncCursor[Any], schema: str) -> SchemaInfo | None:
    """Read version and position of a schema's rows; None when there is no such schema."""
    if not await exists(cursor, schema):
        return None
    await cursor.execute(named("SELECT design, position FROM {schema}.view", schema))
    row = await cursor.fetchone()
    return SchemaInfo(schema, row[0], row[1]) if row else None


def follower_lease(history: ProjectionDefinition) -> str:
    """Return the name of the lease of a history's followers: one for each version, which may be rebuilt meanwhile."""
    return f"history {history.view_name} {history.version}"


def process_application_name(definition: ProjectionDefinition) -> str:
    """Return PostgreSQL's name for a connection that each process of this view and version holds all the time."""
    if definition.temporal:
        return lease_application_name(follower_lease(definition))
    return reader_application_name(definition.name, definition.version)


def reader_application_name(view: str, version: int) -> str:
    """Return PostgreSQL's name for connections of processes that answer questions from rows of this version."""
    return f"{view}-questions-v{version}"


async def count_connections(cursor: AsyncCursor[Row], application_name: str) -> int:
    await cursor.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
        (application_name,),
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


# ---- one rebuild at a time


@asynccontextmanager
async def rebuild_connection(postgres_url: str) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection for a rebuild, a comparison or a cutover."""
    async with await DirectAsync.connect(postgres_url, settings=SESSION_SETTINGS, autocommit=True) as connection:
        set_json_loads(orjson.loads, connection)
        yield connection


async def try_lock_rebuild(connection: AsyncConnection[Any], view: str, timeout_ms: int) -> None:
    """Exclude other work on the view's schemas until the session ends.

    Raises:
        SchemasInUseError: other work is in progress, for all of the timeout.
    """
    await connection.execute(f"SET lock_timeout = {timeout_ms:d}".encode())
    try:
        await lock_rebuild(connection, view)
    except LockNotAvailable as error:
        raise SchemasInUseError(
            f"Rows of {view} are being rebuilt, compared or switched by another process at this moment."
        ) from error
    await connection.execute("SET lock_timeout = 0")


async def lock_rebuild(connection: AsyncConnection[Row], view: str) -> None:
    """Wait until no other work on the view's schemas is in progress, and exclude it until the session ends."""
    await connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (_lock_key(view),))


async def drop_orphaned(cursor: AsyncCursor[Row], view: str, *, wait: bool = False) -> None:
    """Drop the schemas of a rebuild that was killed; `wait` for a rebuild in progress, or else leave it alone."""
    for schema in (building(view), discarded(view)):
        if await exists(cursor, schema) and await _lock_rebuild_in_transaction(cursor, view, wait=wait):
            await drop(cursor, schema)


async def _lock_rebuild_in_transaction(cursor: AsyncCursor[Row], view: str, *, wait: bool) -> bool:
    """Exclude other work on the view's schemas until the end of the transaction; return whether that succeeded."""
    lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0)) IS NOT NULL"
    attempt = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
    await cursor.execute(lock if wait else attempt, (_lock_key(view),))
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


def _lock_key(view: str) -> str:
    # Processes of earlier releases lock this key, too.
    return f"{view} beside"
