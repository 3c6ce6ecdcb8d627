"""`Resolve` and `Routing` asked over a real bus, of rows in a real database."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.routing.app import ROOM
from shared.language import events as e
from tests.inbox_views.stories import Bus, beginning, on_bus, personal, room_open, team
from tests.real_servers import RunningNats

BOB, HELP, SENDER = "bob@acme.example", "help@acme.example", "eve@other.example"
STORY = beginning().tell(
    e.UserAdded(user="dan", name="Dan"),
    e.SeatAssigned(user="bob"),
    e.SeatAssigned(user="cleo"),
    e.InboxCreated(inbox="support", name="Support", access="members", members=("bob", "cleo")),
    e.RoutingChanged.model_validate(
        {"inbox": "support", "rule": {"kind": "users_and_teams", "users": ["bob", "cleo"]}}
    ),
    team(HELP, "support"),
    team("sales@acme.example", "inbox"),
    personal(BOB, "bob"),
    e.AliasAdded(address="b@acme.example", display="b@acme.example", primary=BOB, canonical_form=1),
    e.AccountNeverLogChanged(entries=("lawyer.example",)),
)


@pytest.fixture
async def bus(private_nats: RunningNats, database: str) -> AsyncIterator[Bus]:
    async with on_bus(private_nats.url) as client, room_open(ROOM, private_nats.url, database):
        await client.publish(STORY.recorded)
        yield client


async def resolved(bus: Bus, *recipients: str, actor: str = "ana", **fields: Any) -> list[dict[str, Any]]:
    told = await bus.ask(
        "Resolve", actor=actor, recipients=recipients, at_least=STORY.end, **{"sender": SENDER, **fields}
    )
    entries: list[dict[str, Any]] = told.result
    assert told.body["position"] == STORY.end
    return entries


async def test_each_recipient_gets_its_entry_in_order(bus: Bus) -> None:
    recipients = (HELP, "B@Acme.example", "nobody@acme.example", "not an address", HELP, "sales@acme.example")
    found = await resolved(bus, *recipients)
    assert [(one["recipient"], one["destination"], one["reason"]) for one in found] == [
        (HELP, "inbox", None), ("b@acme.example", "personal", None), ("nobody@acme.example", "none", "NOT_CONNECTED"),
        ("not an address", "none", "ADDRESS_INVALID"), (HELP, "inbox", None), ("sales@acme.example", "inbox", None),
    ]  # fmt: skip
    assert (found[1]["owner"], found[1]["rule"]) == ("bob", "personal")
    assert found[0]["assignee"] in {"bob", "cleo"}
    assert found[0] == found[4]


async def test_others_see_only_their_own_recipients(bus: Bus) -> None:
    recipients = (HELP, BOB, "sales@acme.example", "nobody@acme.example")
    dan = [one["reason"] for one in await resolved(bus, *recipients, actor="dan")]
    assert dan == ["NOT_VISIBLE", "NOT_VISIBLE", None, "NOT_CONNECTED"]
    bob = [one["reason"] for one in await resolved(bus, *recipients, actor="bob")]
    assert bob == [None, None, None, "NOT_CONNECTED"]
    hidden = (await resolved(bus, HELP, actor="dan"))[0]
    assert (hidden["destination"], hidden["inbox"], hidden["candidates"]) == ("none", None, [])


async def test_never_log_keeps_a_mail_from_a_personal_log_only(bus: Bus) -> None:
    found = await resolved(bus, BOB, HELP, sender="x@office.lawyer.example")
    assert [(one["destination"], one["reason"]) for one in found] == [("none", "NEVER_LOG"), ("inbox", None)]


async def test_a_routing_answer_names_its_targets(bus: Bus) -> None:
    told = await bus.ask("Routing", inbox="support", at_least=STORY.end)
    assert told.result == {
        "inbox": "support",
        "rule": {"kind": "users_and_teams", "users": ["bob", "cleo"], "teams": []},
        "words": "New conversations go to one of bob and cleo, the same person for the same sender.",
        "targets": [
            {"user": "bob", "eligible": True, "why_not": None},
            {"user": "cleo", "eligible": True, "why_not": None},
        ],
    }


async def test_what_cannot_be_answered_says_why(bus: Bus) -> None:
    await resolved(bus, HELP)
    assert (await bus.ask("Routing", actor="dan", inbox="support")).error == (403, "PERMISSION_MISSING")
    assert (await bus.ask("Routing", inbox="nowhere")).error == (404, "INBOX_NOT_FOUND")
    assert (await bus.ask("Routing", actor="ghost", inbox="support")).error == (403, "PERMISSION_MISSING")
    assert (await bus.ask("Resolve", recipients=[HELP], sender="nobody")).error == (422, "ADDRESS_INVALID")
    assert (await bus.ask("Resolve", recipients=HELP, sender=SENDER)).error == (400, "QUERY_INVALID")
    assert (await bus.ask("Resolve", recipients=[HELP], sender=SENDER, turn=-1)).error == (400, "QUERY_INVALID")
    assert (await bus.ask("Resolve", account="else", recipients=[], sender=SENDER)).error == (404, "ACCOUNT_NOT_FOUND")
