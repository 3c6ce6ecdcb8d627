"""Every event of the log gets onto the stream: each once, in the order of positions, without holes, again when lost.

Nothing is remembered here. Where to go on is read from the stream's own last message (`ce-position`), again after every
unclear outcome. Events go out in batches: the first of a batch names the sequence that it expects the stream to end
with, each other one the event it expects before it. So of two relays, or of a batch and its own late copy, nothing is
stored out of order or behind a hole. The lease keeps a second relay waiting; it is the fence that makes it harmless.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import nats.errors
import nats.js.errors
import structlog

from services.relay.errors import (
    IdsStillKnown,
    LogBehindStream,
    LogHasHole,
    Moved,
    NoLogYet,
    RelayStopped,
    StreamOfAnotherLog,
    StreamOfCopies,
    StreamStuck,
)
from services.relay.log_batches import BATCH_EVENTS, NextEvents
from services.relay.stream_publisher import COPIES, StreamEnd, Tail
from shared.messaging import event_stream
from shared.process import failpoints
from shared.process.backoff import Backoff
from shared.process.cancellation import cancellation_requested
from shared.process.lease import Lease
from shared.process.log_reader import StoredEvent
from shared.process.pacing import pause_after
from shared.process.postgres import PostgresError
from shared.process.standby import Progress, Standby
from shared.wire.cloud_events import stored_to_wire
from shared.wire.event_body import Undecodable
from shared.wire.frames import breaking
from shared.wire.permissions import PermissionDenied

POLL_SECONDS: Final = 0.25
# The stream is what everybody waits for: it comes sooner than the views.
REST_TIMES: Final = 1.0
SHORTEST_REST_SECONDS: Final = 0.008
STREAM_CHECK_SECONDS: Final = 1.0
FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class Relay:
    """Carries the log onto the stream while it holds the lease; `run` ends only by cancellation.

    `parts` are conditions of readiness: a relay that waits for another one's lease is ready, and says so in its log.
    """

    def __init__(self, nats_url: str, postgres_url: str) -> None:
        self._log = NextEvents(postgres_url)
        self._stream = StreamEnd(nats_url)
        self._lease = Lease(postgres_url, "relay")
        self._standby = Standby("the stream", self._look)
        self._log_trouble: str | None = None
        self._stream_trouble: str | None = None
        self._settled = False
        self._settled_at: Tail | None = None
        self._may_replace = True
        self._next_check = 0.0
        self._failed_at: tuple[Tail, type[RelayStopped]] | None = None
        self._reached: int | None = None
        self.parts: dict[str, Callable[[], Awaitable[str | None]]] = {
            "postgres": self._postgres_ready,
            "stream": self._stream_ready,
            "lease": self._lease_ready,
        }

    @property
    def leads(self) -> bool:
        """Whether it is this process that carries the log."""
        return self._lease.held

    @property
    def position(self) -> int | None:
        """Up to where the log is on the stream; None while another process may know better, or nobody does yet."""
        return self._reached if self.leads else None

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._lease.run())
                tasks.create_task(self._carry())
        finally:
            await self._log.close()
            await self._stream.close()

    async def _carry(self) -> None:
        backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while not cancellation_requested():
            refusals = self._stream.refusals
            try:
                with breaking():
                    await self._stream.open()
                    if not cancellation_requested():
                        if not self._lease.held:
                            self._reached = None
                        await self._lease.acquired()
                        await self._stream.while_connected(self._lead())
            except Moved as moved:
                log.info("relay.stream_moved", what=str(moved))
            except (PostgresError, Undecodable, LogHasHole, NoLogYet) as error:
                self._stream_trouble = None
                self._log_trouble = self._told("postgres", self._log_trouble, error)
            except (
                nats.errors.Error,
                PermissionDenied,
                event_stream.UnusableStreamError,
                RelayStopped,
                OSError,
                TimeoutError,
            ) as error:
                self._stream_trouble = self._told("stream", self._stream_trouble, self._cause(error, refusals))
            if self._settled:
                backoff.reset()
            await asyncio.sleep(0.0 if self._settled else backoff.next())
            self._settled = False

    def _cause(self, error: Exception, refusals: int) -> Exception:
        """What NATS has refused, where that is why no answer came."""
        return (self._stream.refused_since(refusals) if isinstance(error, TimeoutError) else None) or error

    async def _lead(self) -> None:
        tail = await self._settle()
        self._reached = tail.position
        while self._lease.held and not cancellation_requested():
            self._stream.hinted.clear()
            began = asyncio.get_running_loop().time()
            events = await self._log.after(tail.position, tail.id)
            self._log_trouble = None
            if events:
                failpoints.reached("relay.read")
                tail = await self._append(events, tail)
                self._reached = tail.position
            self._stream_trouble, self._settled = None, True
            if not events:
                await self._wait(tail)
            elif len(events) < BATCH_EVENTS // 2:
                await asyncio.sleep(
                    pause_after(asyncio.get_running_loop().time() - began, REST_TIMES, SHORTEST_REST_SECONDS)
                )

    async def _append(self, events: Sequence[StoredEvent], tail: Tail) -> Tail:
        try:
            return await self._stream.append([stored_to_wire(*event) for event in events], tail)
        except (IdsStillKnown, StreamStuck) as trouble:
            # Once at a place it is mostly a late copy of ours that was stored meanwhile: the tail, read again, is then
            # another one. Or it is a disk that is slow, a server that has just woken up.
            failed_at = tail, type(trouble)
            if failed_at == self._failed_at:
                raise
            self._failed_at = failed_at
            raise Moved(str(trouble)) from trouble

    async def _settle(self) -> Tail:
        """Finds out where to go on, and that the stream and the log belong together."""
        log_id = await self._log.identity()
        if log_id is None:
            raise NoLogYet("no writer has begun a log in this database yet")
        marked = await self._declare(log_id)
        tail = await self._stream.tail()
        if tail.position:
            await self._log.require(tail.position, tail.id)
        elif self._stream.copy:
            await self._require_forged(*self._stream.copy)
        end = await self._log.end()
        if not marked:
            await self._stream.mark(log_id)
        self._may_replace = False
        if tail != self._settled_at:
            self._settled_at = tail
            log.info("relay.goes_on", after=tail.position, log_end=end)
        return tail

    async def _require_forged(self, position: int, event: str | None) -> None:
        """A message that only looks like an event is passed over; behind a copy of the log nothing can be published.

        Raises:
            StreamOfCopies: it is an event of the log.
        """
        try:
            await self._log.require(position, event)
        except (LogBehindStream, StreamOfAnotherLog):
            return
        raise StreamOfCopies(COPIES)

    async def _declare(self, log_id: str) -> bool:
        """Whether the stream says already that it is this log's.

        Another log's is replaced, since it is only an echo of what that database holds; but never by a relay that was
        at work already: of two databases on one NATS the later one is served, and the earlier one says so.
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
        """Returns when the log may have grown; looks after the stream meanwhile.

        Raises:
            Moved: the stream does not end at `tail` any more.
            StreamDrifted: it is not as declared any more.
            nats.js.errors.NotFoundError: it is gone.
        """
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next_check:
            self._next_check = loop.time() + STREAM_CHECK_SECONDS
            sequence = await self._stream.sequence()
            if sequence != tail.sequence:
                raise Moved(f"it ends at sequence {sequence}, not {tail.sequence}")
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._stream.hinted.wait()

    @staticmethod
    def _told(part: str, before: str | None, error: Exception) -> str:
        trouble = f"{type(error).__name__}: {error}"
        if trouble != before:
            # There is none before the first command, which is no trouble.
            tell = log.info if isinstance(error, NoLogYet) else log.warning
            tell("relay.trouble", part=part, error=trouble)
        return trouble

    async def _postgres_ready(self) -> str | None:
        return self._lease.last_error or (self._log_trouble if self._lease.held else None)

    async def _stream_ready(self) -> str | None:
        if not self._stream.connected:
            return "not connected"
        return self._stream_trouble if self._lease.held else None

    async def _lease_ready(self) -> str | None:
        if self._lease.held:
            return None
        if self._lease.last_error:
            return "no lease can be asked for"
        try:
            return await self._standby.stalled()
        except (nats.errors.Error, nats.js.errors.Error, PostgresError):
            # There is no stream yet, or the servers are away, which other parts tell.
            return None

    async def _look(self) -> Progress:
        """How far the one that holds the lease is."""
        return Progress((await self._stream.tail()).position, await self._log.end())
