"""Make sure that an index can be followed: it is of this code's version, and belongs to the present log."""

import structlog

from services.audit.index.schema import (
    BUILDING,
    LIVE,
    VERSION,
    IndexCheckpoint,
    create,
    drop,
    read_checkpoint,
)
from shared.process.journal_reader import JournalReader
from shared.process.log_reader import LogReader
from shared.process.postgres import PostgresSession
from shared.projections.checkpoint import Checkpoint, log_mismatch

log = structlog.get_logger(__name__)


class LostLogError(Exception):
    """The log or the journal has another entry at the checkpoint, or ends before it."""


class NewerIndexError(Exception):
    """The index is of a later version than this code; a process of that version follows it."""


async def prepare_index(connection: PostgresSession, events: LogReader, journal: JournalReader) -> str:
    """Return the schema to write to: the index that answers, or one that is being built to take its place.

    Raises:
        NewerIndexError: this process must not change it.
    """
    for schema in (LIVE, BUILDING):
        checkpoint = await read_checkpoint(connection, schema)
        if checkpoint is not None and (why := await mismatch(events, journal, checkpoint)):
            await drop(connection, schema)
            log.warning("index.discarded", schema=schema, why=why)
    live = await read_checkpoint(connection, LIVE)
    _require_not_newer(live)
    if live is not None and live.version == VERSION:
        return LIVE
    await _prepare_building(connection)
    return BUILDING


def _require_not_newer(checkpoint: IndexCheckpoint | None) -> None:
    if checkpoint is not None and checkpoint.version > VERSION:
        raise NewerIndexError(f"the index is of version {checkpoint.version}; this process of {VERSION} waits")


async def _prepare_building(connection: PostgresSession) -> None:
    """Go on with an index of this version that a process has left unfinished, or begin one."""
    building = await read_checkpoint(connection, BUILDING)
    _require_not_newer(building)
    if building is not None and building.version == VERSION:
        return
    async with connection.transaction():
        await drop(connection, BUILDING)
        await create(connection, BUILDING)
    log.info("index.begun", version=VERSION)


async def mismatch(events: LogReader, journal: JournalReader, checkpoint: IndexCheckpoint) -> str | None:
    """Say why the index cannot be of the present log; None when it can.

    Raises:
        PostgresError: the database does not answer.
    """
    if why := await log_mismatch(events, Checkpoint(*checkpoint[:3])):
        return why
    if not checkpoint.ordinal or await events.identity() is None:
        return None
    found = await journal.entries_at([checkpoint.ordinal])
    if found and found[0].entry == checkpoint.entry:
        return None
    has = f"entry {found[0].entry}" if found else "no entry"
    return f"at ordinal {checkpoint.ordinal} the journal has {has}, the index had {checkpoint.entry}: it was restored"
