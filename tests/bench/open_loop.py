"""How long a command takes at a fixed rate: from the moment it was due, so that no stall is hidden."""

import asyncio
import statistics
from collections.abc import Sequence

from tests.bench.account import new_account, until_viewed
from tests.bench.run_load import Told, run_load
from tests.bench.stage import Stage

WARM_UP = 3_000


def latencies(stage: Stage, rates: Sequence[float], seconds: float, rounds: int) -> list[Told]:
    """One run for each rate, in its order: of several rounds the one whose 99th percentile is in the middle.

    A percentile of its own from each round would be a curve that no run had.
    """
    runs: dict[float, list[Told]] = {rate: [] for rate in rates}
    with stage.switchboard() as running:
        account = asyncio.run(new_account(running.nats_url))
        run_load(account.url, account.connecting, commands=WARM_UP)
        for _ in range(rounds):
            for rate in rates:
                asyncio.run(until_viewed(account))
                commands = int(rate * seconds)
                runs[rate].append(run_load(account.url, account.connecting, commands=commands, rate=rate, busy=True))
    return [middle(runs[rate]) for rate in rates]


def middle(runs: Sequence[Told]) -> Told:
    """The run with the median 99th percentile; those of all rounds stand beside it."""
    tails = sorted(run["p99_ms"] for run in runs)
    chosen = next(run for run in runs if run["p99_ms"] == statistics.median_low(tails))
    return {**chosen, "p99_ms_of_rounds": [run["p99_ms"] for run in runs]}
