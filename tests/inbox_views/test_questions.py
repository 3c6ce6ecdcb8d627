"""Every question of the inbox views asked over a real bus, of rows in a real database."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.inbox_views.app import INBOX_VIEWS
from shared.language import events as e
from tests.inbox_views.stories import Bus, Told, beginning, on_bus, personal, service_running, team, time_at
from tests.real_servers import RunningNats

BOB, HELP, ALIAS = "bob@acme.example", "help@acme.example", "b@acme.example"
ORPHAN, OLD = "old@acme.example", "gone@acme.example"
STORY = beginning().tell(
    e.UserAdded(user="dan", name="Dan"),
    e.UserAdded(user="eve", name="Eve", permissions=("personal_email_access",)),
    e.InboxCreated(inbox="support", name="Support", access="members", members=("bob",)),
    e.TeamCreated(team="night", name="Night", members=("cleo",)),
    e.InboxAccessChanged(inbox="support", access="members", members=("bob",), teams=("night",)),
    team("Help@Acme.example", "support", from_name="Help Desk"),
    personal(BOB, "bob"),
    e.AliasAdded(address=ALIAS, display="B@acme.example", primary=BOB, canonical_form=1),
    personal(ORPHAN, "eve"),
    e.UserDeactivated(user="eve"),
    e.UserRemoved(user="eve", policy="orphan"),
    e.AddressOrphaned(address=ORPHAN, owner="eve"),
    personal(OLD, "bob"),
    e.Disconnected(address=OLD, kind="personal", owner="bob"),
)


@pytest.fixture
async def bus(private_nats: RunningNats, database: str) -> AsyncIterator[Bus]:
    async with on_bus(private_nats.url) as client, service_running(INBOX_VIEWS, private_nats.url, database):
        await client.publish(STORY.recorded)
        await client.ask("Usage", at_least=STORY.end, wait_ms=15_000)
        yield client


async def everything(bus: Bus, name: str, **fields: Any) -> list[Any]:
    """All pages of a list."""
    found: list[Any] = []
    after = None
    while True:
        told = await bus.ask(name, after=after, **fields)
        found += told.result
        after = told.body["next"]
        if after is None:
            return found


async def test_a_caller_who_may_see_an_address_gets_all_of_it(bus: Bus) -> None:
    told = await bus.ask("Address", address=" HELP@acme.example", actor="cleo")
    assert told.result == {
        "address": HELP, "display": "Help@Acme.example", "state": "connected", "kind": "team", "owner": None,
        "inbox": "support", "since": time_at(11), "tools": [], "aliases": [], "primary": None,
        "from_name": "Help Desk", "receiving": True, "sending": True, "connector": "ana", "connector_gone": False,
        "health": "healthy",
    }  # fmt: skip
    assert told.body["position"] == STORY.end
    assert "incomplete_since" not in told.body


@pytest.mark.parametrize(
    ("actor", "address", "seen"),
    [
        ("ana", BOB, True), ("service:crm", BOB, True), ("bob", BOB, True), ("cleo", BOB, False), ("dan", ALIAS, False),
        ("bob", ALIAS, True), ("bob", HELP, True), ("cleo", HELP, True), ("dan", HELP, False), ("dan", ORPHAN, False),
        ("ana", ORPHAN, True),
    ],
)  # fmt: skip
async def test_only_some_callers_learn_the_holder_of_an_address(bus: Bus, actor: str, address: str, seen: bool) -> None:
    result = (await bus.ask("Address", actor=actor, address=address)).result
    if seen:
        assert result["address"] == address
    else:
        assert result == {"kind": "team" if address == HELP else "personal", "advice": "ask an administrator"}


async def test_every_caller_sees_that_a_free_address_is_free(bus: Bus) -> None:
    for address in ("New@Acme.example", "Gone@acme.example"):
        result = (await bus.ask("Address", actor="dan", address=address)).result
        assert (result["state"], result["address"], result["display"]) == ("free", address.lower(), address)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [ALIAS, BOB, OLD, HELP, ORPHAN]),
        ({"state": "free"}, [OLD]),
        ({"state": "orphaned"}, [ORPHAN]),
        ({"kind": "personal"}, [ALIAS, BOB, ORPHAN]),
        ({"kind": "team"}, [HELP]),
        ({"inbox": "support"}, [HELP]),
        ({"owner": "bob"}, [ALIAS, BOB]),
        ({"owner": "bob", "state": "paused"}, []),
    ],
)
async def test_addresses_are_listed_by_name_and_filtered(bus: Bus, filters: dict[str, str], found: list[str]) -> None:
    assert [one["address"] for one in (await bus.ask("Addresses", **filters)).result] == found
    assert [one["address"] for one in await everything(bus, "Addresses", limit=1, **filters)] == found


async def test_an_inbox_shows_members_addresses_routing_and_readers(bus: Bus) -> None:
    assert (await bus.ask("Inbox", actor="cleo", inbox="support")).result == {
        "inbox": "support", "name": "Support", "archived": False, "access": "members", "members": ["bob"],
        "inactive": [], "addresses": [{"address": HELP, "health": "healthy", "from_name": "Help Desk", "aliases": []}],
        "routing": {"kind": "unassigned", "words": "New conversations wait unassigned."},
        "readers": ["bob", "cleo"],
    }  # fmt: skip
    assert [one["inbox"] for one in (await bus.ask("Inboxes")).result] == ["inbox", "support"]
    assert [one["inbox"] for one in (await bus.ask("Inboxes", actor="dan")).result] == ["inbox"]
    assert (await bus.ask("Inboxes", limit=1)).result[0]["readers"] == ["ana", "bob", "cleo", "dan"]


async def test_users_teams_and_account_are_shown(bus: Bus) -> None:
    assert (await bus.ask("User", actor="bob", user="bob")).result == {
        "user": "bob", "name": "Bob", "status": "active", "permissions": ["personal_email_access"], "seat": False,
        "availability": "available", "teams": [], "signature": "", "font": None,
        "logging": {"log_replies": True, "track_opens": False, "track_clicks": False, "never_log": []},
        "default_sender": BOB,
    }  # fmt: skip
    listed = await everything(bus, "Users", limit=2)
    assert [(one["user"], one["status"]) for one in listed] == [
        ("ana", "active"), ("bob", "active"), ("cleo", "active"), ("dan", "active"), ("eve", "removed"),
    ]  # fmt: skip
    assert listed[1] == (await bus.ask("User", user="bob")).result
    assert (await bus.ask("Teams")).result == [{"team": "night", "name": "Night", "members": ["cleo"], "inactive": []}]
    assert (await bus.ask("Account")).result == {"plan": "professional", "limits": {"inboxes": 100}, "never_log": []}
    assert (await bus.ask("Usage")).result == {"plan": "professional", "inboxes": {"used": 2, "limit": 100}}


async def test_identities_are_listed_best_first(bus: Bus) -> None:
    found = (await bus.ask("Identities", actor="bob", user="bob")).result
    assert [(one["address"], one["via"], one["default"]) for one in found] == [
        (BOB, "personal", True), (HELP, "inbox", False), (ALIAS, "alias", False),
    ]  # fmt: skip
    assert await everything(bus, "Identities", user="bob", limit=1) == found


async def test_the_impact_of_a_removal_names_everything_left_behind_or_lost(bus: Bus) -> None:
    orphans = (await bus.ask("Orphans")).result
    assert orphans == [{"address": ORPHAN, "former_owner": "eve", "since": time_at(17)}]
    assert (await bus.ask("RemovalImpact", user="bob")).result == {
        "addresses": [ALIAS, BOB], "inboxes": ["support"], "teams": [], "rules": [], "connections": [],
        "last_reader_of": [],
    }  # fmt: skip
    assert (await bus.ask("RemovalImpact", user="cleo")).result["teams"] == ["night"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Addresses", {}), ("Orphans", {}), ("Usage", {}), ("RemovalImpact", {"user": "bob"}), ("Users", {}),
        ("Account", {}), ("Teams", {}), ("User", {"user": "bob"}), ("Identities", {"user": "bob"}),
        ("Inbox", {"inbox": "support"}),
    ],
)  # fmt: skip
async def test_a_caller_without_the_permission_is_refused(bus: Bus, name: str, fields: dict[str, str]) -> None:
    assert (await bus.ask(name, actor="dan", **fields)).error == (403, "PERMISSION_MISSING")
    assert (await bus.ask(name, actor="eve", **fields)).error == (403, "PERMISSION_MISSING")
    assert (await bus.ask(name, actor="ghost", **fields)).error == (403, "PERMISSION_MISSING")
    assert (await bus.ask(name, actor="service:crm", **fields)).error is None
    assert (await bus.ask(name, account="else", actor="ana", **fields)).error == (404, "ACCOUNT_NOT_FOUND")


async def test_unknown_users_and_inboxes_are_not_found(bus: Bus) -> None:
    assert (await bus.ask("Inbox", inbox="nowhere")).error == (404, "INBOX_NOT_FOUND")
    assert (await bus.ask("User", user="ghost")).error == (404, "USER_NOT_FOUND")
    unknown = await bus.ask("Weather")
    assert unknown.error == (404, "QUERY_UNKNOWN")
    assert "Addresses" in unknown.body["details"]["known"]
    invalid = await bus.ask("Address", address="bob@@acme.example")
    assert invalid.error == (422, "ADDRESS_INVALID")
    assert invalid.body["details"]["at"] == 4


NESTED = b"[" * 100_000
BROKEN = {
    "no JSON": b"{",
    "nothing": b"",
    "no object": b"[]",
    "bytes that are no text": b'{"actor":"\xff"}',
    "a type that is not the field's": b'{"actor":"ana","address":5}',
    "a number for text": b'{"actor":5,"address":"a@b.example"}',
    "a lone surrogate": b'{"actor":"ana","address":"\\ud800@acme.example"}',
    "NUL in an id": b'{"actor":"a\\u0000","address":"a@b.example"}',
    "an unknown field": b'{"actor":"ana","address":"a@b.example","colour":"red"}',
    "no actor": b'{"address":"a@b.example"}',
    "deep nesting": b'{"actor":' + NESTED,
    "deep nesting that ends": b'{"actor":"ana","address":' + NESTED + b"]" * 100_000 + b"}",
    "a million bytes": b'{"actor":"ana","address":"a@b.example","x":"' + b"x" * 1_000_000 + b'"}',
    "a negative wait": b'{"actor":"ana","address":"a@b.example","wait_ms":-1}',
    "a position beyond all": b'{"actor":"ana","address":"a@b.example","at_least":99999999999999999999}',
    "not a number": b'{"actor":"ana","address":"a@b.example","at_least":NaN}',
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_body_that_cannot_be_read_is_answered(bus: Bus, what: str) -> None:
    told = await bus.send("Address", BROKEN[what])
    assert told.error == (400, "QUERY_INVALID")
    assert told.body["details"]["errors"]
    assert len(json.dumps(told.body)) < 5_000


async def test_null_equals_absent_and_limits_hold(bus: Bus) -> None:
    assert (await bus.ask("Addresses", state=None, after=None, limit=None)).error is None
    for fields in ({"limit": 0}, {"limit": 1_001}, {"after": "%%"}, {"after": "AA"}, {"state": "lost"}):
        assert (await bus.ask("Addresses", **fields)).error == (400, "QUERY_INVALID")


async def test_an_answer_waits_for_the_position_it_is_asked_for(bus: Bus) -> None:
    later = asyncio.create_task(bus.ask("Address", address="late@acme.example", at_least=STORY.end + 1, wait_ms=10_000))
    other = await bus.ask("Address", address="late@acme.example")
    assert other.result["state"] == "free"
    story = beginning().tell(*(one.event for one in STORY.recorded[5:]), personal("late@acme.example", "cleo"))
    await bus.publish(story.recorded[-1:])
    told = await later
    assert (told.result["owner"], told.body["position"]) == ("cleo", STORY.end + 1)


async def test_a_position_that_does_not_come_is_answered_in_time(bus: Bus) -> None:
    async with asyncio.timeout(30):
        told = await bus.ask("Usage", at_least=STORY.end + 1, wait_ms=300)
    assert told.error == (503, "VIEW_BEHIND")
    assert told.body["details"] == {"position": STORY.end, "at_least": STORY.end + 1}


async def test_pages_end_where_a_message_would_grow_too_large(bus: Bus) -> None:
    users = [f"user{number:03d}" for number in range(150)]
    story = beginning().tell(*(one.event for one in STORY.recorded[5:]))
    story.tell(*(e.UserAdded(user=user, name=user) for user in users))
    story.tell(*(e.SignatureChanged(user=user, signature="s" * 10_000) for user in users))
    await bus.publish(story.recorded[STORY.end :])
    told: Told = await bus.ask("Users", limit=1_000, at_least=story.end, wait_ms=15_000)
    assert 20 < len(told.result) < 150
    assert told.body["next"] is not None
    assert [one["user"] for one in await everything(bus, "Users", limit=1_000)][-150:] == users


async def test_the_names_that_routing_answers_are_left_to_it(bus: Bus) -> None:
    for name in ("Resolve", "Routing"):
        with pytest.raises(TimeoutError):
            await bus.client.request(f"switchboard.query.v1.acme.{name}", b"{}", timeout=0.3)
