"""The questions About and Coverage: everything held about a person, and how far answers reach."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.language import commands as c
from tests.audit.past import Past, past_in, rows, run
from tests.audit.running import auditing
from tests.connections.given_when_then import ADA, ANA, BOB, CLEO, COMPANY

BOBS = "bob@acme.example"


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        made.give(*COMPANY)
        yield made


def put_question(url: str, number: int, name: str, *users: str) -> None:
    """A question that is on record."""
    body = json.dumps({"actor": "service:audit.eve", "user": users[0], "limit": 5})
    run(
        url,
        f"INSERT INTO audit.questions VALUES ({number}, 'acme', '{name}', 'service:audit.eve', '{body}',"
        " '2026-12-01T10:00:00Z', 7, 'answered', NULL)",
    )
    for user in users:
        run(url, f"INSERT INTO audit.concerned VALUES ('acme', '{user}', {number})")


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_facts_attempts_and_questions_about_a_person_come_once_each(past: Past, limit: int) -> None:
    past.give(
        c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB),
        c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB),
        c.ConnectPersonal(actor=CLEO, address=BOBS, owner=CLEO),
        c.AssignSeat(actor=ADA, user=BOB),
        c.SetSignature(actor=CLEO, user=CLEO, signature="Cleo"),
        c.SetSignature(actor=BOB, user=CLEO, signature="Cleo"),
    )
    async with auditing(past) as audit:
        put_question(past.url, 1, "Timeline", BOB)
        put_question(past.url, 2, "Access", CLEO)
        put_question(past.url, 3, "AccessOf", BOB, CLEO)
        found = await audit.ask("About", user=BOB, limit=limit)
        assert [item["entry"]["sentence"].partition(";")[0] for item in found if item["entry"]] == [
            "ada added the user bob (“Bob”) with the permission personal email access.",
            "bob connected bob@acme.example as their own personal address.",
            "bob tried to connect bob@acme.example as their own personal address",
            "cleo tried to connect bob@acme.example as their own personal address",
            "ada gave bob a seat.",
            "bob tried to change the signature of cleo",
        ]
        assert [item["question"] for item in found if item["question"]] == [
            {
                "number": number, "question": name, "fields": {"user": BOB}, "actor": "service:audit.eve",
                "time": "2026-12-01T10:00:00.000Z", "position": 7, "outcome": "answered",
            }
            for number, name in ((1, "Timeline"), (3, "AccessOf"))
        ]  # fmt: skip
        assert [item["entry"] is None for item in found] == [*[False] * 6, True, True]


async def test_who_was_never_named_is_not_found(past: Past) -> None:
    async with auditing(past) as audit:
        assert await audit.refused("About", user="nobody") == "USER_NOT_FOUND"
        assert await audit.refused("About", user=BOB, after="eA") == "QUERY_INVALID"


# ---- Coverage


async def test_coverage_says_how_far_everything_reaches(past: Past) -> None:
    past.message("Explode", {})
    ((end, ordinal, id_),) = rows(
        past.url,
        "SELECT (SELECT max(notification_id) FROM connections.events), (SELECT max(ordinal) FROM connections.journal),"
        " (SELECT id FROM connections.log)",
    )
    async with auditing(past) as audit:
        found = await audit.ask("Coverage")
        assert found["log"] | {"first_time": None, "last_time": None} == {
            "id": str(id_), "position": end, "ordinal": ordinal, "first_time": None, "last_time": None,
        }  # fmt: skip
        assert found["log"]["first_time"] <= found["log"]["last_time"]
        assert found["history"] == {"position": end, "behind": 0, "seconds": 0.0}
        assert found["index"] == {"position": end, "behind": 0, "seconds": 0.0, "ordinal": ordinal}
        assert found["clocks"] == {"events": 0, "places": []}
        assert found["dead_letters"] == []


async def test_coverage_names_clocks_that_ran_back(past: Past) -> None:
    replies = past.give(*(c.AssignSeat(actor=ADA, user=user) for user in (BOB, CLEO, ANA)))
    positions = [reply["position"] for reply in replies]
    for position, time in zip(positions, ("10:00:00", "09:00:00", "09:30:00"), strict=True):
        change = f"""regexp_replace(convert_from(state, 'UTF8'), '"time":"[^"]*"', '"time":"2030-01-01T{time}.000Z"')"""
        run(
            past.url,
            f"UPDATE connections.events SET state = convert_to({change}, 'UTF8') WHERE notification_id = {position}",
        )
    async with auditing(past) as audit:
        clocks = (await audit.ask("Coverage"))["clocks"]
        assert clocks == {
            "events": 2,
            "places": [
                {
                    "from": positions[1], "to": positions[2], "events": 2, "milliseconds": 3_600_000,
                    "time": "2030-01-01T10:00:00.000Z",
                }
            ],
        }  # fmt: skip


async def test_dead_letters_are_those_of_the_account(past: Past) -> None:
    past.begin("zenith")
    past.give(
        c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB), c.SetFromName(actor=BOB, address=BOBS, from_name="B")
    )
    run(past.url, "UPDATE connections.events SET topic = 'switchboard.New.v1' WHERE topic LIKE '%PersonalConnected%'")
    async with auditing(past) as audit:
        found: list[dict[str, Any]] = (await audit.ask("Coverage"))["dead_letters"]
        assert [(one["type"], one["parked"], one["given_up"]) for one in found] == [
            ("switchboard.New.v1", 1, 0),
            ("switchboard.FromNameChanged.v1", 1, 0),
        ]
        assert (await audit.ask("Coverage", account="zenith"))["dead_letters"] == []
        body = await audit.reply("Timeline", address=BOBS)
        assert [entry["dead_letter"] for entry in body["result"]] == [True, True]
