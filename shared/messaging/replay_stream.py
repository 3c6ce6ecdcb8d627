"""The stream of replays: ranges of the event log that are published again, for consumers that ask for them.

The messages of a replay are its whole state. The first one has what was asked for, the last one how far it came. Each
is stored only right behind the one before it of the same replay. So of two processes that publish the same replay one
is refused, and nothing is stored twice or behind a gap.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeVar

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RawStreamMsg, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError
from nats.js.errors import Error as JetStreamError

from shared.language import subjects
from shared.language.subjects import Ce
from shared.messaging.event_stream import (
    NO_SPACE,
    STREAM_FULL,
    WRONG_LAST_MESSAGE_ID,
    WRONG_LAST_SEQUENCE,
    UnusableStreamError,
    explained,
    require_new,
    stream_differences,
)
from shared.messaging.message_size import payload_of, refresh_limit
from shared.messaging.stream_report import NatsUnavailableError
from shared.process import failpoints
from shared.process.settings import Settings
from shared.process.urls import without_password
from shared.wire import frames, permissions
from shared.wire.connection import connect_to_nats
from shared.wire.identity import Identity
from shared.wire.permissions import Permissions, user_of

CONNECT_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 3.0
# The process of a replay answers after the message that it is publishing.
REQUEST_SECONDS: Final = 5.0
# 10164 is `wrong last sequence` of newer servers, without the sequence.
MOVED: Final = frozenset({WRONG_LAST_SEQUENCE, WRONG_LAST_MESSAGE_ID, 10164})
STARTS: Final = subjects.replayed("*", "*", "replay", "ReplayStarted")

# Replays stay until they are removed. A full stream refuses messages: consumers would not notice that the oldest ones
# of a replay were dropped. Single messages cannot be deleted.
REPLAY_STREAM: Final = StreamConfig(
    name=subjects.REPLAY_STREAM,
    description="Ranges of the event log, published again for consumers; removed by `switchboard audit replay remove`.",
    subjects=[subjects.REPLAYS],
    storage=StorageType.FILE,
    retention=RetentionPolicy.LIMITS,
    discard=DiscardPolicy.NEW,
    max_age=0,
    max_msgs=-1,
    max_msgs_per_subject=-1,
    max_msg_size=-1,
    deny_delete=True,
    deny_purge=False,
    allow_rollup_hdrs=False,
    allow_direct=False,
)

# More than the expectations of a message take.
EXPECTATIONS_BYTES: Final = 256

T = TypeVar("T")
WireMessage = tuple[str, dict[str, str], bytes]


class ReplayMovedError(Exception):
    """The replay does not end where it did: another process published it, or an earlier message arrived late."""


class SilentProcessError(Exception):
    """A process publishes the replay and does not answer: it hangs, or its network is cut."""


class ReplayStreamFullError(UnusableStreamError):
    """The stream of replays has as many bytes as it may, or NATS has no space."""


class MessageTooLargeError(UnusableStreamError):
    """The next message of a replay is larger than a message of this NATS may be."""


class StoredMessage(NamedTuple):
    """A message of the stream: its sequence there, and what was published."""

    sequence: int
    subject: str
    headers: Mapping[str, str]
    body: bytes


class StreamSize(NamedTuple):
    """How many messages and bytes the stream has, and how many bytes it may have."""

    messages: int
    bytes: int
    max_bytes: int


def configured_replay_stream() -> StreamConfig:
    """Return the declaration of the stream with the values of the settings."""
    settings = Settings()
    return REPLAY_STREAM.evolve(
        max_bytes=settings.replay_max_bytes,
        num_replicas=settings.stream_replicas,
        duplicate_window=settings.duplicate_window_seconds,
    )


@asynccontextmanager
async def replay_stream(url: str) -> AsyncIterator["ReplayStream"]:
    """Connect to NATS; the connection is restored by itself when it is lost.

    Raises:
        NatsUnavailableError: there is no NATS, or it rejects the credentials.
    """
    options = Identity.from_environment().nats_options()
    denials = Permissions(user_of(options, url), options["inbox_prefix"], process=None)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            # Nothing may be sent after a reconnection that was meant for the time before.
            client = await connect_to_nats(url, "switchboard-replay", denials, pending_size=0, **options)
    except (nats.errors.Error, OSError, TimeoutError) as error:
        cause = str(error) or denials.last_error or "no answer"
        raise NatsUnavailableError(f"No NATS at {without_password(url)}: {cause}") from error
    try:
        yield ReplayStream(client)
    finally:
        await frames.close(client)


class ReplayStream:
    """The stream of replays over a connection of its own.

    Raises, from every method:
        NatsUnavailableError: NATS did not answer; what was sent may have been stored.
        PermissionDenied: NATS does not let this user do it.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def declare(self) -> None:
        """Create the stream, or change it to the settings.

        Raises:
            ServerTooOld: this NATS cannot have such a stream.
            LimitTooLow: the account or the server does not allow it.
        """
        require_new(self._client)
        declared = configured_replay_stream()
        await self._answered(self._declare(self._client.jetstream(timeout=ANSWER_SECONDS), declared))

    @staticmethod
    async def _declare(js: JetStreamContext, declared: StreamConfig) -> None:
        try:
            try:
                found = (await js.stream_info(subjects.REPLAY_STREAM)).config
            except NotFoundError:
                await js.add_stream(declared)
            else:
                changed = {field: getattr(declared, field) for field in stream_differences(declared, found)}
                if (found.num_replicas or 1) < (declared.num_replicas or 1):
                    changed["num_replicas"] = declared.num_replicas
                if changed:
                    await js.update_stream(found.evolve(**changed))
        except APIError as error:
            raise explained(error, "the stream of replays") from error

    async def first(self, replay: str) -> StoredMessage | None:
        """Return the first message of a replay; None where there is no such replay."""
        return await self._message(seq=1, subject=subjects.replay(replay), next=True)

    async def last(self, replay: str) -> StoredMessage | None:
        """Return the last message of a replay; None where there is no such replay."""
        return await self._message(subject=subjects.replay(replay))

    async def _message(self, **which: Any) -> StoredMessage | None:
        js = self._client.jetstream(timeout=ANSWER_SECONDS)
        try:
            found: RawStreamMsg = await self._answered(js.get_msg(subjects.REPLAY_STREAM, **which))
        except NotFoundError:
            return None
        return StoredMessage(found.seq or 0, found.subject or "", found.headers or {}, found.data or b"")

    async def publish(self, replay: str, messages: Sequence[WireMessage], after: int) -> int:
        """Store messages behind the last one of their replay; return the sequence of the last of them in the stream.

        The first names the last message of the replay, each other one the message before it. Where another replay comes
        between two of them, the rest is refused, and has to be published again behind what was stored.

        Args:
            replay: the name of the replay.
            messages: subject, headers and body of each.
            after: the sequence of the last message of the replay; 0 when there is none yet.

        Raises:
            ReplayMovedError: the replay ends elsewhere; the first of the messages may be stored, without a gap.
            ReplayStreamFullError: there is no space.
            MessageTooLargeError: NATS carries no message of this size.
        """
        await self._require_fitting(messages)
        first = self._expecting(replay, messages[0], after)
        others = [_behind(before, message) for before, message in pairwise(messages)]
        return await self._answered(self._publish([first, *others]))

    async def _publish(self, messages: Sequence[WireMessage]) -> int:
        # Only the last asks for an answer: it is stored behind its predecessor, which implies all before it.
        rendered = [frames.frame(subject, body, headers) for subject, headers, body in messages[:-1]]
        await frames.send(self._client, rendered)
        if rendered:
            failpoints.reached("replay.partly_sent")
        subject, headers, body = messages[-1]
        answer = json.loads((await self._client.request(subject, body, timeout=ANSWER_SECONDS, headers=headers)).data)
        if error := answer.get("error"):
            raise _explained(error)
        if answer.get("duplicate"):
            raise ReplayMovedError("the message is stored already")
        return int(answer["seq"])

    @staticmethod
    def _expecting(replay: str, message: WireMessage, after: int) -> WireMessage:
        subject, headers, body = message
        expectations = {
            subjects.EXPECTED_SUBJECT_SEQUENCE: str(after),
            subjects.EXPECTED_SUBJECT: subjects.replay(replay),
        }
        return subject, headers | expectations, body

    async def _require_fitting(self, messages: Sequence[WireMessage]) -> None:
        for _, headers, body in messages:
            size = payload_of(headers, body) + EXPECTATIONS_BYTES
            if size > self._client.max_payload:
                # The limit may have been raised since.
                await refresh_limit(self._client)
            if size > self._client.max_payload:
                raise MessageTooLargeError(
                    f"The event at position {headers.get(Ce.POSITION)} takes {size:,} bytes as a message, and NATS "
                    f"carries at most {self._client.max_payload:,}: raise max_payload in its configuration"
                )

    async def names(self) -> list[str]:
        """Return the names of all replays, in the order of the alphabet."""
        js = self._client.jetstream(timeout=ANSWER_SECONDS)
        try:
            info = await self._answered(js.stream_info(subjects.REPLAY_STREAM, STARTS))
        except NotFoundError:
            return []
        return sorted(subject.split(".")[3] for subject in info.state.subjects or {})

    async def size(self) -> StreamSize:
        """Return the size of the stream; there is none before the first replay."""
        js = self._client.jetstream(timeout=ANSWER_SECONDS)
        try:
            info = await self._answered(js.stream_info(subjects.REPLAY_STREAM))
        except NotFoundError:
            return StreamSize(0, 0, Settings().replay_max_bytes)
        return StreamSize(info.state.messages, info.state.bytes, info.config.max_bytes or 0)

    async def remove(self, replay: str) -> None:
        """Remove all messages of a replay."""
        js = self._client.jetstream(timeout=ANSWER_SECONDS)
        await self._answered(js.purge_stream(subjects.REPLAY_STREAM, subject=subjects.replay(replay)))

    # ---- the process that publishes a replay

    @asynccontextmanager
    async def serve(self, replay: str, answer: Callable[[str], Awaitable[Mapping[str, Any]]]) -> AsyncIterator[None]:
        """Answer requests about a replay; at the end, those received before get their answers, too."""

        async def on_request(message: Msg) -> None:
            body = await answer(message.data.decode(errors="replace"))
            await message.respond(json.dumps(body).encode())

        subscription = await self._client.subscribe(subjects.replaying(replay), cb=on_request)
        await self._answered(self._client.flush())
        try:
            yield
        finally:
            with suppress(nats.errors.Error):
                await frames.drain(self._client, subscription)

    async def ask(self, replay: str, verb: str) -> dict[str, Any] | None:
        """Ask the process that publishes a replay; None where there is no such process.

        Raises:
            SilentProcessError: there is one, and it does not answer.
        """
        return await self._answered(self._ask(replay, verb))

    async def _ask(self, replay: str, verb: str) -> dict[str, Any] | None:
        subject, denials = subjects.replaying(replay), permissions.of(self._client).count
        try:
            answer = await self._client.request(subject, verb.encode(), timeout=REQUEST_SECONDS)
        except nats.errors.NoRespondersError:
            return None
        except TimeoutError as error:
            if not self._client.is_connected or permissions.of(self._client).count > denials:
                raise
            raise SilentProcessError(
                f"A process that publishes {replay} does not answer. End it; NATS forgets one that it cannot reach "
                "within minutes."
            ) from error
        found: dict[str, Any] = json.loads(answer.data)
        return found

    async def _answered(self, request: Coroutine[Any, Any, T]) -> T:
        """Wait for an answer of NATS, and raise why there is none."""
        denials = permissions.of(self._client)
        before = denials.count
        try:
            with frames.breaking():
                return await request
        except (NotFoundError, ReplayMovedError, UnusableStreamError, NatsUnavailableError):
            raise
        except (nats.errors.Error, JetStreamError, TimeoutError) as error:
            if denied := denials.cause(before, "$js.", "switchboard."):
                raise denied from error
            raise NatsUnavailableError(f"JetStream does not answer: {error or type(error).__name__}") from error


def _behind(before: WireMessage, message: WireMessage) -> WireMessage:
    """Return the message with the expectation that the stream ends with the other one."""
    subject, headers, body = message
    return subject, headers | {subjects.EXPECTED_MESSAGE_ID: before[1][subjects.MESSAGE_ID]}, body


def _explained(error: Mapping[str, Any]) -> Exception:
    """Return the error for the answer to a message that was not stored."""
    text = str(error.get("description"))
    if error.get("err_code") in MOVED:
        return ReplayMovedError(text)
    if error.get("err_code") in NO_SPACE | {STREAM_FULL}:
        return ReplayStreamFullError(text)
    return NatsUnavailableError(f"JetStream refused a message: {text}")
