"""A NATS cluster of three may lose any one, the leader of the stream too, and get another in its place, under load."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

import nats.errors
import pytest
from nats.js import JetStreamContext
from nats.js.api import PeerInfo
from nats.js.errors import NotFoundError, ServiceUnavailableError

from services.ops.local.nats_server import nats_answers
from shared import client as switchboard_client
from shared.messaging import event_stream
from shared.projections.durable_consumer import consumer_config
from shared.wire.connection import connect_to_nats
from tests.faults.workload import Workload, ignored
from tests.journeys import cast
from tests.journeys.wire import STREAM, Wire, connected
from tests.real_servers import ClusterNode, RunningCluster, RunningNats, free_port, new_folder
from tests.scale.fleet import Fleet, fleet
from tests.scale.judging import judged

COMMANDS_BETWEEN = 100
# Longer than a lost connection takes to be noticed and a new leader to be elected, on a busy machine.
ANSWERED_WITHIN_SECONDS = 40.0
TRY_SECONDS = 2.0

T = TypeVar("T")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    with new_folder() as folder:
        made = RunningCluster(folder)
        yield made
        made.kill()


@pytest.fixture
def members(cluster: RunningCluster, database: str) -> Iterator[Fleet]:
    with fleet(cluster.url, database, {"SWITCHBOARD_STREAM_REPLICAS": "3"}) as made:
        made.grow(1)
        made.grow(2, ["relay"])
        yield made


class Stream(NamedTuple):
    """What the leader of the stream says of it."""

    leader: str
    followers: Sequence[PeerInfo]
    replicas: int
    end: int
    created: str


async def stream(wire: Wire) -> Stream:
    """As soon as somebody knows: between two leaders nobody does."""
    async with asyncio.timeout(ANSWERED_WITHIN_SECONDS):
        while True:
            try:
                info = await wire.client.jetstream(timeout=2).stream_info(STREAM)
            except (nats.errors.Error, TimeoutError):
                await asyncio.sleep(0.05)
                continue
            if info.cluster and info.cluster.leader:
                return Stream(
                    info.cluster.leader,
                    info.cluster.replicas or [],
                    info.config.num_replicas or 1,
                    info.state.last_seq,
                    str(info.created),
                )


async def until_all_are_current(wire: Wire) -> None:
    async with asyncio.timeout(30):
        while True:
            followers = (await stream(wire)).followers
            if len(followers) == 2 and all(one.current and not one.offline for one in followers):
                return
            await asyncio.sleep(0.05)


async def until_it_grows(wire: Wire) -> float:
    """Seconds until the stream has more than now."""
    began, end = time.monotonic(), (await stream(wire)).end
    async with asyncio.timeout(ANSWERED_WITHIN_SECONDS):
        while (await stream(wire)).end <= end:
            await asyncio.sleep(0.02)
    return time.monotonic() - began


async def replaced(wire: Wire, work: Workload, victim: ClusterNode) -> str:
    """The node is killed, commands are answered and the stream grows without it, and one with an empty folder comes."""
    began = time.monotonic()
    victim.wipe()
    await work.progress(COMMANDS_BETWEEN, ANSWERED_WITHIN_SECONDS)
    answered = time.monotonic() - began
    await until_it_grows(wire)
    grew = time.monotonic() - began
    victim.launch()
    await work.progress(COMMANDS_BETWEEN)
    await asyncio.to_thread(victim.wait_until_it_answers)
    await until_all_are_current(wire)
    return f"answered after {answered:.1f} s, told after {grew:.1f} s, whole after {time.monotonic() - began:.1f} s"


async def test_a_follower_and_then_the_leader_of_the_stream_are_killed_and_replaced(
    cluster: RunningCluster, members: Fleet
) -> None:
    servers = cluster.url.split(",")
    async with connected(servers, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=ignored) as wire:
        accounts = [(await cast.furnished(wire)).name for _ in range(3)]
        work = Workload(accounts, seed=3, pace=0.03)
        running = asyncio.create_task(work.run(wire))
        await work.progress(COMMANDS_BETWEEN)
        await until_all_are_current(wire)
        before = await stream(wire)
        follower = next(node for node in cluster.nodes if node.name != before.leader)
        print(f"\na follower is killed: {await replaced(wire, work, follower)}")
        leader = cluster.node((await stream(wire)).leader)
        print(f"the leader is killed: {await replaced(wire, work, leader)}")
        work.end()
        await running
        assert await judged(members, wire, work, {}, "three nodes, two of them replaced")
        after = await stream(wire)
        # Lost as a whole it would have been told again from the log, and nothing be missing.
        assert (after.created, after.replicas) == (before.created, 3)


async def test_a_view_goes_on_when_its_consumer_is_lost_with_the_node_that_led_it(
    cluster: RunningCluster, database: str
) -> None:
    servers = cluster.url.split(",")
    async with connected(servers, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=ignored) as wire:
        js = wire.client.jetstream(timeout=10)
        with suppress(NotFoundError):
            await js.delete_stream(STREAM)
        await event_stream.declare_stream(js, declared=event_stream.EVENT_STREAM.evolve(num_replicas=3))
        # As a node holds it when the others lost their copies, one after another.
        alone = await js.add_consumer(STREAM, consumer_config("routing").evolve(num_replicas=1))
        assert alone.cluster
        victim = cluster.node(str(alone.cluster.leader))
        with fleet(cluster.url, database, {"SWITCHBOARD_STREAM_REPLICAS": "3"}) as members:
            members.grow(1)
            account = await cast.furnished(wire)
            await account.see("Resolve", recipients=["a@b.example"], sender="a@b.example")
            assert (await js.consumer_info(STREAM, "routing")).created == alone.created
            victim.wipe()
            work = Workload([account.name], seed=4, pace=0.03)
            running = asyncio.create_task(work.run(wire))
            await work.progress(COMMANDS_BETWEEN, ANSWERED_WITHIN_SECONDS)
            work.end()
            await running
            account.position = max(one.reply.body.get("position", 0) for one in work.given.values() if one.reply)
            async with asyncio.timeout(ANSWERED_WITHIN_SECONDS):
                while (await account.ask("Resolve", recipients=["a@b.example"], sender="a@b.example")).error:
                    pass
            victim.start()


async def test_a_stream_gets_the_replicas_that_are_set_and_loses_none(
    cluster: RunningCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await connect_to_nats(cluster.url, "test")
    js = client.jetstream(timeout=TRY_SECONDS)
    await delete(js)
    found = [await declared(js)]
    monkeypatch.setenv("SWITCHBOARD_STREAM_REPLICAS", "3")
    found.append(await declared(js))
    monkeypatch.delenv("SWITCHBOARD_STREAM_REPLICAS")
    found.append(await declared(js))
    await asked_again(lambda: event_stream.set_log_id(js, "a log"))
    info = await asked_again(lambda: js.stream_info(STREAM))
    await delete(js)
    await client.close()
    assert [*found, info.config.num_replicas] == [1, 3, 3, 3]
    assert event_stream.log_id_of(info.config) == "a log"


async def declared(js: JetStreamContext) -> int | None:
    return (await asked_again(lambda: event_stream.declare_stream(js))).config.num_replicas


async def delete(js: JetStreamContext) -> None:
    with suppress(NotFoundError):
        await asked_again(lambda: js.delete_stream(STREAM))


async def asked_again(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer, asked again until there is one: what a stream is asked between two leaders is never answered."""
    async with asyncio.timeout(ANSWERED_WITHIN_SECONDS):
        while True:
            try:
                return await ask()
            except (nats.errors.TimeoutError, ServiceUnavailableError):
                await asyncio.sleep(0.05)


async def test_several_servers_may_be_named_and_one_of_them_be_gone(nats: RunningNats) -> None:
    servers = f"nats://127.0.0.1:{free_port()}, {nats.url}"
    assert await nats_answers(servers) is None
    async with switchboard_client.connect(servers, timeout=0.2) as switchboard:
        with pytest.raises(switchboard_client.RequestTimeout, match="no responders"):
            await switchboard.request("nobody.listens.here", {})
