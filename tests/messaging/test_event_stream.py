"""The stream of events is created once, as declared, and never changed silently."""

import asyncio

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamConfig
from nats.js.errors import ServerError

from shared.language import subjects
from shared.messaging import endpoint, event_stream
from shared.wire.connection import connect_to_nats, flush_confirmed
from tests.real_servers import RunningNats


async def test_the_stream_is_made_once_however_many_declare_it_at_once(private_nats: RunningNats) -> None:
    client = await connect_to_nats(private_nats.url, "test")
    js = client.jetstream()
    infos = await asyncio.gather(*(event_stream.declare_stream(js) for _ in range(20)))
    assert {info.config.name for info in infos} == {subjects.EVENT_STREAM}
    await js.publish("switchboard.event.v1.acme.address.X", b"{}")
    assert (await event_stream.declare_stream(js)).state.messages == 1
    await client.close()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"max_age": 600.0}, "max_age"),
        ({"max_msgs": 1_000}, "max_msgs"),
        ({"duplicate_window": 30.0}, "duplicate_window"),
        ({"subjects": ["switchboard.event.v1.acme.>"]}, "subjects"),
        ({"allow_atomic": False}, "allow_atomic"),
        ({"deny_purge": False}, "deny_purge"),
    ],
)
async def test_a_stream_of_another_shape_is_named_and_left_alone(
    private_nats: RunningNats, change: dict[str, object], field: str
) -> None:
    client = await connect_to_nats(private_nats.url, "test")
    js = client.jetstream()
    await js.add_stream(event_stream.EVENT_STREAM, **change)
    before = (await js.stream_info(subjects.EVENT_STREAM)).config
    with pytest.raises(event_stream.StreamDrifted, match=field) as caught:
        await event_stream.declare_stream(js)
    assert set(caught.value.differences) == {field}
    assert (await js.stream_info(subjects.EVENT_STREAM)).config == before
    await client.close()


async def test_more_replicas_or_another_description_are_no_drift() -> None:
    found = event_stream.EVENT_STREAM.evolve(num_replicas=3, description="ours", metadata={"owner": "crm"})
    assert event_stream.stream_differences(event_stream.EVENT_STREAM, found) == {}
    assert set(
        event_stream.stream_differences(event_stream.EVENT_STREAM, StreamConfig(name=subjects.EVENT_STREAM))
    ) >= {"storage"}


async def test_no_single_event_can_be_removed(private_nats: RunningNats) -> None:
    client = await connect_to_nats(private_nats.url, "test")
    js = client.jetstream()
    await event_stream.declare_stream(js)
    await js.publish("switchboard.event.v1.acme.address.X", b"{}")
    with pytest.raises(ServerError, match="not permitted"):
        await js.purge_stream(subjects.EVENT_STREAM)
    with pytest.raises(ServerError, match="not permitted"):
        await js.delete_msg(subjects.EVENT_STREAM, 1)
    await client.close()


async def connected(client: Client, wanted: bool) -> None:
    async with asyncio.timeout(10):
        while client.is_connected is not wanted:
            await asyncio.sleep(0.02)


async def test_a_connection_comes_back_after_its_server(private_nats: RunningNats) -> None:
    client = await connect_to_nats(private_nats.url, "test", pending_size=0)
    private_nats.kill()
    await connected(client, False)
    with pytest.raises(nats.errors.OutboundBufferLimitError):
        await client.publish("anything", b"late")
    private_nats.start()
    await connected(client, True)
    await client.flush()
    await client.close()


async def test_whoever_asks_after_a_subscription_is_settled_is_heard(nats: RunningNats) -> None:
    """Of 1,000 that only flushed, 17 were not there yet."""

    async def here(message: Msg) -> None:
        await message.respond(b"here")

    client, other = await connect_to_nats(nats.url, "listens"), await connect_to_nats(nats.url, "asks")
    for number in range(300):
        await client.subscribe(f"bus.settled.{number}", cb=here)
        await flush_confirmed(client)
        # Raises when nobody is there.
        await other.request(f"bus.settled.{number}", timeout=10)
    await client.close()
    await other.close()


def test_the_headers_of_an_error_are_one_line_each() -> None:
    assert endpoint.error_headers(409, "it is\r\nNats-Msg-Id: x\n taken") == {
        "Nats-Service-Error-Code": "409",
        "Nats-Service-Error": "it is Nats-Msg-Id: x taken",
    }
