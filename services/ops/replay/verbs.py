"""The verbs of `switchboard audit replay`: each connects, acts, and prints where the replay is then."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, NoReturn

import typer

from services.ops.postgres_url import postgres_url
from services.ops.replay import control, display
from services.ops.replay.control import Replay
from services.ops.replay.log_range import RangeError, range_of
from services.ops.replay.request import StartRequest
from services.ops.replay.run import ReplayError, ReplayRun, ServersAwayError, Status
from services.ops.replay.speed import Speed, speed_of
from services.ops.terminal import (
    DONE,
    INTERRUPTED,
    NO_ANSWER,
    REFUSED,
    USAGE,
    done,
    err,
    fail,
    out,
    print_json,
    settings,
)
from shared.language.replays import ReplayStarted
from shared.messaging.event_stream import UnusableStreamError
from shared.messaging.replay_stream import (
    ReplayMovedError,
    ReplayStream,
    ReplayStreamFullError,
    SilentProcessError,
    replay_stream,
)
from shared.messaging.stream_report import NatsUnavailableError
from shared.process import failpoints
from shared.process.clock import new_id
from shared.process.log_reader import LogReader
from shared.process.postgres import PostgresError, reason_of

# Of a process that publishes a replay.
PROCESS: Final = "replay"
ENDS: Final = {Status.FINISHED: DONE, Status.STOPPED: REFUSED, Status.PAUSED: INTERRUPTED}
FULL: Final = (
    "The stream of replays is full ({}). Remove one that was read (`switchboard audit replay list`, `… remove NAME`), "
    "or raise SWITCHBOARD_REPLAY_MAX_BYTES; then resume this one."
)

Started = Callable[[ReplayStream, LogReader], Awaitable[ReplayStarted]]


def start(request: StartRequest, url: str | None, postgres: str | None, *, as_json: bool) -> NoReturn:
    async def started(stream: ReplayStream, log: LogReader) -> ReplayStarted:
        found = await _described(request, log)
        await control.begin(stream, found)
        return found

    _publish(started, None, url, postgres, as_json=as_json)


async def _described(request: StartRequest, log: LogReader) -> ReplayStarted:
    log_id = await log.identity()
    if log_id is None:
        raise ReplayError("This PostgreSQL has no event log yet: no writer has started there.")
    bounds = await range_of(log, request.from_, request.to)
    return ReplayStarted(
        replay=request.name,
        replay_id=new_id(),
        log=log_id,
        from_=bounds.first,
        to=bounds.last,
        account=request.account,
        types=request.types,
        speed=str(request.speed),
        forced=request.forced,
        reason=request.reason,
        started_by=request.started_by,
    )


def resume(name: str, speed: Speed | None, url: str | None, postgres: str | None, *, as_json: bool) -> NoReturn:
    async def started(stream: ReplayStream, _log: LogReader) -> ReplayStarted:
        return (await control.require_free(stream, name)).started

    _publish(started, speed, url, postgres, as_json=as_json)


def pause(name: str, url: str | None, *, as_json: bool) -> None:
    _act(control.pause, name, url, as_json=as_json)


def stop(name: str, url: str | None, *, as_json: bool) -> None:
    _act(control.end, name, url, as_json=as_json)


def list_all(url: str | None, *, as_json: bool) -> None:
    async def listed() -> None:
        async with _stream(url, as_json=as_json) as stream:
            replays, size = await control.find_all(stream), await stream.size()
        if as_json:
            print_json({"replays": [replay.fields for replay in replays], **size._asdict()})
        else:
            display.printed(display.all_of(replays, size))

    done(listed())


def show(name: str, url: str | None, *, as_json: bool) -> None:
    async def printed() -> None:
        async with _stream(url, as_json=as_json) as stream:
            replay = await control.find(stream, name)
        if as_json:
            print_json(replay.fields)
        else:
            display.printed([display.one(replay)])

    done(printed())


def remove(name: str, url: str | None, *, as_json: bool) -> None:
    async def removed() -> None:
        async with _stream(url, as_json=as_json) as stream:
            replay = await control.remove(stream, name)
        if as_json:
            print_json({"removed": replay.fields})
        else:
            out.print(f"Removed {name}: {display.messages(replay.progress.count)}.")

    done(removed())


def _act(act: Callable[[ReplayStream, str], Awaitable[Replay]], name: str, url: str | None, *, as_json: bool) -> None:
    async def acted() -> None:
        async with _stream(url, as_json=as_json) as stream:
            _print(await act(stream, name), as_json=as_json)

    done(acted())


def _print(replay: Replay, *, as_json: bool) -> None:
    if as_json:
        print_json(replay.fields)
    else:
        out.print(display.summary(replay), markup=False)


# ---- publishing


def _publish(
    started: Started, speed: Speed | None, url: str | None, postgres: str | None, *, as_json: bool
) -> NoReturn:
    """Publish a replay in this process, print where it is then, and exit accordingly."""
    failpoints.arm(settings().failpoints, PROCESS)
    where = postgres_url(postgres)

    async def published() -> Replay:
        async with _stream(url, as_json=as_json) as stream, LogReader(where) as log:
            found = await started(stream, log)
            await _run(stream, log, found, speed or _speed_of(found), quiet=as_json)
            return await control.find(stream, found.replay)

    replay = done(published())
    _print(replay, as_json=as_json)
    raise typer.Exit(ENDS.get(replay.status, REFUSED))


def _speed_of(started: ReplayStarted) -> Speed:
    try:
        return speed_of(started.speed)
    except ValueError as error:
        raise ReplayError(f"{error}: resume it with --speed.") from error


async def _run(stream: ReplayStream, log: LogReader, started: ReplayStarted, speed: Speed, *, quiet: bool) -> None:
    run = ReplayRun(stream, log, started, speed, display.announce_wait)
    if not quiet:
        err.print(f"{started.replay}: {display.range_in_words(started)}, {speed}; Ctrl-C pauses it.", markup=False)
    async with stream.serve(started.replay, run.answer):
        publishing = asyncio.create_task(run.run())
        interrupt = _Interrupt(run, publishing)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, interrupt)
        with display.bar(run, started) as update:
            refreshing = asyncio.create_task(display.refresh(update))
            try:
                await publishing
            finally:
                refreshing.cancel()


class _Interrupt:
    """Pause; a second time, leave at once. The last message may be stored then, and a resumption finds it."""

    def __init__(self, run: ReplayRun, publishing: "asyncio.Task[Status]") -> None:
        self._run = run
        self._publishing = publishing
        self._again = False

    def __call__(self) -> None:
        if self._again:
            self._publishing.cancel()
        self._again = True
        self._run.ask(Status.PAUSED)


# ---- the stream, and what can be wrong


@asynccontextmanager
async def _stream(url: str | None, *, as_json: bool) -> AsyncIterator[ReplayStream]:
    """The stream of replays; errors end the program with a message and their exit code."""

    def failed(what: str, why: str, code: int) -> NoReturn:
        if as_json:
            print_json({what: why})
        fail(why, code)

    try:
        async with replay_stream(url or settings().nats_url_to_ask()) as stream:
            yield stream
    except RangeError as error:
        failed("refused", str(error), USAGE)
    except ReplayStreamFullError as error:
        failed("refused", FULL.format(error), REFUSED)
    except (ReplayError, UnusableStreamError, ReplayMovedError, SilentProcessError) as error:
        failed("refused", str(error), REFUSED)
    except ServersAwayError as error:
        failed("no_answer", f"No answer any more: {error}. Resume the replay when it is back.", NO_ANSWER)
    except NatsUnavailableError as error:
        failed("no_answer", f"{error}. Is Switchboard running (`switchboard run`)?", NO_ANSWER)
    except PostgresError as error:
        failed("no_answer", f"No PostgreSQL: {reason_of(error)}. Name it with --postgres.", NO_ANSWER)
