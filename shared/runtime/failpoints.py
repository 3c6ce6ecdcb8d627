"""Named points at which a test lets a process die, stand still, fail or lose its clock; unarmed, one look at None each.

Armed only where `SWITCHBOARD_FAILPOINTS` names a folder. A file in it, called `<point>@<process>` and holding
`<action> [<k> [<seconds>]]`, strikes the k-th time (1 when left out) that a process of that name reaches the point:

    kill     ends it as by kill -9
    stop     lets it stand still, as by SIGSTOP
    raise    raises `Failed`
    jump     its wall clock jumps by that many seconds

Whoever strikes takes the file first (it is then called `….struck`, and holds the process id), so that one process is
struck once, and its successor is not.
"""

import os
import signal
from pathlib import Path

from shared.runtime import clock

_armed: "_Armed | None" = None


class Failed(OSError):
    """What a failpoint raises; a kind of error that every loop of the runtime has to survive."""


def arm(folder: Path | None, process: str) -> None:
    """From now on this process, called so, looks into the folder at every point; None: never."""
    global _armed  # noqa: PLW0603  one process, one name
    _armed = _Armed(folder, process) if folder is not None else None


def reached(point: str) -> None:
    """
    Raises:
        Failed: a test armed the point so.
    """
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
            _strike(action, point, float(seconds))

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


def _strike(action: str, point: str, seconds: float) -> None:
    match action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "jump":
            clock.jump(seconds)
        case _:
            raise Failed(f"failpoint {point}")
