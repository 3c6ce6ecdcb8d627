"""The question Trace: a command as it was given, what came of it, and the way of its events."""

from collections.abc import Iterator
from typing import Any

import pytest

from shared.language import commands as c
from shared.language.moments import instant
from tests.audit.past import Past, past_in, run
from tests.audit.running import auditing
from tests.connections.given_when_then import ANA, BOB, CLEO, COMPANY
from tests.inbox_views.stories import eventually
from tests.journeys import cast
from tests.journeys.wire import Account, connected
from tests.real_servers import RunningSwitchboard

BOBS = "bob@acme.example"


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        made.give(*COMPANY)
        yield made


async def test_a_command_is_found_by_its_id_and_by_the_id_of_an_event(past: Past) -> None:
    (reply,) = past.give(c.ConnectPersonal(actor=BOB, address="Bob@acme.example", owner=BOB), correlation_id="job-1")
    async with auditing(past) as audit:
        (traced,) = await audit.ask("Trace", command_id=reply["command_id"])
        assert traced["body"] == {
            "actor": BOB, "address": "Bob@acme.example", "owner": BOB, "correlation_id": "job-1", "dry_run": False,
        }  # fmt: skip
        assert traced["reply"] == reply
        assert (traced["outcome"], traced["position"]) == ("accepted", reply["position"])
        (event,) = traced["events"]
        assert event["id"] == reply["events"][0]["id"]
        assert event["sentence"] == "bob connected bob@acme.example as their own personal address."
        assert event["published"] is None
        assert set(event["missing"]) == {"published", "inbox_views", "routing"}
        assert [traced] == await audit.ask("Trace", event_id=event["id"])
        assert [traced] == await audit.ask("Trace", correlation_id="job-1")


async def test_a_refused_command_has_its_reason_and_no_events(past: Past) -> None:
    past.give(c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB))
    (reply,) = past.give(c.ConnectPersonal(actor=CLEO, address=BOBS, owner=CLEO))
    async with auditing(past) as audit:
        (traced,) = await audit.ask("Trace", command_id=reply["command_id"])
        assert (traced["outcome"], traced["reason"]) == ("refused", "ADDRESS_ALREADY_PERSONAL")
        assert (traced["position"], traced["events"], traced["reply"]) == (None, [], reply)


async def test_every_attempt_under_one_id_is_there(past: Past) -> None:
    ids = {"command_id": "0198c0de-0000-7000-8000-000000000001"}
    past.message("AssignSeat", {"actor": ANA, "seat": 1} | ids)
    past.give(c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB), **ids)
    past.give(c.ConnectPersonal(actor=BOB, address="other@acme.example", owner=BOB), **ids)
    async with auditing(past) as audit:
        found = await audit.ask("Trace", **ids)
        assert [one["reason"] or one["outcome"] for one in found] == [
            "COMMAND_INVALID",
            "accepted",
            "COMMAND_ID_REUSED",
        ]
        assert [one["body"] is None for one in found] == [True, False, True]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_commands_under_a_correlation_id_come_once_each_in_pages(past: Past, limit: int) -> None:
    addresses = [f"{number}@acme.example" for number in range(4)]
    past.give(*(c.ConnectPersonal(actor=BOB, address=one, owner=BOB) for one in addresses), correlation_id="job-7")
    past.give(c.ConnectPersonal(actor=CLEO, address=addresses[0], owner=CLEO), correlation_id="job-7")
    past.give(c.ConnectPersonal(actor=BOB, address=addresses[0], owner=BOB), correlation_id="job-7")
    past.give(c.DeactivateUser(actor="ada", user=BOB))
    past.give(c.RemoveUser(actor="ada", user=BOB), correlation_id="job-7")
    async with auditing(past) as audit:
        found = await audit.ask("Trace", correlation_id="job-7", limit=limit)
        assert [one["outcome"] for one in found] == [*["accepted"] * 4, "refused", "unchanged", "accepted"]
        assert [event["type"] for event in found[-1]["events"]] == ["UserRemoved", *["AddressOrphaned"] * 4]
        assert found[-1]["event_count"] == 5


async def test_a_command_of_another_account_is_not_found(past: Past) -> None:
    past.begin("zenith")
    (reply,) = past.give(c.ConnectPersonal(actor="user-1", address=BOBS, owner="user-1"), account="zenith")
    async with auditing(past) as audit:
        assert await audit.ask("Trace", command_id=reply["command_id"]) == []
        assert await audit.ask("Trace", event_id=reply["events"][0]["id"]) == []
        assert len(await audit.ask("Trace", event_id=reply["events"][0]["id"], account="zenith")) == 1


async def test_an_event_that_this_release_cannot_read_is_named(past: Past) -> None:
    (reply,) = past.give(c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB))
    run(
        past.url,
        f"UPDATE connections.events SET topic = 'switchboard.New.v3' WHERE notification_id = {reply['position']}",
    )
    async with auditing(past) as audit:
        (traced,) = await audit.ask("Trace", command_id=reply["command_id"])
        (event,) = traced["events"]
        assert event["type"] == "switchboard.New.v3"
        assert event["sentence"] == "bob caused the event New, version 3, which this release cannot read."


# ---- over the whole way


@pytest.fixture
async def account(running: RunningSwitchboard) -> Any:
    async with connected(running.nats_url) as wire:
        yield await cast.furnished(wire)


async def test_a_running_switchboard_knows_when_each_part_had_the_event(account: Account) -> None:
    reply = await account.do("ConnectPersonal", "bob", address=BOBS, owner="bob")
    await account.see("Address", address=BOBS)
    await account.wire.audited(account.name, reply.position)

    async def traced_to_its_end() -> dict[str, Any] | None:
        """The event, once both views have it and say when."""
        traced = await account.see("Trace", "service:audit.zoe", command_id=reply.body["command_id"])
        ((event,),) = [one["events"] for one in traced]
        return None if event["missing"] else dict(event)

    event = await eventually(traced_to_its_end)
    assert instant(event["time"]) <= instant(event["published"]) <= instant(event["applied"]["inbox_views"])
    assert 0 < event["after_ms"]["published"] <= event["after_ms"]["inbox_views"]
