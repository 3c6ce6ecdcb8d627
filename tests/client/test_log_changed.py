"""A reader of events notices a log that was restored from an older backup, and learns what to do."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.client import LogChanged, ReceivedEvent, Switchboard, connect
from shared.language import subjects
from shared.wire.connection import connect_to_nats
from tests.real_servers import RunningNats
from tests.relay.test_relay import Log, all_told, relaying


async def restored(nats_url: str, log: Log, kept: int, others: int) -> None:
    """The log as of a position with other events from there on, and the stream deleted."""
    log.forget_after(kept)
    log.append_new(others)
    client = await connect_to_nats(nats_url, "test")
    await client.jetstream().delete_stream(subjects.EVENT_STREAM)
    await client.close()
    await all_told(nats_url, log)


@pytest.fixture
async def client(private_nats: RunningNats) -> AsyncIterator[Switchboard]:
    async with connect(private_nats.url) as found, asyncio.timeout(60):
        yield found


async def taken(events: AsyncIterator[ReceivedEvent], count: int) -> list[ReceivedEvent]:
    return [await anext(events) for _ in range(count)]


@pytest.mark.parametrize("of_one", [True, False], ids=["of one account", "of all"])
@pytest.mark.parametrize("others", [1, 10, 30], ids=["shorter", "as long", "longer"])
async def test_a_reader_notices_while_it_reads(
    of_one: bool, others: int, client: Switchboard, private_nats: RunningNats, database: str
) -> None:
    log = Log(database)
    log.append_new(30)
    async with relaying(private_nats.url, database):
        events = client.events(account="acme" if of_one else None)
        seen = await taken(events, 30)
        await restored(private_nats.url, log, 20, others)
        with pytest.raises(LogChanged, match="Discard everything derived from events after position 20") as raised:
            await anext(events)
        error = raised.value
        assert (error.position, error.expected, error.same_until) == (21, seen[20].id, 20)
        assert error.found == log.ids()[20]
        rest = await taken(client.events(after=20, after_id=seen[19].id), others)
        assert [event.id for event in rest] == log.ids()[20:]


async def test_a_reader_that_restarts_with_the_last_id_notices(
    client: Switchboard, private_nats: RunningNats, database: str
) -> None:
    log = Log(database)
    log.append_new(30)
    async with relaying(private_nats.url, database):
        last = (await taken(client.events(), 30))[-1]
        log.append_new(1)
        (more,) = await taken(client.events(after=last.position, after_id=last.id), 1)
        assert (more.position, more.id) == (31, log.ids()[30])
        await restored(private_nats.url, log, 20, 15)
        with pytest.raises(LogChanged, match=r"read again from the start, with after=0") as raised:
            await taken(client.events(after=last.position, after_id=last.id), 1)
        assert (raised.value.position, raised.value.expected, raised.value.same_until) == (30, last.id, None)


async def test_a_missing_event_is_noticed_among_the_events_of_one_account(
    client: Switchboard, private_nats: RunningNats, database: str
) -> None:
    log = Log(database)
    log.append_new(5)
    async with relaying(private_nats.url, database):
        await all_told(private_nats.url, log)
        with pytest.raises(LogChanged) as raised:
            await taken(client.events(after=3, after_id="0198c0de-0000-7000-8000-000000000001", account="acme"), 1)
        assert (raised.value.position, raised.value.found) == (3, log.ids()[2])


async def test_a_stream_that_was_lost_and_written_again_is_the_same_log(
    client: Switchboard, private_nats: RunningNats, database: str
) -> None:
    log = Log(database)
    log.append_new(600)
    async with relaying(private_nats.url, database):
        events = client.events()
        await taken(events, 600)
        await restored(private_nats.url, log, 600, 5)
        assert [event.position for event in await taken(events, 5)] == [601, 602, 603, 604, 605]
