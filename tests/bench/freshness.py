"""How soon one reads what one wrote: a question with `at_least` right after its command, at a fixed rate of commands.

Open loop: commands start when they are due, whatever the answers do, and times count from then on.
"""

import argparse
import asyncio
import json
import time

import nats
from nats.aio.client import Client

from shared.runtime.clock import new_id
from tests.real_servers import RunningSwitchboard, new_folder


class NotWhatWasWritten(Exception):
    """The answer, when it does not show the command's effect."""


async def ask(client: Client, subject: str, **body: object) -> dict[str, object]:
    reply = await client.request(subject, json.dumps(body).encode(), timeout=30)
    return dict(json.loads(reply.data))


async def one(client: Client, account: str, number: int, due: float, seen: list[tuple[float, float]]) -> None:
    await asyncio.sleep(max(0.0, due - time.perf_counter()))
    address = f"{number}@fresh.example"
    told = await ask(
        client,
        f"switchboard.command.v1.{account}.ConnectPersonal",
        command_id=new_id(),
        actor="ana",
        owner="ana",
        address=address,
    )
    asked = time.perf_counter()
    answer = await ask(
        client, f"switchboard.query.v1.{account}.Address", actor="ana", address=address, at_least=told["position"]
    )
    result = answer.get("result")
    if not isinstance(result, dict) or result["owner"] != "ana":
        raise NotWhatWasWritten(str(answer))
    seen.append((asked - due, time.perf_counter() - asked))


async def measure(url: str, rate: int, seconds: int) -> dict[str, float]:
    client = await nats.connect(url)
    account = f"fresh{new_id()[-8:]}"
    register = f"switchboard.command.v1.{account}.RegisterAccount"
    await ask(client, register, actor="service:bench", plan="free", admin="ana")
    seen: list[tuple[float, float]] = []
    start = time.perf_counter() + 0.5
    await asyncio.gather(*(one(client, account, n, start + n / rate, seen) for n in range(rate * seconds)))
    await client.close()
    commands, questions = (sorted(part) for part in zip(*seen, strict=True))
    return {
        "commands_per_second": rate,
        "command_p50_ms": share(commands, 0.5),
        "command_p99_ms": share(commands, 0.99),
        "question_p50_ms": share(questions, 0.5),
        "question_p99_ms": share(questions, 0.99),
        "question_max_ms": share(questions, 1.0),
    }


def share(times: list[float], at: float) -> float:
    return round(1000 * times[min(len(times) - 1, int(len(times) * at))], 2)


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--rate", type=int, default=500)
    parse.add_argument("--seconds", type=int, default=20)
    options = parse.parse_args()
    with new_folder() as folder:
        switchboard = RunningSwitchboard(folder)
        try:
            switchboard.start()
            print(json.dumps(asyncio.run(measure(switchboard.nats_url, options.rate, options.seconds)), indent=1))
        finally:
            switchboard.close()


if __name__ == "__main__":
    main()
