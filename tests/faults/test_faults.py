"""Whatever goes wrong under load: nothing acknowledged is lost, nothing is doubled, and everybody sees the same.

Each nemesis strikes a Switchboard at work and proves that it struck. Then what was acknowledged, stored, told on the
stream and seen in the views is compared as sets (`verdict.py`).
"""

import asyncio
import random
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.connections.cutting_proxy import CuttingProxy
from tests.faults import verdict
from tests.faults.nemeses import ON_SMALL_DISKS, PROXIED, ROSTER, Nemesis, Struck, Target, small_disks
from tests.faults.nemeses.bus_proxy import BusProxy
from tests.faults.nemeses.processes import another, struck
from tests.faults.workload import Workload
from tests.journeys import cast
from tests.journeys.wire import STREAM, Wire, connected
from tests.real_servers import RunningNats, RunningPostgres, RunningSwitchboard, new_folder, wait_until

COMMANDS_BETWEEN = 60
# Recovery from any fault, in seconds; the machine is shared, and the figures of the long tier are stricter.
RECOVERY_SECONDS = 15.0


def chance(name: str) -> random.Random:
    return random.Random(zlib.crc32(name.encode()))  # noqa: S311  seeded


def started(stack: ExitStack, folder: Path, environment: Mapping[str, str] | None = None) -> RunningSwitchboard:
    """A Switchboard whose failpoints may be armed in `folder/points`."""
    points = folder / "points"
    points.mkdir()
    made = RunningSwitchboard(folder, {"SWITCHBOARD_FAILPOINTS": str(points), **(environment or {})})
    stack.callback(made.close)
    made.start()
    return made


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSwitchboard]:
    """A Switchboard that is ready again after every fault."""
    with ExitStack() as stack:
        yield started(stack, stack.enter_context(new_folder()))


@pytest.fixture(scope="module")
def behind_proxies(postgres: RunningPostgres, nats: RunningNats) -> Iterator[Target]:
    """A Switchboard that reaches its servers by way of proxies."""
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder())
        (folder / "proxy").mkdir()
        database, bus = CuttingProxy(postgres.new_database(), folder / "proxy"), BusProxy(nats.url, chance("bus"))
        stack.callback(database.close)
        stack.callback(bus.close)
        settings = {"SWITCHBOARD_POSTGRES_URL": database.url, "SWITCHBOARD_NATS_URL": bus.url}
        made = started(stack, folder, settings)
        yield Target(made, chance("proxies"), folder / "points", database, bus)


@pytest.fixture(scope="module")
def on_small_disks() -> Iterator[Target]:
    """A Switchboard whose servers have some megabytes each."""
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder())
        disks = stack.enter_context(small_disks(folder / "data"))
        made = started(stack, folder)
        yield Target(made, chance("disks"), folder / "points", disks=disks)


def named(nemesis: Nemesis) -> str:
    return nemesis.name


# Callers notice these, and ask again.
NOTICED = ("connections is killed", "connections is killed at ledger.committed", "everything is killed")


@pytest.mark.parametrize("nemesis", ROSTER, ids=named)
async def test_nothing_is_lost_doubled_or_seen_otherwise_when(nemesis: Nemesis, running: RunningSwitchboard) -> None:
    await survived(Target(running, chance(nemesis.name), running.data_dir / "points"), nemesis)


@pytest.mark.parametrize("nemesis", PROXIED, ids=named)
async def test_nothing_is_lost_on_the_way_when(nemesis: Nemesis, behind_proxies: Target) -> None:
    await survived(behind_proxies, nemesis)


@pytest.mark.parametrize("nemesis", ON_SMALL_DISKS, ids=named)
async def test_nothing_is_lost_for_want_of_space_when(nemesis: Nemesis, on_small_disks: Target) -> None:
    await survived(on_small_disks, nemesis)


async def survived(target: Target, nemesis: Nemesis) -> None:
    running = target.running
    async with connected(
        running.nats_url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=ignored
    ) as wire:
        work = Workload([(await cast.furnished(wire)).name for _ in range(2)], seed=zlib.crc32(nemesis.name.encode()))
        working = asyncio.create_task(work.run(wire))
        await work.progress(COMMANDS_BETWEEN)
        created = await stream_created(wire)
        told = await nemesis.strike(target)
        await work.progress(COMMANDS_BETWEEN)
        work.end()
        await working
        print(f"\n{told.nemesis}: {told.detail}; ready after {told.ready_seconds:.2f} s,"
              f" answered after {told.answered_seconds:.2f} s, told after {told.told_seconds:.2f} s")  # fmt: skip
        await judged(running, wire, work, told.nemesis)
        assert (await stream_created(wire) != created) == ("wipes" in told.counts)
        assert in_time(told), told
        if nemesis.name in NOTICED:
            assert any(one.tries > 1 for one in work.given.values())


def in_time(told: Struck) -> bool:
    return max(told.ready_seconds, told.answered_seconds, told.told_seconds) < RECOVERY_SECONDS


async def ignored(_error: Exception) -> None:
    """The bus goes away: that is what this is about."""


async def stream_created(wire: Wire) -> str:
    info = await wire.client.jetstream().stream_info(STREAM)
    return str(info.created)


async def judged(running: RunningSwitchboard, wire: Wire, work: Workload, title: str) -> None:
    given = list(work.given.values())
    stored = await asyncio.to_thread(verdict.stored_events, running.postgres_url)
    facts = await wire.facts(stored[-1].position, seconds=30)
    counts = {
        "commands": len(given),
        "asked more than once": sum(one.tries > 1 for one in given),
        "accepted": sum(one.reply is not None and one.reply.outcome == "accepted" for one in given),
        "stored": len(stored),
        "told": len(facts),
    }
    print(f"\n{title}")
    assert verdict.passed(
        counts,
        verdict.of_commands(given, stored),
        verdict.of_the_stream(stored, facts),
        await verdict.of_the_views(wire, work.accounts, facts),
        await verdict.of_the_answers(wire, given),
    )
    after = await asyncio.to_thread(verdict.stored_events, running.postgres_url)
    assert after == stored, "asking again wrote something"


# ---- a rolling restart


async def test_a_rolling_restart_of_the_write_side_loses_no_request(running: RunningSwitchboard) -> None:
    async with connected(running.nats_url) as wire:
        work = Workload([(await cast.furnished(wire)).name], seed=99)
        working = asyncio.create_task(work.run(wire))
        for _ in range(3):
            async with another(running, "connections") as second:
                await until_there_are(wire, 2)
                await work.progress(COMMANDS_BETWEEN)
                await asyncio.to_thread(struck, running, "connections", psutil.Process.terminate)
                await until_there_are(wire, 2)
                await work.progress(COMMANDS_BETWEEN)
                second.ask_to_end()
                await asyncio.to_thread(wait_until, lambda: second.poll() is not None, 20, "the second to end")
                assert second.poll() == 0
        await work.progress(COMMANDS_BETWEEN)
        work.end()
        await working
        again = [one for one in work.given.values() if one.tries != 1]
        print(f"{len(work.given)} commands through six restarts, {len(again)} asked more than once")
        assert not again
        await judged(running, wire, work, "rolling restart")


async def until_there_are(wire: Wire, processes: int) -> None:
    """Returns when so many processes of the write side answer, and no more."""
    async with asyncio.timeout(20):
        while await counted(wire) != processes:
            pass


async def counted(wire: Wire) -> int:
    inbox = wire.client.new_inbox()
    subscription = await wire.client.subscribe(inbox)
    await wire.client.publish("$SRV.PING.switchboard-connections", reply=inbox)
    found = 0
    try:
        while True:
            await subscription.next_msg(timeout=0.2)
            found += 1
    except TimeoutError:
        return found
    finally:
        await subscription.unsubscribe()
