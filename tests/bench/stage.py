"""The servers of one run: every measure finds the same PostgreSQL and NATS, a database of its own, and nobody else."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.ops.local.children import Child, Program
from tests.bench.meter import Meter
from tests.real_servers import ROOT, RunningNats, RunningPostgres, RunningSwitchboard, new_folder

# What a measure tells: figures by name, units in the names.
Figures = dict[str, float]


@dataclass(frozen=True)
class Stage:
    """PostgreSQL and NATS are ready; `folder` takes what else a measure writes, and goes with the stage."""

    folder: Path
    postgres: RunningPostgres
    nats: RunningNats

    @contextmanager
    def switchboard(
        self, database: str | None = None, nats: RunningNats | None = None, ready_seconds: float = 120.0
    ) -> Iterator[RunningSwitchboard]:
        """All services of a Switchboard, ready, on an empty database (or the one of that URL); ends with the block.

        On a large log, the audit is ready once it has made its history.
        """
        urls = {
            "SWITCHBOARD_POSTGRES_URL": database or self.postgres.new_database(),
            "SWITCHBOARD_NATS_URL": (nats or self.nats).url,
        }
        with new_folder() as folder:
            switchboard = RunningSwitchboard(folder, urls)
            try:
                switchboard.start(ready_seconds)
                yield switchboard
            finally:
                switchboard.close()

    @contextmanager
    def program(
        self,
        name: str,
        argv: Sequence[str],
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Iterator[Child]:
        """A program that runs while the block does; its output goes to a file in the stage's folder."""
        log = self.folder / f"{name}.log"
        child = Child(Program(name, tuple(argv), stop_signal, environment or {}, cwd=ROOT, log=log))
        try:
            yield child
        finally:
            child.stop()

    def module(self, name: str, *arguments: str) -> tuple[str, ...]:
        """The command line of a module of this repository."""
        return (sys.executable, "-m", name, *arguments)

    def meter(self) -> Meter:
        """Processor time of everything on the stage."""
        return Meter([os.getpid()], self.postgres.url)


@contextmanager
def new_stage() -> Iterator[Stage]:
    with new_folder() as folder:
        postgres = RunningPostgres(folder)
        try:
            nats = RunningNats(folder)
            try:
                yield Stage(folder, postgres, nats)
            finally:
                nats.kill()
        finally:
            postgres.stop()
