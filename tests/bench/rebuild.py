"""How fast a view is made anew from the event log, and how fast one writer fills that log, in events per second."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import orjson

from services.connections import door
from services.connections.handlers import PAGES
from shared.runtime.clock import new_id
from shared.runtime.ledger import Ledger, Pending
from shared.runtime.log_reader import LogReader
from tests.real_servers import RunningPostgres, new_folder

GROUP = 512
SERVICES = ("services.inbox_views.app", "services.routing.app")


def command(_command: str, **body: object) -> Pending:
    return door.read("bench", _command, orjson.dumps({"command_id": new_id(), **body}), None)


def commands(count: int) -> Iterator[Pending]:
    """One account with some users and inboxes, then addresses, a fifth of them given a From name."""
    yield command("RegisterAccount", actor="service:bench", plan="enterprise", admin="ana")
    for number in range(20):
        user = f"user{number}"
        yield command("AddUser", actor="ana", user=user, name=user, permissions=["personal_email_access"])
        yield command("CreateInbox", actor="ana", inbox=f"inbox{number}", name=f"Inbox {number}")
    for number in range(count):
        user, address = f"user{number % 20}", f"{number}@bench.example"
        yield command("ConnectPersonal", actor=user, owner=user, address=address)
        if number % 5 == 0:
            yield command("SetFromName", actor=user, address=address, from_name=f"Name {number}")


def fill(url: str, count: int) -> float:
    """Seconds that one writer needs, the bus left out."""
    ledger = Ledger(url, PAGES, door.Domain())
    everything = list(commands(count))
    start = time.perf_counter()
    for first in range(0, len(everything), GROUP):
        for pending, answer in ledger.settle(everything[first : first + GROUP]):
            if answer.outcome != "accepted":
                raise SystemExit(f"{pending.name}: {answer.reply!r}")
    seconds = time.perf_counter() - start
    ledger.close()
    return seconds


async def end_of_log(url: str) -> int:
    async with LogReader(url) as log:
        return await log.end()


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--events", type=int, default=100_000)
    options = parse.parse_args()
    with new_folder() as folder:
        postgres = RunningPostgres(folder)
        try:
            url = postgres.new_database()
            seconds = fill(url, options.events * 5 // 6)
            events = asyncio.run(end_of_log(url))
            figures: dict[str, float] = {"events": events, "writer_events_per_second": round(events / seconds)}
            for service in SERVICES:
                start = time.perf_counter()
                environment = {**os.environ, "SWITCHBOARD_POSTGRES_URL": url, "SWITCHBOARD_LOG_FORMAT": "json"}
                subprocess.run([sys.executable, "-m", service, "--rebuild"], check=True, env=environment)
                name = service.split(".")[1]
                figures[f"{name}_rebuild_events_per_second"] = round(events / (time.perf_counter() - start))
            print(json.dumps(figures, indent=1))
        finally:
            postgres.stop()


if __name__ == "__main__":
    main()
