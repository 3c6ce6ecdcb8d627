"""Named points at which a test kills a process or moves its clock; an unarmed point costs one comparison with None.

Armed only where `SWITCHBOARD_FAILPOINTS` names a folder. A file in it, called `<point>@<process>` and holding
`<action> [<k> [<seconds>]]`, strikes the k-th time (default 1) that a process of that name reaches the point:

    kill     ends the process as kill -9 does
    jump     moves its wall clock by that many seconds

The process takes the file first: it is then called `….struck` and contains the process id. So one process is struck
once, and its successor is not.
"""

import os
import signal
from pathlib import Path

import structlog

from shared.process import clock

_armed: "_Armed | None" = None

log = structlog.get_logger(__name__)


def arm(folder: Path | None, process: str) -> None:
    """Let this process, by its name, read the folder at every point; never with None."""
    global _armed  # noqa: PLW0603  one process, one name
    _armed = _Armed(folder, process) if folder is not None else None
    if folder is not None:
        log.warning("failpoints.armed", folder=str(folder))


def reached(point: str) -> None:
    """Strike if a test armed this point."""
    if _armed is not None:
        _armed.reached(point)


class _Armed:
    def __init__(self, folder: Path, process: str) -> None:
        self._folder = folder
        self._process = process
        self._times: dict[str, int] = {}

    def reached(self, point: str) -> None:
        token = self._folder / f"{point}@{self._process}"
        try:
            action, times, seconds, *_ = [*token.read_text().split(), "1", "0"]
        except (OSError, ValueError):
            self._times.pop(point, None)
            return
        self._times[point] = self._times.get(point, 0) + 1
        if self._times[point] >= int(times) and self._takes(token):
            del self._times[point]
            _strike(action, float(seconds))

    @staticmethod
    def _takes(token: Path) -> bool:
        """Rename the file; return whether this process was the first."""
        mine = token.with_name(f"{token.name}.{os.getpid()}")
        try:
            token.rename(mine)
        except OSError:
            return False
        mine.write_text(str(os.getpid()))
        mine.rename(token.with_name(f"{token.name}.struck"))
        return True


def _strike(action: str, seconds: float) -> None:
    if action == "jump":
        clock.jump(seconds)
    else:
        os.kill(os.getpid(), signal.SIGKILL)
