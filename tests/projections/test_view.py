"""A view under everything that can go wrong: redelivery, poison, gaps, a lost stream, a lost database, a rebuild."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import psycopg
import pytest
from structlog.testing import capture_logs

from services.inbox_views.app import INBOX_VIEWS
from services.inbox_views.projection import DEFINITION
from services.routing.app import ROUTING
from shared.language import events as e
from shared.language import subjects
from shared.language.questions import Question
from shared.messaging.service import Service
from shared.process.unexpected_errors import UnexpectedErrors
from shared.projections.events import DeliveredEvent, contiguous
from shared.projections.projection_service import ServiceLimits
from shared.projections.rebuild import parked as parking
from shared.projections.rebuild import rebuild as rebuilding
from shared.projections.rebuild.replay import LogIncompleteError
from shared.projections.snapshot import Asker, Snapshot
from shared.projections.view import View
from shared.wire.cloud_events import to_wire
from tests.inbox_views.stories import Bus, beginning, eventually, is_ready, on_bus, personal, service_running
from tests.projections.running_views import reached, rows_of, story, write_log
from tests.real_servers import RunningNats, RunningPostgres

BOB = "bob@acme.example"


@pytest.fixture
async def bus(private_nats: RunningNats) -> AsyncIterator[Bus]:
    async with on_bus(private_nats.url) as client:
        yield client


async def consumer_is_idle(bus: Bus) -> bool:
    info = await bus.js.consumer_info(subjects.EVENT_STREAM, "inbox_views")
    return not info.num_pending and not info.num_ack_pending


async def test_redelivery_changes_nothing(bus: Bus, private_nats: RunningNats, database: str) -> None:
    told = story()
    async with service_running(INBOX_VIEWS, private_nats.url, database) as service:
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        await eventually(lambda: consumer_is_idle(bus))
        before = await rows_of(database)
        await bus.js.delete_consumer(subjects.EVENT_STREAM, "inbox_views")
        for recorded in told.recorded[10:30]:
            subject, headers, body = to_wire(recorded)
            await bus.js.publish(subject, body, headers={**headers, subjects.MESSAGE_ID: f"{recorded.id}-again"})
        told.tell(personal("last@acme.example", "cleo"))
        await bus.publish(told.recorded[-1:])
        await reached(bus, told.end)
        await eventually(lambda: is_ready(service))
    after = await rows_of(database)
    assert [row for row in after["addresses"] if row[2] != "last@acme.example"] == before["addresses"]
    assert after["users"] == before["users"]


async def test_a_poisonous_event_parks_its_aggregate_and_nothing_else(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = beginning().tell(
        personal(BOB, "bob"), personal("cleo@acme.example", "cleo"),
        e.FromNameChanged(address=BOB, from_name="of a type nobody knows"), e.ToolBound(address=BOB, tool="meetings"),
        e.ToolBound(address="cleo@acme.example", tool="meetings"),
        personal("nul@acme.example", "bob\x00"), personal("fine@acme.example", "bob"),
    )  # fmt: skip
    async with service_running(INBOX_VIEWS, private_nats.url, database) as service:
        await bus.publish(told.recorded[:7])
        subject, headers, body = to_wire(told.recorded[7])
        await bus.js.publish(subject, body, headers={**headers, "ce-type": "switchboard.Unheard.v9"})
        await bus.publish(told.recorded[8:])
        await reached(bus, told.end)

        touched = await bus.ask("Address", address=BOB)
        assert (touched.body["incomplete_since"], touched.result["tools"]) == (8, [])
        untouched = await bus.ask("Address", address="cleo@acme.example")
        assert "incomplete_since" not in untouched.body
        assert untouched.result["tools"] == ["meetings"]
        assert (await bus.ask("Address", address="fine@acme.example")).result["owner"] == "bob"
        assert (await bus.ask("Addresses")).body["incomplete_since"] == 8
        assert (await bus.ask("Address", address="nul@acme.example")).body["incomplete_since"] == 11
        assert (await service.health()).ready
    view = View(database, DEFINITION)
    await view.open()
    parked = await parking.list_parked(view)
    assert [(one.position, one.type) for one in parked] == [
        (8, "switchboard.Unheard.v9"), (9, "switchboard.ToolBound.v1"), (11, "switchboard.PersonalConnected.v1"),
    ]  # fmt: skip
    assert await parking.retry_parked(view) == (0, 3)
    assert [(one.position, one.error) for one in await parking.list_parked(view)] == [
        (one.position, one.error) for one in parked
    ]
    async with view.writing() as cursor:
        await cursor.execute("SELECT headers FROM parked WHERE position = 8")
        row = await cursor.fetchone()
        assert row is not None
        mended = orjson.loads(row[0]) | {"ce-type": "switchboard.FromNameChanged.v1"}
        await cursor.execute("UPDATE parked SET headers = %s WHERE position = 8", (orjson.dumps(mended),))
    assert await parking.retry_parked(view) == (2, 1)
    assert [one.position for one in await parking.list_parked(view)] == [11]
    async with view.snapshots([Asker("acme", "ana")]) as (snapshot,):
        ((doc,),) = await snapshot.select("SELECT doc FROM addresses WHERE key = %(key)s", {"key": BOB})
    assert (doc["from_name"], doc["tools"]) == ("of a type nobody knows", ["meetings"])
    await view.close()


async def test_a_gap_is_never_passed(bus: Bus, private_nats: RunningNats, database: str) -> None:
    told = story(10)
    missing = told.recorded[7]
    async with service_running(INBOX_VIEWS, private_nats.url, database) as service:
        await bus.publish([one for one in told.recorded if one is not missing])
        await reached(bus, missing.position - 1)

        async def complains() -> bool:
            return f"position {missing.position}" in (await service.health()).parts["events"]

        await eventually(complains)
        assert (await bus.ask("Usage", at_least=missing.position, wait_ms=0)).error == (503, "VIEW_BEHIND")
        await bus.publish([missing])
        await reached(bus, told.end)
        await eventually(lambda: is_ready(service))
    assert len((await rows_of(database))["addresses"]) == 10


async def test_a_stream_that_was_wiped_and_published_again_is_followed_on(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(20)
    async with service_running(INBOX_VIEWS, private_nats.url, database) as service:
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        await asyncio.to_thread(private_nats.wipe)
        await asyncio.to_thread(private_nats.start)
        told.tell(personal("after@acme.example", "cleo"))
        await reached(bus, told.end - 1)
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        await eventually(lambda: is_ready(service))
    assert len((await rows_of(database))["addresses"]) == 21


async def test_a_database_that_goes_away_and_comes_back_loses_nothing(
    bus: Bus, private_nats: RunningNats, private_postgres: RunningPostgres
) -> None:
    told = story(20)
    async with service_running(INBOX_VIEWS, private_nats.url, private_postgres.url) as service:
        await bus.publish(told.recorded[:15])
        await reached(bus, 15)
        await asyncio.to_thread(private_postgres.kill)
        await bus.publish(told.recorded[15:])
        assert (await bus.ask("Usage")).error == (503, "BUSY")
        assert not (await service.health()).ready
        await asyncio.to_thread(private_postgres.start)
        await reached(bus, told.end)
        await eventually(lambda: is_ready(service))
    assert len((await rows_of(private_postgres.url))["addresses"]) == 20


async def test_a_database_that_hangs_is_answered_for(
    bus: Bus, private_nats: RunningNats, private_postgres: RunningPostgres
) -> None:
    impatient = replace(INBOX_VIEWS, limits=ServiceLimits(answer_seconds=0.5))
    told = story(5)
    async with service_running(impatient, private_nats.url, private_postgres.url) as service:
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        backends = await backends_of(private_postgres.url)
        try:
            signal_all(private_postgres, backends, signal.SIGSTOP)
            replies = await asyncio.gather(*(bus.ask("Usage") for _ in range(10)))
            assert {reply.error for reply in replies} == {(503, "BUSY")}
        finally:
            signal_all(private_postgres, backends, signal.SIGCONT)
        await eventually(lambda: is_ready(service))
        assert (await bus.ask("Usage")).error is None


async def backends_of(url: str) -> list[int]:
    """The processes that serve connections."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'inbox_views%'")
        return [pid for (pid,) in await rows.fetchall()]


def signal_all(postgres: RunningPostgres, backends: list[int], number: signal.Signals) -> None:
    postgres.pause() if number is signal.SIGSTOP else postgres.resume()
    for pid in backends:
        os.kill(pid, number)


async def test_rows_that_were_lost_are_made_again_from_the_stream(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(20)
    async with service_running(INBOX_VIEWS, private_nats.url, database) as service:
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        before = await rows_of(database)
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
            await connection.execute("DROP SCHEMA inbox_views CASCADE")
        told.tell(personal("after@acme.example", "cleo"))
        await bus.publish(told.recorded[-1:])
        await reached(bus, told.end)
        await eventually(lambda: is_ready(service))
    after = await rows_of(database)
    assert [row for row in after["addresses"] if row[2] != "after@acme.example"] == before["addresses"]


async def test_a_view_that_was_set_back_finds_its_way(bus: Bus, private_nats: RunningNats, database: str) -> None:
    told = story(20)
    async with service_running(INBOX_VIEWS, private_nats.url, database):
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        await eventually(lambda: consumer_is_idle(bus))
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute("DROP SCHEMA inbox_views CASCADE")
    async with service_running(INBOX_VIEWS, private_nats.url, database):
        await reached(bus, told.end)
    assert len((await rows_of(database))["addresses"]) == 20


async def test_two_processes_of_one_view_stay_right_side_by_side(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(600)
    async with (
        service_running(INBOX_VIEWS, private_nats.url, database) as one,
        service_running(INBOX_VIEWS, private_nats.url, database) as other,
    ):
        await bus.publish(told.recorded[:300])
        for _ in range(10):
            await reached(bus, 300)
        await eventually(lambda: is_ready(one))
        await eventually(lambda: is_ready(other))
        await bus.publish(told.recorded[300:])
        for _ in range(10):
            await reached(bus, told.end)
    rows = await rows_of(database)
    assert len(rows["addresses"]) == 600
    assert rows["view"] == [(DEFINITION.version, told.end)]


async def test_another_process_carries_on_when_the_first_one_ends(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(60)
    async with service_running(INBOX_VIEWS, private_nats.url, database):
        await bus.publish(told.recorded[:30])
        await reached(bus, 30)
        later = service_running(INBOX_VIEWS, private_nats.url, database)
        await later.__aenter__()
    await bus.publish(told.recorded[30:])
    await reached(bus, told.end)
    await later.__aexit__(None, None, None)
    assert (await rows_of(database))["view"] == [(DEFINITION.version, told.end)]


async def test_two_that_carry_events_at_once_keep_the_rows_right(database: str) -> None:
    told = story(300)
    one, other = View(database, DEFINITION), View(database, DEFINITION)
    await one.open()
    await other.open()
    await asyncio.gather(one.prepare(), other.prepare())
    wire = [to_wire(recorded) for recorded in told.recorded]

    async def carry(view: View, step: int) -> None:
        position = 0
        while position < told.end:
            some = range(position, min(position + step, told.end))
            position = await view.apply([DeliveredEvent(at + 1, wire[at][1], wire[at][2]) for at in some])

    await asyncio.gather(carry(one, 7), carry(other, 11))
    rows = await rows_of(database)
    await one.close()
    await other.close()
    assert rows["view"] == [(DEFINITION.version, told.end)]
    assert len(rows["addresses"]) == 300
    assert {row[4] for row in rows["addresses"]} == {1}


async def test_a_message_that_is_no_event_of_the_log_is_passed_over(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(3)
    async with service_running(INBOX_VIEWS, private_nats.url, database):
        await bus.publish(told.recorded[:4])
        for headers in (None, {"ce-position": "0"}, {"ce-position": "-1"}, {"ce-position": "x" * 500}):
            await bus.js.publish("switchboard.event.v1.acme.address.Nonsense", b"\xff", headers=headers)
        await bus.publish(told.recorded[4:])
        await reached(bus, told.end)


# ---- rebuild


@pytest.mark.parametrize("room", [INBOX_VIEWS, ROUTING], ids=lambda room: room.name)
async def test_a_rebuilt_view_equals_the_live_one(
    room: Any, bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(50).tell(
        e.FromNameChanged(address="3@acme.example", from_name="poisoned"),
        e.ToolBound(address="3@acme.example", tool="meetings"),
        personal("fine@acme.example", "cleo"),
    )
    poison = told.end - 2
    async with service_running(room, private_nats.url, database) as service:
        await bus.publish([])
        for recorded in told.recorded:
            subject, headers, body = to_wire(recorded)
            kind = {"ce-type": "switchboard.Unheard.v9"} if recorded.position == poison else {}
            await bus.js.publish(subject, body, headers=headers | kind)
        await written(service, room, database, told.end)
    live = await rows_of(database, room.definition.name)
    await write_log(database, told.recorded, {poison: "switchboard.Unheard.v9"})
    view = View(database, room.definition)
    assert await rebuilding.rebuild(database, view) == told.end
    assert await rows_of(database, room.definition.name) == live
    assert [row[0] for row in live["parked"]] == [poison, poison + 1]


async def written(service: Service, room: Any, url: str, position: int) -> None:
    async def there() -> bool:
        rows = await rows_of(url, room.definition.name) if (await service.health()).parts["view"] == "ok" else {}
        return bool(rows) and rows["view"] == [(room.definition.version, position)]

    await eventually(there)


async def test_questions_are_answered_during_a_rebuild_and_events_go_on_after_it(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(2_000)
    await write_log(database, told.recorded)
    async with service_running(INBOX_VIEWS, private_nats.url, database) as service:
        await bus.publish(told.recorded[:500])
        await reached(bus, 500)
        view = View(database, DEFINITION)
        rebuild = asyncio.create_task(rebuilding.rebuild(database, view))
        positions = []
        while not rebuild.done():
            reply = await bus.ask("Address", address="17@acme.example")
            assert reply.result["owner"] == "bob"
            positions.append(reply.body["position"])
        assert await rebuild == told.end
        assert positions == sorted(positions)
        await bus.publish(told.recorded[500:])
        told.tell(personal("after@acme.example", "cleo"))
        await bus.publish(told.recorded[-1:])
        await reached(bus, told.end)
        await eventually(lambda: is_ready(service))
    assert len((await rows_of(database))["addresses"]) == 2_001


async def test_rows_of_another_version_are_rebuilt_from_the_log(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(20)
    await write_log(database, told.recorded)
    async with service_running(INBOX_VIEWS, private_nats.url, database):
        await bus.publish(told.recorded)
        await reached(bus, told.end)
    newer = replace(INBOX_VIEWS, definition=replace(DEFINITION, version=DEFINITION.version + 1))
    async with service_running(newer, private_nats.url, database):
        await reached(bus, told.end)
    rows = await rows_of(database)
    assert rows["view"] == [(DEFINITION.version + 1, told.end)]
    assert len(rows["addresses"]) == 20


async def test_a_log_that_ends_too_soon_leaves_the_live_rows_alone(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(20)
    async with service_running(INBOX_VIEWS, private_nats.url, database):
        await bus.publish(told.recorded)
        await reached(bus, told.end)
    before = await rows_of(database)
    await write_log(database, told.recorded[:10])
    with pytest.raises(LogIncompleteError):
        await rebuilding.rebuild(database, View(database, DEFINITION))
    assert await rows_of(database) == before


# ---- the run of positions


def test_only_contiguous_events_are_taken() -> None:
    entries = [DeliveredEvent(position, {}, b"") for position in (3, 4, 5, 7, 8)]
    assert [entry.position for entry in contiguous(entries, 3)] == [4, 5]
    assert contiguous(entries, 5) == []
    assert contiguous(entries, 1) == []
    assert [entry.position for entry in contiguous(entries, 6)] == [7, 8]


async def test_a_question_at_which_our_code_fails_is_answered_as_such_and_not_as_busy(
    bus: Bus, private_nats: RunningNats, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = False

    async def answer(snapshot: Snapshot, question: Question) -> Any:
        if broken:
            raise KeyError(BOB)
        return await INBOX_VIEWS.answer(snapshot, question)

    told = story(5)
    async with service_running(replace(INBOX_VIEWS, answer=answer), private_nats.url, database) as service:
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        monkeypatch.setattr("shared.process.unexpected_errors.record", (errors := UnexpectedErrors()).record)
        broken = True
        with capture_logs() as logs:
            replies = [await bus.ask(name) for name in ("Usage", "Usage", "Users")]
        assert [(reply.error, reply.body["error"]) for reply in replies] == [
            ((500, "INTERNAL_ERROR"), "INTERNAL_ERROR")
        ] * 3
        broken = False
        assert (await bus.ask("Usage")).error is None
        assert await is_ready(service)
    (line,) = [line for line in logs if line["event"] == "error.unexpected"]
    assert (line["question"], line["error"]) == ("Usage", "KeyError")
    assert BOB not in line["exception"]
    (family,) = await errors.collect_metrics()
    assert {sample.labels["step"]: sample.value for sample in family.samples}["answering"] == 3
