"""How large an event is as a message is known before it is one, and how much NATS carries as soon as it changes."""

import asyncio

import pytest

from services.relay.errors import EventTooLarge
from services.relay.stream_publisher import Tail
from shared.language import subjects
from shared.language.events import EVENTS, Event
from shared.language.recorded import Recorded, stream_id
from shared.messaging.message_size import HEADERS_MARGIN, LARGEST_NUMBER, payload_of, published_size, refresh_limit
from shared.messaging.truncated_reply import truncated_reply
from shared.process import clock
from shared.process.stored_events import to_state
from shared.wire.cloud_events import stored_to_wire
from shared.wire.connection import connect_to_nats
from tests.real_servers import RunningNats
from tests.relay.test_relay import Log, all_told, not_ready, ready, relaying, stored, stream_publisher, wire_messages
from tests.wire.test_cloud_events import specimen


def configured(nats: RunningNats, limit: int) -> None:
    """Has it carry so many bytes from its next start or reload on."""
    nats.configure(f"max_payload: {limit}\n")


def reload(nats: RunningNats, limit: int) -> None:
    configured(nats, limit)
    nats.reload()


def longest(event: Event) -> tuple[object, int, str, bytes]:
    """Stored, with everything in its envelope as long as it may be."""
    stream = stream_id("a" * 32, "user", "u" * 64)
    recorded = Recorded(
        id=clock.new_id(),
        account="a" * 32,
        stream=stream,
        version=LARGEST_NUMBER,
        position=0,
        actor=f"service:{'s' * 64}",
        command_id=clock.new_id(),
        correlation_id="c" * 128,
        traceparent=f"00-{'1' * 32}-{'2' * 16}-01",
        time=clock.now(),
        event=event,
    )
    return stream, recorded.version, event.stored_name(), to_state(recorded)


@pytest.mark.parametrize("kind", EVENTS.values(), ids=lambda kind: kind.__name__)
async def test_the_size_is_that_of_the_message_and_headers_take_less_than_is_spared(kind: type[Event]) -> None:
    row = longest(specimen(kind, full=True))
    size = published_size(*row)  # type: ignore[arg-type]
    for sequence, after in ((LARGEST_NUMBER, ""), (None, clock.new_id())):
        _, headers, body = stored_to_wire(*row, LARGEST_NUMBER)  # type: ignore[arg-type]
        headers |= {subjects.EXPECTED_SEQUENCE if sequence else subjects.EXPECTED_MESSAGE_ID: str(sequence or after)}
        assert payload_of(headers, body) <= size
        assert size - len(body) < HEADERS_MARGIN


async def test_an_event_of_exactly_that_size_is_published_and_one_byte_more_is_not(private_nats: RunningNats) -> None:
    """nats-py counts no headers: sent all the same, NATS ended the connection, again and again."""
    subject, headers, body = wire_messages(0, 1)[0]
    headers[subjects.EXPECTED_SEQUENCE] = "0"
    limit = payload_of(headers, body)
    configured(private_nats, limit)
    private_nats.restart()
    async with stream_publisher(private_nats.url) as end:
        await end.declare()
        with pytest.raises(
            EventTooLarge, match=f"position 1 takes {limit + 1} bytes as a message, and NATS carries at"
        ):
            await end.append([(subject, dict(headers), body + b" ")], Tail(0, None, 0))
        assert (await end.append([(subject, dict(headers), body)], Tail(0, None, 0))).position == 1


@pytest.mark.parametrize("again", ["reload", "restart"])
async def test_the_relay_stops_before_what_is_not_carried_says_so_once_and_goes_on_when_it_is(
    private_nats: RunningNats, database: str, again: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log(database)
    configured(private_nats, 65_536)
    private_nats.restart()
    log.append(stored("a"), stored("b"), stored("c", body="x" * 66_000), stored("d"))
    async with relaying(private_nats.url, database) as relay:
        await not_ready(relay, "stream", "EventTooLarge: the event at position 3 takes 66")
        await not_ready(relay, "stream", "NATS carries at most 65536: set max_payload to 1MB")
        assert relay.position == 2
        await asyncio.sleep(3)
        assert capsys.readouterr().out.count("relay.trouble") == 1
        if again == "reload":
            reload(private_nats, 1_048_576)
        else:
            configured(private_nats, 1_048_576)
            await asyncio.to_thread(private_nats.restart)
        await all_told(private_nats.url, log)
        await ready(relay)


async def test_a_limit_that_a_reload_changes_is_known_without_a_new_connection(private_nats: RunningNats) -> None:
    client = await connect_to_nats(private_nats.url, "test")
    assert client.max_payload == 1_048_576
    for limit in (65_536, 2_097_152):
        reload(private_nats, limit)
        async with asyncio.timeout(10):
            while client.max_payload != limit:
                await refresh_limit(client)
    await client.close()


def test_a_reply_that_is_shortened_says_what_became_of_the_command() -> None:
    refused = b'{"outcome":"refused","command_id":"c","reason":"R","message":"m","details":{"errors":["%b"]}}'
    assert truncated_reply(refused % (b"x" * 900), 500) == (
        b'{"outcome":"refused","command_id":"c","reason":"R","message":"m",'
        b'"details":{"shortened":true,"bytes":991,"max_payload":500}}'
    )
    accepted = b'{"outcome":"accepted","command_id":"c","position":7,"events":["%b"],"event_count":1,"warnings":[]}'
    assert truncated_reply(accepted % (b"x" * 900), 500) == (
        b'{"outcome":"accepted","command_id":"c","position":7,"events":[],"event_count":1,"warnings":[]}'
    )
