"""Programs run as children of this process: none of them outlives it, even when it is killed."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

_PR_SET_PDEATHSIG = 1
_LOG_BYTES = 10_000_000


@dataclass(frozen=True)
class Program:
    """What to run. `farewell` asks it to end; it is also what it gets when this process dies before it.

    `user` is the system user to run as (only root can choose), `log` a file for its output (None: ours), `environment`
    what is added to ours.
    """

    name: str
    argv: tuple[str, ...]
    farewell: signal.Signals = signal.SIGTERM
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    cwd: Path | None = None
    log: Path | None = None


class Child:
    """One run of a program, in a session of its own: a Ctrl-C at the terminal reaches this process alone."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process = _spawn(program)

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        if self.poll() is None:
            self._process.send_signal(self.program.farewell)

    def kill(self) -> None:
        """Ends it at once, with what it started in its session."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self, seconds: float = 10.0) -> None:
        """Asks it to end, waits that long, then kills it. Blocks."""
        self.ask_to_end()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()


def last_lines(program: Program, count: int = 15) -> str:
    """The end of the program's log, for a message about its failure."""
    if program.log is None or not program.log.exists():
        return ""
    return "\n".join(program.log.read_text(errors="replace").splitlines()[-count:])


def _spawn(program: Program) -> subprocess.Popen[bytes]:
    output = _open_log(program.log) if program.log else None
    try:
        process = subprocess.Popen(  # noqa: S603  programs come from our own modules
            program.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=program.cwd,
            env={**os.environ, **program.environment},
            start_new_session=True,
            preexec_fn=die_with_parent(program.farewell),  # noqa: PLW1509  one system call, after the change of user
            **identity(program.user),
        )
    finally:
        if output is not None:
            os.close(output)
    return process


class Identity(TypedDict, total=False):
    """Keyword arguments of `subprocess`."""

    user: str
    group: str
    extra_groups: list[str]


def identity(user: str | None) -> Identity:
    """What runs a program as `user`; nothing for None."""
    if user is None:
        return {}
    return {"user": user, "group": user, "extra_groups": []}


def _open_log(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".old.log"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def die_with_parent(farewell: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn`: the child gets `farewell` when the thread that started it ends. None where the system cannot."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def in_the_child() -> None:
        prctl(_PR_SET_PDEATHSIG, int(farewell))
        if os.getppid() != parent:
            os.kill(os.getpid(), farewell)

    return in_the_child
