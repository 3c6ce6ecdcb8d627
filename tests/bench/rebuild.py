"""How fast one writer fills the log, and how fast a view is made anew from it, in events per second.

`python -m tests.bench.rebuild --events 1000000` asks for more than `make bench` does.
"""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from itertools import islice

import orjson

from services.connections import parsing
from services.connections.commands import PAGES
from services.connections.decider import Decider
from services.connections.envelope import CommandEnvelope
from services.connections.store.event_store import EventStore
from shared.process.clock import new_id
from tests.bench.stage import Figures, Stage, new_stage
from tests.real_servers import ROOT

GROUP = 512
SERVICES: Mapping[str, str] = {"inbox_views": "services.inbox_views.app", "routing": "services.routing.app"}


class NotWrittenError(Exception):
    """A command of the filling was not accepted."""


class NotRebuiltError(Exception):
    """The process that makes a view anew has failed."""


def command(_command: str, **body: object) -> CommandEnvelope:
    return command_of("bench", _command, **body)


def command_of(account: str, name: str, /, **body: object) -> CommandEnvelope:
    """Read a command of an account as it comes over the wire, with an id of its own."""
    return parsing.read(account, name, orjson.dumps({"command_id": new_id(), **body}), None)


def commands(count: int) -> Iterator[CommandEnvelope]:
    """One account with some users and inboxes, then addresses, a fifth of them given a From name; one event each."""
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


def fill(url: str, events: int) -> Figures:
    """Writes about so many events; `events` are those that the log has then, the bus and the door left out.

    Raises:
        NotWrittenError: a command was not accepted.
    """
    decider = Decider(EventStore(url, PAGES))
    seconds, written = 0.0, 0
    left = commands(events * 5 // 6)
    try:
        while group := list(islice(left, GROUP)):
            began = time.perf_counter()
            settled = decider.settle(group)
            seconds += time.perf_counter() - began
            for envelope, outcome in settled:
                if outcome.kind != "accepted":
                    raise NotWrittenError(f"{envelope.name}: {outcome.members}")
            written = max(outcome.members["position"] for _, outcome in settled)
    finally:
        decider.store.close()
    return {"events": written, "per_second": written / seconds}


def rebuilt(stage: Stage, database: str, events: int) -> dict[str, Figures]:
    """By view: events per second of the clock, the process's start included, and its own processor time an event."""
    return {name: _rebuilt(stage, service, database, events) for name, service in SERVICES.items()}


def _rebuilt(stage: Stage, service: str, database: str, events: int) -> Figures:
    environment = {
        **os.environ,
        "SWITCHBOARD_NATS_URL": stage.nats.url,
        "SWITCHBOARD_POSTGRES_URL": database,
        "SWITCHBOARD_HTTP_PORT": "0",
        "SWITCHBOARD_LOG_FORMAT": "json",
    }
    log = stage.folder / "rebuild.log"
    before, began = os.times(), time.perf_counter()
    with log.open("ab") as output:
        done = subprocess.run(
            stage.module(service, "--rebuild"), check=False, env=environment, cwd=ROOT, stdout=output, stderr=output
        )
    seconds, after = time.perf_counter() - began, os.times()
    if done.returncode:
        raise NotRebuiltError(f"{service} ended with {done.returncode}:\n{log.read_text()[-2_000:]}")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return {"events": events, "seconds": seconds, "per_second": events / seconds, "cpu_us": 1e6 * spent / events}


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--events", type=int, default=100_000)
    options = parse.parse_args()
    with new_stage() as stage:
        database = stage.postgres.new_database()
        written = fill(database, options.events)
        print(json.dumps({"writer": written, **rebuilt(stage, database, int(written["events"]))}, indent=1))


if __name__ == "__main__":
    main()
