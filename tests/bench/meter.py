"""Reads what each process of a Switchboard and its servers has cost so far: processor time, and memory."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

import psutil
import psycopg

BENCH: Final = "bench"
POSTMASTER: Final = "postgres: postmaster"
ENDED: Final = "postgres: ended sessions"

# Sessions of the library's own code all bear the same name; what they asked last tells them apart.
_BACKENDS: Final = """
    SELECT pid, CASE
        WHEN backend_type <> 'client backend' THEN backend_type
        WHEN application_name <> 'switchboard' THEN application_name
        WHEN query LIKE '%append%' THEN 'writer'
        WHEN query LIKE '%events%' THEN 'log reader'
        ELSE 'switchboard' END
    FROM pg_stat_activity WHERE pid <> pg_backend_pid()"""


class Spent(NamedTuple):
    """Processor time in seconds."""

    user: float = 0.0
    system: float = 0.0

    @property
    def total(self) -> float:
        return self.user + self.system

    def plus(self, user: float, system: float) -> Self:
        return self._replace(user=self.user + user, system=self.system + system)


class Reading(NamedTuple):
    """Seconds so far: of each process by its id, with its role, and of the sessions of PostgreSQL that have ended."""

    processes: Mapping[int, tuple[str, Spent]]
    ended: Spent = Spent()


class Meter:
    """What the processes `roots` and all below them have spent, by what they do: `services.relay`, `nats-server` …

    PostgreSQL's processes are told apart by their sessions: `postgres: writer`, `postgres: walwriter` …
    """

    def __init__(self, roots: Sequence[int], postgres_url: str) -> None:
        self._roots = [psutil.Process(pid) for pid in roots]
        self._postgres_url = postgres_url
        self._sessions: dict[int, str] = {}

    def read(self) -> Reading:
        """What every process has spent since it began; it is counted in hundredths of a second."""
        self._name_sessions()
        found: dict[int, tuple[str, Spent]] = {}
        ended = Spent()
        for process in self._processes():
            try:
                times, role = process.cpu_times(), self._role(process)
            except psutil.NoSuchProcess:
                continue
            found[process.pid] = (role, Spent(times.user, times.system))
            if role == POSTMASTER:
                ended = ended.plus(times.children_user, times.children_system)
        return Reading(found, ended)

    def memory(self) -> dict[str, float]:
        """Resident megabytes of each of our services and of NATS."""
        return self._of_services(lambda process: float(process.memory_info().rss / 1e6))

    def open_files(self) -> dict[str, float]:
        """File descriptors of each of our services and of NATS: sockets are among them."""
        return self._of_services(lambda process: float(process.num_fds()))

    def _of_services(self, figure: Callable[[psutil.Process], float]) -> dict[str, float]:
        sums: dict[str, float] = {}
        for process in self._processes():
            try:
                role, value = self._role(process), figure(process)
            except psutil.NoSuchProcess:
                continue
            if role.startswith(("services.", "nats-server", "launcher")):
                sums[role] = sums.get(role, 0.0) + value
        return sums

    def _processes(self) -> list[psutil.Process]:
        found = {process.pid: process for root in self._roots for process in [root, *root.children(recursive=True)]}
        return list(found.values())

    def _name_sessions(self) -> None:
        with psycopg.connect(self._postgres_url, application_name=BENCH, autocommit=True) as connection:
            self._sessions |= {pid: f"postgres: {name}" for pid, name in connection.execute(_BACKENDS).fetchall()}

    def _role(self, process: psutil.Process) -> str:
        if process.pid == os.getpid():
            return BENCH
        if process.name() == "postgres":
            return self._sessions.get(process.pid) or _nameless(process)
        if process.name() == "nats-server":
            return "nats-server"
        words = process.cmdline()
        module = next((word for word in words if word.startswith(("services.", "tests."))), None)
        if module is None:
            return " ".join(Path(word).name for word in words[:2]) or str(process.name())
        return "launcher" if module == "services.ops.cli" else module.removesuffix(".app")


def _nameless(process: psutil.Process) -> str:
    """The parent of all, or a session that has just begun."""
    parent = process.parent()
    return "postgres: new session" if parent and parent.name() == "postgres" else POSTMASTER


def between(before: Reading, after: Reading) -> dict[str, Spent]:
    """What was spent by role from one reading to the next, dearest first; this process itself left out."""
    spent: dict[str, Spent] = {ENDED: _ended_between(before, after)}
    for pid, (role, now) in after.processes.items():
        _, then = before.processes.get(pid, (role, Spent()))
        spent[role] = spent.get(role, Spent()).plus(now.user - then.user, now.system - then.system)
    ordered = sorted(spent.items(), key=lambda item: -item[1].total)
    return {role: time for role, time in ordered if time.total > 0 and role != BENCH}


def _ended_between(before: Reading, after: Reading) -> Spent:
    """Their parent hears of a session's time when it ends, of all its life: what was read of it before is known."""
    known = Spent()
    for pid, (role, then) in before.processes.items():
        if pid not in after.processes and role.startswith("postgres"):
            known = known.plus(then.user, then.system)
    user = after.ended.user - before.ended.user - known.user
    return Spent(max(0.0, user), max(0.0, after.ended.system - before.ended.system - known.system))


def microseconds(spent: Mapping[str, Spent], commands: int) -> dict[str, float]:
    """Microseconds a command, by role."""
    return {role: 1e6 * time.total / commands for role, time in spent.items()}
