"""The progress of a load on a terminal: rate, refusals and time left, or how long answers have been missing."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeElapsedColumn

from services.ops.loading.checkpoint import Checkpoint
from services.ops.loading.load import Load
from services.ops.terminal import err

# After this long without an answer, the bar says so instead of a rate.
SILENCE_SECONDS: Final = 1.5
REFRESH_SECONDS: Final = 0.2
STOPPING: Final = "waiting for answers; Ctrl-C again leaves at once"


async def refresh(update: Callable[[bool], None], load: Load) -> None:
    """Update the bar at intervals: per answer it would cost more than the command, and show no missing answers."""
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        update(load.interrupted)


@contextmanager
def show(name: str, total: int, checkpoint: Checkpoint) -> Iterator[Callable[[bool], None]]:
    """Show a bar on a terminal; call the result with whether the load is stopping to update it."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}", markup=False),
        TextColumn("{task.fields[refused]} refused", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=not sys.stderr.isatty(), refresh_per_second=5) as progress:
        task = progress.add_task(
            name, total=max(total, 1), completed=checkpoint.rows, pace="", refused=checkpoint.refused
        )
        last_rows, since = checkpoint.rows, time.monotonic()

        def update(stopping: bool) -> None:
            nonlocal last_rows, since
            if checkpoint.rows > last_rows:
                last_rows, since = checkpoint.rows, time.monotonic()
            text = STOPPING if stopping else throughput_text(progress.tasks[0], time.monotonic() - since)
            progress.update(task, completed=checkpoint.rows, pace=text, refused=f"{checkpoint.refused:,}")

        yield update


def throughput_text(task: Task, silent: float) -> str:
    """Commands a second and the time left, or for how many seconds no answer came."""
    if silent > SILENCE_SECONDS:
        return f"no answer for {silent:.0f} s, retrying"
    if not task.speed:
        return ""
    left = "" if task.remaining is None else f", {timedelta(seconds=round(task.remaining / task.speed))} left"
    return f"{task.speed:,.0f} a second{left}"
