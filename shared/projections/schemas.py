"""Rows beside the live ones of a view: what their schemas are called, and what stands where.

The name says what rows are: `<view>` is live, `<view>_building` is being filled and nobody's to read, `<view>_new` is
complete and waits to be switched to, `<view>_old` was live before the last switch, `<view>_discarded` is about to be
dropped.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from psycopg import AsyncConnection, AsyncCursor
from psycopg.errors import LockNotAvailable
from psycopg.types.json import set_json_loads

from shared.process.postgres import DirectAsync
from shared.projections.definition import Row
from shared.projections.projection_store import drop, exists, named

# For the session of one rebuild: nothing of it counts before all of it does, and a plan that was made while the tables
# were small is kept while they grow.
SESSION_SETTINGS = {
    "synchronous_commit": "off",
    "maintenance_work_mem": "256MB",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
# The session of who did it last ends a moment after him.
LOCK_TIMEOUT_MS = 3_000


class PreconditionFailedError(Exception):
    """What was asked for cannot be done as things stand; nothing was changed, and the message says why."""


class SchemasInUseError(PreconditionFailedError):
    """Somebody else works on rows beside the live ones of this view."""


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
    """What there is of one view; `building` says whether somebody fills rows at this moment, or left them unfilled."""

    live: SchemaInfo | None
    staged: SchemaInfo | None
    retired: SchemaInfo | None
    building: SchemaInfo | None

    def has_staged(self, version: int) -> bool:
        """Whether rows of this version are complete and wait to be switched to."""
        return self.staged is not None and self.staged.version == version

    def staged_message(self, version: int) -> str:
        live = self.live and self.live.version
        return (
            f"the live rows are of version {live}; those of {version} stand beside them until they are switched to or "
            f"dropped (`switchboard views`)"
        )

    def inactive_schema(self, version: int) -> str | None:
        """The rows beside the live ones that are complete and of this version."""
        return next((rows.schema for rows in (self.retired, self.staged) if rows and rows.version == version), None)


async def schema_status(cursor: AsyncCursor[Any], view: str) -> SchemaStatus:
    """Asked now, in the transaction of the cursor if it has one."""
    return SchemaStatus(
        live=await schema_info(cursor, view),
        staged=await schema_info(cursor, staged(view)),
        retired=await schema_info(cursor, retired(view)),
        building=await schema_info(cursor, building(view)),
    )


async def schema_info(cursor: AsyncCursor[Any], schema: str) -> SchemaInfo | None:
    """None when there are none."""
    if not await exists(cursor, schema):
        return None
    await cursor.execute(named("SELECT design, position FROM {schema}.view", schema))
    row = await cursor.fetchone()
    return SchemaInfo(schema, row[0], row[1]) if row else None


def reader_application_name(view: str, version: int) -> str:
    """The name by which PostgreSQL knows the connections of processes that answer this version's questions."""
    return f"{view}-questions-v{version}"


async def count_readers(cursor: AsyncCursor[Row], view: str, version: int) -> int:
    """How many connections of such processes there are."""
    await cursor.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
        (reader_application_name(view, version),),
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


# ---- one at a time


async def try_lock_rebuild(connection: AsyncConnection[Any], view: str) -> None:
    """For the session, nobody else works on rows beside the live ones.

    Raises:
        Occupied: somebody does.
    """
    await connection.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}".encode())
    try:
        await lock_rebuild(connection, view)
    except LockNotAvailable as error:
        raise SchemasInUseError(
            f"Rows of {view} are being made, compared or switched elsewhere at this moment."
        ) from error
    await connection.execute("SET lock_timeout = 0")


@asynccontextmanager
async def rebuild_connection(postgres_url: str) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection that fills rows and exchanges them."""
    async with await DirectAsync.connect(postgres_url, settings=SESSION_SETTINGS, autocommit=True) as connection:
        set_json_loads(orjson.loads, connection)
        yield connection


def _lock_key(view: str) -> str:
    return f"{view} beside"


async def lock_rebuild(connection: AsyncConnection[Row], view: str) -> None:
    """For the session: who else works on rows beside the live ones of this view waits until this one is through."""
    await connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (_lock_key(view),))


async def drop_orphaned(cursor: AsyncCursor[Row], view: str, *, wait: bool = False) -> None:
    """Drops what a rebuild that ended early has left; one that is at work is left alone, or waited for."""
    for schema in (building(view), discarded(view)):
        if await exists(cursor, schema) and await _lock_rebuild_in_transaction(cursor, view, wait=wait):
            await drop(cursor, schema)


async def _lock_rebuild_in_transaction(cursor: AsyncCursor[Row], view: str, *, wait: bool) -> bool:
    """Whether, to the end of the transaction, nobody else works on rows beside the live ones."""
    lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0)) IS NOT NULL"
    attempt = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
    await cursor.execute(lock if wait else attempt, (_lock_key(view),))
    row = await cursor.fetchone()
    return row is not None and bool(row[0])
