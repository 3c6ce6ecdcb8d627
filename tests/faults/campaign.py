"""A campaign: clients at work on one Switchboard, nemeses that strike it in turn, and the verdict over all of it.

The seed says what the clients ask, which nemesis strikes when, and how hard. What the machine does in between it cannot
say: a run with the same seed is the same attempt, not the same history.
"""

import asyncio
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from services.ops.local.children import Child, Program, last_lines
from tests.faults import accounted, evidence, heard, signed, verdict
from tests.faults.nemeses import Nemesis, Struck, Target
from tests.faults.nemeses.target import LOG_END, bus, until
from tests.faults.scene import SETTINGS, Setting
from tests.faults.verdict import Verdict
from tests.journeys import cast
from tests.real_servers import ROOT

CLIENTS = 3
ACCOUNTS = 2
PACE_SECONDS = 0.03
BETWEEN_SECONDS = (0.2, 1.0)
LAST_SECONDS = 2.0
CLIENT_STOP_SECONDS = 90.0
FOLLOWER_SECONDS = 60.0
FEW = 20


@dataclass(frozen=True)
class Campaign:
    """`nemeses` strike `strikes` times in all: each as often as the others, in an order that the seed shuffles."""

    name: str
    nemeses: Sequence[Nemesis]
    strikes: int
    setting: Setting = "on its own"
    pace: float = PACE_SECONDS

    def order(self, chance: random.Random) -> Iterator[Nemesis]:
        left = self.strikes
        while left > 0:
            turn = list(self.nemeses)
            chance.shuffle(turn)
            yield from turn[:left]
            left -= len(turn)


@dataclass
class Fought:
    """One campaign as it went. `missed` are nemeses whose fault did not fire or was not recovered from, and why.

    `differences` counts the members of each set of the verdict, `verdict` shows some of them.
    """

    campaign: str
    setting: str
    seed: int
    seconds: float = 0.0
    struck: list[Struck] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    differences: dict[str, int] = field(default_factory=dict)
    verdict: dict[str, list[str]] = field(default_factory=dict)

    @property
    def faults(self) -> Mapping[str, int]:
        """What was done in all: `kill -9`, `replies cut` …"""
        done: Counter[str] = Counter()
        for one in self.struck:
            done.update(one.counts)
        return done

    @property
    def passed(self) -> bool:
        return not self.missed and not any(self.differences.values())


async def fight(campaign: Campaign, seed: int, folder: Path) -> Fought:
    """Runs the campaign; the histories stay in the folder. What keeps it from its end is noted as missed."""
    fought, began = Fought(campaign.name, campaign.setting, seed), time.monotonic()
    try:
        await _fought(campaign, fought, folder)
    except Exception as error:  # noqa: BLE001  whatever it was, it is told, and counts as a failure
        missed(fought, "the campaign", error)
    fought.seconds = time.monotonic() - began
    return fought


async def _fought(campaign: Campaign, fought: Fought, folder: Path) -> None:
    chance = random.Random(f"{fought.seed}/{campaign.name}")  # noqa: S311  seeded
    with SETTINGS[campaign.setting](chance) as target:
        async with clients_at_work(target, fought, campaign.pace, folder) as work:
            for nemesis in campaign.order(chance):
                await strike(nemesis, target, fought)
                await asyncio.sleep(chance.uniform(*BETWEEN_SECONDS))
            await asyncio.sleep(LAST_SECONDS)
        await judge(fought, target, work)


async def judge(fought: Fought, target: Target, work: "Work") -> None:
    """The checker's verdict over the histories and all that the campaign left."""
    async with bus(target) as wire:
        strangers = {account for struck in fought.struck for account in struck.accounts}
        tampered = {position for struck in fought.struck for position in struck.positions}
        database = target.running.postgres_url
        checkpoints = target.evidence, work.checkpoints
        found = await evidence.gathered(
            database, wire, work.histories, work.heard, work.after, checkpoints, strangers, tampered
        )  # fmt: skip
    judgement = evidence.judged(found)
    fought.counts = dict(judgement.counts)
    _noted(fought, judgement.verdict)
    async with bus(target) as wire:
        again = await accounted.of_asking_again(wire, found.commands)
    _noted(fought, again)
    verdict.passed(judgement.counts, judgement.verdict, again)


def _noted(fought: Fought, members: Verdict) -> None:
    fought.verdict |= {name: [str(one)[:500] for one in wrong[:FEW]] for name, wrong in members.items()}
    fought.differences |= {name: len(wrong) for name, wrong in members.items()}


async def strike(nemesis: Nemesis, target: Target, fought: Fought) -> None:
    """A fault that does not fire, or that is not recovered from, is noted; the campaign goes on."""
    try:
        struck = await nemesis.strike(target)
    except Exception as error:  # noqa: BLE001  whatever it was, it is told, and counts as a failure
        missed(fought, nemesis.name, error)
        return
    fought.struck.append(struck)
    print(f"  {struck.nemesis}: {struck.detail}; answered again after {struck.answered_seconds:.2f} s", flush=True)


def missed(fought: Fought, what: str, why: Exception) -> None:
    """With what it came from: a connection that is closed behind a failure may fail itself."""
    told, error = [], why.__context__
    while error is not None:
        told.append(f"\n    after {type(error).__name__}: {error}")
        error = error.__context__
    fought.missed.append(f"{what}: {type(why).__name__}: {why}{''.join(told)}")
    print(f"  MISSED {fought.missed[-1]}", flush=True)


class Work(NamedTuple):
    """Where the clients' histories are and what a follower heard, the accounts, where the log ended before, and the
    checkpoints that were published.
    """

    histories: Sequence[Path]
    heard: Path
    accounts: Sequence[str]
    after: int
    checkpoints: signed.Notes


@asynccontextmanager
async def clients_at_work(target: Target, fought: Fought, pace: float, folder: Path) -> AsyncIterator[Work]:
    """Several client processes, and one that follows the stream; all is on record when the block is left.

    One that does not work until then, or does not end cleanly, is noted as missed.
    """
    listening = folder / "follower.jsonl"
    ear = Child(follower(target.nats_url, listening))
    async with bus(target) as wire:
        furnished = [await cast.furnished(wire) for _ in range(ACCOUNTS)]
    accounts, after = [account.name for account in furnished], max(account.position for account in furnished)
    paths = [folder / f"client-{number}.jsonl" for number in range(CLIENTS)]
    children = [
        Child(client(target.nats_url, accounts, fought.seed, number, pace, path)) for number, path in enumerate(paths)
    ]
    try:
        async with signed.collected(target.nats_url) as checkpoints:
            yield Work(paths, listening, accounts, after, checkpoints)
        early = [one for one in (*children, ear) if one.poll() is not None]
        fought.missed += [f"{one.program.name} ended early{_with(one)}" for one in early]
    finally:
        # Asked once: a second SIGTERM would find one that is just ending without its handler.
        await asyncio.gather(*(asyncio.to_thread(child.stop, CLIENT_STOP_SECONDS) for child in children))
        await _all_heard(target, listening, fought)
        await asyncio.to_thread(ear.stop)
        unclean = [one for one in (*children, ear) if one.poll() != 0]
        fought.missed += [f"{one.program.name} did not end cleanly{_with(one)}" for one in unclean]


async def _all_heard(target: Target, listening: Path, fought: Fought) -> None:
    """Returns when the follower has come to the log's end; that it never does is noted."""
    try:
        await until(
            lambda: heard.latest(listening) >= target.sql(LOG_END)[0][0], FOLLOWER_SECONDS, "the follower to hear all"
        )
    except AssertionError as error:
        missed(fought, "the follower", error)


def _with(ended: Child) -> str:
    return f", with {ended.poll()}:\n{last_lines(ended.program)}"


def client(url: str, accounts: Sequence[str], seed: int, number: int, pace: float, out: Path) -> Program:
    """A client process, that works until it is asked to end, on the bus at `url`."""
    options = {"url": url, "accounts": ",".join(accounts), "seed": seed, "number": number, "pace": pace}
    told = [word for name, value in {**options, "out": out}.items() for word in (f"--{name}", str(value))]
    argv = (sys.executable, "-m", "tests.faults.client", *told)
    return Program(f"client {number}", argv, signal.SIGTERM, cwd=ROOT, log=out.with_suffix(".log"))


def follower(url: str, out: Path) -> Program:
    """A follower of the stream, until it is asked to end, on the bus at `url`."""
    argv = (sys.executable, "-m", "tests.faults.follower", "--url", url, "--out", str(out))
    return Program("follower", argv, signal.SIGTERM, cwd=ROOT, log=out.with_suffix(".log"))
