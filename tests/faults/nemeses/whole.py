"""All of Switchboard dies or ends at once, and is started again."""

import asyncio
import signal
import time
from contextlib import suppress

import psutil

from tests.faults.nemeses.processes import IS_SERVER, MODULES
from tests.faults.nemeses.target import Fired, Nemesis, Target
from tests.real_servers import still_run, wait_until


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
        return Fired(f"{killed} processes killed", over, {"kill -9": 1, "processes killed with all": killed})


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
