"""Processes that die, at random and at named points, or stand still for longer than every lease."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import psutil

from shared.runtime.children import Child, Program
from shared.runtime.lease import LEASE_SECONDS
from tests.faults.nemeses.target import Fired, Nemesis, Target, bus, the_stream_grows, until
from tests.real_servers import ROOT, RunningSwitchboard, free_port, still_run, wait_until

MODULES: Final = {
    "connections": "services.connections.app",
    "relay": "services.relay.app",
    "inbox-views": "services.inbox_views.app",
    "routing": "services.routing.app",
}
SERVICES: Final = tuple(MODULES)
IS_SERVER: Final[dict[str, Callable[[list[str]], bool]]] = {
    "nats": lambda argv: argv[0].endswith("nats-server"),
    "postgres": lambda argv: argv[0].endswith("postgres"),
}
LONGER_THAN_A_LEASE: Final = LEASE_SECONDS + 1.0


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
)


def armed(target: Target, point: str, process: str, action: str) -> Callable[[], str | None]:
    """Arms a failpoint once; what is returned tells the id of the process that it struck, None while it did not."""
    token = target.points / f"{point}@{process}"
    struck_token = token.with_name(f"{token.name}.struck")
    struck_token.unlink(missing_ok=True)
    fresh = token.with_name(f".{token.name}")
    fresh.write_text(action)
    fresh.rename(token)
    return lambda: struck_token.read_text() if struck_token.exists() else None


class KilledAt(Nemesis):
    """kill -9 of a service at a named point, some times after it was armed."""

    def __init__(self, point: str, service: str) -> None:
        self.name = f"{service} is killed at {point}"
        self._point, self._service = point, service

    async def act(self, target: Target) -> Fired:
        running, service = target.running, self._service
        before, told = await asyncio.to_thread(part, running, service), len(deaths(running, service))
        times = target.chance.randint(1, 8)
        whom = armed(target, self._point, service, f"kill {times}")
        await until(lambda: not still_run([before]), 30, f"{service} to get to {self._point}")
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
        whom = armed(target, self._point, f"{self._view} by hand", "kill")
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
        )
        told, _ = process.communicate(timeout=60)
        return process.returncode, process.pid, told


# ---- that stand still


class Stopped(Nemesis):
    """SIGSTOP of one part for longer than every lease; it wakes up with old things to do."""

    def __init__(self, part_name: str, seconds: float = LONGER_THAN_A_LEASE) -> None:
        self.name = f"{part_name} stands still"
        self._part, self._seconds = part_name, seconds

    async def act(self, target: Target) -> Fired:
        process = await asyncio.to_thread(part, target.running, self._part)
        process.suspend()
        try:
            await until(lambda: bool(process.status() == psutil.STATUS_STOPPED), 5, f"{self._part} to stand still")
            await asyncio.sleep(self._seconds)
            assert process.status() == psutil.STATUS_STOPPED
        finally:
            process.resume()
        over = time.monotonic_ns()
        await until(lambda: bool(process.status() != psutil.STATUS_STOPPED), 5, f"{self._part} to wake up")
        return Fired(f"stood still for {self._seconds:g} s", over, {"SIGSTOP": 1})


class Relieved(Nemesis):
    """SIGSTOP of a service beside a second process of it, which does the work until the first one wakes up."""

    def __init__(self, service: str) -> None:
        self.name = f"{service} stands still and is relieved"
        self._service = service

    async def act(self, target: Target) -> Fired:
        async with another(target.running, self._service) as second, bus(target) as wire:
            first = await asyncio.to_thread(part, target.running, self._service)
            first.suspend()
            try:
                await until(lambda: bool(first.status() == psutil.STATUS_STOPPED), 5, f"{self._service} to stand still")
                await asyncio.sleep(LONGER_THAN_A_LEASE)
                await the_stream_grows(wire, 20)
                assert first.status() == psutil.STATUS_STOPPED
            finally:
                first.resume()
            over = time.monotonic_ns()
            await target.log_grows(20)
            assert second.poll() is None
        return Fired("stood still while another worked", over, {"SIGSTOP": 1})


@asynccontextmanager
async def another(running: RunningSwitchboard, name: str) -> AsyncIterator[Child]:
    """A second process of a service, beside the launcher's, that is ready."""
    port = free_port()
    environment = {
        "PYTHONPATH": str(ROOT),
        "SWITCHBOARD_NATS_URL": running.nats_url,
        "SWITCHBOARD_POSTGRES_URL": running.postgres_url,
        "SWITCHBOARD_HTTP_PORT": str(port),
    }
    argv = (sys.executable, "-m", MODULES[name])
    log = running.data_dir / f"{name}-2.log"
    child = Child(Program(f"{name}-2", argv, environment=environment, cwd=ROOT, log=log))
    try:
        await asyncio.to_thread(wait_until, lambda: answers_ready(port), 20, f"a second {name} to be ready")
        yield child
    finally:
        await asyncio.to_thread(child.stop)


def answers_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


# ---- all of it


class LauncherKilled(Nemesis):
    """kill -9 of the launcher: nothing that it started outlives it, and all of it is started again."""

    name = "the launcher is killed"

    async def act(self, target: Target) -> Fired:
        def strike() -> int:
            running = target.running
            processes = running.processes()
            running.process.kill()
            code = running.process.wait()
            assert code == -signal.SIGKILL
            wait_until(lambda: not still_run(processes), 30, "everything to end")
            over = time.monotonic_ns()
            running.start()
            return over

        return Fired("ended by SIGKILL, all its processes with it", await asyncio.to_thread(strike), {"kill -9": 1})


class EverythingKilled(Nemesis):
    """As by the power cord, but for the disk."""

    name = "everything is killed"

    async def act(self, target: Target) -> Fired:
        def strike() -> tuple[int, int]:
            running = target.running
            processes = running.processes()
            for process in processes:
                with suppress(psutil.NoSuchProcess):  # PostgreSQL's sessions come and go
                    process.kill()
            running.process.wait()
            wait_until(lambda: not still_run(processes), 20, "everything to end")
            over = time.monotonic_ns()
            running.start()
            return over, len(processes)

        over, killed = await asyncio.to_thread(strike)
        assert killed > len(MODULES) + len(IS_SERVER)
        return Fired(f"{killed} processes killed", over, {"kill -9": killed})


class StoppedAndStarted(Nemesis):
    """A clean stop under load leaves no process."""

    name = "everything is stopped and started"

    async def act(self, target: Target) -> Fired:
        def strike() -> int:
            running = target.running
            processes = running.processes()
            assert len(processes) > len(MODULES) + len(IS_SERVER)
            assert running.stop() == 0
            assert still_run(processes) == []
            over = time.monotonic_ns()
            running.start()
            return over

        return Fired("ended with code 0 and left no process", await asyncio.to_thread(strike))
