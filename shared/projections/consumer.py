"""Every event of the stream reaches the view in the order of positions, through restarts, redelivery and loss.

The durable consumer only saves reading the stream from its start: the position in the view's own commit counts, and
committed events are acknowledged. Every fault has the same cure, a new consumer at the view's position: a position
that stays missing; a consumer that vanished, is silent, paused, changed or without a leader, or keeps events back; a
view whose position went back.

The rows belong to the log in this database. When the log has another event at their position, or ends before it, they
are dropped and rebuilt. A stream with other events than the log is not followed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import nats.errors
import nats.js.errors
import psycopg
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext

from shared.language import subjects
from shared.language.subjects import Ce
from shared.messaging import event_stream
from shared.process import failpoints
from shared.process.cancellation import cancellation_requested
from shared.process.lease import Lease, LeaseLostError
from shared.process.log_reader import LogReader
from shared.process.pacing import pause_after
from shared.process.settings import Settings
from shared.process.standby import Progress, Standby
from shared.projections.checkpoint import LogMismatchError
from shared.projections.definition import VersionMismatchError
from shared.projections.durable_consumer import DurableConsumer, as_position
from shared.projections.events import DeliveredEvent, IncomingEvent
from shared.projections.log_guard import LogGuard
from shared.projections.pull_consumer import (
    BATCH,
    SILENCE_SECONDS,
    ConsumerLostError,
    PullConsumer,
    PullRefusedError,
    StreamMessage,
)
from shared.projections.schemas import PreconditionFailedError
from shared.projections.view import View
from shared.wire import permissions
from shared.wire.backoff import Backoff
from shared.wire.event_body import Undecodable
from shared.wire.frames import breaking

# A request that finds no leader is never answered, so it is sent again soon.
ANSWER_SECONDS = 2.0
CHECK_SECONDS = 2.0
GAP_SECONDS = 2.0
POLL_SECONDS = 0.02
REST_TIMES = 4.0
SHORTEST_REST_SECONDS = 0.02
SHORTEST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0

log = structlog.get_logger(__name__)


class EventConsumer:
    """Applies the stream's events to one view, in one process at a time.

    Two processes that share a consumer get every other message each, and would wait for one another at every position.
    The lease is for speed only: the position in the view's commit keeps two processes right.

    Args:
        rebuild: makes new live rows where the present ones cannot be used.
        stalled_seconds: the longest time that any step takes; after it the consumer is not ready.
    """

    def __init__(
        self,
        client: Client,
        postgres_url: str,
        view: View,
        rebuild: Callable[[], Awaitable[None]],
        stalled_seconds: float = 10.0,
    ) -> None:
        self._client = client
        self._postgres_url = postgres_url
        self._js: JetStreamContext = client.jetstream(timeout=ANSWER_SECONDS)
        self._view = view
        self._rebuild = rebuild
        self._stalled_seconds = stalled_seconds
        self._name = view.definition.name
        # One lease for each version: while one version is live, another may rebuild.
        self._lease = Lease(postgres_url, f"view {self._name} {view.definition.version}")
        self._last_error = "starting"
        self._made_progress = False
        self._buffered: dict[int, StreamMessage] = {}
        self._gap_since: tuple[int, float] = (0, 0.0)
        self._consumer = DurableConsumer(client, self._js, self._name)
        self._permissions = permissions.of(client)
        self._distrusted = False
        self._standby = Standby(f"the view {self._name}", self._leader_progress)
        self._last_progress = time.monotonic()
        self._next_commit = 0.0

    @property
    def applies_events(self) -> bool:
        """Whether this process is the one that applies events to the view."""
        return self._lease.held

    async def ready(self) -> str | None:
        """Return None while events flow, here or in the process that holds the lease; else the reason."""
        if self._lease.held:
            idle_for = time.monotonic() - self._last_progress
            stalled = f"nothing has moved for {idle_for:.0f} s" if idle_for > self._stalled_seconds else None
            ack_refusal = self._consumer.ack_refusal
            return self._last_error or (str(ack_refusal) if ack_refusal else stalled)
        if self._lease.last_error:
            return self._lease.last_error
        try:
            return await self._standby.stalled()
        except (nats.errors.Error, nats.js.errors.Error, psycopg.Error):
            # There is no stream yet, or a server is away, which other parts of readiness report.
            return None

    async def _leader_progress(self) -> Progress:
        """Return how far the process with the lease is."""
        return Progress(await self._view.position(), await self._consumer.last_position())

    async def run(self) -> None:
        """Follow the stream until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lease.run())
            tasks.create_task(self._follow_for_ever())

    async def _follow_for_ever(self) -> None:
        """Follow the stream again after every error, with growing pauses; `ready` reports the last error."""
        backoff = Backoff(SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while not cancellation_requested():
            await self._lease.acquired()
            self._last_progress = time.monotonic()
            refusals = self._permissions.count
            try:
                with breaking():
                    await self._follow_stream()
            except LeaseLostError:
                self._last_error = "starting"
            except (
                ConsumerLostError, VersionMismatchError, LogMismatchError, PreconditionFailedError,
                event_stream.UnusableStreamError, Undecodable, psycopg.Error, nats.errors.Error, nats.js.errors.Error,
                TimeoutError, OSError,
            ) as error:  # fmt: skip
                self._distrusted = isinstance(error, PullRefusedError)
                self._set_error(self._cause(error, refusals))
            if self._made_progress:
                backoff.reset()
                self._made_progress = False
            await self._view.wait_until_live(backoff.next())

    def _cause(self, error: Exception, refusals: int) -> Exception:
        """Return NATS's permission error of this attempt, if that is why nothing came."""
        if isinstance(error, ConsumerLostError) and self._consumer.ack_refusal:
            return self._consumer.ack_refusal
        unanswered = isinstance(error, (TimeoutError, ConsumerLostError))
        return (self._permissions.cause(refusals, "$js.api.") if unanswered else None) or error

    def _set_error(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}".strip()
        if text != self._last_error:
            self._last_error = text
            log.warning("feed.trouble", view=self._name, error=text)

    def _clear_error(self) -> None:
        self._made_progress = True
        if ack_refusal := self._consumer.ack_refusal:
            self._set_error(ack_refusal)
        elif self._last_error:
            self._last_error = ""
            log.info("feed.flows", view=self._name, position=self._view.waiters.position)

    async def _follow_stream(self) -> None:
        if not self._client.is_connected:
            raise ConsumerLostError("not connected")
        async with LogReader(self._postgres_url) as events:
            guard = LogGuard(self._view, events)
            await self._prepare(guard)
            await guard.require_stream(self._js, self._consumer)
            await self._consumer.bind(await self._view.position(), distrusted=self._distrusted)
            self._buffered.clear()
            # A larger request than may be unacknowledged is useless, and a server may refuse it.
            pull = PullConsumer(self._client, subjects.EVENT_STREAM, self._name, min(BATCH, Settings().max_ack_pending))
            await pull.open()
            try:
                while not cancellation_requested():
                    await self._next(pull, guard)
                    self._last_progress = time.monotonic()
            finally:
                await pull.close()

    async def _prepare(self, guard: LogGuard) -> None:
        """Make sure that there are rows of this code's version and of this log."""
        try:
            usable = await guard.rows_usable()
        except LogMismatchError as error:
            self._set_error(error)
            usable = False
        if not usable:
            await self._rebuild()

    async def _next(self, pull: PullConsumer, guard: LogGuard) -> None:
        if not self._lease.held:
            raise LeaseLostError
        await asyncio.sleep(max(0.0, self._next_commit - time.monotonic()))
        messages = await pull.receive(POLL_SECONDS if self._buffered else SILENCE_SECONDS)
        for message in messages:
            position = as_position(message.headers.get(Ce.POSITION))
            if position is None:
                log.warning("feed.foreign_message", view=self._name, bytes=len(message.body))
                await self._client.publish(message.reply, b"+TERM")
            else:
                self._buffered[position] = message
        if self._buffered:
            backlog, began = len(self._buffered) >= BATCH, time.monotonic()
            await self._apply()
            now = time.monotonic()
            self._next_commit = now if backlog else now + pause_after(now - began, REST_TIMES, SHORTEST_REST_SECONDS)
        elif not messages:
            await self._check(guard)
        if messages:
            self._consumer.messages_arrived()
        if not self._buffered and (messages or self._consumer.idle):
            self._clear_error()

    async def _check(self, guard: LogGuard) -> None:
        """While idle, check that the log is still the same and that the consumer has not skipped events.

        Raises:
            ConsumerLostError: it kept events back, and was created again.
            LogMismatchError: the rows are of a lost log.
        """
        if self._consumer.checked_within(CHECK_SECONDS):
            return
        position = await guard.require_log()
        if why := await self._consumer.repair(position):
            raise ConsumerLostError(f"{why}; it was created again at position {position}")

    async def _apply(self) -> None:
        events = next_events(self._buffered, self._view.waiters.position)
        position = await self._commit(events) if events else await self._view.position()
        failpoints.reached("view.committed")
        await self._acknowledge(position)
        if not self._buffered:
            return
        expected, since = self._gap_since
        if expected != position + 1:
            self._gap_since = (position + 1, time.monotonic())
        elif time.monotonic() - since > GAP_SECONDS:
            self._gap_since = (0, 0.0)
            await self._consumer.recreate(position, exactly=True)
            raise ConsumerLostError(f"position {position + 1} did not come")

    async def _commit(self, events: list[IncomingEvent]) -> int:
        """Commit the events; retry until that succeeds, since later events have to wait for them."""
        backoff = Backoff(SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while not cancellation_requested():
            try:
                return await self._view.apply(events)
            except psycopg.Error as error:
                self._set_error(error)
                await asyncio.sleep(backoff.next())
                if isinstance(error, psycopg.ProgrammingError):
                    # The tables are gone: start again with new ones and a new consumer.
                    raise
        raise asyncio.CancelledError

    async def _acknowledge(self, position: int) -> None:
        """Acknowledge the last message up to the position; with `AckPolicy.ALL` that covers all before it."""
        acknowledged = [buffered for buffered in self._buffered if buffered <= position]
        messages = {buffered: self._buffered.pop(buffered) for buffered in acknowledged}
        if messages:
            await self._client.publish(messages[max(messages)].reply, b"+ACK")


def next_events(buffered: Mapping[int, StreamMessage], position: int) -> list[IncomingEvent]:
    """Decode the messages that follow the position without a gap."""
    events: list[IncomingEvent] = []
    while message := buffered.get(position := position + 1):
        events.append(DeliveredEvent(position, message.headers, message.body))
    return events
