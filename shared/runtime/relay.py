"""Every event of the log gets onto the stream: each once, in the order of positions, without holes, again when lost.

Nothing is remembered here. Where to go on is read from the stream's own last message (`ce-position`), again after every
unclear outcome. Events go out in batches: the first of a batch names the sequence that it expects the stream to end
with, each other one the event it expects before it. So of two relays, or of a batch and its own late copy, nothing is
stored out of order or behind a hole. The lease keeps a second relay waiting; it is the fence that makes it harmless.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple, TypeVar

import nats.errors
import psycopg
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import Header
from nats.js.errors import APIError, NotFoundError

from shared.language import subjects
from shared.language.subjects import Ce
from shared.runtime import bus, failpoints, frames
from shared.runtime.codec import Undecodable, id_in_state, stored_to_wire
from shared.runtime.lease import Lease
from shared.runtime.pacing import rest
from shared.runtime.processes.ending import asked_to_end
from shared.runtime.store.log_reader import LogReader, Stored

BATCH_EVENTS = 1_000
BATCH_BYTES = 4_000_000
POLL_SECONDS = 0.25
# The stream is what everybody waits for: it comes sooner than the views.
REST_TIMES = 1.0
SHORTEST_REST_SECONDS = 0.008
STREAM_CHECK_SECONDS = 1.0
LOG_SECONDS = 5.0
STORE_SECONDS = 3.0
# Where nobody leads just now, what is asked is not answered later either: it is asked again.
STREAM_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 1.0
FOREIGN_MESSAGES = 1_000
# What a relay asked for, which the server saw to: without one of these an event is somebody's copy of what was told.
OURS = frozenset({Header.EXPECTED_LAST_SEQUENCE.value, Header.EXPECTED_LAST_MSG_ID.value, "Nats-Batch-Id"})

log = structlog.get_logger(__name__)

T = TypeVar("T")
WireMessage = tuple[str, dict[str, str], bytes]


class RelayStopped(Exception):
    """Publishing on would be wrong: somebody has to look. It is tried again all the same, for when they did."""


class NoLogYet(RelayStopped):
    """Nobody has written here; whose the stream is shows only then."""


class LogBehindStream(RelayStopped):
    """The stream tells of positions that the log has not (yet): the log was restored from an older backup."""


class StreamOfAnotherLog(RelayStopped):
    """At the stream's last position the log has another event: the two do not belong together."""


class LogHasHole(RelayStopped):
    """A position is missing in the log."""


class IdsStillKnown(RelayStopped):
    """The stream has lost events whose ids it still refuses as duplicates; that ends with its duplicate window."""


class StreamStuck(RelayStopped):
    """The stream answers and stores nothing: NATS has no space, or had none once, and is to be started again."""


class Moved(Exception):
    """The stream does not end where it did: somebody else published, or it is another copy of it."""


class Tail(NamedTuple):
    """Where the stream ends: the log's position it bears last (0: none), that event's id, the stream's sequence."""

    position: int
    id: str | None
    sequence: int


class NextEvents:
    """The log in portions that go out as one batch; never waits longer than `LOG_SECONDS`."""

    def __init__(self, postgres_url: str) -> None:
        self._reader = LogReader(postgres_url)
        self._limit = BATCH_EVENTS

    async def after(self, position: int) -> list[Stored]:
        """At most `BATCH_EVENTS` events, of at most `BATCH_BYTES` unless the first alone is larger.

        Raises:
            LogHasHole: the positions do not follow one another.
        """
        found = await self._answer(self._reader.read(position, self._limit))
        if found and found[-1].position != position + len(found):
            raise LogHasHole(f"the log has {len(found)} events after position {position} up to {found[-1].position}")
        fit = _fitting(found)
        # Large events are rare and come in runs: the next step is no larger than what has just proved right.
        self._limit = min(BATCH_EVENTS, self._limit * 2) if fit == len(found) else fit
        return found[:fit]

    async def identity(self) -> str | None:
        """Which log it is; None while no writer has begun one."""
        return await self._answer(self._reader.identity())

    async def end(self) -> int:
        return await self._answer(self._reader.end())

    async def id_at(self, position: int) -> str | None:
        """The id of the event at a position, None when there is none."""
        found = await self._answer(self._reader.read(position - 1, 1))
        return id_in_state(found[0].state) if found and found[0].position == position else None

    async def close(self) -> None:
        await self._reader.close()

    async def _answer(self, asked: Coroutine[None, None, T]) -> T:
        try:
            async with asyncio.timeout(LOG_SECONDS):
                return await asked
        except TimeoutError as error:
            await self._reader.close()
            raise psycopg.OperationalError(f"no answer within {LOG_SECONDS:g} s") from error
        except (psycopg.OperationalError, asyncio.CancelledError):
            await self._reader.close()
            raise


def _fitting(events: Sequence[Stored]) -> int:
    total = 0
    for count, event in enumerate(events):
        total += len(event.state)
        if total > BATCH_BYTES and count:
            return count
    return len(events)


class StreamEnd:
    """The end of the stream of events, to which this process appends; over a connection of its own."""

    def __init__(self, nats_url: str) -> None:
        self._url = nats_url
        self._client: Client | None = None
        self._lost = asyncio.Event()
        self.hinted = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    async def open(self) -> None:
        """Connects, and again when the client has given up for good."""
        if self._client is not None and not self._client.is_closed:
            if self._client.is_connected:
                self._lost.clear()
            return

        async def on_loss() -> None:
            self._lost.set()

        # Nothing may be sent later than it was meant.
        self._client = await bus.connect(self._url, "switchboard-relay-stream", pending_size=0, disconnected_cb=on_loss)
        self._lost.clear()

        async def on_hint(_message: Msg) -> None:
            self.hinted.set()

        await self._client.subscribe(subjects.COMMITTED, cb=on_hint)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

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
        return bus.log_of((await bus.declare_stream(self._js(), log_id)).config) is not None

    async def mark(self, log_id: str) -> None:
        await bus.mark_stream(self._js(), log_id)

    async def delete(self) -> None:
        await self._js().delete_stream(subjects.EVENT_STREAM)

    async def sequence(self) -> int:
        """The stream's last sequence.

        Raises:
            StreamDrifted: it is not as declared any more.
            nats.js.errors.NotFoundError: it is gone.
        """
        info = await self._js().stream_info(subjects.EVENT_STREAM)
        if differences := bus.stream_differences(bus.EVENT_STREAM, info.config):
            raise bus.StreamDrifted(subjects.EVENT_STREAM, differences)
        return info.state.last_seq

    async def tail(self) -> Tail:
        """Where the stream ends now. Messages of somebody else at its end are passed over, with a warning."""
        state = (await self._js().stream_info(subjects.EVENT_STREAM)).state
        oldest = max(state.first_seq, state.last_seq - FOREIGN_MESSAGES)
        for sequence in range(state.last_seq, oldest - 1, -1) if state.messages else ():
            headers = await self._headers_at(sequence)
            position = headers.get(Ce.POSITION, "")
            if (
                headers.get(Ce.SOURCE) == subjects.EVENT_SOURCE
                and position.isdecimal()
                and not OURS.isdisjoint(headers)
            ):
                return Tail(int(position), headers.get(Ce.ID), state.last_seq)
            log.warning("relay.foreign_message", sequence=sequence)
        if state.messages and oldest > state.first_seq:
            raise RelayStopped(f"the last {FOREIGN_MESSAGES} messages of the stream are no events of ours")
        return Tail(0, None, state.last_seq)

    async def append(self, messages: Sequence[WireMessage], tail: Tail) -> Tail:
        """Stores the messages right behind `tail`, each behind the one before it.

        Raises:
            Moved: something else is in the way; some of them may be stored, the first ones without a hole.
            IdsStillKnown: it knows the first one's id already.
            StreamStuck: it has stored none of them, and gives no answer or says that it has no space.
            nats.errors.Error: nobody knows how many are stored; read the tail again.
        """
        client = self._live_client()
        messages[0][1][Header.EXPECTED_LAST_SEQUENCE.value] = str(tail.sequence)
        for (_, before, _), (_, headers, _) in pairwise(messages):
            headers[Header.EXPECTED_LAST_MSG_ID.value] = before[Ce.ID]
        # Only the last asks for an answer: it goes behind its predecessor, which is there only if all before it are.
        written = [frames.frame(subject, body, headers) for subject, headers, body in messages[:-1]]
        if any(len(piece) > client.max_payload for piece in written):
            raise nats.errors.MaxPayloadError
        await frames.send(client, written)
        if written:
            failpoints.reached("relay.partly_sent")
        try:
            await self._all_stored(messages, tail.sequence)
        except nats.errors.TimeoutError as error:
            if await self.sequence() == tail.sequence:
                raise StreamStuck(
                    f"NATS has stored nothing within {STORE_SECONDS:g} s, as when there is no space on its disk, and "
                    "after that until it is restarted: free space, then restart NATS"
                ) from error
            raise
        return Tail(tail.position + len(messages), messages[-1][1][Ce.ID], tail.sequence + len(messages))

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


def _check_stored(answer: dict[str, object], sequence: int) -> None:
    error = answer.get("error")
    if isinstance(error, dict):
        if error.get("err_code") in (bus.WRONG_LAST_SEQUENCE, bus.WRONG_LAST_MESSAGE_ID):
            raise Moved(str(error.get("description")))
        if error.get("err_code") in bus.NO_SPACE:
            raise StreamStuck(
                f"NATS has no space within the limits of its store ({error.get('description')}): raise them, or free "
                "space and restart NATS, which makes them anew from what is free unless they are configured"
            )
        raise APIError.from_error(error)
    if answer.get("duplicate"):
        raise IdsStillKnown("the stream refuses an id that it does not hold, until its duplicate window is over")
    if answer.get("seq") != sequence:
        raise Moved(f"stored at sequence {answer.get('seq')}, not at {sequence}")


class Relay:
    """Carries the log onto the stream while it holds the lease; `run` ends only by cancellation.

    `parts` are conditions of readiness: a relay that waits for another one's lease is ready, and says so in its log.
    """

    def __init__(self, nats_url: str, postgres_url: str) -> None:
        self._log = NextEvents(postgres_url)
        self._stream = StreamEnd(nats_url)
        self._lease = Lease(postgres_url, "relay")
        self._log_trouble: str | None = None
        self._stream_trouble: str | None = None
        self._settled = False
        self._settled_at: Tail | None = None
        self._may_replace = True
        self._next_check = 0.0
        self._failed_at: tuple[Tail, type[RelayStopped]] | None = None
        self._reached: int | None = None
        self.parts: dict[str, Callable[[], Awaitable[str | None]]] = {
            "postgres": self._postgres_ready,
            "stream": self._stream_ready,
            "lease": self._lease_ready,
        }

    @property
    def leads(self) -> bool:
        """Whether it is this process that carries the log."""
        return self._lease.held

    @property
    def position(self) -> int | None:
        """Up to where the log is on the stream; None while another process may know better, or nobody does yet."""
        return self._reached if self.leads else None

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._lease.run())
                tasks.create_task(self._carry())
        finally:
            await self._log.close()
            await self._stream.close()

    async def _carry(self) -> None:
        pause = 0.0
        while not asked_to_end():
            try:
                await self._stream.open()
                if not asked_to_end():
                    if not self._lease.held:
                        self._reached = None
                    await self._lease.acquired()
                    await self._stream.while_connected(self._lead())
            except Moved as moved:
                log.info("relay.stream_moved", what=str(moved))
            except (psycopg.Error, Undecodable, LogHasHole, NoLogYet) as error:
                self._stream_trouble = None
                self._log_trouble = self._told("postgres", self._log_trouble, error)
            except (
                nats.errors.Error,
                bus.StreamUnfit,
                RelayStopped,
                OSError,
                TimeoutError,
            ) as error:
                self._stream_trouble = self._told("stream", self._stream_trouble, error)
            pause = 0.0 if self._settled else min(LONGEST_PAUSE_SECONDS, pause * 2 + 0.05)
            self._settled = False
            await asyncio.sleep(pause)

    async def _lead(self) -> None:
        tail = await self._settle()
        self._reached = tail.position
        while self._lease.held and not asked_to_end():
            self._stream.hinted.clear()
            began = asyncio.get_running_loop().time()
            events = await self._log.after(tail.position)
            self._log_trouble = None
            if events:
                failpoints.reached("relay.read")
                tail = await self._append(events, tail)
                self._reached = tail.position
            self._stream_trouble, self._settled = None, True
            if not events:
                await self._wait(tail)
            elif len(events) < BATCH_EVENTS // 2:
                await asyncio.sleep(rest(asyncio.get_running_loop().time() - began, REST_TIMES, SHORTEST_REST_SECONDS))

    async def _append(self, events: Sequence[Stored], tail: Tail) -> Tail:
        try:
            return await self._stream.append([stored_to_wire(*event) for event in events], tail)
        except (IdsStillKnown, StreamStuck) as trouble:
            # Once at a place it is mostly a late copy of ours that was stored meanwhile: the tail, read again, is then
            # another one. Or it is a disk that is slow, a server that has just woken up.
            failed_at = tail, type(trouble)
            if failed_at == self._failed_at:
                raise
            self._failed_at = failed_at
            raise Moved(str(trouble)) from trouble

    async def _settle(self) -> Tail:
        """Finds out where to go on, and that the stream and the log belong together."""
        log_id = await self._log.identity()
        if log_id is None:
            raise NoLogYet("no writer has begun a log in this database yet")
        marked = await self._declare(log_id)
        tail = await self._stream.tail()
        end = await self._log.end()
        if tail.position > end:
            raise LogBehindStream(
                f"the stream has events up to position {tail.position}, the log ends at {end}: "
                "restore the log, or delete the stream to have it published again"
            )
        if tail.position and await self._log.id_at(tail.position) != tail.id:
            raise StreamOfAnotherLog(
                f"at position {tail.position} the stream has another event than the log: "
                "connect the two that belong together, or delete the stream to have it published again"
            )
        if not marked:
            await self._stream.mark(log_id)
        self._may_replace = False
        if tail != self._settled_at:
            self._settled_at = tail
            log.info("relay.goes_on", after=tail.position, log_end=end)
        return tail

    async def _declare(self, log_id: str) -> bool:
        """Whether the stream says already that it is this log's.

        Another log's is replaced, since it is only an echo of what that database holds; but never by a relay that was
        at work already: of two databases on one NATS the later one is served, and the earlier one says so.
        """
        try:
            return await self._stream.declare(log_id)
        except bus.ForeignStream as foreign:
            if not self._may_replace:
                raise
            log.warning("relay.stream_replaced", why=str(foreign))
            await self._stream.delete()
            return await self._stream.declare(log_id)

    async def _wait(self, tail: Tail) -> None:
        """Returns when the log may have grown; looks after the stream meanwhile.

        Raises:
            Moved: the stream does not end at `tail` any more.
            StreamDrifted: it is not as declared any more.
            nats.js.errors.NotFoundError: it is gone.
        """
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next_check:
            self._next_check = loop.time() + STREAM_CHECK_SECONDS
            sequence = await self._stream.sequence()
            if sequence != tail.sequence:
                raise Moved(f"it ends at sequence {sequence}, not {tail.sequence}")
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._stream.hinted.wait()

    @staticmethod
    def _told(part: str, before: str | None, error: Exception) -> str:
        trouble = f"{type(error).__name__}: {error}"
        if trouble != before:
            log.warning("relay.trouble", part=part, error=trouble)
        return trouble

    async def _postgres_ready(self) -> str | None:
        return self._lease.trouble or (self._log_trouble if self._lease.held else None)

    async def _stream_ready(self) -> str | None:
        if not self._stream.connected:
            return "not connected"
        return self._stream_trouble if self._lease.held else None

    async def _lease_ready(self) -> str | None:
        return None if self._lease.held or self._lease.trouble is None else "no lease can be asked for"
