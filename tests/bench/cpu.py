"""What a command costs in processor time, by process: the figure to steer by, since noise hardly touches it.

`python -m tests.bench.cpu` runs a whole Switchboard under a load and prints microseconds a command: what was spent
until the last answer, and until the stream and both views had followed, with the part of it in the system.
"""

import argparse
import asyncio
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.account import new_account, until_viewed
from tests.bench.meter import Meter, Spent, between
from tests.bench.run_load import Told, run_load
from tests.real_servers import RunningSwitchboard, new_folder

WARM_UP = 3_000
CLIENT = "load generator"


class Round(NamedTuple):
    """Seconds by role, for one load of `told["commands"]` commands."""

    told: Told
    answered: Mapping[str, Spent]
    followed: Mapping[str, Spent]


def measure(switchboard: RunningSwitchboard, options: argparse.Namespace) -> Round:
    account = asyncio.run(new_account(switchboard.nats_url))
    meter = Meter([switchboard.process.pid], switchboard.postgres_url)

    def load(commands: int) -> Told:
        return run_load(
            account.url,
            account.connecting,
            commands=commands,
            in_flight=options.in_flight,
            rate=options.rate,
            program=options.program,
        )

    load(WARM_UP)
    asyncio.run(until_viewed(account))
    start = meter.read()
    told = load(options.commands)
    answered = meter.read()
    told["views_level_after_s"] = round(asyncio.run(until_viewed(account)), 2)
    followed = meter.read()
    client = {CLIENT: Spent(user=told["client_cpu_us"] * options.commands / 1e6)}
    return Round(told, between(start, answered) | client, between(start, followed) | client)


def table(rounds: Sequence[Round]) -> str:
    """Medians over the rounds, dearest role first; roles under a microsecond are in the sum only."""
    roles = {role for one in rounds for role in one.followed}
    lines = {role: [_median(rounds, role, column) for column in range(3)] for role in roles}
    ordered = sorted(lines.items(), key=lambda line: -line[1][1])
    everything = [sum(column) for column in zip(*lines.values(), strict=True)]
    ours = [whole - client for whole, client in zip(everything, lines[CLIENT], strict=True)]
    return "\n".join(
        [
            f"{'µs a command':36}{'answered':>10}{'followed':>10}{'in system':>11}",
            *(_line(role, figures) for role, figures in ordered if max(figures) >= 1),
            _line("all", everything),
            _line("all but the load generator", ours),
        ]
    )


def _median(rounds: Sequence[Round], role: str, column: int) -> float:
    """Microseconds a command: until answered, until followed, and what of that was in the system."""
    none = Spent()
    figures = [
        (one.answered.get(role, none).total, one.followed.get(role, none).total, one.followed.get(role, none).system)
        for one in rounds
    ]
    commands: list[int] = [one.told["commands"] for one in rounds]
    return statistics.median(1e6 * seconds[column] / count for seconds, count in zip(figures, commands, strict=True))


def _line(role: str, figures: Sequence[float]) -> str:
    return f"{role:36}{figures[0]:10.0f}{figures[1]:10.0f}{figures[2]:11.0f}"


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--commands", type=int, default=20_000)
    parse.add_argument("--in-flight", type=int, default=256)
    parse.add_argument("--rate", type=float, default=0.0, help="open loop at so many commands a second")
    parse.add_argument("--rounds", type=int, default=1)
    parse.add_argument("--program", type=Path, help="another load generator, such as the rival's load.py")
    options = parse.parse_args()
    rounds = []
    with new_folder() as folder:
        switchboard = RunningSwitchboard(folder)
        try:
            switchboard.start()
            for _ in range(options.rounds):
                rounds.append(measure(switchboard, options))
                told = {name: value for name, value in rounds[-1].told.items() if name != "percentiles"}
                print(json.dumps(told), flush=True)
        finally:
            switchboard.close()
    print(table(rounds))


if __name__ == "__main__":
    main()
