"""A rolling restart of the write side under load loses no request."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from tests.faults import verdict
from tests.faults.nemeses.processes import struck
from tests.faults.nemeses.standing_still import another
from tests.faults.scene import started
from tests.faults.workload import Workload
from tests.journeys import cast
from tests.journeys.wire import Wire, connected
from tests.real_servers import RunningSwitchboard, new_folder, wait_until

COMMANDS_BETWEEN = 60
# A request without an answer for so long is lost; on a busy machine one may be late by more than a second.
LOST_SECONDS = 10.0


@pytest.fixture
def running() -> Iterator[RunningSwitchboard]:
    with ExitStack() as stack:
        yield started(stack, stack.enter_context(new_folder()))


async def test_a_rolling_restart_of_the_write_side_loses_no_request(running: RunningSwitchboard) -> None:
    async with connected(running.nats_url) as wire:
        work = Workload([(await cast.furnished(wire)).name], seed=99, try_seconds=LOST_SECONDS)
        working = asyncio.create_task(work.run(wire))
        for _ in range(3):
            async with another(running, "connections") as second:
                await until_there_are(wire, 2)
                await work.progress(COMMANDS_BETWEEN)
                await asyncio.to_thread(struck, running, "connections", psutil.Process.terminate)
                await until_there_are(wire, 2)
                await work.progress(COMMANDS_BETWEEN)
                second.request_stop()
                await asyncio.to_thread(wait_until, lambda: second.poll() is not None, 20, "the second to end")
                assert second.poll() == 0
        await work.progress(COMMANDS_BETWEEN)
        work.end()
        await working
        again = [one for one in work.given.values() if one.tries != 1]
        print(f"{len(work.given)} commands through six restarts, {len(again)} asked more than once")
        assert not again
        await judged(running, wire, work, "rolling restart")


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
