"""Every event of the stream reaches the view in the order of positions, through restarts, redelivery and loss.

The durable consumer only saves reading the stream from its start: what counts is the position in the view's own
commit. Acknowledged is what is committed. A position that stays missing, a consumer that vanished, fell silent, is
paused, was reshaped, keeps back what is due or is led by nobody, and a view that was set back all have the same cure:
the consumer is made again where the view stands.

The rows are of the log in this database, or nothing: when it holds another event at their position, or ends before it,
they are dropped and made anew from it; a stream that tells other events than the log is not followed.
"""

import asyncio
import time
from collections.abc import Mapping

import nats.errors
import nats.js.errors
import psycopg
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext

from shared.language import subjects
from shared.language.subjects import Ce
from shared.messaging import bus
from shared.process import failpoints
from shared.process.backoff import Backoff
from shared.process.cancellation import cancellation_requested
from shared.process.lease import Lease
from shared.process.log_reader import LogReader
from shared.process.pacing import pause_after
from shared.process.settings import Settings
from shared.process.standby import Progress, Standby
from shared.projections.checkpoint import LogMismatchError, log_mismatch
from shared.projections.durable_consumer import DurableConsumer, as_position
from shared.projections.pull_consumer import (
    BATCH,
    SILENCE_SECONDS,
    ConsumerLostError,
    PullConsumer,
    PullRefusedError,
    StreamMessage,
)
from shared.projections.rebuild.rebuild import LogIncompleteError, rebuild, recreate_empty
from shared.projections.schemas import PreconditionFailedError
from shared.projections.view import DeliveredEvent, IncomingEvent, VersionMismatchError, View
from shared.wire import permissions
from shared.wire.cloud_events import PUBLISHED_BY_RELAY
from shared.wire.event_body import Undecodable
from shared.wire.frames import breaking

# Where nobody leads just now, what is asked is not answered later either: it is asked again.
ANSWER_SECONDS = 2.0
CHECK_SECONDS = 2.0
GAP_SECONDS = 2.0
POLL_SECONDS = 0.02
REST_TIMES = 4.0
SHORTEST_REST_SECONDS = 0.02
SHORTEST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
# Nothing that is done in one step takes so long.
STALLED_SECONDS = 10.0

log = structlog.get_logger(__name__)


class LeaseLostError(Exception):
    """Another process of this view may carry events now."""


class EventConsumer:
    """Carries events from the stream to one view, in one process at a time.

    Two that share a consumer get every other message each and would wait for one another at every position. The lease
    is for speed only: should two carry events at once, the position in the view's commit keeps them right.
    """

    def __init__(self, client: Client, postgres_url: str, view: View) -> None:
        self._client = client
        self._postgres_url = postgres_url
        self._js: JetStreamContext = client.jetstream(timeout=ANSWER_SECONDS)
        self._view = view
        self._name = view.definition.name
        # Of each version one: while one is live, the other may make its rows.
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
    def carries(self) -> bool:
        """Whether it is this process that carries events to the view."""
        return self._lease.held

    async def ready(self) -> str | None:
        """None while events flow, here or in the process that holds the lease; else what is in the way."""
        if self._lease.held:
            idle_for = time.monotonic() - self._last_progress
            stalled = f"nothing has moved for {idle_for:.0f} s" if idle_for > STALLED_SECONDS else None
            ack_refusal = self._consumer.ack_refusal
            return self._last_error or (str(ack_refusal) if ack_refusal else stalled)
        if self._lease.last_error:
            return self._lease.last_error
        try:
            return await self._standby.stalled()
        except (nats.errors.Error, nats.js.errors.Error, psycopg.Error):
            # There is no stream yet, or the servers are away, which others tell.
            return None

    async def _leader_progress(self) -> Progress:
        """How far the one that holds the lease is."""
        return Progress(await self._view.position(), await self._consumer.last_position())

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lease.run())
            tasks.create_task(self._follow_for_ever())

    async def _follow_for_ever(self) -> None:
        """For ever; whatever goes wrong is told by `ready` and tried again after a pause that grows."""
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
                ConsumerLostError, VersionMismatchError, LogMismatchError, LogIncompleteError, PreconditionFailedError,
                bus.StreamUnfit, Undecodable, psycopg.Error, nats.errors.Error, nats.js.errors.Error, TimeoutError,
                OSError,
            ) as error:  # fmt: skip
                self._distrusted = isinstance(error, PullRefusedError)
                self._set_error(self._cause(error, refusals))
            if self._made_progress:
                backoff.reset()
                self._made_progress = False
            await self._view.wait_until_live(backoff.next())

    def _cause(self, error: Exception, refusals: int) -> Exception:
        """What NATS has refused since, where that is why nothing came."""
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
            await self._prepare(events)
            await self._require_stream(events)
            await self._consumer.bind(await self._view.position(), distrusted=self._distrusted)
            self._buffered.clear()
            # No more come than may be unacknowledged; a server may limit a request, too.
            pull = PullConsumer(self._client, subjects.EVENT_STREAM, self._name, min(BATCH, Settings().max_ack_pending))
            await pull.open()
            try:
                while not cancellation_requested():
                    await self._next(pull, events)
                    self._last_progress = time.monotonic()
            finally:
                await pull.close()

    async def _prepare(self, events: LogReader) -> None:
        """The rows are there, of this code's version and of this log; else they are made anew, from the log if it
        reaches.
        """
        if await self._rows_usable(events):
            return
        try:
            await rebuild(self._postgres_url, self._view)
        except LogIncompleteError as error:
            log.warning("view.not_from_log", view=self._name, error=str(error))
            await recreate_empty(self._view)

    async def _rows_usable(self, events: LogReader) -> bool:
        """Whether the rows can go on. Those of a log that is gone are dropped: nobody may read them."""
        checkpoint = await self._view.checkpoint()
        # Rows that were lost are filled from the log beside: nobody sees them before all of it is in them.
        usable = (checkpoint is not None or not await events.end()) and await self._view.prepare()
        checkpoint = await self._view.checkpoint()
        if checkpoint and (why := await log_mismatch(events, checkpoint)):
            self._set_error(LogMismatchError(f"{why}; the rows are made anew"))
            if not await self._view.discard(checkpoint):
                raise PreconditionFailedError("the rows have moved meanwhile")
            return False
        return usable

    async def _require_log(self, events: LogReader) -> int:
        """Where the rows stand.

        Raises:
            LogChanged: they cannot be of the log that is there now.
            NotPossible: there are none.
        """
        checkpoint = await self._view.checkpoint()
        if checkpoint is None:
            raise PreconditionFailedError("the rows are gone")
        if why := await log_mismatch(events, checkpoint):
            raise LogMismatchError(f"{why}; the rows are made anew")
        if checkpoint.event is None and checkpoint.position and (found := await events.id_at(checkpoint.position)):
            await self._view.record_event_id(checkpoint.position, found)
        return checkpoint.position

    async def _require_stream(self, events: LogReader) -> None:
        """There is a stream, of this log and of no other.

        Raises:
            bus.StreamUnfit: it is not as declared, or tells what the log does not hold.
        """
        log_id = await events.identity()
        state = (await bus.declare_stream(self._js, log_id, make=False)).state
        if log_id is None:
            return
        async for headers in self._consumer.newest_headers(state):
            position = as_position(headers.get(Ce.POSITION))
            if position is not None and not PUBLISHED_BY_RELAY.isdisjoint(headers):
                if await events.id_at(position) != headers.get(Ce.ID):
                    raise bus.StreamContradictsLog(
                        f"the stream ends with an event at position {position} that the log does not hold: the log was "
                        "restored. `switchboard streams --delete` has the stream published again from the log"
                    )
                return

    async def _next(self, pull: PullConsumer, events: LogReader) -> None:
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
            await self._check(events)
        if messages:
            self._consumer.messages_arrived()
        if not self._buffered and (messages or self._consumer.idle):
            self._clear_error()

    async def _check(self, events: LogReader) -> None:
        """Nothing comes: is that because there is nothing?

        Raises:
            ConsumerLost: no; the consumer was made again.
            LogChanged: the rows are of a log that is gone.
        """
        if self._consumer.checked_within(CHECK_SECONDS):
            return
        position = await self._require_log(events)
        if why := await self._consumer.repair(position):
            raise ConsumerLostError(f"{why}; it was made again at position {position}")

    async def _apply(self) -> None:
        entries = entries_of(self._buffered, self._view.waiters.position)
        position = await self._commit(entries) if entries else await self._view.position()
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

    async def _commit(self, entries: list[IncomingEvent]) -> int:
        """Tries until the database takes them: order is kept by not going on."""
        backoff = Backoff(SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while not cancellation_requested():
            try:
                return await self._view.apply(entries)
            except psycopg.Error as error:
                self._set_error(error)
                await asyncio.sleep(backoff.next())
                if isinstance(error, psycopg.ProgrammingError):
                    # The tables are gone: they are made again, and the consumer with them.
                    raise
        raise asyncio.CancelledError

    async def _acknowledge(self, position: int) -> None:
        """Up to the position, by acknowledging its last message: the policy takes that for all before it."""
        acknowledged = [buffered for buffered in self._buffered if buffered <= position]
        messages = {buffered: self._buffered.pop(buffered) for buffered in acknowledged}
        if messages:
            await self._client.publish(messages[max(messages)].reply, b"+ACK")


def entries_of(buffered: Mapping[int, StreamMessage], position: int) -> list[IncomingEvent]:
    """What follows the position one by one, decoded."""
    entries: list[IncomingEvent] = []
    while message := buffered.get(position := position + 1):
        entries.append(DeliveredEvent(position, message.headers, message.body))
    return entries
