"""Two and four processes of each kind do the work of one: nothing is lost, doubled, or decided by two."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.faults.workload import TRY_SECONDS, Workload, ignored
from tests.journeys import cast
from tests.journeys.wire import Wire, connected
from tests.real_servers import ROOT, RunningNats, new_folder
from tests.scale.fleet import SERVICES, Fleet, fleet
from tests.scale.judging import judged, race, requests_taken, takers

SPREAD = (ROOT / "deploy/nats/spread.conf").read_text()
# A request without an answer for so long is lost; on a busy machine one may be late by more than a second.
LOST_SECONDS = 10.0
COMMANDS_BETWEEN = 100
PACE_SECONDS = 0.02
ACCOUNTS = 6

Way = Callable[[str], str]


@pytest.fixture(scope="module")
def spreading_nats() -> Iterator[RunningNats]:
    """A NATS with the configuration by which accounts are spread over writers."""
    with new_folder() as folder:
        server = RunningNats(folder, SPREAD)
        yield server
        server.kill()


def anybody(subject: str) -> str:
    """Whoever of the queue group is chosen."""
    return subject


def partition(number: int) -> Way:
    """Whoever serves that partition, whose account it is not."""
    return lambda subject: f"{subject}.{number}"


async def working(
    wire: Wire, seed: int, ways: Sequence[Way], try_seconds: float = TRY_SECONDS
) -> tuple[Workload, "asyncio.Task[None]"]:
    accounts = [(await cast.furnished(wire)).name for _ in range(ACCOUNTS)]
    work = Workload(accounts, seed, ways, pace=PACE_SECONDS, try_seconds=try_seconds)
    return work, asyncio.create_task(work.run(wire))


async def replaced(members: Fleet, work: Workload) -> None:
    """One process of each kind is killed, work goes on without it, and another one comes."""
    new = []
    for service in SERVICES:
        assert await asyncio.to_thread(members.kill, service) == -9
        await work.progress(COMMANDS_BETWEEN)
        new.append(members.begin(service))
    for member in new:
        await asyncio.to_thread(member.wait_until_ready)
    await work.progress(COMMANDS_BETWEEN)


@pytest.mark.parametrize(
    ("each", "spread", "ways"), [(2, False, [anybody]), (4, True, [partition(5), partition(21)])], ids=["2", "4 spread"]
)
async def test_many_processes_of_each_kind_are_right_while_some_are_killed_and_started(
    each: int, spread: bool, ways: Sequence[Way], nats: RunningNats, spreading_nats: RunningNats, database: str
) -> None:
    bus = spreading_nats if spread else nats
    settings = {"SWITCHBOARD_SPREAD_ACCOUNTS": str(spread).lower()}
    with fleet(bus.url, database, settings) as members:
        members.grow(each)
        async with connected(bus.url, error_cb=ignored) as wire:
            work, running = await working(wire, each, ways)
            await work.progress(COMMANDS_BETWEEN)
            await replaced(members, work)
            races = await race(wire, work)
            work.end()
            await running
            taken = await requests_taken(wire, each)
            print(f"\ncommands taken by each writer there is now: {sorted(taken.values())}")
            assert await judged(members, wire, work, races, f"{each} of each, accounts spread: {spread}")
            assert sum(map(bool, taken.values())) >= 2


async def test_an_account_has_one_writer_and_no_request_is_lost_while_writers_come_and_go(
    spreading_nats: RunningNats, database: str
) -> None:
    with fleet(spreading_nats.url, database, {"SWITCHBOARD_SPREAD_ACCOUNTS": "true"}) as members:
        members.grow(1)
        async with connected(spreading_nats.url) as wire:
            work, running = await working(wire, 7, (), LOST_SECONDS)
            for _ in range(2):
                member = members.begin("connections")
                await asyncio.to_thread(member.wait_until_ready)
                await work.progress(COMMANDS_BETWEEN)
            assert await asyncio.to_thread(members.stop, "connections") == 0
            await work.progress(COMMANDS_BETWEEN)
            work.end()
            await running
            await spread_over_both(wire)
            again = asyncio.create_task(work.run(wire))
            assert await asyncio.to_thread(members.stop, "connections") == 0
            await work.progress(COMMANDS_BETWEEN)
            work.end()
            await again
            assert await judged(members, wire, work, {}, "two writers came and two went")
            assert [(one.subject, one.again) for one in work.given.values() if one.again] == []


async def spread_over_both(wire: Wire) -> None:
    async with asyncio.timeout(20):
        # As long as partitions are changing hands both may take them.
        while len(await takers(wire, "spread", writers=2, commands=32)) > 1:
            pass
    found = [await takers(wire, f"spread-{number}", writers=2) for number in range(24)]
    assert [len(writers) for writers in found] == [1] * 24
    assert len(set.union(*found)) == 2
