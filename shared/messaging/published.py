"""When the stream got events: read from the stream's own messages, near their positions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from shared.language import subjects
from shared.language.subjects import Ce
from shared.process import clock
from shared.wire.frames import breaking

# A stream without other messages needs one, or two when it was published from another position on.
MOST_READS: Final = 8
ANSWER_SECONDS: Final = 2.0
NOT_PUBLISHED: Final = "the stream does not have the event yet"
NOT_FOUND: Final = "the stream does not have the event near its position"


class StreamUnreadableError(Exception):
    """There is no stream, or no answer about it."""


@dataclass(slots=True)
class _Stream:
    """The stream as it was at the first look; `offset` is by how much sequences are ahead of positions."""

    js: JetStreamContext
    first: int
    last: int
    offset: int = 0


async def published_times(
    client: Client, events: Sequence[tuple[int, str]]
) -> tuple[Mapping[int, str], Mapping[int, str]]:
    """Return when the stream got each event, given by position and id, and why the time of the others is not known.

    The times are RFC 3339 in UTC. Where a stream was lost and published again, they are those of its new messages.

    Raises:
        StreamUnreadableError: no time is known, for this reason.
    """
    times: dict[int, str] = {}
    missing: dict[int, str] = {}
    try:
        with breaking():
            js = client.jetstream(timeout=ANSWER_SECONDS)
            state = (await js.stream_info(subjects.EVENT_STREAM)).state
            stream = _Stream(js, state.first_seq, state.last_seq)
            for position, id_ in events:
                found = await _find(stream, position, id_)
                if isinstance(found, RawStreamMsg) and found.time is not None:
                    times[position] = _written(found)
                else:
                    missing[position] = NOT_FOUND if isinstance(found, RawStreamMsg) else found
    except (nats.errors.Error, JetStreamError, TimeoutError, OSError) as error:
        raise StreamUnreadableError(f"the stream cannot be read: {type(error).__name__}") from error
    return times, missing


async def _find(stream: _Stream, position: int, id_: str) -> RawStreamMsg | str:
    """Return the message of an event, or why there is none."""
    sequence = position + stream.offset
    for _ in range(MOST_READS):
        sequence = min(max(sequence, stream.first), stream.last)
        message = await _message(stream.js, sequence)
        if message is None:
            return NOT_FOUND
        headers = message.headers or {}
        if headers.get(Ce.ID) == id_:
            stream.offset = sequence - position
            return message
        found = headers.get(Ce.POSITION, "")
        if not found.isdecimal():
            # Somebody else's message.
            sequence -= 1
        elif int(found) == position:
            return NOT_FOUND
        elif sequence == stream.last and int(found) < position:
            return NOT_PUBLISHED
        else:
            sequence += position - int(found)
    return NOT_FOUND


async def _message(js: JetStreamContext, sequence: int) -> RawStreamMsg | None:
    try:
        return await js.get_msg(subjects.EVENT_STREAM, sequence) if sequence > 0 else None
    except NotFoundError:
        return None


def _written(message: RawStreamMsg) -> str:
    assert message.time is not None, "asked before"
    return clock.written(message.time)
