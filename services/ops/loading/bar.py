"""How far a load is, on a terminal: rate, refused and time left, or for how long nothing was answered."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeElapsedColumn

from services.ops.loading.load import Load
from services.ops.loading.place import Place
from services.ops.terminal import err

# Without an answer for so long, that is told instead of a rate.
SILENT_SECONDS: Final = 1.5
LOOK_SECONDS: Final = 0.2
ENDING: Final = "waiting for answers; Ctrl-C again leaves at once"


async def look_again(look: Callable[[bool], None], load: Load) -> None:
    """Not with each answer: to tell the pace costs more than a command. So it shows, too, when no answers come."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        look(load.interrupted)


@contextmanager
def shown(name: str, total: int, place: Place) -> Iterator[Callable[[bool], None]]:
    """Rate, refused and time left, on a terminal, each time that the result is called with whether it is ending."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}", markup=False),
        TextColumn("{task.fields[refused]} refused", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=not sys.stderr.isatty(), refresh_per_second=5) as progress:
        task = progress.add_task(name, total=max(total, 1), completed=place.rows, pace="", refused=place.refused)
        reached_rows, since = place.rows, time.monotonic()

        def look(ending: bool) -> None:
            nonlocal reached_rows, since
            if place.rows > reached_rows:
                reached_rows, since = place.rows, time.monotonic()
            pace = ENDING if ending else pace_of(progress.tasks[0], time.monotonic() - since)
            progress.update(task, completed=place.rows, pace=pace, refused=f"{place.refused:,}")

        yield look


def pace_of(task: Task, silent: float) -> str:
    """How many a second and the time left, or how long nothing was answered, in seconds."""
    if silent > SILENT_SECONDS:
        return f"no answer for {silent:.0f} s, asking again"
    if not task.speed:
        return ""
    left = "" if task.remaining is None else f", {timedelta(seconds=round(task.remaining / task.speed))} left"
    return f"{task.speed:,.0f} a second{left}"
