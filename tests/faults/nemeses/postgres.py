"""PostgreSQL dies, is stopped at once, ends sessions, stands still; the reply to COMMIT is cut."""

import asyncio
import signal
import time

import psutil

from tests.faults.nemeses.processes import struck
from tests.faults.nemeses.standing_still import LONGER_THAN_A_LEASE
from tests.faults.nemeses.target import Fired, Nemesis, Target, until

WRITER = "switchboard"
APPENDS = "%connections.append(%"


class PostgresKilled(Nemesis):
    """kill -9 of the postmaster: its sessions find out by themselves."""

    name = "PostgreSQL is killed"

    async def act(self, target: Target) -> Fired:
        return await _restarted(target, signal.SIGKILL)


class PostgresStoppedAtOnce(Nemesis):
    """As by `pg_ctl restart -m immediate`: no session ends cleanly, the database recovers from its log."""

    name = "PostgreSQL is stopped at once"

    async def act(self, target: Target) -> Fired:
        return await _restarted(target, signal.SIGQUIT)


async def _restarted(target: Target, signal_: signal.Signals) -> Fired:
    before = recoveries(target)
    over = await asyncio.to_thread(struck, target.running, "postgres", lambda process: process.send_signal(signal_))
    await until(lambda: recoveries(target) > before, 20, "PostgreSQL to recover")
    counts = {"PostgreSQL restarts": 1, "kill -9": int(signal_ == signal.SIGKILL)}
    return Fired(f"ended by {signal_.name}, and recovered from its log", over, counts)


def recoveries(target: Target) -> int:
    log = target.log("postgres")
    return log.count("database system was not properly shut down") + log.count("all server processes terminated")


class BackendKilled(Nemesis):
    """kill -9 of the writer's session: PostgreSQL ends all sessions and recovers, as it does when one crashes."""

    name = "a backend of PostgreSQL is killed"

    async def act(self, target: Target) -> Fired:
        before = recoveries(target)
        pid = await writers_backend(target)
        psutil.Process(pid).kill()
        over = time.monotonic_ns()
        await until(lambda: recoveries(target) > before, 20, "PostgreSQL to notice")
        assert f"(PID {pid}) was terminated by signal 9" in target.log("postgres")
        return Fired("terminated by signal 9, all sessions with it", over, {"kill -9": 1, "PostgreSQL restarts": 1})


class SessionsTerminated(Nemesis):
    """pg_terminate_backend of every session that Switchboard has, a few times under load."""

    name = "all sessions are terminated"

    async def act(self, target: Target) -> Fired:
        ended = 0
        for _ in range(target.chance.randint(2, 4)):
            rows = await asyncio.to_thread(
                target.sql,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
            )
            ended += sum(done for (done,) in rows)
            await asyncio.sleep(target.chance.uniform(0.05, 0.4))
        over = time.monotonic_ns()
        assert ended > 4, f"{ended} sessions were terminated"
        return Fired(f"{ended} sessions were terminated", over, {"sessions terminated": ended})


class WritersSessionStopped(Nemesis):
    """SIGSTOP of the process that serves the writer: it may hold the lock of all appends, and nobody is told why."""

    name = "the writer's session stands still"

    async def act(self, target: Target) -> Fired:
        process = psutil.Process(await writers_backend(target))
        process.suspend()
        try:
            await until(lambda: bool(process.status() == psutil.STATUS_STOPPED), 5, "the session to stand still")
            await asyncio.sleep(LONGER_THAN_A_LEASE)
            assert process.status() == psutil.STATUS_STOPPED
        finally:
            process.resume()
        over = time.monotonic_ns()
        return Fired(f"stood still for {LONGER_THAN_A_LEASE:g} s", over, {"SIGSTOP": 1})


async def writers_backend(target: Target) -> int:
    """The process id of the session by which events are appended."""
    found: list[int] = []

    def there() -> bool:
        found[:] = target.backends(WRITER, APPENDS)
        return bool(found)

    await until(there, 10, "a session that appends")
    return found[0]


class RepliesCut(Nemesis):
    """The connection ends after PostgreSQL has answered an append, and before the writer hears it, again and again."""

    def __init__(self, cuts: int = 5) -> None:
        self.name = "replies to COMMIT are cut"
        self._cuts = cuts

    async def act(self, target: Target) -> Fired:
        proxy = target.postgres_proxy
        assert proxy is not None, "this Switchboard reaches PostgreSQL without a proxy"
        before = proxy.lost
        proxy.cut_appends(target.chance.randint(2, 4))
        try:
            await until(lambda: proxy.lost - before >= self._cuts, 30 + self._cuts, f"{self._cuts} cuts")
        finally:
            proxy.cut_appends(0)
        over, lost = time.monotonic_ns(), proxy.lost - before
        return Fired(f"{lost} answers of committed appends were lost", over, {"replies cut": lost})
