"""Make sure that a history can be followed: it exists, is of this code's version, and belongs to the present log."""

from typing import Any

import structlog
from psycopg import AsyncConnection, AsyncCursor

from shared.process import failpoints
from shared.process.log_reader import LogReader
from shared.projections import schemas
from shared.projections.checkpoint import drop_unchanged, log_mismatch, read_checkpoint
from shared.projections.definition import ProjectionDefinition, Row, VersionMismatchError
from shared.projections.rebuild.cutover import cutover, rollback
from shared.projections.rebuild.limits import LIMITS, RebuildLimits
from shared.projections.rebuild.rebuild import rebuild_rows
from shared.projections.rebuild.replay import OnPosition
from shared.projections.schemas import PreconditionFailedError, SchemaStatus
from shared.projections.tables import exists, lock_schema

log = structlog.get_logger(__name__)


async def prepare_history(
    postgres_url: str,
    history: ProjectionDefinition,
    live: ProjectionDefinition | None,
    after_batch: OnPosition,
    limits: RebuildLimits = LIMITS,
) -> None:
    """Make a history where there is none, or exchange one of another version, once the live rows are of this version.

    A history of a lost log is dropped first. Rows of this version that wait in another schema are used; otherwise the
    log is replayed, with `after_batch` after each batch.

    Raises:
        VersionMismatchError: the live rows are of another version, or the history of a later one.
        PreconditionFailedError: there are no live rows yet, or others work on the history's schemas.
    """
    async with schemas.rebuild_connection(postgres_url) as connection, LogReader(postgres_url) as events:
        await _drop_lost(connection, events, history.name)
        async with connection.transaction(), connection.cursor() as cursor:
            await lock_schema(cursor, history.name)
            await schemas.drop_orphaned(cursor, history.name)
            await _require_live_rows(cursor, live)
            status = await schemas.schema_status(cursor, history.name)
    if status.live is not None and status.live.version == history.version:
        return
    if live is None:
        _require_own_turn(status, history.version)
    failpoints.reached("history.unprepared")
    await _replace(postgres_url, history, status, after_batch, limits)


async def _replace(
    postgres_url: str,
    history: ProjectionDefinition,
    status: SchemaStatus,
    after_batch: OnPosition,
    limits: RebuildLimits,
) -> None:
    inactive = status.inactive_schema(history.version)
    if inactive == schemas.staged(history.name):
        await cutover(postgres_url, history, force=True)
    elif inactive is not None:
        await rollback(postgres_url, history, force=True)
    else:
        await rebuild_rows(postgres_url, history, limits=limits, after_batch=after_batch)
    log.info("history.prepared", view=history.name, version=history.version, was=status.live and status.live.version)


async def _drop_lost(connection: AsyncConnection[Any], events: LogReader, name: str) -> None:
    """Drop a history whose log was replaced by another, and rows next to it of which the same is true."""
    for schema in (name, schemas.staged(name), schemas.retired(name)):
        async with connection.cursor() as cursor:
            checkpoint = await read_checkpoint(cursor, schema) if await exists(cursor, schema) else None
        if checkpoint is None or not (why := await log_mismatch(events, checkpoint)):
            continue
        await schemas.try_lock_rebuild(connection, name, LIMITS.in_use_timeout_ms)
        async with connection.transaction(), connection.cursor() as cursor:
            if not await drop_unchanged(cursor, name, schema, checkpoint):
                raise PreconditionFailedError(f"{schema} has changed meanwhile")
        log.warning("history.discarded", view=name, schema=schema, why=why)
        failpoints.reached("history.discarded")


async def _require_live_rows(cursor: AsyncCursor[Row], live: ProjectionDefinition | None) -> None:
    if live is None:
        return
    rows = await schemas.schema_info(cursor, live.name)
    if rows is None:
        raise PreconditionFailedError(f"there are no rows of {live.name} yet")
    if rows.version != live.version:
        raise VersionMismatchError(
            f"the live rows are of version {rows.version}; the history of version {live.version} waits for its own"
        )


def _require_own_turn(status: SchemaStatus, version: int) -> None:
    """Require that a history without live rows may be exchanged: others may answer from it."""
    if status.live is None:
        return
    if status.live.version > version:
        raise VersionMismatchError(f"the history is of version {status.live.version}; this process of {version} waits")
    if status.has_staged(version):
        raise VersionMismatchError(status.staged_message(version))
