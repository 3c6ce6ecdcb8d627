"""The question Refusals: groups, entries, filters, and what the same command would hear now."""

from collections.abc import Iterator
from typing import Any

import pytest

from services.audit.refusals import BEYOND, MOST_DRY_RUNS
from shared.language import commands as c
from tests.audit.past import Past, past_in, rows
from tests.audit.running import auditing
from tests.connections.given_when_then import ANA, BOB, CLEO, COMPANY, DAN
from tests.journeys import cast
from tests.journeys.wire import Account, connected
from tests.real_servers import RunningSwitchboard

BOBS, SUPPORT = "bob@acme.example", "support@acme.example"
Item = dict[str, Any]


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        made.give(*COMPANY)
        made.give(
            c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB),
            c.ConnectPersonal(actor=CLEO, address=BOBS, owner=CLEO),
            c.ConnectTeam(actor=BOB, address=SUPPORT, inbox="support", visibility_acknowledged=True),
            c.ConnectPersonal(actor=CLEO, address=BOBS, owner=CLEO),
            c.ConnectTeam(actor=ANA, address=BOBS, inbox="support", visibility_acknowledged=True),
        )
        made.message("Explode", {"actor": DAN})
        yield made


def groups(items: list[Item]) -> list[tuple[str, str, int]]:
    return [(one["reason"], one["command"], one["count"]) for item in items if (one := item["group"])]


def entries(items: list[Item]) -> list[tuple[str, str]]:
    return [(one["actor"], one["reason"]) for item in items if (one := item["entry"])]


async def test_groups_come_first_and_then_every_entry_in_order(past: Past) -> None:
    async with auditing(past) as audit:
        found = await audit.ask("Refusals")
        assert groups(found) == [
            ("ADDRESS_ALREADY_PERSONAL", "ConnectPersonal", 2),
            ("ADDRESS_ALREADY_PERSONAL", "ConnectTeam", 1),
            ("COMMAND_UNKNOWN", "Explode", 1),
            ("PERMISSION_MISSING", "ConnectTeam", 1),
        ]
        assert entries(found) == [
            (CLEO, "ADDRESS_ALREADY_PERSONAL"),
            (BOB, "PERMISSION_MISSING"),
            (CLEO, "ADDRESS_ALREADY_PERSONAL"),
            (ANA, "ADDRESS_ALREADY_PERSONAL"),
            (None, "COMMAND_UNKNOWN"),
        ]
        paged = await audit.ask("Refusals", limit=2)
        assert paged == found
        first = found[0]["group"]
        assert first["first"] <= first["last"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reason": "PERMISSION_MISSING"}, [(BOB, "PERMISSION_MISSING")]),
        ({"given_by": CLEO}, [(CLEO, "ADDRESS_ALREADY_PERSONAL")] * 2),
        ({"command": "Explode"}, [(None, "COMMAND_UNKNOWN")]),
        ({"address": "SUPPORT@acme.example"}, [(BOB, "PERMISSION_MISSING")]),
        ({"address": BOBS, "command": "ConnectTeam"}, [(ANA, "ADDRESS_ALREADY_PERSONAL")]),
        ({"given_by": CLEO, "reason": "PERMISSION_MISSING"}, []),
        ({"from_": 1, "to": 1}, []),
    ],
)
async def test_they_can_be_limited(past: Past, fields: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    async with auditing(past) as audit:
        found = await audit.ask("Refusals", **fields)
        assert entries(found) == expected
        assert sum(count for _, _, count in groups(found)) == len(expected)


async def test_all_refusals_of_a_random_history_are_there_once(past: Past) -> None:
    past.live(5, 300, ("acme",))
    expected = rows(
        past.url,
        "SELECT log_position, ordinal FROM connections.journal"
        " WHERE outcome = 'refused' AND account = 'acme' ORDER BY 1, 2",
    )
    async with auditing(past) as audit:
        found = [item["entry"] for item in await audit.ask("Refusals", limit=20) if item["entry"]]
        assert [(one["position"], one["ordinal"]) for one in found] == expected


async def test_why_a_command_is_not_tried_again_is_said(past: Past) -> None:
    async with auditing(past) as audit:
        found = [item["today"] for item in await audit.ask("Refusals", today=True) if item["entry"]]
        assert [one["missing"] for one in found] == [
            *["there is no connection"] * 4, "the body of the command is not on record",
        ]  # fmt: skip
        assert [item["today"] for item in await audit.ask("Refusals") if item["entry"]] == [None] * 5


async def test_only_some_commands_of_a_page_are_tried_again(past: Past) -> None:
    past.give(*(c.ConnectPersonal(actor=CLEO, address=BOBS, owner=CLEO) for _ in range(MOST_DRY_RUNS)))
    async with auditing(past) as audit:
        found = await audit.ask("Refusals", given_by=CLEO, today=True)
        missing = [item["today"]["missing"] for item in found if item["entry"]]
        assert missing == [*["there is no connection"] * MOST_DRY_RUNS, *[BEYOND] * 2]


async def test_a_moment_that_the_log_lacks_is_an_error(past: Past) -> None:
    async with auditing(past) as audit:
        assert await audit.refused("Refusals", from_=10_000) == "AS_OF_TOO_LATE"
        assert await audit.refused("Refusals", address="no address") == "ADDRESS_INVALID"
        assert await audit.refused("Refusals", after="cTE") == "QUERY_INVALID"


# ---- over the whole way


@pytest.fixture
async def account(running: RunningSwitchboard) -> Any:
    async with connected(running.nats_url) as wire:
        yield await cast.furnished(wire)


async def test_the_same_commands_are_tried_again_each_on_its_own(account: Account) -> None:
    await account.do("ConnectPersonal", "bob", address=BOBS, owner="bob")
    for _ in range(2):
        await account.attempt("ConnectPersonal", "cleo", address=BOBS, owner="cleo")
    await account.attempt("ConnectPersonal", "cleo", address="bob2@acme.example", owner="bob")
    last = await account.do("Disconnect", "bob", address=BOBS)
    fields = {"actor": "service:audit.zoe", "at_least": last.position, "wait_ms": 10_000, "today": True}
    found = (await account.ask("Refusals", command="ConnectPersonal", **fields)).result
    today = [item["today"] for item in found if item["entry"]]
    assert [one["outcome"] for one in today] == ["accepted", "accepted", "refused"]
    assert (today[2]["reason"], today[2]["message"]) == ("OWNER_MUST_BE_ACTOR", found[-1]["entry"]["message"])
    assert (await account.see("Address", address=BOBS))["state"] == "free"
