"""Replays as their messages show them: begun, found, paused, stopped and removed by any process."""

from dataclasses import asdict, dataclass
from typing import Any

from services.ops.replay.messages import Progress, started_message
from services.ops.replay.run import ReplayError, Status, ended_in, progress_of, stop
from shared.language.replays import ReplayStarted
from shared.messaging.replay_stream import ReplayMovedError, ReplayStream, StoredMessage
from shared.process import clock, failpoints


@dataclass(frozen=True)
class Replay:
    """A replay: what it began with, its last message, its status, and the process that publishes it."""

    started: ReplayStarted
    last: StoredMessage
    status: Status
    progress: Progress
    process: str | None

    @property
    def fields(self) -> dict[str, Any]:
        """All of it, for scripts."""
        return {
            **self.started.model_dump(mode="json", by_alias=True),
            "status": self.status,
            "process": self.process,
            **asdict(self.progress),
        }


async def begin(stream: ReplayStream, started: ReplayStarted) -> None:
    """Store the first message of a replay.

    Raises:
        ReplayError: there is a replay with this name.
        UnusableStreamError: NATS cannot have the stream, or has no space.
    """
    await stream.declare()
    try:
        await stream.publish(started.replay, [started_message(started, clock.now())], 0)
    except ReplayMovedError as error:
        raise ReplayError(
            f"There is a replay {started.replay} already. Take another name, resume it (`switchboard audit replay "
            f"resume {started.replay}`), or remove it (`… remove {started.replay}`)."
        ) from error
    failpoints.reached("replay.begun")


async def find(stream: ReplayStream, name: str) -> Replay:
    """Return the replay with this name.

    Raises:
        ReplayError: there is none, or this release cannot read its messages.
    """
    first, last = await stream.first(name), await stream.last(name)
    if first is None or last is None:
        raise ReplayError(f"There is no replay {name}: `switchboard audit replay list` shows all.")
    try:
        started = ReplayStarted.model_validate_json(first.body)
        progress = progress_of(started, last)
    except (ValueError, KeyError) as error:
        raise ReplayError(f"The messages of {name} are not those of a replay of this release.") from error
    if (ended := ended_in(last)) is not None:
        return Replay(started, last, Status.FINISHED if ended.complete else Status.STOPPED, progress, None)
    answer = await stream.ask(name, "status")
    # A process that is about to end answers, too.
    if answer is None or answer["status"] != Status.RUNNING:
        return Replay(started, last, Status.PAUSED, progress, None)
    return Replay(started, last, Status.RUNNING, progress, answer["process"])


async def find_all(stream: ReplayStream) -> list[Replay]:
    return [await find(stream, name) for name in await stream.names()]


async def require_free(stream: ReplayStream, name: str) -> Replay:
    """Return the replay when it can be resumed.

    Raises:
        ReplayError: there is none, it has ended, or another process publishes it.
    """
    found = await find(stream, name)
    if found.status is Status.RUNNING:
        raise ReplayError(
            f"The replay {name} is being published by process {found.process}. Pause it there, or with "
            f"`switchboard audit replay pause {name}`."
        )
    if found.status is not Status.PAUSED:
        raise ReplayError(f"The replay {name} is {found.status} already.")
    return found


async def pause(stream: ReplayStream, name: str) -> Replay:
    """Have the process that publishes the replay leave; a replay without one is paused already.

    Raises:
        ReplayError: there is no such replay, or it has ended.
    """
    if await stream.ask(name, Status.PAUSED) is None:
        await require_free(stream, name)
    return await find(stream, name)


async def end(stream: ReplayStream, name: str) -> Replay:
    """Stop the replay for good, whether a process publishes it or not.

    Raises:
        ReplayError: there is no such replay, it has ended, or a process began to publish it meanwhile.
    """
    answer = await stream.ask(name, Status.STOPPED)
    # The process may have been about to pause.
    if answer is None or answer["status"] == Status.PAUSED:
        found = await require_free(stream, name)
        try:
            await stop(stream, found.started, found.last)
        except ReplayMovedError as error:
            raise ReplayError(f"A process publishes {name} again since a moment ago: try again.") from error
    return await find(stream, name)


async def remove(stream: ReplayStream, name: str) -> Replay:
    """Remove all messages of a replay.

    Raises:
        ReplayError: there is no such replay, or a process publishes it.
    """
    found = await find(stream, name)
    if found.status is Status.RUNNING:
        raise ReplayError(f"The replay {name} is being published by process {found.process}: stop it first.")
    await stream.remove(name)
    return found
