"""The end of the stream of events: where it is, and how events get behind it in order and without holes."""

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from services.relay.errors import (
    EventTooLarge,
    IdsStillKnown,
    Moved,
    RelayStopped,
    StreamFull,
    StreamOfCopies,
    StreamStuck,
)
from shared.language import subjects
from shared.language.subjects import Ce
from shared.messaging import event_stream
from shared.messaging.message_size import HEADERS_MARGIN, expect, payload_of, refresh_limit
from shared.process import failpoints
from shared.wire import frames, permissions
from shared.wire.cloud_events import PUBLISHED_BY_RELAY
from shared.wire.connection import connect_to_nats
from shared.wire.permissions import PermissionDenied

STORE_SECONDS: Final = 3.0
# Where nobody leads just now, what is asked is not answered later either: it is asked again.
STREAM_SECONDS: Final = 2.0
FOREIGN_MESSAGES: Final = 1_000
ANEW: Final = "delete it with `switchboard streams --delete`, and it is published again from the log"
COPIES: Final = f"the stream holds copies of events that no relay stored there, as a mirror that was promoted: {ANEW}"
STRANGE: Final = f"the last {FOREIGN_MESSAGES} messages of the stream are no events of ours: {ANEW}"

log = structlog.get_logger(__name__)

WireMessage = tuple[str, dict[str, str], bytes]


class Tail(NamedTuple):
    """Where the stream ends: the log's position it bears last (0: none), that event's id, the stream's sequence."""

    position: int
    id: str | None
    sequence: int


class StreamEnd:
    """The end of the stream of events, to which this process appends; over a connection of its own."""

    def __init__(self, nats_url: str) -> None:
        self._url = nats_url
        self._client: Client | None = None
        self._lost = asyncio.Event()
        # Which stream, and from where on, it was when its tail was read.
        self._known: tuple[object, int] | None = None
        # Which stream, and up to where, has no message of a relay's where it was looked for.
        self._none_of_ours: tuple[object, int] | None = None
        self._told_foreign = (0, 0)
        # Position and id of the newest event on such a stream that somebody else stored.
        self.copy: tuple[int, str | None] | None = None
        self.hinted = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    @property
    def refusals(self) -> int:
        """How often NATS has refused something to this connection."""
        return permissions.of(self._client).count if self._client else 0

    def refused_since(self, count: int) -> PermissionDenied | None:
        """Why nobody answered: NATS does not allow what was asked for since, or to hear answers."""
        asked = ("$js.api.", "switchboard.event.")
        return permissions.of(self._client).cause(count, *asked) if self._client else None

    async def open(self) -> None:
        """Connects, and again when the client has given up for good."""
        if self._client is not None and not self._client.is_closed:
            if self._client.is_connected:
                self._lost.clear()
            return

        async def on_loss() -> None:
            self._lost.set()

        # Nothing may be sent later than it was meant.
        self._client = await connect_to_nats(
            self._url, "switchboard-relay-stream", pending_size=0, disconnected_cb=on_loss
        )
        self._lost.clear()

        async def on_hint(_message: Msg) -> None:
            self.hinted.set()

        await self._client.subscribe(subjects.COMMITTED, cb=on_hint)

    async def close(self) -> None:
        if self._client is not None:
            await frames.close(self._client)

    async def while_connected(self, work: Coroutine[None, None, None]) -> None:
        """Does the work; ends it when the connection is lost, since answers under way will never come.

        Raises:
            nats.errors.ConnectionReconnectingError: the connection was lost.
        """
        working, lost = asyncio.create_task(work), asyncio.create_task(self._lost.wait())
        try:
            await asyncio.wait({working, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise nats.errors.ConnectionReconnectingError
            await working
        finally:
            working.cancel()
            lost.cancel()
            await asyncio.wait({working, lost})

    async def declare(self, log_id: str | None = None) -> bool:
        """Whether the stream says that it is this log's."""
        return event_stream.log_id_of((await event_stream.declare_stream(self._js(), log_id)).config) is not None

    async def mark(self, log_id: str) -> None:
        await event_stream.set_log_id(self._js(), log_id)

    async def delete(self) -> None:
        await self._js().delete_stream(subjects.EVENT_STREAM)

    async def sequence(self) -> int:
        """The stream's last sequence.

        Raises:
            StreamDrifted: it is not as declared any more.
            nats.js.errors.NotFoundError: it is gone.
            Moved: it is another one than that whose tail was read, or has lost its beginning.
        """
        info = await self._js().stream_info(subjects.EVENT_STREAM)
        if differences := event_stream.stream_differences(event_stream.configured_stream(), info.config):
            raise event_stream.StreamDrifted(subjects.EVENT_STREAM, differences)
        if self._known not in (None, (info.created, info.state.first_seq)):
            raise Moved("it was made anew, or messages were removed")
        return info.state.last_seq

    async def tail(self) -> Tail:
        """Where the stream ends now. Messages of somebody else at its end are passed over, with a warning.

        Raises:
            RelayStopped: there are so many of them that ours are not looked for.
        """
        info = await self._js().stream_info(subjects.EVENT_STREAM)
        state, place = info.state, (info.created, info.state.last_seq)
        self._known = (info.created, state.first_seq) if state.messages else None
        oldest = max(state.first_seq, state.last_seq - FOREIGN_MESSAGES)
        if not state.messages or place != self._none_of_ours:
            self.copy = None
        if state.messages and place != self._none_of_ours:
            for sequence in range(state.last_seq, oldest - 1, -1):
                headers = await self._headers_at(sequence)
                event = _event_in(headers)
                if event and not PUBLISHED_BY_RELAY.isdisjoint(headers):
                    self._tell_foreign(state.last_seq - sequence, state.last_seq)
                    return Tail(*event, state.last_seq)
                self.copy = self.copy or event
            self._none_of_ours = place
            self._tell_foreign(state.last_seq - oldest + 1, state.last_seq)
        if state.messages and oldest > state.first_seq:
            raise StreamOfCopies(COPIES) if self.copy else RelayStopped(STRANGE)
        return Tail(0, None, state.last_seq)

    def _tell_foreign(self, count: int, last: int) -> None:
        if count and (count, last) != self._told_foreign:
            self._told_foreign = count, last
            log.warning("relay.foreign_messages", count=count, last_sequence=last)

    async def append(self, messages: Sequence[WireMessage], tail: Tail) -> Tail:
        """Stores the messages right behind `tail`, each behind the one before it, up to one that NATS does not carry.

        Raises:
            EventTooLarge: it is the first one.
            Moved: something else is in the way; some of them may be stored, the first ones without a hole.
            IdsStillKnown: it knows the first one's id already.
            StreamStuck: it has stored none of them, and gives no answer or says that it has no space.
            PermissionDenied: NATS lets this user store none.
            nats.errors.Error: nobody knows how many are stored; read the tail again.
        """
        client, refusals = self._live_client(), self.refusals
        expect(messages[0][1], sequence=tail.sequence)
        for (_, before, _), (_, headers, _) in pairwise(messages):
            expect(headers, after=before[Ce.ID])
        messages = await self._carried(messages)
        # Only the last asks for an answer: it goes behind its predecessor, which is there only if all before it are.
        written = [frames.frame(subject, body, headers) for subject, headers, body in messages[:-1]]
        await frames.send(client, written)
        if written:
            failpoints.reached("relay.partly_sent")
        try:
            await self._all_stored(messages, tail.sequence)
        except nats.errors.TimeoutError as error:
            if refused := self.refused_since(refusals):
                raise refused from error
            if await self.sequence() == tail.sequence:
                raise StreamStuck(
                    f"NATS has stored nothing within {STORE_SECONDS:g} s, as when there is no space on its disk, and "
                    "after that until it is restarted: free space, then restart NATS"
                ) from error
            raise
        return Tail(tail.position + len(messages), messages[-1][1][Ce.ID], tail.sequence + len(messages))

    async def _carried(self, messages: Sequence[WireMessage]) -> Sequence[WireMessage]:
        """Those before the first one that is too large: for it NATS would end the connection."""
        count = self._fitting(messages)
        if not count:
            # It may have been raised since.
            await refresh_limit(self._live_client())
            count = self._fitting(messages)
        if not count:
            _, headers, body = messages[0]
            raise EventTooLarge(
                f"the event at position {headers[Ce.POSITION]} takes {payload_of(headers, body)} bytes as a message, "
                f"and NATS carries at most {self._live_client().max_payload}: set max_payload to 1MB in NATS's "
                "configuration and reload it"
            )
        return messages[:count]

    def _fitting(self, messages: Sequence[WireMessage]) -> int:
        limit = self._live_client().max_payload
        for count, (_, headers, body) in enumerate(messages):
            if len(body) > limit - HEADERS_MARGIN and payload_of(headers, body) > limit:
                return count
        return len(messages)

    async def _all_stored(self, messages: Sequence[WireMessage], after: int) -> None:
        try:
            await self._stored(messages[-1], after + len(messages))
        except Moved:
            if len(messages) > 1:
                # The first one, asked about alone, tells what is in the way.
                await self._stored(messages[0], after + 1)
            raise

    async def _stored(self, message: WireMessage, sequence: int) -> None:
        subject, headers, body = message
        answer = await self._live_client().request(subject, body, timeout=STORE_SECONDS, headers=headers)
        failpoints.reached("relay.stored")
        _check_stored(json.loads(answer.data), sequence)

    async def _headers_at(self, sequence: int) -> dict[str, str]:
        try:
            message = await self._js().get_msg(subjects.EVENT_STREAM, sequence)
        except NotFoundError:
            return {}
        return message.headers or {}

    def _js(self) -> JetStreamContext:
        return self._live_client().jetstream(timeout=STREAM_SECONDS)

    def _live_client(self) -> Client:
        if self._client is None or not self._client.is_connected:
            raise nats.errors.ConnectionReconnectingError
        return self._client


def _event_in(headers: Mapping[str, str]) -> tuple[int, str | None] | None:
    """Position and id of an event of ours, whoever stored it."""
    position = headers.get(Ce.POSITION, "")
    if headers.get(Ce.SOURCE) != subjects.EVENT_SOURCE or not position.isdecimal():
        return None
    return int(position), headers.get(Ce.ID)


def _check_stored(answer: dict[str, object], sequence: int) -> None:
    error = answer.get("error")
    if isinstance(error, dict):
        if error.get("err_code") in (event_stream.WRONG_LAST_SEQUENCE, event_stream.WRONG_LAST_MESSAGE_ID):
            raise Moved(str(error.get("description")))
        if error.get("err_code") in event_stream.NO_SPACE:
            raise StreamStuck(
                f"NATS has no space within the limits of its store ({error.get('description')}): raise them, or free "
                "space and restart NATS, which makes them anew from what is free unless they are configured"
            )
        if error.get("err_code") == event_stream.STREAM_FULL:
            raise StreamFull(
                "the stream has as many bytes as it may: raise SWITCHBOARD_STREAM_MAX_BYTES, for all services, and "
                "restart the relay"
            )
        raise APIError.from_error(error)
    if answer.get("duplicate"):
        raise IdsStillKnown("the stream refuses an id that it does not hold, until its duplicate window is over")
    if answer.get("seq") != sequence:
        raise Moved(f"stored at sequence {answer.get('seq')}, not at {sequence}")
