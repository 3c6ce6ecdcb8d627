"""Processes that an earlier run left behind: found by program and folder or argument, then ended."""

import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil


def processes_of(name: str, *, folder: Path | None = None, argument: str | None = None) -> "Iterator[psutil.Process]":
    """Processes of this name; with the folder as their working directory, or the argument on their command line."""
    import psutil

    for process in psutil.process_iter():
        try:
            if (
                process.name() == name
                and (folder is None or process.cwd() == str(folder.resolve()))
                and (argument is None or argument in process.cmdline())
            ):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def end_processes(processes: "Iterable[psutil.Process]", stop_signal: signal.Signals, seconds: float = 10.0) -> None:
    """Send the signal, wait up to `seconds`, then kill. Blocks."""
    import psutil

    running = list(processes)
    for number in (stop_signal, signal.SIGKILL):
        for process in running:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        end = time.monotonic() + seconds
        while (running := [process for process in running if _runs(process)]) and time.monotonic() < end:
            time.sleep(0.02)


def _runs(process: "psutil.Process") -> bool:
    import psutil

    # A zombie holds nothing any more. It stays for ever where the first process reaps no children.
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
