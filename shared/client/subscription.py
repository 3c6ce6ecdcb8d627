"""The events of Switchboard as they happen, each once and in order, across restarts and the loss of the stream.

A message has a place in the stream that is its position or later: the relay writes the stream in the order of
positions, and repeats only make it longer. Reading therefore starts at the place `position + 1`, also in a stream
that was lost and is written again from its start. Events with a position that was read before are left out.

A position does not say which log it belongs to. The client therefore remembers the ids of the last events and
compares them whenever it starts to read again. Another event at a position that was read before means that the log
was restored from an older backup; `LogChanged` names the last position at which both agree.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from shared.client.errors import ConnectionClosed, LogChanged
from shared.language import subjects
from shared.language.recorded import Recorded
from shared.language.subjects import Ce
from shared.wire.cloud_events import PUBLISHED_BY_RELAY, from_wire, stream_of_subject
from shared.wire.event_body import Undecodable
from shared.wire.frames import breaking
from shared.wire.permissions import PermissionDenied, Permissions

BATCH: Final = 256
POLL_SECONDS: Final = 1.0
# So many of the last events are compared when reading starts again.
REMEMBERED: Final = 256
# The server removes a consumer that has not fetched for so long.
INACTIVE_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.25
# Subjects that a reader of the stream uses, in lower case.
SUBJECTS_OF_READERS: Final = ("$js.", "_inbox.")
READ_ERRORS: Final = (nats.errors.Error, nats.js.errors.Error, TimeoutError)

log = logging.getLogger(__name__)


class ReceivedEvent(NamedTuple):
    """An event as it was delivered.

    Attributes:
        position: its place in the whole log: 1, 2, 3 and so on, without gaps.
        type: its stored name, such as `switchboard.TeamConnected.v1`.
        account: the account that it belongs to.
        recorded: the typed event with its envelope; None for a type that this release does not know.
        headers: the headers of the CloudEvent.
        body: the body of the CloudEvent, JSON in UTF-8.
    """

    position: int
    type: str
    account: str
    recorded: Recorded | None
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The id of the event. Keep it beside the position and pass it as `after_id` to notice a restored log."""
        return self.headers.get(Ce.ID, "")


class RecentEvents:
    """The last events that were read, to compare with the stream when reading starts again."""

    def __init__(self, position: int, event: str | None) -> None:
        self.position = position
        self._ids: dict[int, str] = {position: event} if position and event else {}
        self._comparing = False
        self._same_until: int | None = None

    @property
    def start(self) -> int:
        """The place in the stream to read from."""
        return next(iter(self._ids), self.position + 1)

    def restart(self) -> None:
        self._comparing, self._same_until = bool(self._ids), None

    def contains(self, event: ReceivedEvent) -> bool:
        """Whether the event was read before.

        Raises:
            LogChanged: another event was read at its position.
        """
        if self._comparing and event.position >= self.start and not PUBLISHED_BY_RELAY.isdisjoint(event.headers):
            self._compare(event)
        return event.position <= self.position

    def _compare(self, event: ReceivedEvent) -> None:
        if self._ids.get(event.position) == event.id:
            self._same_until = event.position
            self._comparing = event.position < self.position
            return
        # The event that was read at this position, or at the next one after it, is missing.
        position = next(at for at in self._ids if at >= min(event.position, self.position))
        found = event.id if event.position == position else None
        raise LogChanged(position, self._ids[position], found, self._same_until)

    def add(self, event: ReceivedEvent) -> None:
        self.position = event.position
        self._ids[event.position] = event.id
        if len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]


async def subscribe(
    client: Client,
    after: int = 0,
    account: str | None = None,
    consumer: str | None = None,
    permissions: Permissions | None = None,
    after_id: str | None = None,
) -> AsyncIterator[ReceivedEvent]:
    """Yield every event after a position, of one account or of all, without end.

    Of all accounts no position is missing. Of one account the events are in order and none comes twice.

    Args:
        client: the connection to NATS.
        after: the position of the last event that was processed; 0 to start with the first event.
        account: the account whose events to read; None for all.
        consumer: the name of the JetStream consumer, for a NATS user that may use only that one. Only one reader at a
            time may use a name.
        permissions: the permissions of the connection; without them a denied subject is not noticed.
        after_id: the id of the event at `after`, of the same account if one is given. With it, a log that was restored
            in between and holds another event there is noticed.

    Raises:
        LogChanged: the log was restored from an older backup and holds other events than those read before.
        PermissionDenied: NATS does not let this user read the events.
        ConnectionClosed: the client was closed.
    """
    permissions = permissions or Permissions()
    recent = RecentEvents(after, after_id)
    subject = subjects.events_of(account) if account else subjects.EVENTS
    while True:
        denials = permissions.count
        recent.restart()
        try:
            async for message in read(client, subject, recent.start, consumer):
                event = event_of(message)
                if event is None or recent.contains(event):
                    continue
                if account is None and event.position != recent.position + 1:
                    log.warning("watch.gap", extra={"position": recent.position, "next": event.position})
                    break
                recent.add(event)
                yield event
        except READ_ERRORS as error:
            raise_if_final(client, permissions.since(denials, *SUBJECTS_OF_READERS), error)
            log.info("watch.again", extra={"position": recent.position, "error": type(error).__name__})
        await asyncio.sleep(PAUSE_SECONDS)


def raise_if_final(client: Client, denied: PermissionDenied | None, error: Exception) -> None:
    """Raise what another attempt to read would not mend."""
    if client.is_closed:
        raise ConnectionClosed from error
    if denied is not None:
        raise denied from error


async def read(
    client: Client, subject: str, place: int, consumer: str | None = None, stream: str = subjects.EVENT_STREAM
) -> AsyncIterator[Msg]:
    """Yield the messages of a stream from a place on, until the consumer is gone or a message is missing.

    Nothing is acknowledged, so the server counts messages as delivered that were lost with a connection, and never
    sends them again. The consumer's own sequence shows that; the stream's does not when only one account is read.
    """
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=place,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=INACTIVE_SECONDS,
        mem_storage=True,
    )
    subscription = await bind(client.jetstream(), stream, subject, config, consumer)
    received = 0
    try:
        while True:
            try:
                messages = await subscription.fetch(BATCH, timeout=POLL_SECONDS)
            except nats.errors.TimeoutError:
                # Nothing new, or the consumer is gone (this raises an error then), or the last messages were lost.
                delivered = (await subscription.consumer_info()).delivered
                if delivered is not None and delivered.consumer_seq > received:
                    return
                continue
            for message in messages:
                if message.metadata.sequence.consumer != received + 1:
                    return
                received += 1
                yield message
    finally:
        if client.is_connected:
            with suppress(nats.errors.Error), breaking():
                await subscription.unsubscribe()


async def bind(
    js: JetStreamContext, stream: str, subject: str, config: ConsumerConfig, consumer: str | None
) -> JetStreamContext.PullSubscription:
    if consumer is None:
        return await js.pull_subscribe(subject, stream=stream, config=config)
    with suppress(nats.js.errors.NotFoundError):
        # An existing consumer started elsewhere.
        await js.delete_consumer(stream, consumer)
    await js.add_consumer(stream, config.evolve(name=consumer, filter_subject=subject))
    return await js.pull_subscribe_bind(consumer, stream=stream)


def event_of(message: Msg) -> ReceivedEvent | None:
    """The event in a message; None when Switchboard did not publish it."""
    headers = message.headers or {}
    if not headers.get(Ce.POSITION, "").isdigit():
        return None
    account, type_ = headers.get(Ce.ACCOUNT, ""), headers.get(Ce.TYPE, "")
    aggregate, _, name = headers.get(Ce.SUBJECT, "").partition("/")
    try:
        recorded = from_wire(headers, message.data, stream_of_subject(account, aggregate, name))
    except Undecodable:
        recorded = None
    return ReceivedEvent(int(headers[Ce.POSITION]), type_, account, recorded, headers, message.data)
