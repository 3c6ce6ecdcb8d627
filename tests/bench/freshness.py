"""How soon one reads what one wrote: a question with `at_least` right after its command, at a fixed rate of commands.

Open loop: commands start when they are due, whatever the answers do, and times count from then on. With
`python -m tests.bench.freshness` at any rate and for as long as one likes.
"""

import argparse
import asyncio
import json
import time

import nats
from nats.aio.client import Client

from shared.language import subjects
from shared.process.clock import new_id
from tests.bench.account import OWNER, Account, UnexpectedReplyError, ask, new_account
from tests.bench.load import percentile
from tests.bench.stage import Figures, Stage, new_stage


def freshness(stage: Stage, rate: int, seconds: float) -> Figures:
    with stage.switchboard() as running:
        account = asyncio.run(new_account(running.nats_url))
        return asyncio.run(_measure(account, rate, seconds))


async def _measure(account: Account, rate: int, seconds: float) -> Figures:
    client = await nats.connect(account.url)
    seen: list[tuple[float, float]] = []
    start = time.perf_counter() + 0.5
    numbers = range(int(rate * seconds))
    await asyncio.gather(*(_one(client, account, number, start + number / rate, seen) for number in numbers))
    await client.close()
    commands, questions = (sorted(part) for part in zip(*seen, strict=True))
    return {
        "rate": rate,
        "command_p50_ms": percentile(commands, 50),
        "command_p99_ms": percentile(commands, 99),
        "question_p50_ms": percentile(questions, 50),
        "question_p99_ms": percentile(questions, 99),
        "question_max_ms": percentile(questions, 100),
    }


async def _one(client: Client, account: Account, number: int, due: float, seen: list[tuple[float, float]]) -> None:
    await asyncio.sleep(max(0.0, due - time.perf_counter()))
    address = f"{number}@fresh.example"
    connect = {"command_id": new_id(), "actor": OWNER, "owner": OWNER, "address": address}
    told = await ask(client, account.connecting, connect)
    asked = time.perf_counter()
    question = {"actor": OWNER, "address": address, "at_least": told["position"]}
    answer = await ask(client, subjects.query(account.name, "Address"), question)
    result = answer.get("result")
    if not isinstance(result, dict) or result["owner"] != OWNER:
        raise UnexpectedReplyError(str(answer))
    seen.append((asked - due, time.perf_counter() - asked))


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--rate", type=int, default=500)
    parse.add_argument("--seconds", type=float, default=20)
    options = parse.parse_args()
    with new_stage() as stage:
        print(json.dumps(freshness(stage, options.rate, options.seconds), indent=1))


if __name__ == "__main__":
    main()
