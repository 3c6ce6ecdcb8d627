"""Moments that the log does not have: each question of the audit says so, and which moments there are."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import Any, NamedTuple

import psycopg
import pytest
from nats.errors import NoRespondersError

from services.inbox_views.app import INBOX_VIEWS
from shared.language import commands as c
from shared.language.audit import AUDIT_QUESTIONS, AtOrBetween, Range
from shared.process import clock
from shared.process.log_reader import EventLog
from tests.audit.past import Past, past_in, rows
from tests.audit.test_service import AUDITOR, ask, serving
from tests.connections.given_when_then import ADA, BOB, COMPANY
from tests.inbox_views.stories import Bus, Told, eventually, service_running
from tests.real_servers import RunningNats

ADVICE = "Ask as of a moment between details.first and details.last."
BEFORE, FUTURE = "1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
EARLY, LATE, INVALID = (422, "AS_OF_TOO_EARLY"), (422, "AS_OF_TOO_LATE"), (400, "QUERY_INVALID")
# What a question needs beside its moments.
FIELDS: dict[str, dict[str, Any]] = {
    "Access": {"inbox": "support"},
    "AccessOf": {"user": BOB},
    "Bisect": {"question": "User", "fields": {"user": BOB}, "path": "/seat", "value": True},
}
MOMENTS: dict[str, tuple[str, ...]] = {
    name: ("from", "to") for name, kind in AUDIT_QUESTIONS.items() if issubclass(kind, Range)
}
MOMENTS |= {name: ("from", "to", "at") for name, kind in AUDIT_QUESTIONS.items() if issubclass(kind, AtOrBetween)}


class Case(NamedTuple):
    """`after` counts from the end of the log; an absolute moment is in `moment`."""

    error: tuple[int, str]
    moment: int | str = 0
    after: int | None = None
    fields: tuple[str, ...] = ("from", "to", "at")


CASES = {
    "position 0": Case(EARLY, 0),
    "a negative position": Case(EARLY, -1),
    "the smallest position": Case(EARLY, -(2**63)),
    "below the smallest position": Case(INVALID, -(2**63) - 1),
    "a time before the first event": Case(EARLY, BEFORE, fields=("to", "at")),
    "the position after the last": Case(LATE, after=1),
    "a position far after the last": Case(LATE, after=10**9),
    "the largest position": Case(LATE, 2**63 - 1),
    "above the largest position": Case(INVALID, 2**63),
    "a time that is not yet": Case(LATE, FUTURE),
    "a time without an offset": Case(INVALID, "2026-03-03T09:00:00"),
}


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        made.give(*COMPANY, c.AssignSeat(actor=ADA, user=BOB))
        yield made


def test_every_question_with_a_range_is_among_these() -> None:
    assert MOMENTS.keys() == {"Timeline", "Refusals", "Access", "AccessOf", "Changes", "Bisect", "Leavers"}


async def test_a_moment_that_the_log_lacks_is_refused_with_those_that_there_are(past: Past, nats: RunningNats) -> None:
    ends = await first_and_last(past)
    async with serving(past, nats.url) as bus:
        for name, field, what, case in cases():
            moment = case.moment if case.after is None else ends["last"]["position"] + case.after
            told = await ask_about(bus, name, past, {field: moment})
            assert told.error == case.error, (name, field, what, told.body)
            require_advice(told, field, ends)


async def ask_about(bus: Bus, name: str, past: Past, moments: Mapping[str, Any] = MappingProxyType({})) -> Told:
    fields: dict[str, Any] = {**FIELDS.get(name, {}), **moments}
    return await ask(bus, name, past, **fields)


def cases() -> Iterator[tuple[str, str, str, Case]]:
    for name, field in named():
        yield from ((name, field, what, case) for what, case in CASES.items() if field in case.fields)


def require_advice(told: Told, field: str, ends: Any) -> None:
    if told.error == INVALID:
        (problem,) = told.body["details"]["errors"]
        assert (problem["field"], "2026-03-03T09:00:00+01:00" in problem["message"]) == (field, True)
    else:
        assert ADVICE in told.body["message"]
        assert told.body["details"] == ends


async def first_and_last(past: Past) -> dict[str, Any]:
    async with await psycopg.AsyncConnection.connect(past.url) as connection:

        async def select(statement: str, values: Any) -> Any:
            return await (await connection.execute(statement.encode(), values)).fetchall()

        found = await EventLog(select).first_and_last()
    assert found is not None
    return {
        name: {"position": one.position, "time": one.time and clock.written(one.time)}
        for name, one in zip(("first", "last"), found, strict=True)
    }


@asynccontextmanager
async def serving_with_view(past: Past, nats: RunningNats) -> AsyncIterator[Bus]:
    """The audit beside a view, which Bisect asks."""
    ((end,),) = rows(past.url, "SELECT max(notification_id) FROM connections.events")
    async with serving(past, nats.url) as bus, service_running(INBOX_VIEWS, nats.url, past.url):

        async def answered() -> bool:
            with suppress(NoRespondersError):
                return (await bus.ask("User", actor=AUDITOR, user=BOB, as_of=end)).error is None
            return False

        await eventually(answered)
        yield bus


async def test_a_range_may_begin_before_the_log_and_end_now(past: Past, private_nats: RunningNats) -> None:
    async with serving_with_view(past, private_nats) as bus:
        for name in MOMENTS:
            whole = await ask_about(bus, name, past, {"from": BEFORE})
            to_now = await ask_about(bus, name, past, {"from": BEFORE, "to": clock.now()})
            assert (to_now.error, to_now.result) == (None, whole.result), name
            backwards = await ask_about(bus, name, past, {"from": 5, "to": 4})
            assert backwards.error == INVALID
            assert "the range ends before it begins" in str(backwards.body["details"])


# ---- a log that is ahead


async def test_a_moment_that_the_audit_has_not_reached_is_behind(past: Past, private_nats: RunningNats) -> None:
    """The caller hears how far the audit is, and to ask again; it is not the question's fault."""
    async with serving_with_view(past, private_nats) as bus:
        for name in MOMENTS:
            assert (await ask_about(bus, name, past)).error is None, name
        async with standing_still(past):
            (reply,) = past.give(c.UnassignSeat(actor=ADA, user=BOB))
            end = reply["position"]
            for name, field in named():
                fields: dict[str, Any] = {**FIELDS.get(name, {}), field: end}
                told = await bus.ask(name, actor=AUDITOR, **fields)
                if told.error is None:
                    # Up to there it is a list as far as it goes.
                    assert (name in ("Timeline", "Refusals"), field, told.body["position"]) == (True, "to", end - 1)
                else:
                    assert told.error == (503, "HISTORY_BEHIND"), (name, field, told.body)
                    assert told.body["details"].items() >= {"position": end - 1, "as_of": end, "log_end": end}.items()
        for name, field in named():
            assert (await ask_about(bus, name, past, {field: end})).error is None, (name, field)


def named() -> list[tuple[str, str]]:
    return [(name, field) for name, fields in MOMENTS.items() for field in fields]


@asynccontextmanager
async def standing_still(past: Past) -> AsyncIterator[None]:
    """Neither history nor index comes further while the block runs."""
    async with await psycopg.AsyncConnection.connect(past.url) as connection:
        await connection.execute("LOCK TABLE audit_history.view, audit_index.checkpoint IN EXCLUSIVE MODE")
        yield
