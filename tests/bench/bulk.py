"""How fast `switchboard load` is beside the load generator of the bench, each with 256 commands under way.

python -m tests.bench.bulk [--commands 100000] [--rounds 2]
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.account import OWNER, new_account, until_viewed
from tests.bench.run_load import run_load
from tests.real_servers import ROOT, RunningSwitchboard, new_folder


def loaded(switchboard: RunningSwitchboard, folder: Path, commands: int) -> float:
    """Commands a second through the command line, its start and the reading of the file included."""
    account = asyncio.run(new_account(switchboard.nats_url))
    file = folder / "commands.jsonl"
    row = {"account": account.name, "command": "ConnectPersonal", "actor": OWNER, "owner": OWNER}
    with file.open("w") as lines:
        for number in range(commands):
            lines.write(json.dumps(row | {"address": f"a{number}@load.example"}) + "\n")
    began = time.perf_counter()
    argv = (sys.executable, "-m", "services.ops.cli", "load", str(file), "--json", "--url", switchboard.nats_url)
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["accepted"] == commands
    asyncio.run(until_viewed(account))
    return commands / seconds


def generated(switchboard: RunningSwitchboard, commands: int) -> float:
    account = asyncio.run(new_account(switchboard.nats_url))
    told = run_load(account.url, account.connecting, commands=commands, in_flight=256)
    asyncio.run(until_viewed(account))
    return float(told["per_second"])


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--commands", type=int, default=100_000)
    parse.add_argument("--rounds", type=int, default=2)
    options = parse.parse_args()
    with new_folder() as folder:
        switchboard = RunningSwitchboard(folder)
        try:
            switchboard.start()
            generated(switchboard, 5_000)
            pairs = [
                (loaded(switchboard, folder, options.commands), generated(switchboard, options.commands))
                for _ in range(options.rounds)
            ]
        finally:
            switchboard.close()
    for load, bench in pairs:
        print(f"switchboard load {load:,.0f}/s, load generator {bench:,.0f}/s, ratio {load / bench:.2f}")
    print(f"ratio, median {statistics.median(load / bench for load, bench in pairs):.2f}")


if __name__ == "__main__":
    main()
