"""The follower of the index: it reads events and journal entries from PostgreSQL, and writes what each concerns.

The checkpoint in each commit keeps two processes right, should both write for a moment.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from services.audit.index.batch import Batch, batch_of
from services.audit.index.preparation import LostLogError, NewerIndexError, mismatch, prepare_index
from services.audit.index.schema import BUILDING, LIVE, VERSION, make_live, read_checkpoint
from services.audit.index.writer import IndexMovedError, IndexWriter
from shared.process import failpoints
from shared.process.cancellation import cancellation_requested
from shared.process.journal_reader import JournalReader
from shared.process.log_reader import LogReader
from shared.process.postgres import DirectAsync, PostgresError, PostgresSession
from shared.projections.history.following import SESSION, FollowerLimits, LogFollower

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Sources:
    """The connections of a follower that holds the lease."""

    connection: PostgresSession
    events: LogReader
    journal: JournalReader


class IndexFollower(LogFollower):
    """Follows log and journal with the index of one database."""

    expected = (IndexMovedError, LostLogError, NewerIndexError, PostgresError, TimeoutError, OSError)

    def __init__(self, postgres_url: str, limits: FollowerLimits) -> None:
        # One lease for each version: a later one may be built while this one is followed.
        super().__init__(postgres_url, LIVE, f"index {LIVE} {VERSION}", limits)

    def _log_error(self, error: str) -> None:
        log.warning("index.not_followed", error=error)

    def _log_followed(self, position: int) -> None:
        log.info("index.followed", position=position)

    async def _follow(self) -> None:
        async with AsyncExitStack() as stack:
            connection = await DirectAsync.connect(
                self._url, settings=SESSION, autocommit=True, application_name="audit_index-follower"
            )
            await stack.enter_async_context(connection)
            events = await stack.enter_async_context(LogReader(self._url))
            journal = await stack.enter_async_context(JournalReader(self._url))
            sources = _Sources(connection, events, journal)
            schema = await prepare_index(connection, events, journal)
            if schema == BUILDING:
                await self._build(sources)
            writer = await _writer(connection, LIVE)
            while not cancellation_requested():
                await self._step(sources, writer)

    async def _build(self, sources: _Sources) -> None:
        """Fill the new index up to the end of the log, and put it in the place of the former one."""
        writer = await _writer(sources.connection, BUILDING)
        while await self._work(sources, writer):
            self.last_error = f"the index is being made: it is at position {writer.checkpoint.position}"
        failpoints.reached("index.built")
        await make_live(sources.connection)
        log.info("index.made", version=VERSION, position=writer.checkpoint.position)

    async def _step(self, sources: _Sources, writer: IndexWriter) -> None:
        """Write the next batch and rest, or wait for events and entries."""
        worked = await self._work(sources, writer)
        self._clear_error(writer.checkpoint.position)
        if not worked:
            await asyncio.sleep(self._limits.look_seconds)

    async def _work(self, sources: _Sources, writer: IndexWriter) -> bool:
        """Write the next batch and rest; return whether there was one."""
        self._require_lease()
        began = time.monotonic()
        batch = await self._read(sources, writer)
        if not batch.facts and batch.last_entry is None:
            if began - self._checked_at > self._limits.check_seconds:
                await self._require_same(sources, writer)
            return False
        await self._require_same(sources, writer)
        await writer.write(sources.connection, batch)
        failpoints.reached("index.committed")
        self._growth.observe(await sources.events.end())
        await self._back_off(sources.events, time.monotonic() - began)
        return True

    async def _read(self, sources: _Sources, writer: IndexWriter) -> Batch:
        """Read the next events and then the next entries: an attempt before one of these events is among them."""
        checkpoint, limit = writer.checkpoint, self._limits.batch
        events = await sources.events.read(checkpoint.position, limit)
        entries = await sources.journal.read(checkpoint.ordinal, limit)
        return batch_of(events, entries, limit, checkpoint.position)

    async def _require_same(self, sources: _Sources, writer: IndexWriter) -> None:
        """Require that the index is where this process left it, and that log and journal still have what is there.

        Raises:
            IndexMovedError: another index is in its place.
            LostLogError: log and journal were restored from an older backup.
        """
        self._checked_at = time.monotonic()
        await writer.require_same(sources.connection)
        if why := await mismatch(sources.events, sources.journal, writer.checkpoint):
            raise LostLogError(why)


async def _writer(connection: PostgresSession, schema: str) -> IndexWriter:
    checkpoint = await read_checkpoint(connection, schema)
    if checkpoint is None:
        raise IndexMovedError(f"{schema} is gone")
    return IndexWriter(schema, checkpoint)
