"""Processes that die, at random and at named points."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psutil

from services.ops.local.children import die_with_parent
from tests.faults.nemeses.target import Fired, Nemesis, Target, until
from tests.real_servers import ROOT, RunningSwitchboard, still_run, wait_until

MODULES: Final = {
    "connections": "services.connections.app",
    "relay": "services.relay.app",
    "inbox-views": "services.inbox_views.app",
    "routing": "services.routing.app",
    "audit": "services.audit.app",
}
SERVICES: Final = tuple(MODULES)
IS_SERVER: Final[dict[str, Callable[[list[str]], bool]]] = {
    "nats": lambda argv: argv[0].endswith("nats-server"),
    "postgres": lambda argv: argv[0].endswith("postgres"),
}


def part(running: RunningSwitchboard, name: str) -> psutil.Process:
    """The process of one part; of PostgreSQL, the one that started the others.

    Raises:
        psutil.NoSuchProcess: it is not running now.
    """
    for process in psutil.Process(running.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            argv = process.cmdline()
            if argv and (MODULES.get(name) in argv or (name in IS_SERVER and IS_SERVER[name](argv))):
                return process
    raise psutil.NoSuchProcess(0, name)


def is_another(running: RunningSwitchboard, name: str, before: psutil.Process) -> bool:
    try:
        return bool(part(running, name).pid != before.pid)
    except psutil.NoSuchProcess:
        return False


def deaths(running: RunningSwitchboard, name: str) -> list[int | None]:
    """The exit codes with which a part ended unasked, as the launcher told them; negative for a signal."""
    lines = [line for line in running.output().splitlines() if '"part.died"' in line]
    return [told["code"] for told in map(json.loads, lines) if told["part"] == name]


def struck(
    running: RunningSwitchboard, name: str, strike: Callable[[psutil.Process], None], code: int | None = None
) -> int:
    """Strikes a part; returns when it had ended, with that exit code, and another process has its place.

    The monotonic nanosecond of the strike.
    """
    before, told = part(running, name), len(deaths(running, name))
    strike(before)
    over = time.monotonic_ns()
    wait_until(lambda: not still_run([before]), 20, f"{name} to end")
    wait_until(lambda: len(deaths(running, name)) > told, 20, "the end to be noticed")
    found = deaths(running, name)[told]
    assert code is None or found == code, f"{name} ended with {found}, not with {code}"
    wait_until(lambda: is_another(running, name, before), 20, f"{name} to be started again")
    return over


class Killed(Nemesis):
    """kill -9 of one part, at whatever it is doing."""

    def __init__(self, part_name: str) -> None:
        self.name = f"{part_name} is killed"
        self._part = part_name

    async def act(self, target: Target) -> Fired:
        await asyncio.sleep(target.chance.uniform(0.0, 0.3))
        over = await asyncio.to_thread(struck, target.running, self._part, psutil.Process.kill, -signal.SIGKILL)
        return Fired("ended by SIGKILL, and another process took its place", over, {"kill -9": 1})


# ---- at named points

POINTS: Final = (
    ("ledger.decided", "connections"),
    ("ledger.committed", "connections"),
    ("relay.read", "relay"),
    ("relay.partly_sent", "relay"),
    ("relay.stored", "relay"),
    ("view.folded", "inbox-views"),
    ("view.committed", "inbox-views"),
    ("view.folded", "routing"),
    ("view.committed", "routing"),
    ("history.written", "inbox-views"),
    ("history.committed", "routing"),
    ("history.written", "audit"),
    ("index.written", "audit"),
    ("index.committed", "audit"),
    ("evidence.tiles", "audit"),
    ("evidence.head", "audit"),
    ("evidence.signed", "audit"),
    ("evidence.written", "audit"),
    ("evidence.published", "audit"),
)


@contextmanager
def armed(target: Target, point: str, process: str, action: str) -> Iterator[Callable[[], str | None]]:
    """Arms a failpoint once, within the block; what comes tells the id of the process that it struck, None while it
    did not.
    """
    token = target.points / f"{point}@{process}"
    struck_token = token.with_name(f"{token.name}.struck")
    struck_token.unlink(missing_ok=True)
    fresh = token.with_name(f".{token.name}")
    fresh.write_text(action)
    fresh.rename(token)
    try:
        yield lambda: struck_token.read_text() if struck_token.exists() else None
    finally:
        token.unlink(missing_ok=True)


class KilledAt(Nemesis):
    """kill -9 of a service at a named point, some times after it was armed."""

    def __init__(self, point: str, service: str) -> None:
        self.name = f"{service} is killed at {point}"
        self._point, self._service = point, service

    async def act(self, target: Target) -> Fired:
        running, service = target.running, self._service
        before, told = await asyncio.to_thread(part, running, service), len(deaths(running, service))
        # A history and the index write seldom while the log grows fast.
        rests = self._point.startswith(("history.", "index.", "evidence."))
        times = 1 if rests else target.chance.randint(1, 8)
        with armed(target, self._point, service, f"kill {times}") as whom:
            await until(lambda: not still_run([before]), 120 if rests else 30, f"{service} to get to {self._point}")
            over = time.monotonic_ns()
        await until(lambda: len(deaths(running, service)) > told, 20, "the end to be noticed")
        assert deaths(running, service)[told] == -signal.SIGKILL
        assert whom() == str(before.pid), f"{self._point} struck {whom()}, not {before.pid}"
        await until(lambda: is_another(running, service, before), 20, f"{service} to be started again")
        return Fired(f"killed itself at its {times}. time", over, {"kill -9": 1, "named points": 1})


STEPS: Final = (
    ("rebuild", "rebuild.filled"),
    ("switch", "switch.filled"),
    ("switch", "switch.exchanged"),
    ("switch", "switch.committed"),
)


class KilledWhileSwitching(Nemesis):
    """kill -9 of who makes a view's rows anew, before and after each step; then it is done once more, to the end."""

    def __init__(self, verb: str, point: str, view: str) -> None:
        self.name = f"{verb} of {view} is killed at {point}"
        self._verb, self._point, self._view = verb, point, view

    async def act(self, target: Target) -> Fired:
        if self._verb == "switch":
            await self._succeeds(target, "rebuild")
        with armed(target, self._point, f"{self._view} by hand", "kill") as whom:
            code, pid, told = await asyncio.to_thread(self._by_hand, target, self._verb)
            over = time.monotonic_ns()
        assert code == -signal.SIGKILL, f"it ended with {code}:\n{told}"
        assert whom() == str(pid)
        if self._verb == "rebuild" or self._point != "switch.committed":
            await self._succeeds(target, "rebuild")
            await self._succeeds(target, "switch")
        return Fired("killed itself, and was done once more", over, {"kill -9": 1, "named points": 1})

    async def _succeeds(self, target: Target, verb: str) -> None:
        code, _, told = await asyncio.to_thread(self._by_hand, target, verb)
        assert code == 0, f"{verb} ended with {code}:\n{told}"

    def _by_hand(self, target: Target, verb: str) -> tuple[int, int, str]:
        """Exit code, process id and output."""
        arguments = json.dumps({"force": False} if verb == "switch" else {})
        environment = {
            "PYTHONPATH": str(ROOT),
            "SWITCHBOARD_POSTGRES_URL": target.running.postgres_url,
            "SWITCHBOARD_FAILPOINTS": str(target.points),
        }
        process = subprocess.Popen(
            (sys.executable, "-m", MODULES[self._view], "views", verb, arguments),
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509  one system call
        )
        try:
            told, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        return process.returncode, process.pid, told
