"""Complaint: behind copies of events, on a promoted mirror, the relay wrote 12,012 lines and named no cure."""

import asyncio

import pytest
from nats.js import JetStreamContext
from nats.js.api import StreamSource

from shared.language import subjects
from shared.messaging import event_stream
from shared.messaging.stream_report import delete_stream
from shared.wire.connection import connect_to_nats
from tests.real_servers import RunningNats
from tests.relay.test_relay import Log, all_told, not_ready, ready, relaying, until, until_told


async def promoted(js: JetStreamContext, count: int) -> None:
    """The stream is lost, and its mirror takes its place; NATS renames none, so it is mirrored once more."""
    await mirrored(js, subjects.EVENT_STREAM, "MIRROR", count)
    await js.delete_stream(subjects.EVENT_STREAM)
    kept = (await js.stream_info("MIRROR")).config
    await js.update_stream(kept.evolve(mirror=None, subjects=["elsewhere"]))
    await mirrored(js, "MIRROR", subjects.EVENT_STREAM, count)
    found = (await js.stream_info(subjects.EVENT_STREAM)).config
    await js.update_stream(event_stream.EVENT_STREAM.evolve(metadata=found.metadata))


async def mirrored(js: JetStreamContext, source: str, name: str, count: int) -> None:
    mirror = StreamSource(name=source)
    await js.add_stream(event_stream.EVENT_STREAM.evolve(name=name, mirror=mirror, subjects=None, allow_atomic=False))

    async def whole() -> bool:
        return (await js.stream_info(name)).state.messages == count

    await until(whole, what="the mirror")


@pytest.mark.parametrize("count", [40, 1_124])
async def test_a_promoted_mirror_is_one_line_that_names_the_cure_and_the_cure_works(
    private_nats: RunningNats, database: str, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log(database)
    log.append_new(count)
    async with relaying(private_nats.url, database):
        await all_told(private_nats.url, log)
    client = await connect_to_nats(private_nats.url, "test")
    await promoted(client.jetstream(), count)
    log.append_new(3)
    capsys.readouterr()
    async with relaying(private_nats.url, database) as relay:
        await not_ready(relay, "stream", "StreamOfCopies: the stream holds copies of events that no relay stored")
        await not_ready(relay, "stream", "`switchboard streams --delete`")
        await asyncio.sleep(4)
        said = [line for line in capsys.readouterr().out.splitlines() if "relay." in line]
        assert len([line for line in said if "relay.trouble" in line]) == 1, said
        assert len([line for line in said if "relay.foreign_messages" in line]) == 1, said
        assert len(said) == 2, said
        await client.jetstream().delete_stream("MIRROR")
        await delete_stream(private_nats.url)
        await all_told(private_nats.url, log)
        await ready(relay)
    await client.close()


async def test_an_event_that_somebody_made_up_before_there_were_any_stops_nobody(
    private_nats: RunningNats, database: str
) -> None:
    log = Log(database)
    client = await connect_to_nats(private_nats.url, "test")
    js = client.jetstream()
    await event_stream.declare_stream(js)
    made_up = {"ce-source": subjects.EVENT_SOURCE, "ce-position": "1", "ce-id": "0198c0de-0000-7000-8000-000000000001"}
    await js.publish("switchboard.event.v1.acme.address.Disconnected", b"{}", headers=made_up)
    log.append_new(3)
    async with relaying(private_nats.url, database) as relay:
        await until_told(private_nats.url, 4)
        await ready(relay)
    await client.close()
