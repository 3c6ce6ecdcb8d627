"""The events of Switchboard as they happen, each once and in order, through restarts and the loss of the stream.

A message stands at a place in the stream that is its position or later: the stream is written in the order of
positions, and repeats only make it longer. So reading begins at the place `position + 1`, also in a stream that was
lost and is written again from its start, and whatever has a known position is left out.
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

from shared.client.permissions import Permissions
from shared.language import subjects
from shared.language.recorded import Recorded
from shared.language.subjects import Ce
from shared.runtime.codec import Undecodable, from_wire, stream_told_of

BATCH: Final = 256
POLL_SECONDS: Final = 1.0
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


async def watched(
    client: Client,
    after: int = 0,
    account: str | None = None,
    reader: str | None = None,
    permissions: Permissions | None = None,
) -> AsyncIterator[Told]:
    """Everything after the position, of one account or of all.

    Of all accounts, no position is missing; of one, its events are in order and none is twice. `reader` is what the
    stream's consumer is called, for a user of NATS who may have only that one; of one name only one may read at a time.

    Raises:
        NotAllowed: NATS does not let this user read so; found out only with the connection's `permissions`.
    """
    permissions = permissions or Permissions()
    position = after
    subject = subjects.events_of(account) if account else subjects.EVENTS
    while True:
        refusals = permissions.count
        try:
            async for message in read(client, subject, position + 1, reader):
                told = told_by(message)
                if told is None or told.position <= position:
                    continue
                if account is None and told.position != position + 1:
                    log.warning("watch.gap", position=position, next=told.position)
                    break
                position = told.position
                yield told
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            if client.is_closed:
                raise
            if refused := permissions.since(refusals, *OF_READERS):
                raise refused from error
            log.info("watch.again", position=position, error=type(error).__name__)
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
