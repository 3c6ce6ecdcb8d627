"""An hour at work: mixed load, a random nemesis in a quarter of the time, and what it leaves behind.

    python -m tests.faults.soak [--minutes 60] [--warm-up 15] [--seed 1] [--results FOLDER]

Cycles of four minutes: three calm, one in which nemeses strike. The warm-up is made of the same, so that the hour
begins with processes that have been struck and a log that has a past. What is compared, the first calm spells of the
hour against its last ones, is memory, open files and sessions of each process, and the latency of commands and
questions. None may grow by more than 5 %, and in calm minutes every question is answered. It ends with the checker's
verdict over everything that was asked, and draws a picture.
"""

import argparse
import asyncio
import itertools
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import nats.errors
import psutil
import psycopg

from tests.bench.meter import Meter
from tests.faults import history, soak_chart
from tests.faults.campaign import Fought, clients_at_work, judge, missed, strike
from tests.faults.nemeses import ROSTER, Nemesis, Target, whole
from tests.faults.nemeses.target import bus
from tests.faults.scene import circumstances, on_its_own
from tests.faults.soak_figures import SETTLE_SECONDS, Figure, compared, failures, page
from tests.journeys.wire import Account

WHOLE_MINUTES: Final = 60.0
RESULTS: Final = Path(__file__).parent / "results"
# Before anything is compared.
WARM_UP_MINUTES: Final = 15.0
CALM_SECONDS: Final = 180.0
STORM_SECONDS: Final = 60.0
BETWEEN_SECONDS: Final = (2.0, 6.0)
SAMPLE_SECONDS: Final = 10.0
QUESTION_SECONDS: Final = 0.2
PACE_SECONDS: Final = 0.4
# These do not start the clock of every process anew; a soak is about what grows.
WHOLE: Final = (whole.LauncherKilled, whole.EverythingKilled, whole.StoppedAndStarted)
STORMS: Final[Sequence[Nemesis]] = [nemesis for nemesis in ROSTER if not isinstance(nemesis, WHOLE)]


@dataclass
class Sample:
    """What the processes take at one moment, `at` seconds after the beginning: by role."""

    at: float
    megabytes: dict[str, float]
    open_files: dict[str, float]
    sessions: dict[str, int]


@dataclass
class Soak:
    """One run. `storms` are (begin, end) in seconds; latencies are (seconds after the beginning, seconds it took), and
    so are questions without an answer. `warm` is when the warm-up was over.
    """

    began_ns: int
    fought: Fought
    warm: float
    storms: list[tuple[float, float]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    commands: list[tuple[float, float]] = field(default_factory=list)
    questions: list[tuple[float, float]] = field(default_factory=list)
    unanswered: list[tuple[float, float]] = field(default_factory=list)

    def seconds(self) -> float:
        return (time.monotonic_ns() - self.began_ns) / 1e9

    def calm(self, at: float) -> bool:
        """Whether no nemesis struck then, nor just before."""
        return not any(begin <= at < end + SETTLE_SECONDS for begin, end in self.storms)


async def soak(seed: int, minutes: float, warm_up: float, folder: Path) -> Soak:
    """`warm_up` in minutes, before the others."""
    chance = random.Random(f"{seed}/soak")  # noqa: S311  seeded
    with on_its_own(chance) as target:
        run = Soak(time.monotonic_ns(), Fought("soak", "on its own", seed), 60 * warm_up)
        async with (
            clients_at_work(target, run.fought, PACE_SECONDS, folder) as work,
            _beside(_sample(run, target), _ask(run, target, work.accounts)),
        ):
            while run.seconds() < run.warm + 60 * minutes:
                await asyncio.sleep(CALM_SECONDS)
                await _storm(run, target, chance)
            await asyncio.sleep(SETTLE_SECONDS + CALM_SECONDS)
        try:
            await judge(run.fought, target, work)
        except Exception as error:  # noqa: BLE001  whatever it was, it is told, and the figures are kept
            missed(run.fought, "the verdict", error)
        run.commands = [
            ((one.invoked - run.began_ns) / 1e9, (one.completed - one.invoked) / 1e9)
            for one in history.read(work.histories)
            if one.completed is not None
        ]
    run.fought.seconds = run.seconds()
    return run


@asynccontextmanager
async def _beside(*works: Coroutine[None, None, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _storm(run: Soak, target: Target, chance: random.Random) -> None:
    begin = run.seconds()
    while run.seconds() < begin + STORM_SECONDS:
        await strike(chance.choice(STORMS), target, run.fought)
        await asyncio.sleep(chance.uniform(*BETWEEN_SECONDS))
    run.storms.append((begin, run.seconds()))


async def _sample(run: Soak, target: Target) -> None:
    while True:
        # In the middle of a fault a server may be away; that moment has no sample.
        with suppress(psycopg.Error, psutil.Error, OSError):
            run.samples.append(await asyncio.to_thread(_taken, run.seconds(), target))
        await asyncio.sleep(SAMPLE_SECONDS)


def _taken(at: float, target: Target) -> Sample:
    meter = Meter([target.running.process.pid], target.running.postgres_url)
    sessions = target.sql(
        "SELECT application_name, count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend'"
        " AND pid <> pg_backend_pid() GROUP BY 1"
    )
    return Sample(at, meter.memory(), meter.open_files(), dict(sessions))


async def _ask(run: Soak, target: Target, accounts: Sequence[str]) -> None:
    """Questions of several kinds, one after the other; how long each took, from when it was due."""
    async with bus(target) as wire:
        for number in itertools.count():
            account = Account(wire, accounts[number % len(accounts)])
            due = run.seconds()
            try:
                await QUESTIONS[number % len(QUESTIONS)](account)
            except (nats.errors.Error, OSError, AssertionError):
                run.unanswered.append((due, run.seconds() - due))
            else:
                run.questions.append((due, run.seconds() - due))
            await asyncio.sleep(QUESTION_SECONDS)


QUESTIONS: Final[Sequence[Callable[[Account], Awaitable[Any]]]] = (
    lambda account: account.see("Address", address="address-01@acme.example"),
    lambda account: account.see("Inboxes"),
    lambda account: account.see("Identities", user="bob"),
    lambda account: account.see(
        "Resolve", recipients=["address-02@acme.example", "address-03@acme.example"], sender="jo@client.example"
    ),
    lambda account: account.see("Usage"),
)


def kept(run: Soak, figures: Sequence[Figure]) -> dict[str, Any]:
    """As JSON."""
    return {
        "figures": [figure._asdict() for figure in figures],
        "fought": asdict(run.fought),
        "storms": run.storms,
        "unanswered_questions": run.unanswered,
        "latency_by_minute": soak_chart.latencies(run),
        "samples": [asdict(one) for one in run.samples],
    }


def main() -> None:
    # So that nothing of it runs on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--minutes", type=float, default=WHOLE_MINUTES)
    parse.add_argument("--warm-up", type=float, default=WARM_UP_MINUTES, help="minutes of the same before")
    parse.add_argument("--seed", type=int, default=1)
    parse.add_argument(
        "--results", type=Path, help="folder for the figures and the picture; only a whole hour has one by itself"
    )
    given = parse.parse_args()
    given.results = given.results or (RESULTS if given.minutes >= WHOLE_MINUTES else None)
    about = circumstances(given.seed)
    histories = Path(tempfile.mkdtemp(prefix="switchboard-soak-"))
    print(f"The histories are kept in {histories}.", flush=True)
    run = asyncio.run(soak(given.seed, given.minutes, given.warm_up, histories))
    figures = compared(run)
    print(page(figures))
    if given.results:
        given.results.mkdir(parents=True, exist_ok=True)
        (given.results / "soak.json").write_text(json.dumps({**about, **kept(run, figures)}, indent=1) + "\n")
        (given.results / "soak.svg").write_text(soak_chart.drawn(run))
    if failed := failures(run, figures):
        sys.exit("FAILED\n  " + "\n  ".join(failed))


if __name__ == "__main__":
    main()
