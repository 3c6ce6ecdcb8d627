"""Whatever happens to relay, NATS or PostgreSQL: every event gets onto the stream once, in order, without holes."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import nats.errors
import psycopg
import pytest

from services.relay.errors import IdsInDuplicateWindow, RelayStopped, UnexpectedLastSequence
from services.relay.log_batches import BATCH_BYTES, LogBatches
from services.relay.relay import Relay
from services.relay.stream_publisher import StreamPublisher, Tail
from shared.language import subjects
from shared.language.events import Event, PersonalConnected, TeamConnected
from shared.language.recorded import Recorded, stream_id
from shared.language.subjects import Ce
from shared.messaging import event_stream
from shared.process import clock
from shared.process.stored_events import to_state
from shared.wire.cloud_events import stored_to_wire
from shared.wire.connection import connect_to_nats
from tests.real_servers import ROOT, RunningNats, RunningPostgres, free_port, wait_until

Row = tuple[object, int, str, bytes]
TAKEOVER_SECONDS = 30.0
EVENTS_TABLE = """
CREATE SCHEMA connections;
CREATE TABLE connections.events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    state bytea NOT NULL,
    notification_id bigint NOT NULL UNIQUE,
    PRIMARY KEY (originator_id, originator_version)
);
"""


def stored(name: str, version: int = 1, body: str = "") -> Row:
    """A row for the log but its position; `body` makes it as large as wished."""
    address = f"{name}@acme.example"
    stream = stream_id("acme", "address", address)
    event: Event = TeamConnected(
        address=address,
        display=address,
        inbox="support",
        connector="ana",
        visibility_acknowledged=True,
        from_name=body or None,
        canonical_form=1,
    )
    return stream, version, event.stored_name(), state_of(event, stream, version)


def state_of(event: Event, stream: Any, version: int) -> bytes:
    return to_state(
        Recorded(
            id=clock.new_id(),
            account="acme",
            stream=stream,
            version=version,
            position=0,
            actor="ana",
            command_id=clock.new_id(),
            correlation_id=None,
            traceparent=None,
            time=clock.now(),
            event=event,
        )
    )


IDENTITY_TABLE = """
CREATE TABLE IF NOT EXISTS connections.log (
    one boolean PRIMARY KEY DEFAULT true,
    id uuid NOT NULL DEFAULT gen_random_uuid()
)
"""


class Log:
    """A log to write to as the event store does: under a lock, positions counted without holes."""

    def __init__(self, url: str) -> None:
        self.url = url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(EVENTS_TABLE)
            connection.execute(IDENTITY_TABLE)
            connection.execute("INSERT INTO connections.log DEFAULT VALUES ON CONFLICT DO NOTHING")

    def append(self, *rows: Row) -> None:
        with psycopg.connect(self.url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(1)")
            cursor.execute("SELECT coalesce(max(notification_id), 0) FROM connections.events")
            ((end,),) = cursor.fetchall()
            with cursor.copy(
                "COPY connections.events (originator_id, originator_version, topic, state, notification_id) FROM STDIN"
            ) as copy:
                for position, row in enumerate(rows, end + 1):
                    copy.write_row((*row, position))

    def append_new(self, count: int) -> None:
        self.append(*(stored(clock.new_id()) for _ in range(count)))

    def ids(self) -> list[str]:
        with psycopg.connect(self.url) as connection:
            rows = connection.execute("SELECT state FROM connections.events ORDER BY notification_id").fetchall()
        return [json.loads(state)["id"] for (state,) in rows]

    def forget_after(self, position: int) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute("DELETE FROM connections.events WHERE notification_id > %s", (position,))


class Told(NamedTuple):
    subject: str
    headers: dict[str, str]
    body: bytes


async def told(nats_url: str) -> list[Told]:
    """Every message that the stream has now, in its order."""
    client = await connect_to_nats(nats_url, "test")
    js = client.jetstream()
    try:
        count = (await js.stream_info(subjects.EVENT_STREAM)).state.messages
        subscription = await js.subscribe(subjects.EVENTS, ordered_consumer=True)
        messages = [await subscription.next_msg(timeout=10) for _ in range(count)]
    finally:
        await client.close()
    return [Told(message.subject, dict(message.headers or {}), message.data) for message in messages]


async def count_told(nats_url: str) -> int:
    """How many messages the stream has; -1 when nobody can tell."""

    async def silent(_error: Exception) -> None:
        """While the server is away that is what is expected."""

    try:
        client = await connect_to_nats(nats_url, "test", allow_reconnect=False, error_cb=silent)
        try:
            return (await client.jetstream().stream_info(subjects.EVENT_STREAM)).state.messages
        finally:
            await client.close()
    except (nats.errors.Error, OSError):
        return -1


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60.0, what: str = "it") -> None:
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        await asyncio.sleep(0.02)


async def all_told(nats_url: str, log: Log) -> None:
    """Waits until the stream has as many messages as the log has events; then it has to have exactly those."""
    ids = log.ids()

    async def as_many() -> bool:
        return await count_told(nats_url) >= len(ids)

    await until(as_many, what=f"{len(ids)} messages")
    messages = await told(nats_url)
    assert [message.headers[Ce.ID] for message in messages] == ids
    assert [message.headers[subjects.MESSAGE_ID] for message in messages] == ids
    assert [message.headers[Ce.POSITION] for message in messages] == [str(n) for n in range(1, len(ids) + 1)]


@asynccontextmanager
async def relaying(nats_url: str, postgres_url: str, **more: float) -> AsyncIterator[Relay]:
    relay = Relay(nats_url, postgres_url, **more)
    running = asyncio.create_task(relay.run())
    try:
        yield relay
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def not_ready(relay: Relay, part: str, words: str) -> None:
    async def says() -> bool:
        return words in (await relay.parts[part]() or "")

    await until(says, what=f"{part} to say {words!r}")


async def ready(relay: Relay) -> None:
    """Waits until this relay publishes, too: one that waits for the lease of a former relay is ready before that."""

    async def says() -> bool:
        return relay.position is not None and all([await part() is None for part in relay.parts.values()])

    await until(says, what="the relay to be ready")


@asynccontextmanager
async def appending(log: Log, every: float = 0.02) -> AsyncIterator[None]:
    """Events flow until the block is left, whether PostgreSQL is there or not."""
    stop = asyncio.Event()

    async def flow() -> None:
        while not stop.is_set():
            try:
                await asyncio.to_thread(log.append_new, 5)
            except psycopg.OperationalError:
                continue
            finally:
                await asyncio.sleep(every)

    flowing = asyncio.create_task(flow())
    try:
        yield
    finally:
        stop.set()
        await flowing


async def more_told(nats_url: str, by: int = 30) -> None:
    """Returns when the stream has grown: events flow."""
    before = await count_told(nats_url)

    async def grown() -> bool:
        return await count_told(nats_url) >= before + by

    await until(grown, what="more messages")


# ---- order


async def test_events_of_many_writers_come_out_once_in_the_order_of_positions(
    private_nats: RunningNats, database: str
) -> None:
    log = Log(database)

    def write() -> None:
        for count in (1, 7, 2, 40, 1, 1, 300, 3) * 5:
            log.append_new(count)

    async with relaying(private_nats.url, database):
        with ThreadPoolExecutor(4) as writers:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(loop.run_in_executor(writers, write) for _ in range(4)))
        await all_told(private_nats.url, log)


async def test_a_message_is_the_event_as_the_wire_says(private_nats: RunningNats, database: str) -> None:
    log = Log(database)
    row = stored("support")
    log.append(row)
    async with relaying(private_nats.url, database):
        await all_told(private_nats.url, log)
    (message,) = await told(private_nats.url)
    subject, headers, body = stored_to_wire(row[0], row[1], row[2], row[3], 1)  # type: ignore[arg-type]
    assert message.subject == subject == "switchboard.event.v1.acme.address.TeamConnected"
    assert message.body == body
    assert headers.items() <= message.headers.items()


async def test_an_event_that_this_code_does_not_know_is_told_as_it_is(private_nats: RunningNats, database: str) -> None:
    log = Log(database)
    stream = stream_id("acme", "inbox", "support")
    known = state_of(PersonalConnected(address="a@b.example", display="a", owner="a", canonical_form=1), stream, 1)
    state = known[: known.index(b',"data":')] + b',"data":{"inbox":"support","colour":"blue"}}'
    log.append((stream, 1, "switchboard.InboxPainted.v7", state), stored("next"))
    async with relaying(private_nats.url, database):
        await all_told(private_nats.url, log)
    message = (await told(private_nats.url))[0]
    assert message.subject == "switchboard.event.v1.acme.inbox.InboxPainted"
    assert message.headers[Ce.TYPE] == "switchboard.InboxPainted.v7"
    assert message.headers[Ce.SUBJECT] == "inbox/support"
    assert message.body == b'{"inbox":"support","colour":"blue"}'


async def test_large_events_go_out_in_batches_of_bounded_size(private_nats: RunningNats, database: str) -> None:
    log = Log(database)
    log.append(*(stored(f"a{n}", body="x" * 250_000) for n in range(60)), stored("small"))
    events, after = LogBatches(database), 0
    while portion := await events.after(after):
        assert sum(len(event.state) for event in portion) <= BATCH_BYTES
        after = portion[-1].position
    await events.close()
    assert after == 61
    async with relaying(private_nats.url, database):
        await all_told(private_nats.url, log)


async def test_a_hint_makes_an_event_known_before_the_next_poll(private_nats: RunningNats, database: str) -> None:
    log = Log(database)
    client = await connect_to_nats(private_nats.url, "test")
    arrived: asyncio.Queue[str] = asyncio.Queue()

    async def on_event(message: Any) -> None:
        await arrived.put(message.headers[Ce.ID])

    await client.subscribe(subjects.EVENTS, cb=on_event)
    async with relaying(private_nats.url, database, poll_seconds=600) as relay:
        await ready(relay)
        for n in range(30):
            await asyncio.to_thread(log.append, stored(f"a{n}"))
            await client.publish(subjects.COMMITTED)
            await asyncio.wait_for(arrived.get(), 60)
    await client.close()


# ---- servers that go and come back


async def test_a_relay_that_starts_anew_goes_on_where_the_stream_ends(private_nats: RunningNats, database: str) -> None:
    log = Log(database)
    async with appending(log):
        for _ in range(5):
            async with relaying(private_nats.url, database):
                await more_told(private_nats.url)
    async with relaying(private_nats.url, database):
        await all_told(private_nats.url, log)


async def test_nothing_is_lost_or_told_twice_when_nats_is_killed(private_nats: RunningNats, database: str) -> None:
    log = Log(database)
    async with relaying(private_nats.url, database) as relay:
        async with appending(log):
            for _ in range(3):
                await more_told(private_nats.url)
                await asyncio.to_thread(private_nats.kill)
                await not_ready(relay, "stream", "")
                await asyncio.to_thread(private_nats.start)
            await more_told(private_nats.url)
        await all_told(private_nats.url, log)
        await ready(relay)


async def test_nothing_is_lost_or_told_twice_when_nats_stands_still(private_nats: RunningNats, database: str) -> None:
    log = Log(database)
    async with relaying(private_nats.url, database):
        async with appending(log):
            await more_told(private_nats.url)
            private_nats.pause()
            try:
                await asyncio.sleep(7)  # longer than the relay waits for an answer, so that it sends again
            finally:
                private_nats.resume()
            await more_told(private_nats.url)
        await all_told(private_nats.url, log)


async def test_nothing_is_lost_or_told_twice_when_postgresql_restarts(
    private_nats: RunningNats, private_postgres: RunningPostgres
) -> None:
    log = Log(private_postgres.url)
    async with relaying(private_nats.url, private_postgres.url) as relay:
        async with appending(log):
            for restart in (private_postgres.stop, private_postgres.kill):
                await more_told(private_nats.url)
                await asyncio.to_thread(restart)
                await not_ready(relay, "postgres", "")
                await asyncio.to_thread(private_postgres.start)
            await more_told(private_nats.url)
        await all_told(private_nats.url, log)
        await ready(relay)


async def test_servers_and_log_may_come_after_the_relay(
    private_nats: RunningNats, private_postgres: RunningPostgres
) -> None:
    private_nats.stop()
    private_postgres.stop()
    async with relaying(private_nats.url, private_postgres.url) as relay:
        await not_ready(relay, "stream", "not connected")
        await asyncio.to_thread(private_nats.start)
        await asyncio.to_thread(private_postgres.start)
        await not_ready(relay, "postgres", "NoLogYet")
        log = Log(private_postgres.url)
        log.append_new(3)
        await all_told(private_nats.url, log)
        await ready(relay)


# ---- streams that are lost


async def test_a_stream_whose_folder_was_wiped_is_told_again_from_the_start(
    private_nats: RunningNats, database: str
) -> None:
    log = Log(database)
    log.append_new(2_500)
    async with relaying(private_nats.url, database):
        await all_told(private_nats.url, log)
        async with appending(log):
            await asyncio.to_thread(private_nats.wipe)
            await asyncio.to_thread(private_nats.start)
            await more_told(private_nats.url)
        await all_told(private_nats.url, log)


async def test_a_stream_that_was_deleted_is_told_again_although_nothing_new_happens(
    private_nats: RunningNats, database: str
) -> None:
    log = Log(database)
    log.append_new(1_200)
    async with relaying(private_nats.url, database):
        await all_told(private_nats.url, log)
        client = await connect_to_nats(private_nats.url, "test")
        await client.jetstream().delete_stream(subjects.EVENT_STREAM)
        await client.close()
        await all_told(private_nats.url, log)


async def test_an_old_copy_of_the_stream_that_is_put_back_is_carried_on(
    folder: Path, private_nats: RunningNats, database: str
) -> None:
    log = Log(database)
    log.append_new(700)
    data = private_nats.data_folder
    async with relaying(private_nats.url, database):
        await all_told(private_nats.url, log)
        await asyncio.to_thread(private_nats.stop)
        shutil.copytree(data, folder / "old")
        await asyncio.to_thread(private_nats.start)
        log.append_new(700)
        await all_told(private_nats.url, log)
        await asyncio.to_thread(private_nats.wipe)
        shutil.copytree(folder / "old", data)
        await asyncio.to_thread(private_nats.start)
        await all_told(private_nats.url, log)
        log.append_new(5)
        await all_told(private_nats.url, log)


# ---- when publishing on would be wrong


async def test_a_stream_of_another_shape_stops_the_relay_loudly_until_it_is_mended(
    private_nats: RunningNats, database: str
) -> None:
    log = Log(database)
    log.append_new(3)
    client = await connect_to_nats(private_nats.url, "test")
    await client.jetstream().add_stream(event_stream.EVENT_STREAM, max_msgs=1_000)
    async with relaying(private_nats.url, database) as relay:
        await not_ready(relay, "stream", "max_msgs is 1000")
        assert await count_told(private_nats.url) == 0
        await client.jetstream().delete_stream(subjects.EVENT_STREAM)
        await client.close()
        await all_told(private_nats.url, log)
        await ready(relay)


async def test_a_stream_that_somebody_reshapes_later_is_noticed(private_nats: RunningNats, database: str) -> None:
    log = Log(database)
    log.append_new(3)
    client = await connect_to_nats(private_nats.url, "test")
    async with relaying(private_nats.url, database) as relay:
        await all_told(private_nats.url, log)
        await client.jetstream().update_stream(event_stream.EVENT_STREAM, duplicate_window=1.0)
        await not_ready(relay, "stream", "duplicate_window is 1.0, not 120.0")
        await client.jetstream().update_stream(event_stream.EVENT_STREAM)
        await ready(relay)
    await client.close()


async def test_a_log_behind_the_stream_stops_the_relay_loudly(private_nats: RunningNats, database: str) -> None:
    log = Log(database)
    log.append_new(20)
    async with relaying(private_nats.url, database):
        await all_told(private_nats.url, log)
    log.forget_after(15)
    async with relaying(private_nats.url, database) as relay:
        await not_ready(relay, "stream", "LogBehindStream")
        log.append_new(10)
        await not_ready(relay, "stream", "StreamOfAnotherLog")
        assert await count_told(private_nats.url) == 20


async def test_a_log_restored_and_grown_in_one_moment_is_not_published_behind_other_events(
    private_nats: RunningNats, database: str
) -> None:
    log = Log(database)
    log.append_new(20)
    async with relaying(private_nats.url, database) as relay:
        await all_told(private_nats.url, log)
        with psycopg.connect(database) as connection:
            connection.execute("DELETE FROM connections.events WHERE notification_id > 15")
            for position in range(16, 31):
                connection.execute(
                    "INSERT INTO connections.events VALUES (%s, %s, %s, %s, %s)", (*stored(f"c{position}"), position)
                )
        await not_ready(relay, "stream", "StreamOfAnotherLog")
        await not_ready(relay, "stream", "switchboard streams --delete")
        assert await count_told(private_nats.url) == 20
        client = await connect_to_nats(private_nats.url, "test")
        await client.jetstream().delete_stream(subjects.EVENT_STREAM)
        await client.close()
        await all_told(private_nats.url, log)
        await ready(relay)


async def test_a_new_log_has_the_stream_to_itself_and_the_earlier_one_says_so(
    private_nats: RunningNats, postgres: RunningPostgres
) -> None:
    first, second = Log(postgres.new_database()), Log(postgres.new_database())
    first.append_new(20)
    async with relaying(private_nats.url, first.url) as earlier:
        await all_told(private_nats.url, first)
        second.append_new(30)
        async with relaying(private_nats.url, second.url) as later:
            await all_told(private_nats.url, second)
            await ready(later)
            await not_ready(earlier, "stream", "ForeignStream")
            first.append_new(5)
            assert [message.headers["ce-id"] for message in await told(private_nats.url)] == second.ids()


async def test_a_hole_in_the_log_stops_the_relay_loudly(private_nats: RunningNats, database: str) -> None:
    log = Log(database)
    log.append_new(10)
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM connections.events WHERE notification_id = 4")
    async with relaying(private_nats.url, database) as relay:
        await not_ready(relay, "postgres", "LogGap")
        assert await count_told(private_nats.url) == 0


async def until_told(url: str, messages: int) -> None:
    async def so_many() -> bool:
        return await count_told(url) == messages

    await until(so_many, what="the next events")


async def test_somebody_elses_message_is_passed_over(private_nats: RunningNats, database: str) -> None:
    log = Log(database)
    client = await connect_to_nats(private_nats.url, "test")
    async with relaying(private_nats.url, database):
        for n in range(3):
            log.append_new(5)
            await until_told(private_nats.url, 6 * n + 5)
            await client.jetstream().publish("switchboard.event.v1.acme.address.Stray", b"by mistake")
    await client.close()
    ours = [message.headers[Ce.ID] for message in await told(private_nats.url) if Ce.ID in message.headers]
    assert ours == log.ids()


async def test_somebodys_copy_of_an_old_event_is_passed_over(private_nats: RunningNats, database: str) -> None:
    """The stream seemed to end there, and everything since was refused as known for all of the duplicate window."""
    log = Log(database)
    client = await connect_to_nats(private_nats.url, "test")
    js = client.jetstream()
    async with relaying(private_nats.url, database):
        for n in range(3):
            log.append_new(5)
            await until_told(private_nats.url, 6 * n + 5)
            old = await js.get_msg(subjects.EVENT_STREAM, 3)
            headers = {name: value for name, value in (old.headers or {}).items() if name.startswith("ce-")}
            await js.publish(str(old.subject), old.data or b"", headers=headers)
    await client.close()
    seen = dict.fromkeys(message.headers[Ce.ID] for message in await told(private_nats.url))
    assert list(seen) == log.ids()


# ---- the fence


@asynccontextmanager
async def stream_publisher(nats_url: str) -> AsyncIterator[StreamPublisher]:
    end = StreamPublisher(nats_url)
    await end.open()
    try:
        yield end
    finally:
        await end.close()


def wire_messages(after: int, count: int) -> list[tuple[str, dict[str, str], bytes]]:
    rows = (stored(f"a{position}") for position in range(after + 1, after + count + 1))
    return [stored_to_wire(*row, position) for position, row in enumerate(rows, after + 1)]  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 50])
async def test_of_two_batches_for_the_same_place_one_is_stored_and_the_other_refused_whole(
    private_nats: RunningNats, count: int
) -> None:
    async with stream_publisher(private_nats.url) as one, stream_publisher(private_nats.url) as two:
        await one.declare()
        tail = await one.tail()
        assert tail == await two.tail() == Tail(0, None, 0)
        outcomes = await asyncio.gather(
            one.append(wire_messages(0, count), tail), two.append(wire_messages(0, count), tail), return_exceptions=True
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Tail", "UnexpectedLastSequence"]
        assert await one.tail() == next(outcome for outcome in outcomes if isinstance(outcome, Tail))
        assert await count_told(private_nats.url) == count


@pytest.mark.parametrize("count", [1, 50])
async def test_a_late_copy_of_what_was_stored_is_refused_whole(private_nats: RunningNats, count: int) -> None:
    async with stream_publisher(private_nats.url) as end:
        await end.declare()
        tail = await end.tail()
        messages = wire_messages(0, count)
        await end.append(messages, tail)
        with pytest.raises((UnexpectedLastSequence, IdsInDuplicateWindow)):
            await end.append(messages, tail)
        assert await count_told(private_nats.url) == count


@pytest.mark.parametrize("count", [1, 50])
async def test_ids_of_lost_events_that_the_stream_still_knows_are_an_error_of_their_own(
    private_nats: RunningNats, count: int
) -> None:
    """With the stream as declared this cannot come about: nothing can be purged, and a new stream knows no ids."""
    client = await connect_to_nats(private_nats.url, "test")
    js = client.jetstream()
    await js.add_stream(event_stream.EVENT_STREAM, deny_purge=False, duplicate_window=1.0)
    async with stream_publisher(private_nats.url) as end:
        messages = wire_messages(0, count)
        await end.append(messages, await end.tail())
        await js.purge_stream(subjects.EVENT_STREAM)
        tail = await end.tail()
        assert tail == Tail(0, None, count)
        with pytest.raises(IdsInDuplicateWindow):
            await end.append(messages, tail)

        async def taken() -> bool:
            try:
                await end.append(messages, tail)
            except RelayStopped:
                return False
            return True

        await until(taken, what="the duplicate window to end")
        assert (await end.tail()).position == count
    await client.close()


# ---- two relays, as processes


@dataclass
class RelayProcess:
    process: "subprocess.Popen[bytes]"
    http_port: int
    log: Path

    def parts(self) -> dict[str, str]:
        """The parts that are not ready; `{"process": "away"}` when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/health/ready", timeout=2):
                return {}
        except urllib.error.HTTPError as refused:
            with refused:
                return {part: state for part, state in json.load(refused)["parts"].items() if state != "ok"}
        except OSError:
            return {"process": "away"}

    def works(self) -> bool:
        """Whether it held the lease last."""
        text = self.log.read_text()
        return text.rfind("lease.acquired") > text.rfind("lease.over")


@contextmanager
def relay_process(nats_url: str, postgres_url: str, log: Path) -> Iterator[RelayProcess]:
    port = free_port()
    settings = {
        "SWITCHBOARD_NATS_URL": nats_url,
        "SWITCHBOARD_POSTGRES_URL": postgres_url,
        "SWITCHBOARD_HTTP_PORT": str(port),
        "SWITCHBOARD_LOG_FORMAT": "json",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.relay.app"],
            cwd=ROOT,
            env={**os.environ, **settings},
            stderr=output,
        )
    relay = RelayProcess(process, port, log)
    try:
        wait_until(lambda: relay.parts() == {}, what="the relay process to be ready")
        yield relay
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(20)


async def changed_hands(to: RelayProcess) -> None:
    await asyncio.to_thread(wait_until, to.works, TAKEOVER_SECONDS, "the second relay to take over")


async def test_a_second_relay_takes_over_within_seconds_when_the_first_is_killed(
    folder: Path, private_nats: RunningNats, database: str
) -> None:
    log = Log(database)
    urls = private_nats.url, database
    with relay_process(*urls, folder / "one") as one:
        wait_until(one.works, what="the first relay to work")
        with relay_process(*urls, folder / "two") as two:
            async with appending(log):
                await more_told(private_nats.url)
                assert not two.works()
                one.process.kill()
                await changed_hands(two)
                await more_told(private_nats.url)
            await all_told(private_nats.url, log)


async def test_a_second_relay_takes_over_from_a_paused_one_that_does_no_harm_when_it_wakes_up(
    folder: Path, private_nats: RunningNats, database: str
) -> None:
    log = Log(database)
    urls = private_nats.url, database
    with relay_process(*urls, folder / "one") as one:
        wait_until(one.works, what="the first relay to work")
        with relay_process(*urls, folder / "two") as two:
            async with appending(log):
                await more_told(private_nats.url)
                one.process.send_signal(signal.SIGSTOP)
                await changed_hands(two)
                await more_told(private_nats.url)
                one.process.send_signal(signal.SIGCONT)
                await asyncio.to_thread(wait_until, lambda: not one.works(), 30, "the first relay to step down")
                await more_told(private_nats.url, 100)
                await asyncio.to_thread(wait_until, lambda: one.parts() == {} == two.parts(), 30, "both to be ready")
                assert two.works()
                assert not one.works()
            await all_told(private_nats.url, log)


async def test_a_relay_that_is_asked_to_end_hands_over_at_once(
    folder: Path, private_nats: RunningNats, database: str
) -> None:
    log = Log(database)
    urls = private_nats.url, database
    with relay_process(*urls, folder / "one") as one:
        wait_until(one.works, what="the first relay to work")
        with relay_process(*urls, folder / "two") as two:
            async with appending(log):
                await more_told(private_nats.url)
                one.process.terminate()
                assert await asyncio.to_thread(one.process.wait, 20) == 0
                await changed_hands(two)
                await more_told(private_nats.url)
            await all_told(private_nats.url, log)


# ---- many events


async def test_the_relay_catches_up_with_thousands_of_events(private_nats: RunningNats, database: str) -> None:
    log = Log(database)
    log.append_new(20_000)
    async with relaying(private_nats.url, database):

        async def begun() -> bool:
            return await count_told(private_nats.url) > 0

        async def done() -> bool:
            return await count_told(private_nats.url) == 20_000

        await until(begun, what="the first batch")
        await until(done, what="20,000 messages")
    await all_told(private_nats.url, log)


# ---- what is lost with the connection


async def test_who_waits_for_an_answer_of_nats_hears_at_once_that_it_was_killed(private_nats: RunningNats) -> None:
    async with stream_publisher(private_nats.url) as end:
        waiting = asyncio.create_task(end.while_connected(asyncio.sleep(60)))
        await asyncio.sleep(0)
        await asyncio.to_thread(private_nats.kill)
        async with asyncio.timeout(2):
            with pytest.raises(nats.errors.ConnectionReconnectingError):
                await waiting
