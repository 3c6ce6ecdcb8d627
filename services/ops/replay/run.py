"""One process that publishes a replay: from its last message on, until its end, or until it is to pause or stop.

It keeps no state. The last message of the replay says where to go on, and is read again after every unclear outcome.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from enum import StrEnum
from typing import Any, Final

from services.ops.replay.messages import Message, Progress, ended_message, of_event, progress_in
from services.ops.replay.speed import Pacer, Speed
from shared.language import subjects
from shared.language.replays import ReplayEnded, ReplayStarted
from shared.language.subjects import Ce
from shared.messaging.replay_stream import ReplayMovedError, ReplayStream, StoredMessage
from shared.messaging.stream_report import NatsUnavailableError
from shared.process import clock, failpoints
from shared.process.log_reader import LogReader, StoredEvent
from shared.process.postgres import PostgresUnavailable, reason_of
from shared.wire.backoff import Backoff

BATCH_EVENTS: Final = 256
# Messages that are due are sent together, up to so many.
GROUP_MESSAGES: Final = 64
GROUP_BYTES: Final = 1_000_000
READ_SECONDS: Final = 10.0
# How long it tries again without an answer of a server before it leaves.
PATIENCE_SECONDS: Final = 30.0
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 2.0
# A longer wait for the next message is announced.
LONG_WAIT_SECONDS: Final = 10.0


class Status(StrEnum):
    """`paused`: it is not finished, and no process publishes it."""

    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"


class ReplayError(Exception):
    """The replay cannot go on; the message says why and what to do."""


class ServersAwayError(Exception):
    """NATS or PostgreSQL did not answer for so long that the process leaves; the replay can be resumed."""


class Clock:
    """The time of this process in seconds, and waiting; tests have another one."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Return after so many seconds, or once the event is set."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()


class ReplayRun:
    """Publishes the replay that `started` describes; `progress` is how far it is.

    `waiting_until` is the time on its clock at which the next message is due, while it waits for that.
    """

    def __init__(
        self,
        stream: ReplayStream,
        log: LogReader,
        started: ReplayStarted,
        speed: Speed,
        on_wait: Callable[[int, float], None] = lambda _position, _seconds: None,
        timer: Clock | None = None,
    ) -> None:
        self._stream = stream
        self._log = log
        self._started = started
        self._pacer = Pacer(speed)
        self._on_wait = on_wait
        self.clock = timer or Clock()
        self._id = clock.new_id()
        # The last message known to be stored; None before the first look at the stream.
        self._sequence: int | None = None
        self._paced = 0
        self._due = 0.0
        self._window = GROUP_MESSAGES
        self._wish: Status | None = None
        self._wished = asyncio.Event()
        self._left = asyncio.Event()
        self._answered_at = 0.0
        self.progress = Progress(started.from_ - 1)
        self.status = Status.RUNNING
        self.waiting_until: float | None = None
        self.trouble = ""

    def ask(self, wish: Status) -> None:
        """Have it leave before the next message: paused, or stopped with a last message that says so."""
        self._wish = self._wish or wish
        self._wished.set()

    async def answer(self, verb: str) -> Mapping[str, Any]:
        """Answer another process that asks for the status, or has this one pause or stop."""
        if verb in (Status.PAUSED, Status.STOPPED):
            self.ask(Status(verb))
            await self._left.wait()
        return {"status": self.status, "process": f"{os.getpid()} on {socket.gethostname()}", **self.fields}

    @property
    def fields(self) -> dict[str, Any]:
        return asdict(self.progress)

    async def run(self) -> Status:
        """Publish the rest; return how it ended.

        Raises:
            ReplayError: it cannot go on.
            ServersAwayError: a server did not answer for `PATIENCE_SECONDS`.
            UnusableStreamError: there is no space for more.
            PermissionDenied: NATS does not let this user publish.
        """
        backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._answered_at = self.clock.now()
        try:
            while True:
                before = self._sequence
                try:
                    self.status = await self._publish()
                    return self.status
                except ReplayMovedError:
                    # The last message, read again, says who stored it. Another replay between ours leaves a part over.
                    self._window = max(1, self._window // 2)
                    if self._sequence != before:
                        continue
                except (NatsUnavailableError, PostgresUnavailable, TimeoutError) as error:
                    self.trouble = reason_of(error)
                    await self._log.close()
                    if self.clock.now() - self._answered_at > PATIENCE_SECONDS:
                        raise ServersAwayError(self.trouble) from error
                if self._wish is Status.PAUSED:
                    self.status = Status.PAUSED
                    return self.status
                if self._sequence != before:
                    backoff.reset()
                await self.clock.wait(asyncio.Event(), backoff.next())
        finally:
            if self.status is Status.RUNNING:
                self.status = Status.PAUSED
            self._left.set()

    async def _publish(self) -> Status:
        if (ended := await self._find_place()) is not None:
            return ended
        while self.progress.position < self._started.to:
            events = await self._read()
            failpoints.reached("replay.read")
            if not await self._publish_events(events):
                return await self._leave()
            # Of an account with few events, nothing is published for a while.
            self._note_answer()
        failpoints.reached("replay.published")
        await self._store([ended_message(self._started, self.progress, clock.now(), complete=True)], self.progress)
        failpoints.reached("replay.ended")
        return Status.FINISHED

    async def _publish_events(self, events: Sequence[StoredEvent]) -> bool:
        """Publish those that are part of the replay, in groups of messages that are due; False when asked to leave."""
        group: list[Message] = []
        ahead = self.progress
        for stored in events:
            made = of_event(self._started, stored, ahead)
            if made is None:
                ahead = replace(ahead, position=stored.position)
                continue
            if group and (self._is_full(group) or self._seconds_until_due(stored) > 0):
                await self._store(group, ahead)
                group = []
            await self._wait_until_due(stored)
            if self._wish is not None:
                break
            message, ahead = made
            group.append(message)
        if group:
            await self._store(group, ahead)
        self.progress = ahead
        return self._wish is None

    def _is_full(self, group: Sequence[Message]) -> bool:
        return len(group) >= self._window or sum(len(body) for _, _, body in group) >= GROUP_BYTES

    async def _leave(self) -> Status:
        if self._wish is Status.STOPPED:
            await self._store([ended_message(self._started, self.progress, clock.now(), complete=False)], self.progress)
            return Status.STOPPED
        return Status.PAUSED

    async def _find_place(self) -> Status | None:
        """Read the last message of the replay, to go on behind it; return how it has ended, if this process ended it.

        Raises:
            ReplayError: the replay was removed, has ended, is published by another process, or is of another log.
        """
        last = await self._stream.last(self._started.replay)
        if last is None:
            raise ReplayError(f"The replay {self._started.replay} was removed.")
        ours = last.headers.get(subjects.REPLAY_RUN) == self._id
        if self._sequence not in (None, last.sequence) and not ours:
            raise ReplayError(f"Another process has published messages of {self._started.replay} meanwhile.")
        if last.headers.get(Ce.REPLAY_ID) != self._started.replay_id:
            raise ReplayError(f"The replay {self._started.replay} was removed, and another one has its name.")
        self._sequence = last.sequence
        self.progress = progress_of(self._started, last)
        if (ended := ended_in(last)) is not None:
            if not ours:
                raise ReplayError(f"The replay {self._started.replay} has ended already.")
            return Status.FINISHED if ended.complete else Status.STOPPED
        await self._require_log(last)
        self._note_answer()
        return None

    async def _require_log(self, last: StoredMessage) -> None:
        async with asyncio.timeout(READ_SECONDS):
            if await self._log.identity() != self._started.log:
                raise ReplayError("This PostgreSQL has another log than the replay began with.")
            event = last.headers.get(Ce.REPLAY_OF) or last.headers.get(Ce.ID)
            of_an_event = Ce.STREAM_VERSION in last.headers
            if of_an_event and event != await self._log.id_at(self.progress.position):
                raise ReplayError(
                    f"At position {self.progress.position:,} the log has another event than the one published: it was "
                    "restored from a backup. Remove the replay and start again."
                )

    async def _read(self) -> Sequence[StoredEvent]:
        """Read the next events of the range.

        Raises:
            ReplayError: the log lacks one of them.
        """
        after, left = self.progress.position, self._started.to - self.progress.position
        async with asyncio.timeout(READ_SECONDS):
            events = await self._log.read(after, min(BATCH_EVENTS, left))
        if not events or events[-1].position != after + len(events):
            raise ReplayError(
                f"The log lacks an event between position {after:,} and {self._started.to:,}: it is damaged, or was "
                "restored from a backup. `switchboard audit verify` says more."
            )
        return events

    def _seconds_until_due(self, stored: StoredEvent) -> float:
        """An event that was due before, in an attempt that failed, is due now."""
        if stored.position > self._paced:
            self._paced = stored.position
            self._due = self._pacer.due(self.clock.now(), stored.time)
        return self._due - self.clock.now() if stored.position == self._paced else 0.0

    async def _wait_until_due(self, stored: StoredEvent) -> None:
        seconds = self._seconds_until_due(stored)
        if seconds <= 0:
            return
        if seconds >= LONG_WAIT_SECONDS:
            self._on_wait(stored.position, seconds)
        self.waiting_until = self._due
        await self.clock.wait(self._wished, seconds)
        self.waiting_until = None
        self._note_answer()

    async def _store(self, group: Sequence[Message], progress: Progress) -> None:
        """Store messages; `progress` is the one behind them."""
        marked = [(subject, headers | {subjects.REPLAY_RUN: self._id}, body) for subject, headers, body in group]
        self._sequence = await self._stream.publish(self._started.replay, marked, self._sequence or 0)
        failpoints.reached("replay.stored")
        self.progress = progress
        self._window = min(self._window + 1, GROUP_MESSAGES)
        self._note_answer()

    def _note_answer(self) -> None:
        self._answered_at = self.clock.now()
        self.trouble = ""


def progress_of(started: ReplayStarted, last: StoredMessage) -> Progress:
    """Return how far a replay is, by its last message."""
    if last.headers.get(Ce.TYPE) == ReplayStarted.stored_name():
        return Progress(started.from_ - 1)
    if (ended := ended_in(last)) is not None:
        return Progress(ended.position, ended.count, ended.digest, ended.unknown, ended.unreadable)
    return progress_in(last.headers)


def ended_in(last: StoredMessage) -> ReplayEnded | None:
    """Return the last message of a replay that has ended; None for another message."""
    if last.headers.get(Ce.TYPE) != ReplayEnded.stored_name():
        return None
    return ReplayEnded.model_validate_json(last.body)


async def stop(stream: ReplayStream, started: ReplayStarted, last: StoredMessage) -> Progress:
    """End a replay that no process publishes, with a last message that says that it is not complete.

    Raises:
        ReplayMovedError: a process publishes it after all.
    """
    progress = progress_of(started, last)
    message = ended_message(started, progress, clock.now(), complete=False)
    await stream.publish(started.replay, [message], last.sequence)
    return progress
