"""`Resolve` and `Routing` asked over a real bus, of rows in a real database."""

import hashlib
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.routing.app import ROUTING
from shared.core.sender import read_sender
from shared.language import events as e
from tests.inbox_views.stories import Bus, beginning, on_bus, personal, service_running, team
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
    team("desk@acme.example", "support"),
    e.AliasAdded(address="hilfe@acme.example", display="hilfe@acme.example", primary=HELP, canonical_form=1),
    team("sales+eu@acme.example", "inbox"),
    # info@ asks for the contact's owner; dan lost his permission; nobody reads lost@ and empty@, quiet@ a team of one.
    e.InboxCreated(inbox="info", name="Info", access="everyone"),
    e.RoutingChanged.model_validate(
        {"inbox": "info", "rule": {"kind": "contact_owner", "fallback": {"kind": "users_and_teams", "users": ["cleo"]}}}
    ),
    team("info@acme.example", "info"),
    personal("dan@acme.example", "dan"),
    e.PermissionsChanged(user="dan", permissions=()),
    e.UserAdded(user="gone", name="Gone"),
    e.UserDeactivated(user="gone"),
    e.TeamCreated(team="quiet", name="Quiet", members=("gone", "dan")),
    e.InboxCreated(inbox="lost", name="Lost", access="members", members=("gone", "ghost")),
    e.RoutingChanged.model_validate({"inbox": "lost", "rule": {"kind": "users_and_teams", "users": ["gone"]}}),
    e.InboxCreated(inbox="quiet", name="Quiet", access="members", members=("gone",), teams=("quiet", "nothing")),
    e.InboxCreated(inbox="empty", name="Empty", access="members"),
    *(team(f"{name}@acme.example", name) for name in ("lost", "quiet", "empty")),
)


@pytest.fixture
async def bus(private_nats: RunningNats, database: str) -> AsyncIterator[Bus]:
    async with on_bus(private_nats.url) as client, service_running(ROUTING, private_nats.url, database):
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


async def test_a_question_that_cannot_be_answered_says_why(bus: Bus) -> None:
    await resolved(bus, HELP)
    assert (await bus.ask("Routing", actor="dan", inbox="support")).error == (403, "PERMISSION_MISSING")
    assert (await bus.ask("Routing", inbox="nowhere")).error == (404, "INBOX_NOT_FOUND")
    assert (await bus.ask("Routing", actor="ghost", inbox="support")).error == (403, "PERMISSION_MISSING")
    assert (await bus.ask("Resolve", recipients=HELP, sender=SENDER)).error == (400, "QUERY_INVALID")
    assert (await bus.ask("Resolve", recipients=[HELP], sender=SENDER, turn=-1)).error == (400, "QUERY_INVALID")
    assert (await bus.ask("Resolve", account="else", recipients=[], sender=SENDER)).error == (404, "ACCOUNT_NOT_FOUND")


# ---- nothing about the other side of the mail spoils a destination

ODD_SENDERS = (
    "", " ", "<>", "MAILER-DAEMON", "root@monitor.local", "cron@web_01.plant.example", "kana..t@carrier.example",
    "taro.@carrier.example", "josé@client.example", "v" * 65 + "@bulk.example", '"Jo" <jo@client.example>',
    "jo@client.example.", "\ud800@client.example", "\udfff\\", "x" * 200_000, "\N{PILE OF POO}", "a\x00b\x7f",
    "\u202e@client.example",
)  # fmt: skip
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


async def test_a_mail_has_a_destination_with_any_sender(bus: Bus) -> None:
    for sender in ODD_SENDERS:
        support, personal_one = await resolved(bus, HELP, BOB, sender=sender)
        assert (support["destination"], support["inbox"], support["reason"]) == ("inbox", "support", None), ascii(
            sender
        )
        assert (personal_one["destination"], personal_one["owner"]) == ("personal", "bob"), ascii(sender)
        key = read_sender(LONE_SURROGATE.sub("\ufffd", sender)).key
        digest = int.from_bytes(hashlib.sha256(f"support\n{key}".encode()).digest())
        assert support["assignee"] == ["bob", "cleo"][digest % 2], ascii(sender)
        assert await resolved(bus, HELP, BOB, sender=sender) == [support, personal_one]


async def test_a_sender_that_is_not_there_is_an_empty_one(bus: Bus) -> None:
    empty = await resolved(bus, HELP, sender="")
    assert await resolved(bus, HELP, sender=None) == empty
    told = await bus.ask("Resolve", recipients=[HELP], at_least=STORY.end)
    assert told.result == empty


async def test_never_log_matches_the_domain_of_a_half_readable_sender(bus: Bus) -> None:
    senders = (
        "kana..t@lawyer.example", "v" * 65 + "@lawyer.example", "josé@Office.Lawyer.Example.", "Jo <jo@lawyer.example>",
        '"Jo <jo@lawyer.example>', "x@web_1.lawyer.example", "\ud800@lawyer.example", "\x00@lawyer.example\x00",
    )  # fmt: skip
    for sender in senders:
        found = await resolved(bus, BOB, HELP, sender=sender)
        assert [one["reason"] for one in found] == ["NEVER_LOG", None], ascii(sender)
    for sender in ("kana..t@notlawyer.example", '"x@lawyer.example" <jo@client.example>', "lawyer.example", ""):
        assert (await resolved(bus, BOB, sender=sender))[0]["destination"] == "personal", sender


async def test_an_unknown_contact_owner_is_absent(bus: Bus) -> None:
    absent = await resolved(bus, "info@acme.example")
    assert (absent[0]["rule"], absent[0]["assignee"]) == ("fallback", "cleo")
    for owner in ("", "nobody", "Bob Baker", "bob@acme.example", "\x00", "\ud800", "b" * 100_000, "bob\n", None):
        assert await resolved(bus, "info@acme.example", contact_owner=owner) == absent, ascii(owner)
    assert (await resolved(bus, "info@acme.example", contact_owner="bob"))[0]["assignee"] == "bob"


async def test_one_bad_recipient_never_spoils_the_others(bus: Bus) -> None:
    bad = (
        "",
        "@",
        "no address",
        "\x00",
        "josé@acme.example",
        "Help <help@acme.example>",
        "help@acme.example..",
        "x" * 9_000,
    )
    found = await resolved(bus, *(recipient for one in bad for recipient in (one, HELP)))
    assert [one["reason"] for one in found] == ["ADDRESS_INVALID", None] * len(bad)
    assert [one["recipient"] for one in found[::2]] == list(bad)
    found = await resolved(bus, "\ud800@acme.example", HELP)
    assert [(one["recipient"], one["reason"]) for one in found] == [
        ("\ufffd@acme.example", "ADDRESS_INVALID"),
        (HELP, None),
    ]


async def test_one_dot_at_the_end_of_a_recipients_domain_is_passed_over(bus: Bus) -> None:
    for recipient in ("help@acme.example.", "Help@ACME.Example. ", "help@acme.example\u3002", "help@acme。example｡"):
        (found,) = await resolved(bus, recipient)
        assert (found["recipient"], found["inbox"]) == (HELP, "support"), recipient
    assert [one["reason"] for one in await resolved(bus, "help@.", "help@acme.example.x.")] == [
        "ADDRESS_INVALID", "NOT_CONNECTED",
    ]  # fmt: skip


# ---- one person, and the address that was meant


async def test_one_mail_to_two_addresses_of_an_inbox_has_one_person(bus: Bus) -> None:
    for number in range(20):
        found = await resolved(
            bus, HELP, "desk@acme.example", "hilfe@acme.example", sender=f"jo-{number}@client.example"
        )
        assert len({(one["inbox"], one["assignee"]) for one in found}) == 1


async def test_a_tag_names_the_address_that_was_probably_meant(bus: Bus) -> None:
    tagged = ("help+4711@acme.example", "hilfe+1@acme.example", "Help+1@acme.example.", "bob+x+y@acme.example")
    found = await resolved(bus, *tagged)
    assert {(one["destination"], one["reason"]) for one in found} == {("none", "NOT_CONNECTED")}
    assert [one["suspected"] for one in found] == [HELP, "hilfe@acme.example", HELP, BOB]
    found = await resolved(bus, *tagged, actor="dan")
    assert [(one["reason"], one["suspected"]) for one in found] == [("NOT_CONNECTED", None)] * 4
    found = await resolved(bus, *tagged, actor="cleo")
    assert [one["suspected"] for one in found] == [HELP, "hilfe@acme.example", HELP, None]
    assert (await resolved(bus, "nobody+1@acme.example", "+help@acme.example"))[0]["suspected"] is None
    assert (await resolved(bus, "sales+eu@acme.example"))[0]["inbox"] == "inbox"


# ---- without effect


async def test_mail_of_an_owner_who_lost_the_permission_is_not_logged(bus: Bus) -> None:
    (found,) = await resolved(bus, "dan@acme.example")
    assert (found["destination"], found["owner"], found["reason"]) == ("none", None, "PERMISSION_MISSING")


async def test_an_inbox_without_readers_says_so(bus: Bus) -> None:
    (found,) = await resolved(bus, "lost@acme.example")
    assert (found["destination"], found["inbox"], found["assignee"], found["reason"]) == (
        "inbox", "lost", None, "NO_READERS",
    )  # fmt: skip
    assert found["candidates"] == [{"user": "gone", "eligible": False, "why_not": "NOT_ACTIVE"}]
    several = await resolved(bus, "lost@acme.example", "quiet@acme.example", "empty@acme.example", HELP)
    assert [one["reason"] for one in several] == ["NO_READERS", None, "NO_READERS", None]
