"""The relay publishes the log: each event once, in the order of positions, without gaps, again when the stream is lost.

It keeps no state. The last message of the stream (`ce-position`) says where to go on, and is read again after every
unclear outcome. Events are published in batches: the first of a batch names the last sequence that it expects of the
stream, each other one the event that it expects before it. So two relays, or a batch and its own late copy, never store
anything out of order or behind a gap. The lease keeps a second relay waiting; the fence makes it harmless.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import nats.errors
import nats.js.errors
import structlog

from services.relay.errors import (
    IdsInDuplicateWindow,
    LogBehindStream,
    LogGap,
    NoLogYet,
    RelayStopped,
    StreamOfAnotherLog,
    StreamOfCopies,
    StreamStuck,
    UnexpectedLastSequence,
)
from services.relay.log_batches import BATCH_EVENTS, LogBatches
from services.relay.stream_publisher import COPIES, StreamPublisher, Tail
from shared.messaging import event_stream
from shared.process import failpoints
from shared.process.cancellation import cancellation_requested
from shared.process.lease import Lease
from shared.process.log_reader import StoredEvent
from shared.process.pacing import pause_after
from shared.process.postgres import PostgresError
from shared.process.standby import Progress, Standby
from shared.wire.backoff import Backoff
from shared.wire.cloud_events import stored_to_wire
from shared.wire.event_body import Undecodable
from shared.wire.frames import breaking
from shared.wire.permissions import PermissionDenied

POLL_SECONDS: Final = 0.25
# All views wait for the stream, so its pauses are shorter than theirs.
PAUSE_TIMES: Final = 1.0
SHORTEST_PAUSE_SECONDS: Final = 0.008
STREAM_CHECK_SECONDS: Final = 1.0
FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class Relay:
    """Publishes the log to the stream while it holds the lease; `run` ends only by cancellation.

    `parts` are the conditions of readiness. A relay on standby is ready while the working relay makes progress.
    """

    def __init__(self, nats_url: str, postgres_url: str, poll_seconds: float = POLL_SECONDS) -> None:
        self._poll_seconds = poll_seconds
        self._log = LogBatches(postgres_url)
        self._stream = StreamPublisher(nats_url)
        self._lease = Lease(postgres_url, "relay")
        self._standby = Standby("the stream", self._read_progress)
        self._postgres_error: str | None = None
        self._stream_error: str | None = None
        self._published = False
        self._logged_tail: Tail | None = None
        self._may_replace = True
        self._next_check = 0.0
        self._failed_at: tuple[Tail, type[RelayStopped]] | None = None
        self._position: int | None = None
        self.parts: dict[str, Callable[[], Awaitable[str | None]]] = {
            "postgres": self._postgres_ready,
            "stream": self._stream_ready,
            "lease": self._lease_ready,
        }

    @property
    def leads(self) -> bool:
        """Whether this process publishes the log."""
        return self._lease.held

    @property
    def position(self) -> int | None:
        """The last published position; None on standby, or before it is known."""
        return self._position if self.leads else None

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._lease.run())
                tasks.create_task(self._publish_for_ever())
        finally:
            await self._log.close()
            await self._stream.close()

    async def _publish_for_ever(self) -> None:
        backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while not cancellation_requested():
            denials = self._stream.denials
            try:
                with breaking():
                    await self._stream.open()
                    if not cancellation_requested():
                        if not self._lease.held:
                            self._position = None
                        await self._lease.acquired()
                        await self._stream.while_connected(self._publish())
            except UnexpectedLastSequence as moved:
                log.info("relay.stream_moved", what=str(moved))
            except (PostgresError, Undecodable, LogGap, NoLogYet) as error:
                self._stream_error = None
                self._postgres_error = self._report("postgres", self._postgres_error, error)
            except (
                nats.errors.Error,
                PermissionDenied,
                event_stream.UnusableStreamError,
                RelayStopped,
                OSError,
                TimeoutError,
            ) as error:
                self._stream_error = self._report("stream", self._stream_error, self._cause(error, denials))
            if self._published:
                backoff.reset()
            await asyncio.sleep(0.0 if self._published else backoff.next())
            self._published = False

    def _cause(self, error: Exception, denials: int) -> Exception:
        """Return the denied permission, where that is why no answer came."""
        return (self._stream.denied_since(denials) if isinstance(error, TimeoutError) else None) or error

    async def _publish(self) -> None:
        tail = await self._find_tail()
        self._position = tail.position
        while self._lease.held and not cancellation_requested():
            self._stream.notified.clear()
            began = asyncio.get_running_loop().time()
            events = await self._log.after(tail.position, tail.id)
            self._postgres_error = None
            if events:
                failpoints.reached("relay.read")
                tail = await self._append(events, tail)
                self._position = tail.position
            self._stream_error, self._published = None, True
            if not events:
                await self._wait(tail)
            elif len(events) < BATCH_EVENTS // 2:
                await asyncio.sleep(
                    pause_after(asyncio.get_running_loop().time() - began, PAUSE_TIMES, SHORTEST_PAUSE_SECONDS)
                )

    async def _append(self, events: Sequence[StoredEvent], tail: Tail) -> Tail:
        try:
            return await self._stream.append([stored_to_wire(*event) for event in events], tail)
        except (IdsInDuplicateWindow, StreamStuck) as error:
            # The first time at a tail it is mostly a late copy of our batch, stored meanwhile: the tail, read again, is
            # then another one. Or the disk is slow, or the server has just resumed.
            failed_at = tail, type(error)
            if failed_at == self._failed_at:
                raise
            self._failed_at = failed_at
            raise UnexpectedLastSequence(str(error)) from error

    async def _find_tail(self) -> Tail:
        """Find the position to go on from, and check that the stream and the log belong together."""
        log_id = await self._log.identity()
        if log_id is None:
            raise NoLogYet("no writer has started a log in this database yet")
        marked = await self._declare(log_id)
        tail = await self._stream.tail()
        if tail.position:
            await self._log.require(tail.position, tail.id)
        elif self._stream.copy:
            await self._require_foreign(*self._stream.copy)
        end = await self._log.end()
        if not marked:
            await self._stream.set_log_id(log_id)
        self._may_replace = False
        if tail != self._logged_tail:
            self._logged_tail = tail
            log.info("relay.goes_on", after=tail.position, log_end=end)
        return tail

    async def _require_foreign(self, position: int, event: str | None) -> None:
        """Skip a message that only looks like an event; behind a copy of the log nothing can be published.

        Raises:
            StreamOfCopies: it is an event of the log.
        """
        try:
            await self._log.require(position, event)
        except (LogBehindStream, StreamOfAnotherLog):
            return
        raise StreamOfCopies(COPIES)

    async def _declare(self, log_id: str) -> bool:
        """Declare the stream; return whether it has the id of this log already.

        A stream of another log is replaced, since that database still has its events; but never by a relay that has
        published before. Of two databases on one NATS the later one is served, and the earlier one reports it.
        """
        try:
            return await self._stream.declare(log_id)
        except event_stream.ForeignStream as foreign:
            if not self._may_replace:
                raise
            log.warning("relay.stream_replaced", why=str(foreign))
            await self._stream.delete()
            return await self._stream.declare(log_id)

    async def _wait(self, tail: Tail) -> None:
        """Return when the log may have grown; check the stream meanwhile.

        Raises:
            UnexpectedLastSequence: the stream does not end at `tail` any more.
            StreamDrifted: it is not as declared any more.
            nats.js.errors.NotFoundError: it was deleted.
        """
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next_check:
            self._next_check = loop.time() + STREAM_CHECK_SECONDS
            sequence = await self._stream.sequence()
            if sequence != tail.sequence:
                raise UnexpectedLastSequence(f"it ends at sequence {sequence}, not {tail.sequence}")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_seconds):
                await self._stream.notified.wait()

    @staticmethod
    def _report(part: str, before: str | None, error: Exception) -> str:
        text = f"{type(error).__name__}: {error}"
        if text != before:
            # Before the first command there is no log, which is not an error.
            write = log.info if isinstance(error, NoLogYet) else log.warning
            write("relay.trouble", part=part, error=text)
        return text

    async def _postgres_ready(self) -> str | None:
        return self._lease.last_error or (self._postgres_error if self._lease.held else None)

    async def _stream_ready(self) -> str | None:
        if not self._stream.connected:
            return "not connected"
        return self._stream_error if self._lease.held else None

    async def _lease_ready(self) -> str | None:
        if self._lease.held:
            return None
        if self._lease.last_error:
            return "no lease can be asked for"
        try:
            return await self._standby.stalled()
        except (nats.errors.Error, nats.js.errors.Error, PostgresError):
            # There is no stream yet, or the servers are away, which other parts report.
            return None

    async def _read_progress(self) -> Progress:
        """Read how far the holder of the lease has published."""
        return Progress((await self._stream.tail()).position, await self._log.end())
