"""The past of a large log: questions as of any moment next to the same questions live, audit questions, and its price.

`python -m tests.bench.past --events 1000000`. Every figure that counts is a ratio of two measures of the same run.
"""

import argparse
import asyncio
import gc
import importlib
import json
import logging
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

import nats
import psycopg
import structlog
from nats.aio.client import Client

from services.connections.commands import PAGES
from services.connections.decider import Decider
from services.connections.store.event_store import EventStore
from shared.language import subjects
from shared.projections.rebuild.rebuild import rebuild
from shared.projections.view import View
from tests.bench.account import UnexpectedReplyError, ask
from tests.bench.load import percentile
from tests.bench.rebuild import GROUP, SERVICES, rebuilt
from tests.bench.stage import Figures, Stage, new_stage
from tests.bench.story import INBOXES, USERS, past
from tests.real_servers import ROOT

ASKER: Final = "service:bench"
AUDITOR: Final = "service:audit.bench"
PATIENCE_SECONDS: Final = 900.0
NOT_YET: Final = ("HISTORY_BEHIND", "VIEW_BEHIND", "BUSY")

Fields = dict[str, Any]


def fill(url: str, events: int, accounts: int) -> Figures:
    """Give commands of the story, as the wire brings them, until the log has so many events."""
    decider = Decider(EventStore(url, PAGES))
    story, written, began = past(accounts), 0, time.perf_counter()
    try:
        while written < events:
            for _, outcome in decider.settle(list(islice(story, GROUP))):
                written = max(written, outcome.members.get("position", 0))
    finally:
        decider.store.close()
    return {"events": written, "per_second": written / (time.perf_counter() - began)}


# ---- questions


def questions(dice: random.Random, account: str) -> Mapping[str, Fields]:
    """One of each question of the views, about something that exists for most of the past."""
    address = f"p{dice.randrange(5, 200)}@{account}.example"
    inbox, user = f"inbox{dice.randrange(INBOXES)}", f"user{dice.randrange(USERS)}"
    return {
        "Address": {"address": address},
        "Addresses": {"limit": 100},
        "Inbox": {"inbox": inbox},
        "Inboxes": {},
        "Identities": {"user": user},
        "User": {"user": user},
        "Users": {},
        "Teams": {},
        "Account": {},
        "Orphans": {},
        "Usage": {},
        "RemovalImpact": {"user": user},
        "Routing": {"inbox": inbox},
        "Resolve": {"recipients": [address, f"t{dice.randrange(5, 200)}@{account}.example"], "sender": "a@b.example"},
    }


async def live_and_past(url: str, accounts: int, end: int, rounds: int) -> dict[str, Figures]:
    """By question: live and as of random positions, asked in turns."""
    client, dice = await nats.connect(url), random.Random(14)  # noqa: S311
    took: dict[str, tuple[list[float], list[float]]] = {}
    for _ in range(rounds):
        account = f"bench{dice.randrange(accounts)}"
        for name, fields in questions(dice, account).items():
            live, as_of = took.setdefault(name, ([], []))
            live.append(await _timed(client, account, name, fields | {"actor": ASKER}))
            moment = {"as_of": dice.randint(end // 50, end)}
            as_of.append(await _timed(client, account, name, fields | {"actor": ASKER} | moment))
    await client.close()
    return {name: _compared(*times) for name, times in took.items()}


def _compared(live: Sequence[float], other: Sequence[float]) -> Figures:
    live, other = sorted(live), sorted(other)
    return {
        "live_p50_ms": percentile(live, 50),
        "live_p99_ms": percentile(live, 99),
        "p50_ms": percentile(other, 50),
        "p99_ms": percentile(other, 99),
        "p99_ratio": percentile(other, 99) / percentile(live, 99),
    }


async def _timed(client: Client, account: str, name: str, fields: Fields) -> float:
    began = time.perf_counter()
    answer = await ask(client, subjects.query(account, name), fields)
    seconds = time.perf_counter() - began
    if answer.get("error") not in (None, "ACCOUNT_NOT_FOUND", "USER_NOT_FOUND", "INBOX_NOT_FOUND"):
        raise UnexpectedReplyError(f"{name} {fields}: {answer}")
    return seconds


async def audit(url: str, accounts: int, end: int, rounds: int) -> dict[str, Figures]:
    """Timeline of one address and Access over a year, each beside a live Address."""
    client, dice = await nats.connect(url), random.Random(15)  # noqa: S311
    took: dict[str, tuple[list[float], list[float]]] = {}
    for _ in range(rounds):
        account = f"bench{dice.randrange(accounts)}"
        address = {"address": f"p{dice.randrange(5, 200)}@{account}.example"}
        inbox = {"inbox": f"inbox{dice.randrange(INBOXES)}"}
        for name, question, fields in (
            ("Timeline of an address", "Timeline", address),
            ("Access of an address over all time", "Access", address | {"from": 1, "to": end}),
            ("Access of an inbox at a moment", "Access", inbox | {"at": dice.randint(end // 2, end)}),
        ):
            live, asked = took.setdefault(name, ([], []))
            live.append(await _timed(client, account, "Address", address | {"actor": ASKER}))
            asked.append(await _timed(client, account, question, fields | {"actor": AUDITOR}))
    await client.close()
    return {name: _compared(*times) for name, times in took.items()}


# ---- disk, rebuilding and memory


def disk(database: str, view: str) -> Figures:
    """Bytes of each live row, and of each version that the history keeps, with all indexes."""
    live, kept = _size(database, view), _size(database, f"{view}_history")
    return {
        "rows": live["rows"],
        "versions": kept["rows"],
        "bytes_per_row": live["bytes"] / live["rows"],
        "bytes_per_version": kept["bytes"] / kept["rows"],
        "ratio": (kept["bytes"] / kept["rows"]) / (live["bytes"] / live["rows"]),
    }


def _size(database: str, schema: str) -> Figures:
    tables = "'^(accounts|users|inboxes|addresses)(_current|_past)?$'"
    with psycopg.connect(database) as connection:
        names = connection.execute(
            f"SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename ~ {tables}", (schema,)
        ).fetchall()
        found = {"rows": 0.0, "bytes": 0.0}
        for (name,) in names:
            table = f"{schema}.{name}"
            row = connection.execute(
                f"SELECT count(*), pg_total_relation_size(%s::regclass) FROM {table}", (table,)
            ).fetchone()
            assert row is not None, "an aggregate"
            found["rows"] += row[0]
            found["bytes"] += row[1]
    return found


def histories_rebuilt(stage: Stage, database: str, live: Mapping[str, Figures], events: int) -> dict[str, Figures]:
    """By view: events per second of a history's rebuild, and its ratio to that of the live rows."""
    found: dict[str, Figures] = {}
    for view, service in SERVICES.items():
        argv = stage.module(__spec__.name, "--rebuild-history", service, "--database", database)
        began = time.perf_counter()
        subprocess.run(argv, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        per_second = events / seconds
        found[view] = {"seconds": seconds, "per_second": per_second, "ratio": per_second / live[view]["per_second"]}
    return found


def rebuild_history(service: str, database: str) -> None:
    """Rebuild one history, as a process of its own does."""
    module = importlib.import_module(service.replace(".app", ".projection"))
    history = module.DEFINITION.history()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    asyncio.run(rebuild(database, View(database, history)))


# ---- everything


async def followed(url: str, account: str, end: int) -> float:
    """Wait until all three histories answer as of the end; the seconds that took."""
    client, began = await nats.connect(url), time.perf_counter()
    for name, actor in (("Usage", ASKER), ("Routing", ASKER), ("Timeline", AUDITOR)):
        moment = {"from": end} if name == "Timeline" else {"as_of": end}
        fields = {"actor": actor, "wait_ms": 20_000, "inbox": "inbox0"} | moment
        if name != "Routing":
            del fields["inbox"]
        while "error" in (answer := await ask(client, subjects.query(account, name), fields)):
            if answer["error"] not in NOT_YET or time.perf_counter() - began > PATIENCE_SECONDS:
                raise UnexpectedReplyError(f"{name}: {answer}")
            await asyncio.sleep(1)
    await client.close()
    return time.perf_counter() - began


def past_figures(stage: Stage, events: int, accounts: int = 100, rounds: int = 100) -> dict[str, Any]:
    """All figures of this module, on a log of its own with so many events."""
    database = stage.postgres.new_database()
    say("filling")
    found: dict[str, Any] = {"filled": fill(database, events, accounts)}
    end = int(found["filled"]["events"])
    say("rebuilding")
    found["live rebuild"] = rebuilt(stage, database, end)
    found["history rebuild"] = histories_rebuilt(stage, database, found["live rebuild"], end)
    say("following")
    with stage.switchboard(database, ready_seconds=PATIENCE_SECONDS) as running:
        found["followed"] = {"seconds": asyncio.run(followed(running.nats_url, "bench0", end))}
        before = stage.meter().memory()
        say("asking")
        found["as of"] = asyncio.run(live_and_past(running.nats_url, accounts, end, rounds))
        found["audit"] = asyncio.run(audit(running.nats_url, accounts, end, rounds))
        after = stage.meter().memory()
        found["memory"] = {f"{role} {when}": size for when, all_ in (("before", before), ("after", after))
                           for role, size in all_.items()}  # fmt: skip
        found["disk"] = {view: disk(database, view) for view in SERVICES}
    return found


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--events", type=int, default=100_000)
    parse.add_argument("--accounts", type=int, default=100)
    parse.add_argument("--rounds", type=int, default=100, help="each asks every question once live and once as of")
    parse.add_argument("--rebuild-history", metavar="SERVICE", help=argparse.SUPPRESS)
    parse.add_argument("--database", help=argparse.SUPPRESS)
    options = parse.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if options.rebuild_history:
        rebuild_history(options.rebuild_history, options.database)
        return
    with new_stage() as stage:
        print(json.dumps(past_figures(stage, options.events, options.accounts, options.rounds), indent=1))


if __name__ == "__main__":
    main()
