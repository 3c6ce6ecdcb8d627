"""How fast `switchboard load` is beside generators of load, each with 256 commands under way, in turn."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.account import OWNER, Account, UnexpectedReplyError, new_account, until_viewed
from tests.bench.contest import WARM_UP, their_load
from tests.bench.run_load import run_load
from tests.bench.stage import Figures, Stage
from tests.real_servers import ROOT

TURNS = 3
IN_FLIGHT = 256


def bulk(stage: Stage, rival: Path | None, commands: int) -> Figures:
    """Medians in commands a second, and `load_share_of_…`: the load by each generator."""

    def generated(account: Account) -> float:
        told = run_load(account.url, account.connecting, commands=commands, in_flight=IN_FLIGHT)
        return float(told["per_second"])

    ways: dict[str, Callable[[Account], float]] = {
        "load": lambda account: _loaded(stage, account, commands),
        "generator": generated,
    }
    if rival:
        ways["rivals_generator"] = lambda account: their_load(rival, account, commands, IN_FLIGHT)["per_second"]
    found: dict[str, list[float]] = {name: [] for name in ways}
    with stage.switchboard() as running:
        account = asyncio.run(new_account(running.nats_url))
        run_load(account.url, account.connecting, commands=WARM_UP)
        for _ in range(TURNS):
            for name, way in ways.items():
                account = asyncio.run(new_account(running.nats_url))
                found[name].append(way(account))
                asyncio.run(until_viewed(account))
    speeds = {name: statistics.median(each) for name, each in found.items()}
    shares = {f"load_share_of_{name}": speeds["load"] / speed for name, speed in speeds.items() if name != "load"}
    return {f"{name}_per_second": speed for name, speed in speeds.items()} | shares


def _loaded(stage: Stage, account: Account, commands: int) -> float:
    """Through the command line, its start and the reading of the file included."""
    file = stage.folder / "commands.jsonl"
    row = {"account": account.name, "command": "ConnectPersonal", "actor": OWNER, "owner": OWNER}
    with file.open("w") as lines:
        for number in range(commands):
            lines.write(json.dumps(row | {"address": f"a{number}@load.example"}) + "\n")
    began = time.perf_counter()
    argv = (sys.executable, "-m", "services.ops.cli", "load", str(file), "--json", "--url", account.url)
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode or json.loads(done.stdout)["accepted"] != commands:
        raise UnexpectedReplyError(done.stdout + done.stderr)
    return commands / seconds
