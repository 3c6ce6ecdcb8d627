"""Publisher of the stream: it finds the end and appends events in order, without gaps."""

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
from nats.js.errors import NotFoundError

from services.relay.acknowledgement import require_stored
from services.relay.errors import (
    EventTooLarge,
    RelayStopped,
    StreamOfCopies,
    StreamStuck,
    UnexpectedLastSequence,
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

# A request to a stream without a leader is never answered: it is sent again after this.
STREAM_SECONDS: Final = 2.0
STORE_SECONDS: Final = 3.0
FOREIGN_MESSAGES: Final = 1_000
ADVICE: Final = "delete it with `switchboard streams --delete`, and it is published again from the log"
COPIES: Final = (
    f"the stream holds copies of events that no relay stored there, like a mirror that was promoted: {ADVICE}"
)
FOREIGN: Final = f"the last {FOREIGN_MESSAGES} messages of the stream are not our events: {ADVICE}"

log = structlog.get_logger(__name__)

WireMessage = tuple[str, dict[str, str], bytes]


class Tail(NamedTuple):
    """The end of the stream: the last position of the log (0: none), the id of its event, the stream's sequence."""

    position: int
    id: str | None
    sequence: int


class StreamPublisher:
    """Appends to the stream of events, over a connection of its own."""

    def __init__(self, nats_url: str) -> None:
        self._url = nats_url
        self._client: Client | None = None
        self._lost = asyncio.Event()
        # The creation time and first sequence of the stream when its tail was read.
        self._identity: tuple[object, int] | None = None
        # The creation time and last sequence of a stream that was searched in vain for a message of a relay.
        self._without_ours: tuple[object, int] | None = None
        self._logged_foreign = (0, 0)
        # Position and id of the newest event there that another client stored.
        self.copy: tuple[int, str | None] | None = None
        self.notified = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    @property
    def denials(self) -> int:
        """How many permissions NATS has denied this connection."""
        return permissions.of(self._client).count if self._client else 0

    def denied_since(self, count: int) -> PermissionDenied | None:
        """Return the denied permission that explains a missing answer, if there is one."""
        prefixes = ("$js.api.", "switchboard.event.")
        return permissions.of(self._client).cause(count, *prefixes) if self._client else None

    async def open(self) -> None:
        """Connect, and again when the client was closed."""
        if self._client is not None and not self._client.is_closed:
            if self._client.is_connected:
                self._lost.clear()
            return

        async def on_loss() -> None:
            self._lost.set()

        # Nothing may be sent after a reconnection that was meant for the time before.
        self._client = await connect_to_nats(
            self._url, "switchboard-relay-stream", pending_size=0, disconnected_cb=on_loss
        )
        self._lost.clear()

        async def on_notification(_message: Msg) -> None:
            self.notified.set()

        await self._client.subscribe(subjects.COMMITTED, cb=on_notification)

    async def close(self) -> None:
        if self._client is not None:
            await frames.close(self._client)

    async def while_connected(self, work: Coroutine[None, None, None]) -> None:
        """Do the work; cancel it when the connection is lost, since outstanding answers never arrive.

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
        """Declare the stream; return whether it has the id of its log."""
        return event_stream.log_id_of((await event_stream.declare_stream(self._js(), log_id)).config) is not None

    async def set_log_id(self, log_id: str) -> None:
        await event_stream.set_log_id(self._js(), log_id)

    async def delete(self) -> None:
        await self._js().delete_stream(subjects.EVENT_STREAM)

    async def sequence(self) -> int:
        """Return the last sequence of the stream.

        Raises:
            StreamDrifted: it is not as declared any more.
            nats.js.errors.NotFoundError: it was deleted.
            UnexpectedLastSequence: it is another stream than before, or its first messages were removed.
        """
        info = await self._js().stream_info(subjects.EVENT_STREAM)
        if differences := event_stream.stream_differences(event_stream.configured_stream(), info.config):
            raise event_stream.StreamDrifted(subjects.EVENT_STREAM, differences)
        if self._identity not in (None, (info.created, info.state.first_seq)):
            raise UnexpectedLastSequence("it was created again, or messages were removed")
        return info.state.last_seq

    async def tail(self) -> Tail:
        """Find the end of the stream. Messages of other clients there are skipped, with a warning.

        Raises:
            RelayStopped: there are too many of them to search for ours.
        """
        info = await self._js().stream_info(subjects.EVENT_STREAM)
        state, place = info.state, (info.created, info.state.last_seq)
        self._identity = (info.created, state.first_seq) if state.messages else None
        oldest = max(state.first_seq, state.last_seq - FOREIGN_MESSAGES)
        if not state.messages or place != self._without_ours:
            self.copy = None
        if state.messages and place != self._without_ours:
            for sequence in range(state.last_seq, oldest - 1, -1):
                headers = await self._headers_at(sequence)
                event = _event_in(headers)
                if event and not PUBLISHED_BY_RELAY.isdisjoint(headers):
                    self._log_foreign(state.last_seq - sequence, state.last_seq)
                    return Tail(*event, state.last_seq)
                self.copy = self.copy or event
            self._without_ours = place
            self._log_foreign(state.last_seq - oldest + 1, state.last_seq)
        if state.messages and oldest > state.first_seq:
            raise StreamOfCopies(COPIES) if self.copy else RelayStopped(FOREIGN)
        return Tail(0, None, state.last_seq)

    def _log_foreign(self, count: int, last: int) -> None:
        if count and (count, last) != self._logged_foreign:
            self._logged_foreign = count, last
            log.warning("relay.foreign_messages", count=count, last_sequence=last)

    async def append(self, messages: Sequence[WireMessage], tail: Tail) -> Tail:
        """Store the messages right behind `tail`, each behind its predecessor, up to one that is too large.

        Raises:
            EventTooLarge: it is the first one.
            UnexpectedLastSequence: the stream ends elsewhere; the first messages may be stored, without a gap.
            IdsInDuplicateWindow: it knows the first one's id already.
            StreamStuck: it has stored none, and does not answer or reports that it has no space.
            PermissionDenied: this user may not publish them.
            nats.errors.Error: it is unknown how many are stored; read the tail again.
        """
        client, denials = self._live_client(), self.denials
        expect(messages[0][1], sequence=tail.sequence)
        for (_, before, _), (_, headers, _) in pairwise(messages):
            expect(headers, after=before[Ce.ID])
        messages = await self._fitting_messages(messages)
        # Only the last asks for an answer: it is stored behind its predecessor, which implies all before it.
        rendered = [frames.frame(subject, body, headers) for subject, headers, body in messages[:-1]]
        await frames.send(client, rendered)
        if rendered:
            failpoints.reached("relay.partly_sent")
        try:
            await self._all_stored(messages, tail.sequence)
        except nats.errors.TimeoutError as error:
            if denied := self.denied_since(denials):
                raise denied from error
            if await self.sequence() == tail.sequence:
                raise StreamStuck(
                    f"NATS has stored nothing within {STORE_SECONDS:g} s, as when there is no space on its disk, and "
                    "after that until it is restarted: free space, then restart NATS"
                ) from error
            raise
        return Tail(tail.position + len(messages), messages[-1][1][Ce.ID], tail.sequence + len(messages))

    async def _fitting_messages(self, messages: Sequence[WireMessage]) -> Sequence[WireMessage]:
        """Return the messages before the first one that is too large: NATS would close the connection for it."""
        count = self._count_fitting(messages)
        if not count:
            # The limit may have been raised since.
            await refresh_limit(self._live_client())
            count = self._count_fitting(messages)
        if not count:
            _, headers, body = messages[0]
            raise EventTooLarge(
                f"the event at position {headers[Ce.POSITION]} takes {payload_of(headers, body)} bytes as a message, "
                f"and NATS carries at most {self._live_client().max_payload}: set max_payload to 1MB in NATS's "
                "configuration and reload it"
            )
        return messages[:count]

    def _count_fitting(self, messages: Sequence[WireMessage]) -> int:
        limit = self._live_client().max_payload
        for count, (_, headers, body) in enumerate(messages):
            if len(body) > limit - HEADERS_MARGIN and payload_of(headers, body) > limit:
                return count
        return len(messages)

    async def _all_stored(self, messages: Sequence[WireMessage], after: int) -> None:
        try:
            await self._stored(messages[-1], after + len(messages))
        except UnexpectedLastSequence:
            if len(messages) > 1:
                # The first one alone shows why.
                await self._stored(messages[0], after + 1)
            raise

    async def _stored(self, message: WireMessage, sequence: int) -> None:
        subject, headers, body = message
        answer = await self._live_client().request(subject, body, timeout=STORE_SECONDS, headers=headers)
        failpoints.reached("relay.stored")
        require_stored(json.loads(answer.data), sequence)

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
    """Return position and id of one of our events, stored by any client."""
    position = headers.get(Ce.POSITION, "")
    if headers.get(Ce.SOURCE) != subjects.EVENT_SOURCE or not position.isdecimal():
        return None
    return int(position), headers.get(Ce.ID)
