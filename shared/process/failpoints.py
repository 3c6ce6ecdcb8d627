"""Named points at which a test lets a process die or lose its clock; unarmed, one look at None each.

Armed only where `SWITCHBOARD_FAILPOINTS` names a folder. A file in it, called `<point>@<process>` and holding
`<action> [<k> [<seconds>]]`, strikes the k-th time (1 when left out) that a process of that name reaches the point:

    kill     ends it as by kill -9
    jump     its wall clock jumps by that many seconds

Whoever strikes takes the file first (it is then called `….struck`, and holds the process id), so that one process is
struck once, and its successor is not.
"""

import os
import signal
from pathlib import Path

import structlog

from shared.process import clock

_armed: "_Armed | None" = None

log = structlog.get_logger(__name__)


def arm(folder: Path | None, process: str) -> None:
    """From now on this process, called so, looks into the folder at every point; None: never."""
    global _armed  # noqa: PLW0603  one process, one name
    _armed = _Armed(folder, process) if folder is not None else None
    if folder is not None:
        log.warning("failpoints.armed", folder=str(folder))


def reached(point: str) -> None:
    """The process is at this point; if a test armed it, it strikes now."""
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
        """Whether it is this process that strikes."""
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
