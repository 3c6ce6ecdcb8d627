"""A view never stands still in silence: whatever keeps events back is mended within seconds, or readiness names it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import nats.errors
import nats.js.errors
import psycopg
import pytest
from nats.js.api import AckPolicy, DeliverPolicy

from services.inbox_views.app import INBOX_VIEWS
from shared.language import subjects
from shared.messaging.service import Service
from shared.process import clock
from shared.process.lease import Lease
from shared.projections.durable_consumer import consumer_config
from shared.projections.projection_service import ServiceLimits
from shared.projections.rebuild.admin import show
from shared.projections.rebuild.cutover import cutover
from shared.projections.rebuild.parked_everywhere import Definitions
from shared.projections.rebuild.rebuild import build
from shared.projections.schemas import PreconditionFailedError
from shared.projections.view import View
from tests.inbox_views.stories import Bus, Story, eventually, is_ready, on_bus, personal, service_running
from tests.projections.running_views import reached, rows_of, story, write_log
from tests.real_servers import RunningNats
from tests.relay.test_relay import IDENTITY_TABLE, relaying

STREAM, CONSUMER = subjects.EVENT_STREAM, "inbox_views"
MENDED_SECONDS = 12.0
DEFINITIONS = Definitions(INBOX_VIEWS.definition, INBOX_VIEWS.definition.history())


@pytest.fixture
async def bus(private_nats: RunningNats) -> AsyncIterator[Bus]:
    async with on_bus(private_nats.url) as client:
        yield client


# ---- consumers that keep events back


async def paused(bus: Bus) -> None:
    until = (datetime.fromisoformat(clock.now()) + timedelta(minutes=10)).isoformat()
    reply = await bus.client.request(
        f"$JS.API.CONSUMER.PAUSE.{STREAM}.{CONSUMER}", json.dumps({"pause_until": until}).encode()
    )
    assert json.loads(reply.data)["paused"]


async def filtered(bus: Bus) -> None:
    config = (await bus.js.consumer_info(STREAM, CONSUMER)).config
    await bus.js.add_consumer(STREAM, config, filter_subject="switchboard.event.v1.other.>")


async def made_by_somebody_else(bus: Bus, **config: Any) -> None:
    await bus.js.delete_consumer(STREAM, CONSUMER)
    with pytest.raises(nats.js.errors.NotFoundError):
        await bus.js.consumer_info(STREAM, CONSUMER)
    await bus.js.add_consumer(STREAM, consumer_config(CONSUMER), **config)


async def beginning_in_future(bus: Bus) -> None:
    await made_by_somebody_else(bus, deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=10_000)


async def pushing(bus: Bus) -> None:
    await made_by_somebody_else(bus, deliver_subject="somewhere", deliver_policy=DeliverPolicy.NEW)


async def acknowledging_one_by_one(bus: Bus) -> None:
    await made_by_somebody_else(bus, ack_policy=AckPolicy.EXPLICIT, max_ack_pending=1)


async def without_bodies(bus: Bus) -> None:
    await made_by_somebody_else(bus, headers_only=True)


async def of_few_at_a_time(bus: Bus) -> None:
    """Requests of more messages are refused."""
    await bus.js.delete_consumer(STREAM, CONSUMER)
    config = {**consumer_config(CONSUMER).as_dict(), "max_batch": 1}
    await bus.client.request(
        f"$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.{CONSUMER}",
        json.dumps({"stream_name": STREAM, "config": config}).encode(),
    )


async def read_by_somebody_else(bus: Bus) -> None:
    """All that comes next goes to somebody who acknowledges nothing."""
    inbox = bus.client.new_inbox()
    subscription = await bus.client.subscribe(inbox)
    for _ in range(8):
        request = {"batch": 1_000, "expires": 60_000_000_000}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}"
        await bus.client.publish(subject, json.dumps(request).encode(), reply=inbox)
    await bus.client.flush()
    assert subscription


async def read_and_acknowledged_by_somebody_else(bus: Bus) -> None:
    inbox = bus.client.new_inbox()

    async def acknowledge(message: Any) -> None:
        if message.reply:
            await message.respond(b"+ACK")

    await bus.client.subscribe(inbox, cb=acknowledge)
    for _ in range(8):
        request = {"batch": 1_000, "expires": 60_000_000_000}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}"
        await bus.client.publish(subject, json.dumps(request).encode(), reply=inbox)
    await bus.client.flush()


KEPT_BACK = (
    paused,
    filtered,
    beginning_in_future,
    pushing,
    acknowledging_one_by_one,
    without_bodies,
    of_few_at_a_time,
    read_by_somebody_else,
    read_and_acknowledged_by_somebody_else,
)


@pytest.mark.parametrize("keep_back", KEPT_BACK)
async def test_a_consumer_that_delivers_nothing_while_events_are_due_is_made_again(
    keep_back: Callable[[Bus], Awaitable[None]], bus: Bus, private_nats: RunningNats, database: str
) -> None:
    """nats-io/nats-server#6017: it sends heartbeats, has messages pending, and delivers none."""
    told = story(10)
    async with service_running(INBOX_VIEWS, private_nats.url, database) as service:
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        await eventually(lambda: is_ready(service))
        await keep_back(bus)
        told.tell(personal("late@acme.example", "cleo"), personal("later@acme.example", "cleo"))
        await bus.publish(told.recorded[-2:])
        await reached(bus, told.end, MENDED_SECONDS)
        told.tell(personal("last@acme.example", "cleo"))
        await bus.publish(told.recorded[-1:])
        await reached(bus, told.end, MENDED_SECONDS)
        await eventually(lambda: is_ready(service))
        info = await bus.js.consumer_info(STREAM, CONSUMER)
        assert (info.paused, info.config.ack_policy) == (None, AckPolicy.ALL)
    rows = await rows_of(database)
    assert (len(rows["addresses"]), rows["parked"]) == (13, [])


@pytest.mark.parametrize("keep_back", [paused, filtered, beginning_in_future, of_few_at_a_time])
async def test_a_consumer_that_was_changed_while_the_view_was_down_is_created_again(
    keep_back: Callable[[Bus], Awaitable[None]], bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(10)
    async with service_running(INBOX_VIEWS, private_nats.url, database):
        await bus.publish(told.recorded)
        await reached(bus, told.end)
    await keep_back(bus)
    async with service_running(INBOX_VIEWS, private_nats.url, database) as service:
        await eventually(lambda: is_ready(service))
        told.tell(personal("late@acme.example", "cleo"))
        await bus.publish(told.recorded[-1:])
        await reached(bus, told.end, MENDED_SECONDS)
        await eventually(lambda: is_ready(service))


async def test_a_lease_whose_holder_does_nothing_is_named(bus: Bus, private_nats: RunningNats, database: str) -> None:
    told = story(3)
    names = (f"view inbox_views {INBOX_VIEWS.definition.version}", "relay")
    await log_of(database, told)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        for name in names:
            await connection.execute("SELECT pg_advisory_lock(%s)", (Lease(database, name).lock_key,))
        async with (
            service_running(INBOX_VIEWS, private_nats.url, database) as service,
            relaying(private_nats.url, database) as relay,
        ):
            view = View(database, INBOX_VIEWS.definition)
            await view.open()
            await view.prepare()
            await view.close()
            await bus.publish(told.recorded[:4], by_relay=True)
            await eventually(lambda: not_ready(service, "another process holds the lease"))
            await eventually(lambda: says(relay.parts["lease"], "another process holds the lease"))
            await connection.execute("SELECT pg_advisory_unlock_all()")
            await eventually(lambda: is_ready(service))
            await reached(bus, told.end)


async def test_a_consumer_that_is_paused_while_nothing_happens_is_made_again_too(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(3)
    async with service_running(INBOX_VIEWS, private_nats.url, database):
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        await paused(bus)

        async def flows() -> bool:
            try:
                return not (await bus.js.consumer_info(STREAM, CONSUMER)).paused
            except nats.js.errors.NotFoundError:
                return False

        await eventually(flows, MENDED_SECONDS)


async def test_a_consumer_made_again_does_not_read_the_whole_stream(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(50)
    async with service_running(INBOX_VIEWS, private_nats.url, database) as service:
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        await eventually(lambda: is_ready(service))
        await paused(bus)

        async def made_again() -> Any:
            try:
                info = await bus.js.consumer_info(STREAM, CONSUMER)
            except nats.js.errors.NotFoundError:
                return None
            return None if info.paused else info

        info = await eventually(made_again, MENDED_SECONDS)
        assert (info.config.opt_start_seq, info.num_pending) == (told.end + 1, 0)


async def test_an_event_consumer_that_is_stuck_is_not_ready(bus: Bus, private_nats: RunningNats, database: str) -> None:
    told = story(3)
    quickly_stalled = replace(INBOX_VIEWS, limits=ServiceLimits(stalled_seconds=1.0))
    async with service_running(quickly_stalled, private_nats.url, database) as service:
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        async with await psycopg.AsyncConnection.connect(database) as connection:
            await connection.execute("LOCK TABLE inbox_views.addresses IN SHARE MODE")
            told.tell(personal("late@acme.example", "cleo"))
            await bus.publish(told.recorded[-1:])
            await eventually(lambda: not_ready(service, "nothing has moved"), 8)
        await reached(bus, told.end)
        await eventually(lambda: is_ready(service))


async def not_ready(service: Service, words: str) -> bool:
    return words in (await service.health()).parts["events"]


# ---- a log that was restored


async def restore(url: str, kept: int, others: Story) -> None:
    """The log as of a position, in place, with other events from there on."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("DELETE FROM connections.events WHERE notification_id > %s", (kept,))
    await write_log(url, others.recorded)


async def log_of(url: str, told: Story) -> None:
    await write_log(url, told.recorded)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(IDENTITY_TABLE.encode())
        await connection.execute("INSERT INTO connections.log DEFAULT VALUES ON CONFLICT DO NOTHING")


async def addresses_of(url: str) -> set[str]:
    return {row[2] for row in (await rows_of(url))["addresses"]}


def after(position: int, *names: str) -> Story:
    told = Story(first=position + 1)
    for name in names:
        told.tell(personal(f"{name}@acme.example", "cleo"))
    return told


@pytest.mark.parametrize("others", [3, 10, 17], ids=["shorter", "as long", "longer"])
async def test_a_log_restored_in_place_leaves_no_ghosts_in_a_view_that_was_further(
    others: int, bus: Bus, private_nats: RunningNats, database: str
) -> None:
    """liquidprojections/LiquidProjections#60, stopped, restored, the stream deleted, started."""
    told = story(20)
    kept, before = told.end - 10, told.recorded[-10:]
    await log_of(database, told)
    async with relaying(private_nats.url, database), service_running(INBOX_VIEWS, private_nats.url, database):
        await reached(bus, told.end)
    other = after(kept, *(f"c{number}" for number in range(others)))
    await restore(database, kept, other)
    await bus.js.delete_stream(STREAM)
    async with (
        relaying(private_nats.url, database),
        service_running(INBOX_VIEWS, private_nats.url, database) as service,
    ):
        await eventually(lambda: is_ready(service), MENDED_SECONDS)
        reply = await bus.ask("Address", address="c0@acme.example", at_least=other.end, wait_ms=10_000)
        assert (reply.result["state"], reply.result["owner"]) == ("connected", "cleo")
        ghost = before[-1].event.address  # type: ignore[attr-defined]
        assert (await bus.ask("Address", address=ghost)).result["state"] == "free"
    assert await addresses_of(database) == {f"{n}@acme.example" for n in range(10)} | {
        f"c{n}@acme.example" for n in range(others)
    }


async def test_no_answer_comes_from_rows_of_a_lost_log_after_a_start(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(20)
    await log_of(database, told)
    async with relaying(private_nats.url, database), service_running(INBOX_VIEWS, private_nats.url, database):
        await reached(bus, told.end)
    other = after(told.end - 5, *(f"c{number}" for number in range(5)))
    await restore(database, told.end - 5, other)
    await bus.js.delete_stream(STREAM)
    answers: list[Any] = []
    async with (
        relaying(private_nats.url, database),
        service_running(INBOX_VIEWS, private_nats.url, database) as service,
    ):

        async def ready() -> bool:
            try:
                answers.append(await bus.ask("Address", address="19@acme.example"))
            except nats.errors.NoRespondersError:
                answers.append(None)
            return await is_ready(service)

        await eventually(ready)
    assert {reply.result["state"] for reply in answers if reply and not reply.error} == {"free"}
    assert {reply.error for reply in answers if reply} <= {None, (503, "BUSY")}


async def test_a_log_restored_while_everything_runs_is_noticed_and_the_cure_is_named(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(20)
    await log_of(database, told)
    async with (
        relaying(private_nats.url, database) as relay,
        service_running(INBOX_VIEWS, private_nats.url, database) as service,
    ):
        await reached(bus, told.end)
        await eventually(lambda: is_ready(service))
        await restore(database, told.end - 10, after(told.end - 10, "c0"))
        await eventually(lambda: not_ready(service, "switchboard streams --delete"))
        await eventually(lambda: says(relay.parts["stream"], "LogBehindStream"))
        await eventually(lambda: says(relay.parts["stream"], "switchboard streams --delete"))
        # Where the view stands it is right: as of the log that there is.
        reply = await bus.ask("Address", address="c0@acme.example")
        assert (reply.body["position"], reply.result["state"]) == (told.end - 9, "connected")
        await bus.js.delete_stream(STREAM)
        await eventually(lambda: is_ready(service), MENDED_SECONDS)
        assert await relay.parts["stream"]() is None
        await log_goes_on(database, after(told.end - 9, "c1"))
        await reached(bus, told.end - 8)
    assert await addresses_of(database) == {f"{n}@acme.example" for n in range(10)} | {
        "c0@acme.example", "c1@acme.example",
    }  # fmt: skip


async def log_goes_on(url: str, told: Story) -> None:
    await write_log(url, told.recorded)


async def says(part: Callable[[], Awaitable[str | None]], words: str) -> bool:
    return words in (await part() or "")


async def checks_of_the_view(bus: Bus) -> "asyncio.Queue[None]":
    """An item for each time that the view compares its rows with the log while idle, and looks at its consumer."""
    checks: asyncio.Queue[None] = asyncio.Queue()

    async def count(_: Any) -> None:
        checks.put_nowait(None)

    await bus.client.subscribe(f"$JS.API.CONSUMER.INFO.{STREAM}.{CONSUMER}", cb=count)
    await bus.client.flush()
    return checks


async def test_an_empty_schema_in_the_midst_of_a_restore_costs_no_rows(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(10)
    await log_of(database, told)
    async with (
        relaying(private_nats.url, database),
        service_running(INBOX_VIEWS, private_nats.url, database) as service,
    ):
        await reached(bus, told.end)
        before = await rows_of(database)
        checks = await checks_of_the_view(bus)
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
            await connection.execute("ALTER SCHEMA connections RENAME TO away")
            async with asyncio.timeout(30):
                # The first check may have begun before.
                for _ in range(2):
                    await checks.get()
            await connection.execute("ALTER SCHEMA away RENAME TO connections")
        await eventually(lambda: is_ready(service))
        assert await rows_of(database) == before


async def test_rows_of_a_release_that_kept_no_ids_go_on_and_learn_which_event_they_stand_at(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(10)
    await log_of(database, told)
    async with relaying(private_nats.url, database), service_running(INBOX_VIEWS, private_nats.url, database):
        await reached(bus, told.end)
    before = await rows_of(database)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute("ALTER TABLE inbox_views.view DROP COLUMN event, DROP COLUMN event_at")
        await connection.execute("DROP TABLE inbox_views.given_up")
    found = await show(database, DEFINITIONS, {})
    assert (found["position"], found["contradicts_log"], found["given_up"]) == (told.end, None, 0)
    async with (
        relaying(private_nats.url, database),
        service_running(INBOX_VIEWS, private_nats.url, database) as service,
    ):
        await eventually(lambda: is_ready(service))

        async def known() -> bool:
            async with await psycopg.AsyncConnection.connect(database) as connection:
                rows = await connection.execute("SELECT event::text, event_at FROM inbox_views.view")
                return await rows.fetchall() == [(told.recorded[-1].id, told.end)]

        await eventually(known)
    assert await rows_of(database) == before


async def test_an_id_left_behind_by_a_release_that_keeps_none_is_not_taken_for_another_event(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(10)
    await log_of(database, told)
    async with relaying(private_nats.url, database), service_running(INBOX_VIEWS, private_nats.url, database):
        await reached(bus, told.end)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        # As it moves the position while both run.
        await connection.execute("UPDATE inbox_views.view SET event = gen_random_uuid(), event_at = position - 1")
    assert (await show(database, DEFINITIONS, {}))["contradicts_log"] is None
    before = await rows_of(database)
    async with (
        relaying(private_nats.url, database),
        service_running(INBOX_VIEWS, private_nats.url, database) as service,
    ):
        await eventually(lambda: is_ready(service))
    assert await rows_of(database) == before


async def test_staged_rows_of_a_lost_log_do_not_go_live(database: str) -> None:
    told = story(10)
    await log_of(database, told)
    view = View(database, INBOX_VIEWS.definition)
    await build(database, INBOX_VIEWS.definition)
    await view.open()
    await view.prepare()
    await restore(database, told.end - 5, after(told.end - 5, "c0", "c1", "c2", "c3", "c4", "c5"))
    with pytest.raises(PreconditionFailedError, match=r"do not match this log.*switchboard views drop"):
        await cutover(database, INBOX_VIEWS.definition, force=True)
    await view.close()
    assert await addresses_of(database) == set()


async def test_views_says_that_rows_do_not_match_the_log(bus: Bus, private_nats: RunningNats, database: str) -> None:
    told = story(10)
    await log_of(database, told)
    async with relaying(private_nats.url, database), service_running(INBOX_VIEWS, private_nats.url, database):
        await reached(bus, told.end)
    await restore(database, told.end - 5, after(told.end - 5, "c0"))
    assert f"the log ends at position {told.end - 4}" in (await show(database, DEFINITIONS, {}))["contradicts_log"]
    await log_goes_on(database, after(told.end - 4, "c1", "c2", "c3", "c4", "c5"))
    why = (await show(database, DEFINITIONS, {}))["contradicts_log"]
    assert f"at position {told.end} the log holds event" in why
