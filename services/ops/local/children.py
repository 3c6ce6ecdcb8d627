"""Programs as children of this process: they end with it, even when it is killed."""

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
    """A program to run. `stop_signal` is the signal that ends it, also when this process dies first.

    Only root can set `user`, the system user to run as. `log` is a file for its output, by default that of this
    process. `environment` is added to that of this process.
    """

    name: str
    argv: tuple[str, ...]
    stop_signal: signal.Signals = signal.SIGTERM
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

    def request_stop(self) -> None:
        if self.poll() is None:
            self._process.send_signal(self.program.stop_signal)

    def kill(self) -> None:
        """Kill it with all processes of its session."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self, seconds: float = 10.0) -> None:
        """Ask it to end, wait up to `seconds`, then kill it. Blocks."""
        self.request_stop()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()


def last_lines(program: Program, count: int = 15) -> str:
    """The last lines of the program's log, for an error message."""
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
            preexec_fn=die_with_parent(program.stop_signal),  # noqa: PLW1509  one system call, after the change of user
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
    """The arguments that run a program as `user`; none for None."""
    if user is None:
        return {}
    return {"user": user, "group": user, "extra_groups": []}


def _open_log(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".old.log"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def die_with_parent(stop_signal: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` that sends `stop_signal` to the child when its starting thread ends; None if unsupported."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def set_parent_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(stop_signal))
        if os.getppid() != parent:
            os.kill(os.getpid(), stop_signal)

    return set_parent_death_signal
