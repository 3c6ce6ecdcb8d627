"""The audit service over the bus: who may ask, and that every question is on record before its answer leaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import pytest

from services.audit.app import wire
from services.audit.audit_view import AuditView
from services.audit.projection import DEFINITION
from services.audit.questions import answer
from shared.language import commands as c
from shared.language.audit import AUDIT_QUESTIONS
from shared.projections.query_endpoint import QueryEndpoint
from tests.audit.past import Past, past_in, rows, run
from tests.connections.given_when_then import ADA, ANA, BOB, COMPANY
from tests.inbox_views.stories import Bus, Told, eventually, is_ready, on_bus, service_open
from tests.real_servers import RunningNats, RunningPostgres

AUDITOR = "service:audit.zoe"
FOLLOWED = "SELECT least(i.position, v.position) FROM audit_index.checkpoint i, audit_history.view v"
RECORDED = "SELECT id, account, question, actor, position, outcome FROM audit.questions ORDER BY id"


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        made.give(*COMPANY)
        yield made


@asynccontextmanager
async def serving(past: Past, nats_url: str, processes: int = 1) -> AsyncIterator[Bus]:
    async with on_bus(nats_url) as bus, asyncio.TaskGroup() as tasks:
        stop = asyncio.Event()
        started = [asyncio.Event() for _ in range(processes)]

        async def serve(number: int) -> None:
            async with service_open("audit", wire, nats_url, past.url) as service:
                await eventually(lambda: is_ready(service))
                started[number].set()
                await stop.wait()

        for number in range(processes):
            tasks.create_task(serve(number))
        for one in started:
            await one.wait()
        try:
            yield bus
        finally:
            stop.set()


async def ask(bus: Bus, name: str, past: Past, actor: str = AUDITOR, **fields: Any) -> Told:
    """The answer from what the log has by now."""
    ((end,),) = rows(past.url, "SELECT max(notification_id) FROM connections.events")
    # However long that takes; a question that is asked again would be on record twice.
    await eventually(lambda: followed(past.url, end))
    return await bus.ask(name, actor=actor, **{"at_least": end, "wait_ms": 10_000} | fields)


async def test_readiness_says_that_the_history_is_being_made(database: str) -> None:
    view = AuditView(database, DEFINITION.history())
    await view.open()
    try:
        assert await QueryEndpoint(view, AUDIT_QUESTIONS, answer).ready() == "the rows of audit_history are being made"
    finally:
        await view.close()


async def followed(url: str, end: int) -> bool:
    """Whether history and index are there."""
    with suppress(psycopg.errors.UndefinedTable):
        return rows(url, FOLLOWED) >= [(end,)]
    return False


async def test_auditors_and_super_admins_may_ask_and_nobody_else(past: Past, nats: RunningNats) -> None:
    async with serving(past, nats.url) as bus:
        for actor in (AUDITOR, ADA):
            assert (await ask(bus, "Timeline", past, actor)).error is None
        for actor in (ANA, BOB, "nobody", "service:crm", "service:audit"):
            for name in ("Timeline", "Coverage"):
                told = await ask(bus, name, past, actor)
                assert told.error == (403, "PERMISSION_MISSING"), actor
        past.begin("zenith")
        told = await ask(bus, "Timeline", past, ADA, account="zenith")
        assert told.error == (403, "PERMISSION_MISSING"), "a super admin of another account"
        past.message("AssignSeat", {"actor": "mallory", "user": "bob"}, account="acmee")
        past.give(c.AssignSeat(actor=ADA, user=BOB))
        assert len((await ask(bus, "Timeline", past, account="acmee")).result) == 1
        assert (await ask(bus, "Timeline", past, "mallory", account="acmee")).error == (403, "PERMISSION_MISSING")
        unknown = await ask(bus, "Timeline", past, account="nowhere")
        assert unknown.error == (404, "ACCOUNT_NOT_FOUND")


async def test_every_question_is_on_record_with_its_outcome(past: Past, nats: RunningNats) -> None:
    async with serving(past, nats.url) as bus:
        await ask(bus, "Timeline", past, user=BOB)
        await ask(bus, "Timeline", past, actor=BOB)
        await ask(bus, "Timeline", past, user="nobody")
        await bus.send("Trace", b"no json \x00")
        await bus.send("Trace", json.dumps({"actor": "a\x00b", "command_id": 7}).encode())
        await ask(bus, "Coverage", past, account="nowhere")
        about = await ask(bus, "About", past, user=BOB)
    ((end,),) = rows(past.url, "SELECT max(notification_id) FROM connections.events")
    assert rows(past.url, RECORDED) == [
        (1, "acme", "Timeline", AUDITOR, end, "answered"),
        (2, "acme", "Timeline", BOB, end, "PERMISSION_MISSING"),
        (3, "acme", "Timeline", AUDITOR, end, "USER_NOT_FOUND"),
        (4, "acme", "Trace", None, end, "QUERY_INVALID"),
        (5, "acme", "Trace", None, end, "QUERY_INVALID"),
        (6, "nowhere", "Coverage", AUDITOR, end, "ACCOUNT_NOT_FOUND"),
        (7, "acme", "About", AUDITOR, end, "answered"),
    ]
    questions = [item["question"] for item in about.result if item["question"]]
    assert [(one["number"], one["fields"], one["actor"]) for one in questions] == [(1, {"user": BOB}, AUDITOR)]
    ((body, message),) = rows(past.url, "SELECT body, message FROM audit.questions WHERE id = 4")
    assert (bytes(body), message[:34]) == (b"no json \x00", "The question cannot be read: see d")


async def test_a_question_that_cannot_be_recorded_gets_no_answer(past: Past, nats: RunningNats) -> None:
    async with serving(past, nats.url) as bus:
        run(past.url, "ALTER TABLE audit.questions ADD CONSTRAINT no_more CHECK (id < 1)")
        for name in ("Timeline", "Coverage"):
            told = await ask(bus, name, past)
            assert told.error == (503, "BUSY")
            assert "could not be put on record" in told.body["message"]
        run(past.url, "ALTER TABLE audit.questions DROP CONSTRAINT no_more")
        assert (await ask(bus, "Timeline", past)).error is None
    assert [row[0] for row in rows(past.url, RECORDED)] == [1]


async def test_two_processes_answer_and_record_side_by_side(past: Past, nats: RunningNats) -> None:
    async with serving(past, nats.url, processes=2) as bus:
        for round_ in range(5):
            past.give(c.SetSignature(actor=BOB, user=BOB, signature=f"{round_}"))
            told = await asyncio.gather(*(ask(bus, "Timeline", past, user=BOB) for _ in range(8)))
            assert {len(one.result) for one in told} == {round_ + 2}
    assert [row[0] for row in rows(past.url, RECORDED)] == list(range(1, 41))


async def test_an_answer_has_what_its_caller_has_seen(past: Past, nats: RunningNats) -> None:
    async with serving(past, nats.url) as bus:
        (reply,) = past.give(c.AssignSeat(actor=ADA, user=BOB))
        told = await bus.ask("Timeline", actor=AUDITOR, user=BOB, at_least=reply["position"], wait_ms=10_000)
        assert told.body["position"] == reply["position"]
        assert told.result[-1]["sentence"] == "ada gave bob a seat."
        behind = await bus.ask("Timeline", actor=AUDITOR, at_least=reply["position"] + 1, wait_ms=100)
        assert behind.error == (503, "VIEW_BEHIND")


async def test_questions_get_busy_while_the_index_is_made(past: Past, nats: RunningNats) -> None:
    async with serving(past, nats.url) as bus:
        await ask(bus, "Timeline", past)
        run(past.url, "ALTER SCHEMA audit_index RENAME TO elsewhere")
        told = await bus.ask("Timeline", actor=AUDITOR)
        assert told.error is None or told.error == (503, "BUSY")
        await eventually(lambda: answered(bus))


async def answered(bus: Bus) -> bool:
    return (await bus.ask("Timeline", actor=AUDITOR)).error is None


async def test_a_restored_log_is_answered_from_itself(private_postgres: RunningPostgres, nats: RunningNats) -> None:
    with past_in(private_postgres.url) as past:
        past.give(*COMPANY)
        past.give(c.AssignSeat(actor=ADA, user=BOB), c.UnassignSeat(actor=ADA, user=BOB))
        async with serving(past, nats.url) as bus:
            assert len((await ask(bus, "Timeline", past, user=BOB)).result) == 3
    ((end,),) = rows(private_postgres.url, "SELECT max(notification_id) FROM connections.events")
    for table, column in (("journal", "log_position"), ("events", "notification_id"), ("commits", "position")):
        run(private_postgres.url, f"DELETE FROM connections.{table} WHERE {column} > {end - 2}")
    with past_in(private_postgres.url) as later:
        later.give(*(c.SetSignature(actor=BOB, user=BOB, signature=f"{number}") for number in range(3)))
        async with serving(later, nats.url) as bus:
            told = await ask(bus, "Timeline", later, user=BOB)
            assert [entry["sentence"] for entry in told.result][1:] == ["bob changed their own signature."] * 3


async def test_a_database_that_is_away_is_busy_and_comes_back(
    private_postgres: RunningPostgres, nats: RunningNats
) -> None:
    with past_in(private_postgres.url) as past:
        past.give(*COMPANY)
        async with serving(past, nats.url) as bus:
            assert (await ask(bus, "Timeline", past)).error is None
            private_postgres.kill()
            told = await bus.ask("Timeline", actor=AUDITOR)
            assert told.error == (503, "BUSY")
            private_postgres.start()
            await eventually(lambda: answered(bus))
    with psycopg.connect(private_postgres.url) as connection:
        numbers = [row[0] for row in connection.execute("SELECT id FROM audit.questions ORDER BY id").fetchall()]
    assert numbers == list(range(1, len(numbers) + 1))
