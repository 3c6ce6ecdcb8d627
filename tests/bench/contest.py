"""Who does how many commands a second: all contenders in turn on the same servers, round by round.

A neighbour's noise comes and goes within minutes; in turn it hits everybody, and the median of the rounds none.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.bench import ceilings, peers
from tests.bench.account import Account, new_account, until_viewed
from tests.bench.meter import between, microseconds
from tests.bench.run_load import Told, run_load
from tests.bench.stage import Figures, Stage

# What is kept of a generator's report.
KEPT = ("per_second", "p50_ms", "p99_ms", "client_cpu_us")
WARM_UP = 3_000
IN_FLIGHT = (256, 1_024)
# How rows are called that the rival's load generator measured.
THEIRS = "rival's load"

# One round of one contender: its figures by row of the table.
Round = Callable[[Stage], Mapping[str, Figures]]


class Target(NamedTuple):
    """Where a load goes that needs no account."""

    url: str
    connecting: str


@dataclass(frozen=True)
class Sizes:
    """How many commands each gets in a round."""

    commands: int = 20_000
    rival_commands: int = 2_000


def contenders(rival: Path | None, sizes: Sizes) -> dict[str, Round]:
    """Who takes part, in turn: the rival when there is one, UmaDB when it is installed."""
    found: dict[str, Round] = {}
    if rival:
        found["rival"] = lambda stage: {
            f"rival 256 {THEIRS}": kept(peers.rival(stage, rival, sizes.rival_commands, 256))
        }
    found["Switchboard"] = lambda stage: switchboard(stage, rival, sizes.commands)
    found["FastStream echo"] = lambda stage: echo(stage, rival, sizes.commands)
    found["PostgreSQL alone"] = lambda stage: {"postgres": ceilings.inserted(stage)}
    found["JetStream alone"] = lambda stage: {"jetstream": ceilings.published(stage)}
    if peers.umadb_is_there():
        found["UmaDB"] = lambda stage: {"umadb 64": kept(peers.umadb(stage, sizes.commands))}
    return found


def switchboard(stage: Stage, rival: Path | None, commands: int) -> dict[str, Figures]:
    """All services on an empty database: under the rival's load generator first, as the rival was, then under ours."""
    rows: dict[str, Figures] = {}
    with stage.switchboard() as running:
        account = asyncio.run(new_account(running.nats_url))
        if rival:
            for in_flight in IN_FLIGHT:
                rows[f"switchboard {in_flight} {THEIRS}"] = their_load(rival, account, commands, in_flight)
                asyncio.run(until_viewed(account))
        else:
            run_load(account.url, account.connecting, commands=WARM_UP)
            asyncio.run(until_viewed(account))
        for in_flight in IN_FLIGHT:
            rows[f"switchboard {in_flight}"] = loaded(stage, account, commands, in_flight)
    return rows


def echo(stage: Stage, rival: Path | None, commands: int) -> dict[str, Figures]:
    """FastStream with one pydantic model and no store, under the same loads."""
    rows: dict[str, Figures] = {}
    with ceilings.echoing(stage) as subject:
        target = Target(stage.nats.url, subject)
        if rival:
            for in_flight in IN_FLIGHT:
                rows[f"echo {in_flight} {THEIRS}"] = their_load(rival, target, commands, in_flight)
        else:
            run_load(target.url, target.connecting, commands=WARM_UP)
        for in_flight in IN_FLIGHT:
            rows[f"echo {in_flight}"] = kept(
                run_load(target.url, target.connecting, commands=commands, in_flight=in_flight)
            )
    return rows


def their_load(rival: Path, target: Account | Target, commands: int, in_flight: int) -> Figures:
    """Under the rival's own load generator, as it is."""
    program = rival / "load.py"
    return kept(run_load(target.url, target.connecting, commands=commands, in_flight=in_flight, program=program))


def loaded(stage: Stage, account: Account, commands: int, in_flight: int) -> Figures:
    """One load under our generator, with what it cost by process, stream and views having followed."""
    meter = stage.meter()
    before = meter.read()
    told = run_load(account.url, account.connecting, commands=commands, in_flight=in_flight)
    level = asyncio.run(until_viewed(account))
    cost = microseconds(between(before, meter.read()), commands)
    return kept(told) | {"views_level_after_s": level} | {f"cpu_us {role}": spent for role, spent in cost.items()}


def kept(told: Told) -> Figures:
    return {name: float(told[name]) for name in KEPT if name in told}
