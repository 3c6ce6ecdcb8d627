"""Replays as people read them: one, all of them, and the progress of the one that is being published."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from services.ops.audit.layout import WithoutPadding, grid, table
from services.ops.audit.text import time_of
from services.ops.printable import printable
from services.ops.replay.control import Replay
from services.ops.replay.run import LONG_WAIT_SECONDS, ReplayRun, Status
from services.ops.terminal import err, out
from shared.language import subjects
from shared.language.moments import instant
from shared.language.replays import ReplayStarted
from shared.messaging.replay_stream import StreamSize
from shared.process import clock

REFRESH_SECONDS: Final = 0.2
MIB: Final = 2**20


def one(replay: Replay) -> RenderableType:
    """Everything about a replay, label by label."""
    started, progress = replay.started, replay.progress
    rows = [
        ("replay", f"{started.replay}, {replay.status}" + (f", process {replay.process}" if replay.process else "")),
        ("id", started.replay_id),
        ("subjects", subjects.replay(started.replay)),
        ("range", range_in_words(started)),
        ("only", only(started)),
        ("speed", started.speed),
        ("ids", "new ones (--forced)" if started.forced else "those of the events"),
        ("reason", started.reason or ""),
        ("started by", started.started_by),
        ("position", f"{progress.position:,}"),
        ("messages", f"{progress.count:,}"),
        ("unknown", f"{progress.unknown:,} of a type that this release does not know" if progress.unknown else ""),
        ("unreadable", f"{progress.unreadable:,} whose stored bytes are not an event" if progress.unreadable else ""),
        ("digest", progress.digest),
    ]
    return grid((label, printable(text)) for label, text in rows if text)


def all_of(replays: Sequence[Replay], size: StreamSize) -> Iterable[RenderableType]:
    if not replays:
        yield Text("There is no replay.")
        return
    found = table(("Replay", "Status", "Range", "Position", "Messages", "Speed"))
    for replay in replays:
        started, progress = replay.started, replay.progress
        found.add_row(
            Text(started.replay),
            replay.status,
            f"{started.from_:,} to {started.to:,}" if started.to >= started.from_ else "empty",
            f"{progress.position:,}",
            f"{progress.count:,}",
            Text(started.speed),
        )
    yield found
    of = f"{size.bytes / MIB:,.1f} of {size.max_bytes / MIB:,.0f} MiB"
    yield Text(f"{size.messages:,} messages, {of}; removing a replay frees its part", style="dim")


def messages(count: int) -> str:
    return f"{count:,} message{'' if count == 1 else 's'}"


def range_in_words(started: ReplayStarted) -> str:
    if started.to < started.from_:
        return "empty"
    if started.to == started.from_:
        return f"position {started.from_:,}"
    return f"positions {started.from_:,} to {started.to:,}"


def only(started: ReplayStarted) -> str:
    """The filters; empty without any."""
    parts = [f"account {started.account}" if started.account else "", ", ".join(started.types)]
    return "; ".join(filter(None, parts))


def printed(parts: Iterable[RenderableType]) -> None:
    """Wrapped at the width of the terminal, or at 80 columns."""
    for part in parts:
        out.print(WithoutPadding(part), soft_wrap=False, end="")


def announce_wait(position: int, seconds: float) -> None:
    """Say that nothing is published for a while, and until when."""
    at = time_of(clock.written(instant(clock.now()) + timedelta(seconds=seconds)))
    text = f"The next event, position {position:,}, is due in {in_hours(seconds)}, at {at}."
    err.print(Text(text), soft_wrap=True)


def in_hours(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


@contextmanager
def bar(run: ReplayRun, started: ReplayStarted) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal, without the name of the replay, for 80 columns; call the result to update it."""
    columns = (
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}", markup=False),
        TimeElapsedColumn(),
    )
    total = started.to - started.from_ + 1
    with Progress(*columns, console=err, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=max(total, 1), pace="")
        began, before = time.monotonic(), run.progress.count

        def update() -> None:
            rate = (run.progress.count - before) / max(time.monotonic() - began, REFRESH_SECONDS)
            done = run.progress.position - started.from_ + 1
            progress.update(task, completed=done, pace=pace(run, rate))

        yield update


def pace(run: ReplayRun, rate: float) -> str:
    """Messages a second, or what it waits for."""
    if run.trouble:
        return "no answer, retrying"
    if run.waiting_until is not None and (left := run.waiting_until - run.clock.now()) >= LONG_WAIT_SECONDS:
        return f"next in {in_hours(left)}"
    return f"{rate:,.0f} a second"


async def refresh(update: Callable[[], None]) -> None:
    """Bring the bar up to date at intervals: at each message it would cost more than the message."""
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        update()


def summary(replay: Replay) -> str:
    """One line about where a replay is."""
    started, progress = replay.started, replay.progress
    ends: dict[Status, str] = {
        Status.FINISHED: f"Finished: {messages(progress.count)} on {subjects.replay(started.replay)}",
        Status.STOPPED: f"Stopped at position {progress.position:,}, not complete: {messages(progress.count)}.",
        Status.PAUSED: (
            f"Paused at position {progress.position:,} of {started.to:,}, {messages(progress.count)}. Resume it: "
            f"switchboard audit replay resume {started.replay}"
        ),
        Status.RUNNING: f"Process {replay.process} publishes it: position {progress.position:,} of {started.to:,}.",
    }
    return ends[replay.status]
