"""The events of Switchboard as they happen, each once and in order, through restarts and the loss of the stream.

A message stands at a place in the stream that is its position or later: the stream is written in the order of
positions, and repeats only make it longer. So reading begins at the place `position + 1`, also in a stream that was
lost and is written again from its start, and whatever has a known position is left out.

A position says nothing of which log it counts in. So the ids of the last events are remembered, and read once more
whenever reading begins again: another event at a position that was read before means that the log was restored from an
older backup, and is an error that says how far both are the same.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from shared.language import subjects
from shared.language.recorded import Recorded
from shared.language.subjects import Ce
from shared.messaging import bus
from shared.messaging.cloud_events import from_wire, stream_told_of
from shared.messaging.frames import breaking
from shared.messaging.permissions import Permissions
from shared.process.stored_events import Undecodable

BATCH: Final = 256
POLL_SECONDS: Final = 1.0
# So many of the last events are read once more when reading begins again.
REMEMBERED: Final = 256
# The server forgets a reader that has not asked for so long.
FORGOTTEN_SECONDS: Final = 60.0
AGAIN_SECONDS: Final = 0.25
# What NATS is asked for by readers, in small letters.
OF_READERS: Final = ("$js.", "_inbox.")

log = structlog.get_logger(__name__)


class Told(NamedTuple):
    """An event as it was told. `recorded` is None when its type is not known to this release."""

    position: int
    type: str
    account: str
    recorded: Recorded | None
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The event's id. Keep it beside the position: `events(after=position, after_id=id)` notices another log."""
        return self.headers.get(Ce.ID, "")


class LogChanged(Exception):
    """At a position that was read before, the log holds another event: it was restored from an older backup.

    `position` is the first such position, `known` the id that was read there, `found` the one that is there now, None
    when that is not known. `same_until` is the last position at which both are known to be the same, None when none is.
    """

    def __init__(self, position: int, known: str, found: str | None, same_until: int | None) -> None:
        cure = (
            "Forget what you made of events and read again from the start, with after=0."
            if same_until is None
            else f"Forget what you made of events after position {same_until}, and read on with after={same_until}."
        )
        super().__init__(
            f"At position {position} the log no longer holds the event {known}: it was restored from an older backup. "
            f"{cure}"
        )
        self.position = position
        self.known = known
        self.found = found
        self.same_until = same_until


class Remembered:
    """The last events that were read, to be compared when reading begins again."""

    def __init__(self, position: int, event: str | None) -> None:
        self.position = position
        self._ids: dict[int, str] = {position: event} if position and event else {}
        self._behind = False
        self._same_until: int | None = None

    @property
    def place(self) -> int:
        """From where in the stream to read."""
        return next(iter(self._ids), self.position + 1)

    def begin_again(self) -> None:
        self._behind, self._same_until = bool(self._ids), None

    def known(self, told: Told) -> bool:
        """Whether the event was read before.

        Raises:
            LogChanged: another one was.
        """
        if self._behind and told.position >= self.place and not bus.BY_RELAY.isdisjoint(told.headers):
            self._compare(told)
        return told.position <= self.position

    def _compare(self, told: Told) -> None:
        if self._ids.get(told.position) == told.id:
            self._same_until = told.position
            self._behind = told.position < self.position
            return
        # What was read there, or next after it, was passed over.
        position = next(at for at in self._ids if at >= min(told.position, self.position))
        found = told.id if told.position == position else None
        raise LogChanged(position, self._ids[position], found, self._same_until)

    def add(self, told: Told) -> None:
        self.position = told.position
        self._ids[told.position] = told.id
        if len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]


async def watched(
    client: Client,
    after: int = 0,
    account: str | None = None,
    reader: str | None = None,
    permissions: Permissions | None = None,
    after_id: str | None = None,
) -> AsyncIterator[Told]:
    """Everything after the position, of one account or of all.

    `after_id` is the id of the event at `after`, of the same account if it is one: with it, a log that was restored
    since and holds another event there is noticed. Without it, only what is read here is.

    Of all accounts, no position is missing; of one, its events are in order and none is twice. `reader` is what the
    stream's consumer is called, for a user of NATS who may have only that one; of one name only one may read at a time.

    Raises:
        LogChanged: the log was restored from an older backup, and holds other events than those that were read.
        NotAllowed: NATS does not let this user read so; found out only with the connection's `permissions`.
    """
    permissions = permissions or Permissions()
    remembered = Remembered(after, after_id)
    subject = subjects.events_of(account) if account else subjects.EVENTS
    while True:
        refusals = permissions.count
        remembered.begin_again()
        try:
            async for message in read(client, subject, remembered.place, reader):
                told = told_by(message)
                if told is None or remembered.known(told):
                    continue
                if account is None and told.position != remembered.position + 1:
                    log.warning("watch.gap", position=remembered.position, next=told.position)
                    break
                remembered.add(told)
                yield told
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            if client.is_closed:
                raise
            if refused := permissions.since(refusals, *OF_READERS):
                raise refused from error
            log.info("watch.again", position=remembered.position, error=type(error).__name__)
        await asyncio.sleep(AGAIN_SECONDS)


async def read(client: Client, subject: str, place: int, reader: str | None = None) -> AsyncIterator[Msg]:
    """Messages of the stream from a place on, while its reader lives and none is missing.

    Nothing is acknowledged, so what was on its way when a connection broke counts as told, and never comes again: the
    reader's own numbers show that, those of the stream do not where only one account is read.
    """
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=place,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=FORGOTTEN_SECONDS,
        mem_storage=True,
    )
    subscription = await subscribed(client.jetstream(), subject, config, reader)
    heard = 0
    try:
        while True:
            try:
                messages = await subscription.fetch(BATCH, timeout=POLL_SECONDS)
            except nats.errors.TimeoutError:
                # Nothing new, or nobody there any more (this raises when it is so), or the last ones were lost.
                delivered = (await subscription.consumer_info()).delivered
                if delivered is not None and delivered.consumer_seq > heard:
                    return
                continue
            for message in messages:
                if message.metadata.sequence.consumer != heard + 1:
                    return
                heard += 1
                yield message
    finally:
        if client.is_connected:
            with suppress(nats.errors.Error), breaking():
                await subscription.unsubscribe()


async def subscribed(
    js: JetStreamContext, subject: str, config: ConsumerConfig, reader: str | None
) -> JetStreamContext.PullSubscription:
    if reader is None:
        return await js.pull_subscribe(subject, stream=subjects.EVENT_STREAM, config=config)
    with suppress(nats.js.errors.NotFoundError):
        # It began elsewhere.
        await js.delete_consumer(subjects.EVENT_STREAM, reader)
    await js.add_consumer(subjects.EVENT_STREAM, config.evolve(name=reader, filter_subject=subject))
    return await js.pull_subscribe_bind(reader, stream=subjects.EVENT_STREAM)


def told_by(message: Msg) -> Told | None:
    """None for what is no event of Switchboard's."""
    headers = message.headers or {}
    if not headers.get(Ce.POSITION, "").isdigit():
        return None
    account, type_ = headers.get(Ce.ACCOUNT, ""), headers.get(Ce.TYPE, "")
    aggregate, _, name = headers.get(Ce.SUBJECT, "").partition("/")
    try:
        recorded = from_wire(headers, message.data, stream_told_of(account, aggregate, name))
    except Undecodable:
        recorded = None
    return Told(int(headers[Ce.POSITION]), type_, account, recorded, headers, message.data)
