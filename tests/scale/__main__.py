"""What many processes give and cost on this machine; the figures of deploy/SCALING.md.

One, two and four writers with accounts spread and not, in few and in many accounts; what each service costs per
command; how fast the stream takes the log, alone and with three replicas; how soon another writer serves the accounts
of one that ended. Processor times hardly depend on what else the machine does; commands a second do.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import nats.errors
import psutil
import psycopg
from nats.js.errors import NotFoundError

from tests.journeys.wire import STREAM, Reply, Wire, connected
from tests.real_servers import ROOT, RunningCluster, RunningNats, RunningPostgres, new_folder, wait_until
from tests.scale.crowd import Crowd
from tests.scale.fleet import fleet
from tests.scale.handover import hang, kill, measure_handover, shared_evenly

FEW, MANY = 8, 200
SPREAD = (ROOT / "deploy/nats/spread.conf").read_text()
POSTGRES, BUS = "PostgreSQL", "nats-server"
# PostgreSQL lets a session wait a second before it reports, and ours say something every second.
REPORTED_SECONDS = 2.2
PATIENCE_SECONDS = 120.0


class Servers(NamedTuple):
    """What all runs share; `spreading` is a NATS with the mapping of deploy/nats/spread.conf, `plain` one without."""

    postgres: RunningPostgres
    plain: RunningNats
    spreading: RunningNats


def spent() -> dict[str, float]:
    """Seconds of processor time so far by role, of all processes that this one has started."""
    found: dict[str, float] = {}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times, role = process.cpu_times(), role_of(process)
            ended = times.children_user + times.children_system if role == POSTGRES else 0.0
            found[role] = found.get(role, 0.0) + times.user + times.system + ended
    return found


def role_of(process: psutil.Process) -> str:
    name = process.name()
    if name == "postgres":
        return POSTGRES
    modules = [word for word in process.cmdline() if word.startswith("services.")]
    return modules[0].removeprefix("services.").removesuffix(".app") if modules else str(name)


def per_command(before: Mapping[str, float], after: Mapping[str, float], commands: int) -> dict[str, float]:
    """Microseconds a command, by role."""
    return {role: round(1e6 * (seconds - before.get(role, 0.0)) / commands, 1) for role, seconds in after.items()}


def new_database(postgres: RunningPostgres) -> str:
    """Counts the calls of functions."""
    url = postgres.new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET track_functions = pl'.encode())
    return url


def groups(url: str) -> tuple[int, int, float]:
    """Groups of commands that were committed, attempts at them, and milliseconds in those, waiting included."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            """
            SELECT (SELECT count(DISTINCT xmin::text) FROM connections.journal), sum(calls)::bigint, sum(total_time)
            FROM pg_stat_user_functions WHERE schemaname = 'connections' AND funcname = 'append'
            """
        ).fetchone()
    return (row[0], row[1] or 0, row[2] or 0.0) if row else (0, 0, 0.0)


def flush_ms(url: str) -> float:
    """What a commit of almost nothing takes, until it is on disk: the median of 200."""
    with psycopg.connect(url, autocommit=True) as connection:

        def commit() -> float:
            began = time.perf_counter()
            connection.execute("SELECT pg_logical_emit_message(true, 'scale', 'x')")
            return time.perf_counter() - began

        return round(1_000 * statistics.median(commit() for _ in range(200)), 2)


class Case(NamedTuple):
    """So many writers, on a NATS that spreads accounts over them or not, with commands for so many accounts."""

    accounts: int
    writers: int
    spread: bool


CASES = [
    Case(accounts, writers, spread)
    for accounts in (FEW, MANY)
    for writers, spread in ((1, False), (2, False), (2, True), (4, False), (4, True))
]


def measure_writers(servers: Servers, case: Case, options: argparse.Namespace) -> dict[str, object]:
    """One run of the crowd against so many writers, without relay and views."""
    bus, url = (servers.spreading if case.spread else servers.plain), new_database(servers.postgres)
    with fleet(bus.url, url, {"SWITCHBOARD_SPREAD_ACCOUNTS": str(case.spread).lower()}) as members:
        members.grow(case.writers, ["connections"])
        if case.spread:
            wait_until(lambda: shared_evenly(url, case.writers), what="the partitions to be shared out")
        with crowd_of(bus.url, case.accounts) as crowd:
            crowd.settle_in(options.in_flight)
            crowd.work(options.commands // 5, options.in_flight)
            before, groups_before = spent(), settled_groups(url)
            told = crowd.work(options.commands, options.in_flight)
            after = spent()
    # Sessions that ended have reported.
    committed, attempted, append_ms = (now - then for now, then in zip(groups(url), groups_before, strict=True))
    cost = per_command(before, after, options.commands)
    return {
        **case._asdict(),
        "per_second": round(options.commands / told.seconds),
        "not_decided": told.outcomes["not decided"],
        "writer_us": cost["connections"],
        "postgres_us": cost[POSTGRES],
        "nats_us": cost[BUS],
        "group": round(options.commands / max(1, committed), 1),
        "again": round((attempted - committed) / max(1, committed), 3),
        "append_us": round(1_000 * append_ms / options.commands, 1),
    }


def settled_groups(url: str) -> tuple[int, int, float]:
    """As `groups`, when nothing changes any more: a session reports its calls now and then while it is idle."""
    found = groups(url)
    while True:
        time.sleep(REPORTED_SECONDS)
        before, found = found, groups(url)
        if found == before:
            return found


def measure_services(servers: Servers, options: argparse.Namespace) -> tuple[dict[str, float], float, str]:
    """What each costs per command until both views have followed, one process each; events a command; the database."""
    url = new_database(servers.postgres)
    with fleet(servers.plain.url, url) as members:
        members.grow(1)
        with crowd_of(servers.plain.url, MANY) as crowd:
            crowd.settle_in(options.in_flight)
            crowd.work(options.commands // 5, options.in_flight)
            asyncio.run(until_viewed(servers.plain.url, crowd.an_account, end_of(url)))
            before, start = spent(), end_of(url)
            crowd.work(options.commands, options.in_flight)
            asyncio.run(until_viewed(servers.plain.url, crowd.an_account, end_of(url)))
            after = spent()
    events = round((end_of(url) - start) / options.commands, 2)
    return per_command(before, after, options.commands), events, url


def end_of(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT max(notification_id) FROM connections.events").fetchone()
    return int(row[0]) if row and row[0] else 0


async def until_viewed(url: str, account: str, position: int) -> None:
    """Returns when both views show the log up to the position."""
    async with connected(url) as wire:
        for question, fields in (("Usage", {}), ("Routing", {"inbox": "inbox"})):
            reply = Reply({"error": "VIEW_BEHIND"}, None, b"")
            while reply.reason == "VIEW_BEHIND":
                reply = await wire.question(account, question, "ana", at_least=position, wait_ms=5_000, **fields)


async def measure_relay(url: str, bus_url: str, replicas: int) -> float:
    """Events a second that a relay carries onto an empty stream, by the stream's times of the first and the last."""
    goal = end_of(url)
    with fleet(bus_url, url, {"SWITCHBOARD_STREAM_REPLICAS": str(replicas)}) as members:
        async with connected(bus_url.split(",")) as wire:
            with suppress(NotFoundError):
                await wire.client.jetstream().delete_stream(STREAM)
            members.begin("relay")
            await until_stored(wire, goal)
            first, last = [await stored_at(wire, sequence) for sequence in (1, goal)]
            return round((goal - 1) / (last - first).total_seconds())


async def until_stored(wire: Wire, sequence: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with suppress(NotFoundError, nats.errors.Error):
                if (await wire.client.jetstream().stream_info(STREAM)).state.last_seq >= sequence:
                    return
            await asyncio.sleep(0.02)


async def stored_at(wire: Wire, sequence: int) -> datetime:
    message = await wire.client.jetstream().get_msg(STREAM, sequence)
    if message.time is None:
        raise LookupError(f"the stream has no time of message {sequence}")
    return message.time


@contextmanager
def crowd_of(url: str, accounts: int) -> Iterator[Crowd]:
    crowd = Crowd(url, accounts)
    try:
        yield crowd
    finally:
        crowd.close()


@contextmanager
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        postgres = RunningPostgres(stack.enter_context(new_folder()))
        stack.callback(postgres.stop)
        plain = RunningNats(stack.enter_context(new_folder()))
        stack.callback(plain.kill)
        spreading = RunningNats(stack.enter_context(new_folder()), SPREAD)
        stack.callback(spreading.kill)
        yield Servers(postgres, plain, spreading)


def measure_bus(url: str, plain: str) -> dict[str, float]:
    """The relay's events a second on one NATS, and on a cluster of three that keeps three replicas."""
    alone = asyncio.run(measure_relay(url, plain, 1))
    with new_folder() as folder:
        cluster = RunningCluster(folder)
        try:
            return {"one server": alone, "three replicas": asyncio.run(measure_relay(url, cluster.url, 3))}
        finally:
            cluster.kill()


def medians(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a case: the median of each figure over its rounds."""
    found = []
    for case in CASES:
        mine = [row for row in rows if all(row[name] == value for name, value in case._asdict().items())]
        figures = [name for name in mine[0] if name not in Case._fields]
        found.append({**case._asdict(), **{name: statistics.median(row[name] for row in mine) for name in figures}})
    return found


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    columns = {
        "accounts": "accounts",
        "writers": "writers",
        "spread": "spread",
        "commands/s": "per_second",
        "writers µs": "writer_us",
        "PostgreSQL µs": "postgres_us",
        "NATS µs": "nats_us",
        "group": "group",
        "again": "again",
        "append µs": "append_us",
    }
    print("".join(f"{title:>14}" for title in columns))
    for row in rows:
        print("".join(f"{row[field]!s:>14}" for field in columns.values()))


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--commands", type=int, default=15_000, help="in each run")
    parse.add_argument("--in-flight", type=int, default=512)
    parse.add_argument("--json", type=Path, help="write the figures there, too")
    options = parse.parse_args()
    with servers() as running:
        rows = []
        for _ in range(options.rounds):
            for case in CASES:
                rows.append(measure_writers(running, case, options))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        services, events, url = measure_services(running, options)
        relay = measure_bus(url, running.plain.url)
        flush = flush_ms(url)
        handover = {
            strike.__name__: measure_handover(running.spreading.url, running.postgres.new_database(), strike)
            for strike in (kill, hang)
        }
    found = {
        "writers": medians(rows),
        "handover": handover,
        "services_us": services,
        "events_per_command": events,
        "relay_events_per_second": relay,
        "flush_ms": flush,
    }
    print_table(found["writers"])  # type: ignore[arg-type]
    print("\nµs a command until both views have followed:", json.dumps(services), "with", events, "events each")
    print("events a second from the log onto the stream:", json.dumps(relay))
    print("when one of two writers ends or hangs:", json.dumps(handover))
    print("a commit of almost nothing, until it is on disk:", flush, "ms")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
