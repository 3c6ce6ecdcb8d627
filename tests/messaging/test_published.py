"""When the stream got an event is read from its message, wherever that is near its position."""

from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from shared.messaging import event_stream
from shared.messaging.published import NOT_FOUND, NOT_PUBLISHED, StreamUnreadableError, published_times
from shared.wire.cloud_events import to_wire
from shared.wire.connection import connect_to_nats
from tests.inbox_views.stories import Story, beginning, personal
from tests.real_servers import RunningNats


@pytest.fixture
async def client(private_nats: RunningNats) -> AsyncIterator[Client]:
    made = await connect_to_nats(private_nats.url, "test")
    yield made
    await made.close()


async def publish(client: Client, story: Story, first: int, last: int) -> None:
    js = client.jetstream()
    await event_stream.declare_stream(js)
    for one in story.recorded[first - 1 : last]:
        subject, headers, body = to_wire(one)
        await js.publish(subject, body, headers=headers)


def wanted(story: Story, *positions: int) -> list[tuple[int, str]]:
    return [(position, story.recorded[position - 1].id) for position in positions]


def story(events: int = 40) -> Story:
    told = beginning()
    for number in range(events - 5):
        told.tell(personal(f"{number}@acme.example", "bob"))
    return told


async def test_each_event_has_the_time_of_its_message(client: Client) -> None:
    told = story()
    await publish(client, told, 1, 40)
    times, missing = await published_times(client, wanted(told, 1, 7, 40))
    assert list(times) == [1, 7, 40]
    assert missing == {}
    message = await client.jetstream().get_msg("SWITCHBOARD_EVENTS", 7)
    assert message.time is not None
    assert times[7].startswith(message.time.isoformat()[:22])


async def test_a_stream_that_begins_later_or_has_other_messages_between_is_searched(client: Client) -> None:
    told = story()
    await publish(client, told, 11, 20)
    for _ in range(5):
        await client.jetstream().publish("switchboard.event.v1.acme.address.Foreign", b"{}")
    await publish(client, told, 21, 40)
    times, missing = await published_times(client, wanted(told, 12, 3, 38, 39, 12))
    assert set(times) == {12, 38, 39}
    assert missing == {3: NOT_FOUND}


async def test_why_a_time_is_not_known_is_said(client: Client) -> None:
    told = story()
    with pytest.raises(StreamUnreadableError, match="the stream cannot be read"):
        await published_times(client, wanted(told, 1))
    await publish(client, told, 1, 10)
    other = wanted(told, 5)[0][0], "0198c0de-0000-7000-8000-000000000001"
    times, missing = await published_times(client, [*wanted(told, 11, 40), other])
    assert times == {}
    assert missing == {11: NOT_PUBLISHED, 40: NOT_PUBLISHED, 5: NOT_FOUND}
