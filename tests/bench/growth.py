"""What a million commands leave behind: the cost of a command with a full store, and the memory of the services."""

import asyncio
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from tests.bench.account import new_account, until_viewed
from tests.bench.contest import WARM_UP, loaded
from tests.bench.run_load import run_load
from tests.bench.stage import Figures, Stage
from tests.real_servers import RunningNats, RunningSwitchboard, new_folder

STEPS = 10
# The caches of the services are full by then; what grows later grows for ever.
SETTLED_AT = 0.3


class Growth(NamedTuple):
    """`steps` as the store fills; `empty` and `full` rounds taken in turn afterwards."""

    steps: list[Figures]
    empty: list[Figures]
    full: list[Figures]

    def summary(self) -> Figures:
        """Growths are shares: 0.1 means a tenth more. Of the steps the first and the last are told, one account's."""
        settled, end = self.steps[max(0, int(len(self.steps) * SETTLED_AT) - 1)], self.steps[-1]
        empty, full = _cost(self.empty), _cost(self.full)
        return {
            "empty_per_second": _median(self.empty, "per_second"),
            "full_per_second": _median(self.full, "per_second"),
            "empty_cpu_us": empty,
            "full_cpu_us": full,
            "cost_growth": full / empty - 1,
            "first_step_cpu_us": _cost(self.steps[:1]),
            "last_step_cpu_us": _cost(self.steps[-1:]),
            **{f"settled_{role}": settled[role] for role in settled if role.startswith("rss_mb ")},
            **{f"end_{role}": end[role] for role in end if role.startswith("rss_mb ")},
            **{f"growth_of_{role}": end[role] / settled[role] - 1 for role in end if role.startswith("rss_mb ")},
        }


# The write side: the service that decides, and its session of PostgreSQL.
COSTS = ("cpu_us services.connections", "cpu_us postgres: writer")


def growth(stage: Stage, commands: int, rounds: int, sample: int) -> Growth:
    """So many commands on one store, then rounds of `sample` commands on it and on empty ones in turn."""
    with new_folder() as folder:
        # The full store keeps its stream: on another log's NATS it would be told anew in each round.
        nats = RunningNats(folder)
        try:
            full = stage.postgres.new_database()
            with stage.switchboard(full, nats) as running:
                steps = _filled(stage, running, commands // STEPS)
            found = Growth(steps, [], [])
            for _ in range(rounds):
                with stage.switchboard() as running:
                    found.empty.append(_sampled(stage, running, sample))
                with stage.switchboard(full, nats) as running:
                    found.full.append(_sampled(stage, running, sample))
        finally:
            nats.kill()
    return found


def _filled(stage: Stage, running: RunningSwitchboard, step: int) -> list[Figures]:
    account = asyncio.run(new_account(running.nats_url))
    steps: list[Figures] = []
    for number in range(1, STEPS + 1):
        figures = loaded(stage, account, step, 256)
        memory = {f"rss_mb {role}": size for role, size in stage.meter().memory().items()}
        steps.append({"commands": number * step, **figures, **memory})
        print(f"  {number * step:,} commands: {figures['per_second']:,.0f} a second", flush=True)
    return steps


def _sampled(stage: Stage, running: RunningSwitchboard, sample: int) -> Figures:
    account = asyncio.run(new_account(running.nats_url))
    run_load(account.url, account.connecting, commands=WARM_UP)
    asyncio.run(until_viewed(account))
    return loaded(stage, account, sample, 256)


def _cost(rounds: Sequence[Figures]) -> float:
    """Microseconds a command on the write side."""
    return sum(_median(rounds, name) for name in COSTS)


def _median(rounds: Sequence[Figures], name: str) -> float:
    return statistics.median(figures.get(name, 0.0) for figures in rounds)
