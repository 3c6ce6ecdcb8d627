"""How long the accounts of a writer that is killed, or hangs, are without an answer until another serves them."""

import asyncio
import os
import signal
import time
from collections.abc import Callable

import nats.errors
import psycopg

from services.connections.partitions import LOCKS
from shared.language.subjects import PARTITIONS
from tests.journeys.wire import Wire, body, command_subject, connected
from tests.real_servers import wait_until
from tests.scale.fleet import Fleet, fleet

ACCOUNTS = 24
TRY_SECONDS = 0.25
AGAIN_SECONDS = 0.02
SECONDS_AFTER = 5.0


def shared_evenly(url: str, writers: int) -> bool:
    """Whether so many writers hold all partitions among them, none two more than another."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid::bigint = %s AND granted"
            " AND objid::bigint < %s AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " GROUP BY pid",
            (LOCKS, PARTITIONS),
        ).fetchall()
    sizes = [row[0] for row in rows]
    return len(sizes) == writers and sum(sizes) == PARTITIONS and max(sizes) - min(sizes) <= 1


def kill(members: Fleet) -> None:
    members.kill("connections")


def hang(members: Fleet) -> None:
    """Until the end, when it is killed."""
    os.kill(members.members["connections"][0].child.pid, signal.SIGSTOP)


def measure_handover(bus_url: str, postgres_url: str, strike: Callable[[Fleet], None]) -> dict[str, float]:
    """Seconds until the other of two writers holds all partitions, and the longest that an account had no answer."""
    with fleet(bus_url, postgres_url, {"SWITCHBOARD_SPREAD_ACCOUNTS": "true"}) as members:
        members.grow(2, ["connections"])
        wait_until(lambda: shared_evenly(postgres_url, 2), what="two writers to share")
        found = asyncio.run(_struck(members, strike))
        if len(members.members["connections"]) > 1:
            members.kill("connections")
        return found


async def _struck(members: Fleet, strike: Callable[[Fleet], None]) -> dict[str, float]:
    async with connected(members.nats_url) as wire:
        end = asyncio.Event()
        gaps = [asyncio.create_task(_longest_gap(wire, f"handover-{number}", end)) for number in range(ACCOUNTS)]
        await asyncio.sleep(1)
        began = time.monotonic()
        strike(members)
        await asyncio.to_thread(
            wait_until, lambda: shared_evenly(members.postgres_url, 1), what="one writer to hold all"
        )
        held = time.monotonic() - began
        await asyncio.sleep(SECONDS_AFTER)
        end.set()
        return {
            "held_by_the_other_after_s": round(held, 2),
            "longest_without_answer_s": round(max(await asyncio.gather(*gaps)), 2),
        }


async def _longest_gap(wire: Wire, account: str, end: asyncio.Event) -> float:
    """Seconds between two answers to the account."""
    longest, last = 0.0, time.monotonic()
    request = command_subject(account, "RenameInbox"), body("ana", {"inbox": "inbox", "name": "any"})
    while not end.is_set():
        try:
            await wire.ask(*request, seconds=TRY_SECONDS)
        except nats.errors.Error:
            await asyncio.sleep(AGAIN_SECONDS)
            continue
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
        await asyncio.sleep(AGAIN_SECONDS)
    return longest
