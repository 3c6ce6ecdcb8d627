"""The typed client reads a replay from its first message to its last, and ends when it is whole."""

import asyncio

import pytest

from shared.client import InvalidRequest, ReceivedEvent, ReplayIncomplete, connect
from tests.ops.replay.replaying import Log, Servers, Told, of_type, row_of_account, stored
from tests.ops.replay.test_contract_program import publish_again
from tests.real_servers import RunningNats

FAST = ("--speed", "100000/s")


@pytest.fixture
def servers(private_nats: RunningNats, database: str) -> Servers:
    return Servers(private_nats.url, Log(database))


async def read(servers: Servers, name: str, account: str | None = None) -> list[ReceivedEvent]:
    async with connect(servers.nats) as switchboard, asyncio.timeout(60):
        return [event async for event in switchboard.replay(name, account)]


async def test_each_event_comes_once_and_in_order_and_the_last_message_ends_it(servers: Servers) -> None:
    servers.log.append_new(600)
    servers.log.append(of_type(stored("a"), "switchboard.InboxPainted.v7"), (*stored("b")[:3], b"\xff"))
    await servers.done("start", "hist", *FAST)
    events = await read(servers, "hist")
    assert [event.position for event in events] == list(range(1, 603))
    assert len({event.id for event in events}) == 602
    assert events[0].recorded is not None
    assert type(events[0].recorded.event).__name__ == "TeamConnected"
    assert [event.type for event in events[600:]] == ["switchboard.InboxPainted.v7", "switchboard.UnreadableEvent.v1"]


async def test_one_of_an_account_is_read_by_its_account_and_a_part_of_a_whole_one_is_not(servers: Servers) -> None:
    servers.log.append(stored("a"), row_of_account("globex", "b"), stored("c"))
    await servers.done("start", "acme", "--account", "acme", *FAST)
    await servers.done("start", "whole", *FAST)
    assert [event.position for event in await read(servers, "acme", "acme")] == [1, 3]
    assert [event.position for event in await read(servers, "whole")] == [1, 2, 3]
    with pytest.raises(InvalidRequest, match="read it without account"):
        await read(servers, "whole", "acme")


async def test_a_reader_waits_for_a_replay_that_begins_later_and_goes_on_when_nats_is_back(
    servers: Servers, private_nats: RunningNats
) -> None:
    servers.log.append_new(300)
    positions: list[int] = []
    async with connect(servers.nats) as switchboard, asyncio.timeout(120):
        reading = aiter(switchboard.replay("hist"))
        first = asyncio.ensure_future(anext(reading))
        starting = asyncio.create_task(servers.replay("start", "hist", "--speed", "200/s"))
        positions.append((await first).position)
        await asyncio.to_thread(private_nats.kill)
        await asyncio.to_thread(private_nats.start)
        positions += [event.position async for event in reading]
        await starting
    assert positions == list(range(1, 301))


@pytest.mark.parametrize(
    ("fault", "count", "why"),
    [("missing", 2, "missing or was changed"), ("changed", 2, "missing or was changed"), ("cut", 4, "are missing")],
)
async def test_what_is_missing_or_changed_is_an_error(fault: str, count: int, why: str, servers: Servers) -> None:
    servers.log.append_new(5)
    await servers.done("start", "hist", *FAST)
    messages = await servers.published("hist")
    match fault:
        case "missing":
            del messages[3]
        case "changed":
            messages[3] = Told(messages[3].subject, messages[3].headers, messages[3].body + b" ")
        case "cut":
            del messages[5]
    await publish_again(servers.nats, messages)
    with pytest.raises(ReplayIncomplete, match=why) as error:
        await read(servers, "hist")
    assert (error.value.replay, error.value.count) == ("hist", count)


async def test_a_stopped_one_is_not_complete(servers: Servers) -> None:
    servers.log.append_new(2)
    await servers.done("start", "hist", *FAST)
    messages = await servers.published("hist")
    last = messages[-1]
    messages[-1] = Told(last.subject, last.headers, last.body.replace(b'"complete":true', b'"complete":false'))
    await publish_again(servers.nats, messages)
    with pytest.raises(ReplayIncomplete, match="it was stopped"):
        await read(servers, "hist")


@pytest.mark.parametrize(("name", "account"), [("a.b", None), ("a", "*"), ("", None)])
async def test_a_name_that_would_change_the_subject_is_refused(
    name: str, account: str | None, servers: Servers
) -> None:
    with pytest.raises(InvalidRequest):
        await read(servers, name, account)
