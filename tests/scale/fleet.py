"""Several processes of each service on the same servers, started, killed and replaced one by one."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from services.ops.local.children import Child, Program, last_lines
from tests.faults.nemeses.processes import MODULES
from tests.faults.nemeses.standing_still import answers_ready
from tests.real_servers import ROOT, free_port, new_folder, wait_until

SERVICES = tuple(MODULES)


class Member:
    """One process of a service, with a port of its own for its health."""

    def __init__(self, service: str, number: int, environment: Mapping[str, str], folder: Path) -> None:
        self.service = service
        self.port = free_port()
        log = folder / f"{service}-{number}.log"
        settings = {"PYTHONPATH": str(ROOT), "SWITCHBOARD_HTTP_PORT": str(self.port), **environment}
        argv = (sys.executable, "-m", MODULES[service])
        self.child = Child(Program(f"{service}-{number}", argv, environment=settings, cwd=ROOT, log=log))

    def wait_until_ready(self, seconds: float = 120.0) -> None:
        def ready() -> bool:
            assert self.child.poll() is None, f"{self.service} ended:\n{last_lines(self.child.program)}"
            return answers_ready(self.port)

        wait_until(ready, seconds, f"{self.service} to be ready")

    def output(self) -> str:
        return last_lines(self.child.program, 10_000)


class Fleet:
    """Processes of the services on one NATS and one PostgreSQL, by service; `settings` as in the environment."""

    def __init__(
        self, folder: Path, nats_url: str, postgres_url: str, settings: Mapping[str, str] | None = None
    ) -> None:
        self.nats_url = nats_url
        self.postgres_url = postgres_url
        self.settings = dict(settings or {})
        self.members: dict[str, list[Member]] = {service: [] for service in SERVICES}
        self._folder = folder
        self._numbers = count(1)

    def grow(self, each: int, services: Sequence[str] = SERVICES) -> None:
        """Returns when there are that many of each of the services, and all are ready."""
        new = [self.begin(name) for name in services for _ in range(each - len(self.members[name]))]
        for member in new:
            member.wait_until_ready()

    def begin(self, service: str) -> Member:
        """One more, not ready yet. It ends with the thread that began it."""
        settings = {
            "SWITCHBOARD_NATS_URL": self.nats_url,
            "SWITCHBOARD_POSTGRES_URL": self.postgres_url,
            "SWITCHBOARD_LOG_FORMAT": "json",
            **self.settings,
        }
        member = Member(service, next(self._numbers), settings, self._folder)
        self.members[service].append(member)
        return member

    def kill(self, service: str) -> int | None:
        """The longest running one, as by kill -9; its exit code."""
        child = self.members[service].pop(0).child
        child.kill()
        return child.poll()

    def stop(self, service: str) -> int | None:
        """The longest running one, as by SIGTERM; its exit code."""
        child = self.members[service].pop(0).child
        child.stop(20.0)
        return child.poll()

    def pids(self) -> list[int]:
        return [member.child.pid for members in self.members.values() for member in members]

    def tell(self) -> None:
        """Prints the last lines of each member: pytest shows them when the test has failed."""
        for member in (member for members in self.members.values() for member in members):
            print(f"\n{member.child.program.name}\n{member.output()}")

    def close(self) -> None:
        """All at once, cleanly; what does not end in time is killed."""
        children = [member.child for members in self.members.values() for member in members]
        for child in children:
            child.request_stop()
        if children:
            with ThreadPoolExecutor(len(children)) as pool:
                list(pool.map(Child.stop, children))


@contextmanager
def fleet(nats_url: str, postgres_url: str, settings: Mapping[str, str] | None = None) -> Iterator[Fleet]:
    """Without members yet; all that it got are gone at the end."""
    with new_folder() as folder:
        made = Fleet(folder, nats_url, postgres_url, settings)
        try:
            yield made
        finally:
            made.tell()
            made.close()
