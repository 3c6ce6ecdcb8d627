"""All messages of the stream of events, for tools that compare them with the log."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, NamedTuple

from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from shared.language import subjects
from shared.messaging.event_stream import log_id_of
from shared.messaging.stream_report import jetstream_at

AT_ONCE: Final = 256
FETCH_SECONDS: Final = 5.0
# The consumer ends by itself when its reader was killed.
INACTIVE_SECONDS: Final = 60.0


class StreamMessage(NamedTuple):
    """A message as the stream has it."""

    sequence: int
    subject: str
    headers: Mapping[str, str]
    body: bytes


class StreamContent(NamedTuple):
    """The id of the log whose events the stream has, how many messages there are, and these."""

    log_id: str | None
    messages: int
    batches: AsyncIterator[Sequence[StreamMessage]]


async def read_stream(url: str) -> AsyncIterator[StreamContent]:
    """Yield the content of the stream once; the connection ends with the iteration.

    Raises:
        StreamMissingError: the stream does not exist.
        NatsUnavailableError: NATS does not answer.
    """
    async with jetstream_at(url) as js:
        info = await js.stream_info(subjects.EVENT_STREAM)
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, inactive_threshold=INACTIVE_SECONDS
        )
        reader = await js.pull_subscribe(subjects.EVENTS, stream=subjects.EVENT_STREAM, config=config)
        last = info.state.last_seq

        async def batches() -> AsyncIterator[Sequence[StreamMessage]]:
            sequence = info.state.first_seq - 1 if info.state.messages else last
            while sequence < last:
                found = await reader.fetch(min(AT_ONCE, last - sequence), timeout=FETCH_SECONDS)
                some = [
                    StreamMessage(one.metadata.sequence.stream, one.subject, one.headers or {}, one.data)
                    for one in found
                ]
                sequence = some[-1].sequence
                yield some

        try:
            yield StreamContent(log_id_of(info.config), info.state.messages, batches())
        finally:
            await reader.unsubscribe()
