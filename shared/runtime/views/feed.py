"""Every event of the stream reaches the view in the order of positions, through restarts, redelivery and loss.

The durable consumer only saves reading the stream from its start: what counts is the position in the view's own
commit. Acknowledged is what is committed. A position that stays missing, a consumer that vanished, fell silent or is
led by nobody, and a view that was set back all have the same cure: the consumer is made again where the view stands.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import nats.errors
import nats.js.errors
import orjson
import psycopg
import structlog
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, ReplayPolicy

from shared.language import subjects
from shared.language.subjects import Ce
from shared.runtime import bus, failpoints, frames
from shared.runtime.anew.beside import NotPossible
from shared.runtime.anew.rebuild import LogTooShort, rebuild, start_over
from shared.runtime.lease import Lease
from shared.runtime.pacing import rest
from shared.runtime.processes.ending import asked_to_end
from shared.runtime.store.log_reader import LogReader
from shared.runtime.views.view import DesignChanged, Entry, FromBus, View

BATCH = 1_000
HEARTBEAT_SECONDS = 1.0
SILENCE_SECONDS = 2.5
CONNECTION_LOOK_SECONDS = 0.1
REQUEST_SECONDS = 30.0
# Where nobody leads just now, what is asked is not answered later either: it is asked again.
ANSWER_SECONDS = 2.0
CHECK_SECONDS = 2.0
GAP_SECONDS = 2.0
LOOK_AGAIN_SECONDS = 0.02
REST_TIMES = 4.0
SHORTEST_REST_SECONDS = 0.02
SHORTEST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0

ACK_WAIT_SECONDS = 30.0
# Everything that was delivered and not acknowledged is held in memory here, so this bounds it.
MAX_ACK_PENDING = 4 * BATCH


POSITION = re.compile("[1-9][0-9]{0,17}")

log = structlog.get_logger(__name__)


class ConsumerLost(Exception):
    """The consumer is gone, silent, or not where the view needs it."""


class LeaseOver(Exception):
    """Another process of this view may carry events now."""


class Delivered(NamedTuple):
    """A message of the stream; an acknowledgement goes to `reply`."""

    reply: str
    headers: dict[str, str]
    body: bytes


class Pull:
    """The messages of a durable pull consumer, as they come.

    nats-py's `fetch` waits for a full batch or its timeout, and FastStream's batch subscriber drops what it has fetched
    when the rest of its time is under 0.1 ms (the server refuses the negative expiry), until it is redelivered out of
    order. Here one request stands at the server all the time, and what has come is handed over at once.
    """

    def __init__(self, client: Client, stream: str, consumer: str) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._wanted = 0
        self._messages: list[Delivered] = []
        self._trouble = ""
        self._reconnects = client.stats["reconnects"]
        self._arrived = asyncio.Event()

    async def open(self) -> None:
        self._subscription = await frames.subscribe(self._client, self._inbox, self._take)

    async def close(self) -> None:
        if self._subscription is not None:
            await frames.unsubscribe(self._client, self._subscription)
        self._subscription = None

    async def take(self, within: float = SILENCE_SECONDS) -> list[Delivered]:
        """What has come; nothing on a heartbeat, or when `within` is over and shorter than the server may be silent.

        Raises:
            ConsumerLost: the consumer is gone, the server fell silent, or the connection it knew us by was lost.
        """
        if self._wanted <= 0:
            await self._ask()
        if not await self._anything(within):
            if within < SILENCE_SECONDS:
                return []
            raise ConsumerLost(f"no sign of life for {within:g} s")
        self._arrived.clear()
        if self._trouble:
            raise ConsumerLost(self._trouble)
        messages, self._messages = self._messages, []
        return messages

    async def _anything(self, within: float) -> bool:
        """Whether anything came in time."""
        until = time.monotonic() + within
        while not self._arrived.is_set():
            if self._client.stats["reconnects"] != self._reconnects:
                raise ConsumerLost("the request was lost with its connection")
            left = until - time.monotonic()
            if left <= 0:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, CONNECTION_LOOK_SECONDS)):
                    await self._arrived.wait()
        return True

    async def _ask(self) -> None:
        request = {
            "batch": BATCH,
            "expires": int(REQUEST_SECONDS * 1e9),
            "idle_heartbeat": int(HEARTBEAT_SECONDS * 1e9),
        }
        await self._client.publish(self._subject, orjson.dumps(request), reply=self._inbox)
        self._wanted = BATCH

    def _take(self, _subject: bytes, reply: bytes, headers: bytes, body: bytes) -> None:
        if reply:
            self._wanted -= 1
            self._messages.append(Delivered(reply.decode(), frames.headers_of(headers), body))
        else:
            self._note(*frames.status_of(headers))
        self._arrived.set()

    def _note(self, status: str, told: str) -> None:
        if status == "100":
            return
        # The request has ended: its time is over (408), or the server says why it gives no more.
        self._wanted = 0
        if status == "503" or "deleted" in told.lower():
            self._trouble = f"{status} {told or 'no such consumer'}"


class Feed:
    """Carries events from the stream to one view, in one process at a time.

    Two that share a consumer get every other message each and would wait for one another at every position. The lease
    is for speed only: should two carry events at once, the position in the view's commit keeps them right.
    """

    def __init__(self, client: Client, postgres_url: str, view: View) -> None:
        self._client = client
        self._postgres_url = postgres_url
        self._js: JetStreamContext = client.jetstream(timeout=ANSWER_SECONDS)
        self._view = view
        self._name = view.design.name
        # Of each version one: while one is live, the other may make its rows.
        self._lease = Lease(postgres_url, f"view {self._name} {view.design.version}")
        self._trouble = "starting"
        self._flowed = False
        self._waiting: dict[int, Delivered] = {}
        self._gap_since: tuple[int, float] = (0, 0.0)
        self._checked = 0.0
        self._next_commit = 0.0

    @property
    def carries(self) -> bool:
        """Whether it is this process that carries events to the view."""
        return self._lease.held

    async def ready(self) -> str | None:
        """None while events flow, here or in the process that holds the lease; else what is in the way."""
        if self._lease.held:
            return self._trouble or None
        return self._lease.trouble

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lease.run())
            tasks.create_task(self._carry())

    async def _carry(self) -> None:
        """For ever; whatever goes wrong is told by `ready` and tried again after a pause that grows."""
        pause = SHORTEST_PAUSE_SECONDS
        while not asked_to_end():
            await self._lease.acquired()
            try:
                await self._follow()
            except LeaseOver:
                self._trouble = "starting"
            except (
                ConsumerLost, DesignChanged, LogTooShort, NotPossible, bus.StreamUnfit,
                psycopg.Error, nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError,
            ) as error:  # fmt: skip
                self._in_trouble(error)
            if self._flowed:
                pause, self._flowed = SHORTEST_PAUSE_SECONDS, False
            await self._view.our_turn(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _in_trouble(self, error: Exception) -> None:
        trouble = f"{type(error).__name__}: {error}".strip()
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("feed.trouble", view=self._name, error=trouble)

    def _in_order(self) -> None:
        self._flowed = True
        if self._trouble:
            self._trouble = ""
            log.info("feed.flows", view=self._name, position=self._view.progress.position)

    async def _follow(self) -> None:
        if not self._client.is_connected:
            raise ConsumerLost("not connected")
        await self._prepare()
        async with LogReader(self._postgres_url) as events:
            await bus.declare_stream(self._js, await events.identity())
        await self._bind()
        self._waiting.clear()
        pull = Pull(self._client, subjects.EVENT_STREAM, self._name)
        await pull.open()
        try:
            while not asked_to_end():
                await self._next(pull)
        finally:
            await pull.close()

    async def _prepare(self) -> None:
        """The rows are there and of this code's version; else they are made anew, from the log if it reaches."""
        if await self._view.prepare():
            return
        try:
            await rebuild(self._postgres_url, self._view)
        except LogTooShort as error:
            log.warning("view.not_from_log", view=self._name, error=str(error))
            await start_over(self._view)

    async def _next(self, pull: Pull) -> None:
        if not self._lease.held:
            raise LeaseOver
        await asyncio.sleep(max(0.0, self._next_commit - time.monotonic()))
        messages = await pull.take(LOOK_AGAIN_SECONDS if self._waiting else SILENCE_SECONDS)
        for message in messages:
            position = as_position(message.headers.get(Ce.POSITION))
            if position is None:
                log.warning("feed.foreign_message", view=self._name, bytes=len(message.body))
                await self._client.publish(message.reply, b"+TERM")
            else:
                self._waiting[position] = message
        if self._waiting:
            backlog, began = len(self._waiting) >= BATCH, time.monotonic()
            await self._apply()
            now = time.monotonic()
            self._next_commit = now if backlog else now + rest(now - began, REST_TIMES, SHORTEST_REST_SECONDS)
        elif not messages:
            await self._check()
        if not self._waiting:
            self._in_order()

    async def _apply(self) -> None:
        entries = entries_of(self._waiting, self._view.progress.position)
        position = await self._commit(entries) if entries else await self._view.position()
        failpoints.reached("view.committed")
        await self._acknowledge(position)
        if not self._waiting:
            return
        expected, since = self._gap_since
        if expected != position + 1:
            self._gap_since = (position + 1, time.monotonic())
        elif time.monotonic() - since > GAP_SECONDS:
            self._gap_since = (0, 0.0)
            await self._remake(position)
            raise ConsumerLost(f"position {position + 1} did not come")

    async def _commit(self, entries: list[Entry]) -> int:
        """Tries until the database takes them: order is kept by not going on."""
        pause = SHORTEST_PAUSE_SECONDS
        while not asked_to_end():
            try:
                return await self._view.apply(entries)
            except psycopg.Error as error:
                self._in_trouble(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                if isinstance(error, psycopg.ProgrammingError):
                    # The tables are gone: they are made again, and the consumer with them.
                    raise
        raise asyncio.CancelledError

    async def _acknowledge(self, position: int) -> None:
        """Up to the position, by acknowledging its last message: the policy takes that for all before it."""
        known = [waiting for waiting in self._waiting if waiting <= position]
        messages = {waiting: self._waiting.pop(waiting) for waiting in known}
        if messages:
            await self._client.publish(messages[max(messages)].reply, b"+ACK")

    # ---- the consumer

    async def _bind(self) -> None:
        """There is a consumer, of the shape written here, and not ahead of the view."""
        position = await self._view.position()
        try:
            info = await self._js.consumer_info(subjects.EVENT_STREAM, self._name)
        except nats.js.errors.NotFoundError:
            await self._make(position)
            return
        except (nats.js.errors.APIError, TimeoutError) as error:
            # It is there and nobody leads it, for good when it was lost with the nodes that held it.
            log.warning("consumer.not_led", view=self._name, error=f"{type(error).__name__}: {error}")
            await self._remake(position)
            return
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        # Who carried events before, for this version or another, may still hold some or take the next.
        handed_on = info.num_waiting or info.num_ack_pending
        if handed_on or not same_shape(info) or (await self._position_at(floor) or 0) > position:
            await self._remake(position)

    async def _make(self, position: int) -> None:
        config = consumer_config(self._name)
        # Usually the stream's sequence is the position; where it is not, all of it is read.
        if position and await self._position_at(position + 1) == position + 1:
            config.deliver_policy, config.opt_start_seq = DeliverPolicy.BY_START_SEQUENCE, position + 1
        await self._js.add_consumer(subjects.EVENT_STREAM, config)
        log.info("consumer.made", view=self._name, position=position, start=config.opt_start_seq or 1)

    async def _remake(self, position: int) -> None:
        try:
            await self._js.delete_consumer(subjects.EVENT_STREAM, self._name)
        except nats.js.errors.NotFoundError:
            log.info("consumer.gone_already", view=self._name)
        await self._make(position)

    async def _position_at(self, sequence: int) -> int | None:
        if sequence < 1:
            return None
        try:
            message = await self._js.get_msg(subjects.EVENT_STREAM, sequence)
        except nats.js.errors.NotFoundError:
            return None
        return as_position((message.headers or {}).get(Ce.POSITION))

    async def _check(self) -> None:
        """Nothing comes: is that because there is nothing?"""
        if time.monotonic() - self._checked < CHECK_SECONDS:
            return
        self._checked = time.monotonic()
        position = await self._view.position()
        info = await self._js.consumer_info(subjects.EVENT_STREAM, self._name)
        if info.num_pending or info.num_ack_pending:
            return
        state = (await self._js.stream_info(subjects.EVENT_STREAM)).state
        if (await self._position_at(state.last_seq) or 0) > position:
            await self._remake(position)
            raise ConsumerLost(f"the view stands at {position}, behind all that was acknowledged")


def consumer_config(name: str) -> ConsumerConfig:
    """Acknowledging a message means all before it too; each is redelivered for ever until then."""
    return ConsumerConfig(
        durable_name=name,
        description="Acknowledged is what the view has committed; the view's own position counts.",
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.ALL,
        ack_wait=ACK_WAIT_SECONDS,
        max_deliver=-1,
        max_ack_pending=MAX_ACK_PENDING,
        replay_policy=ReplayPolicy.INSTANT,
    )


def same_shape(info: ConsumerInfo) -> bool:
    ours, theirs = consumer_config(info.name), info.config
    fields = ("ack_policy", "ack_wait", "max_deliver", "max_ack_pending", "replay_policy", "deliver_subject")
    filters = theirs.filter_subject or theirs.filter_subjects
    return not filters and all(getattr(ours, field) == getattr(theirs, field) for field in fields)


def as_position(text: str | None) -> int | None:
    return int(text) if text is not None and POSITION.fullmatch(text) else None


def entries_of(waiting: Mapping[int, Delivered], position: int) -> list[Entry]:
    """What follows the position one by one, decoded."""
    entries: list[Entry] = []
    while message := waiting.get(position := position + 1):
        entries.append(FromBus(position, message.headers, message.body))
    return entries
