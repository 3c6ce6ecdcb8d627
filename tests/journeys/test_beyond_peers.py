"""What no peer has: the reasons for Switchboard to exist, each shown over the wire.

The numbers are those of the list in the design; the state as of any past moment (7) comes later.
"""

import psycopg
import pytest

from shared.process.clock import new_id
from tests.journeys import cast
from tests.journeys.directory import directory
from tests.journeys.steps import Case, accepted, does, refused, sees
from tests.journeys.story import STORY
from tests.journeys.wire import Account, Some, Unordered, Wire, is_time
from tests.real_servers import RunningSwitchboard

BOB = "bob@acme.example"
HELP = "help@acme.example"
CUSTOMER = "customer@elsewhere.example"

CASES = (
    Case("1", "A refusal names the holder, the date and a next step that is legal.", (
        does("bob", "ConnectPersonal", address=BOB, owner="bob"),
        does("dora", "ConnectTeam", {
            **refused("ADDRESS_ALREADY_PERSONAL", "TransferOwnership", kind="personal", holder="bob", since=is_time),
            "message": lambda text: "bob" in text,
            "next_actions": Some({"command": "Disconnect", "by": lambda by: "super_admin" in by, "why": str.strip}),
        }, address=BOB, inbox="sales", visibility_acknowledged=True),
        does("ana", "Disconnect", accepted("Disconnected"), address=BOB),
        does("dora", "ConnectTeam", accepted("TeamConnected"),
             address=BOB, inbox="sales", visibility_acknowledged=True),
    )),
    Case("2", "An orphan is a state of its own: it cannot send, is listed, is reclaimed, transferred or released.", (
        *(does("bob", "ConnectPersonal", address=f"bob{n}@acme.example", owner="bob") for n in range(3)),
        does("ana", "DeactivateUser", user="bob"),
        does("ana", "RemoveUser", user="bob"),
        sees("ana", "Orphans", Unordered([{"address": f"bob{n}@acme.example", "former_owner": "bob"}
                                          for n in range(3)])),
        sees("ana", "Addresses", lambda found: len(found) == 3, state="orphaned"),
        does("ana", "BindTool", refused("ADDRESS_ORPHANED", "ReclaimAddress"),
             address="bob0@acme.example", tool="sequences"),
        sees("ana", "Resolve", [{"destination": "none", "reason": "ORPHANED"}],
             recipients=["bob0@acme.example"], sender=CUSTOMER),
        does("cleo", "ReclaimAddress", refused("PERMISSION_MISSING"), address="bob0@acme.example", new_owner="cleo"),
        does("ana", "ReclaimAddress", address="bob0@acme.example", new_owner="cleo"),
        does("ana", "TransferOwnership", address="bob1@acme.example", new_owner="dora"),
        does("ana", "ReleaseAddress", address="bob2@acme.example"),
        sees("ana", "Orphans", []),
        sees("ana", "Addresses", Unordered([{"address": "bob0@acme.example", "owner": "cleo"},
                                            {"address": "bob1@acme.example", "owner": "dora"},
                                            {"address": "bob2@acme.example", "state": "free"}])),
    )),
    Case("4", "What would be lost is known before a user is removed.", (
        does("bob", "ConnectPersonal", address=BOB, owner="bob"),
        does("ana", "ConnectTeam", address=HELP, inbox="support", visibility_acknowledged=True),
        does("ana", "CreateTeam", team="helpers", name="Helpers", members=["bob", "cleo"]),
        does("ana", "SetRouting", inbox="support", rule={"kind": "users_and_teams", "users": ["bob"]}),
        sees("ana", "RemovalImpact", {"addresses": [BOB], "inboxes": ["support"], "teams": ["helpers"],
                                      "rules": ["support"]}, user="bob"),
        sees("ana", "RemovalImpact", {"addresses": [], "inboxes": ["support"], "teams": ["helpers"], "rules": []},
             user="cleo"),
        sees("bob", "RemovalImpact", {"error": "PERMISSION_MISSING"}, user="bob"),
        sees("ana", "RemovalImpact", {"error": "USER_NOT_FOUND"}, user="nobody"),
    )),
    Case("5", "Moving and converting are one command each, and the address is never free in between.", (
        does("ana", "ConnectTeam", address=HELP, inbox="support", visibility_acknowledged=True),
        does("ana", "MoveTeamAddress", accepted("TeamAddressMoved"), address=HELP, to_inbox="sales"),
        does("dora", "ConvertConnection", accepted("ConnectionConverted"), address=HELP, to="personal", owner="dora"),
        sees("dora", "Address", {"kind": "personal", "owner": "dora", "inbox": None}, address=HELP),
        does("dora", "ConvertConnection", accepted("ConnectionConverted"),
             address=HELP, to="team", inbox="support", visibility_acknowledged=True),
        sees("bob", "Address", {"kind": "team", "owner": None, "inbox": "support", "connector": "dora"}, address=HELP),
    )),
    Case("8", "A routing answer explains itself: who could have got the mail, and why not.", (
        does("ana", "ConnectTeam", address=HELP, inbox="support", visibility_acknowledged=True),
        does("ana", "SetInboxAccess", inbox="support", access="members", members=["bob", "cleo", "dora", "ana"]),
        does("ana", "AssignSeat", user="ana"),
        does("ana", "SetRouting", inbox="support",
             rule={"kind": "users_and_teams", "users": ["bob", "dora", "cleo", "ana"]}),
        does("bob", "SetAvailability", user="bob", availability="away", cause="lunch"),
        does("ana", "DeactivateUser", user="dora"),
        does("ana", "UnassignSeat", user="cleo"),
        sees("ana", "Resolve", [{
            "recipient": HELP, "destination": "inbox", "inbox": "support", "owner": None, "assignee": "ana",
            "rule": "users_and_teams", "reason": None,
            "candidates": [{"user": "bob", "eligible": False, "why_not": "AWAY"},
                           {"user": "dora", "eligible": False, "why_not": "NOT_ACTIVE"},
                           {"user": "cleo", "eligible": False, "why_not": "NO_SEAT"},
                           {"user": "ana", "eligible": True, "why_not": None}],
        }], recipients=[HELP], sender=CUSTOMER),
        does("ana", "SetInboxAccess", inbox="support", access="members", members=["bob", "cleo", "dora"]),
        sees("dora", "Resolve", {"error": "PERMISSION_MISSING"}, recipients=[HELP], sender=CUSTOMER),
        sees("bob", "Resolve", [{"destination": "inbox", "assignee": None, "candidates": Some(
            {"user": "ana", "eligible": False, "why_not": "NOT_MEMBER"})}], recipients=[HELP], sender=CUSTOMER),
    )),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_what_no_peer_has(case: Case, account: Account) -> None:
    await case.happen(account)


async def test_3_a_dry_run_of_any_command_is_the_very_same_decision_and_leaves_no_trace(wire: Wire) -> None:
    account = cast.new_account(wire)
    for step in STORY:
        for actor, fields in (("stranger", to_nobody(step.fields)), (step.actor, step.fields)):
            dry = await account.attempt(step.command, actor, **fields, dry_run=True)
            assert dry.body["dry_run"] is True
            assert "position" not in dry.body
            real = await account.attempt(step.command, actor, **fields)
            assert decision(dry.body) == decision(real.body), step
            assert dry.error == real.error
            assert real.outcome == ("accepted" if actor == step.actor else "refused"), real.body
    facts = await account.facts()
    assert [fact.name for fact in facts] == [name for step in STORY for name, _, _ in step.events]


def to_nobody(fields: dict[str, object]) -> dict[str, object]:
    """The same command to a user, an inbox or an address that is not there."""
    strange = {"user": "nobody", "inbox": "nowhere", "address": "free@nowhere.example", "team": "none"}
    return {**fields, **{name: strange[name] for name in strange if name in fields}}


def decision(reply: dict[str, object]) -> dict[str, object]:
    """What was decided, without what only the real thing has."""
    kept = {
        name: reply.get(name) for name in ("outcome", "reason", "details", "next_actions", "warnings", "next_steps")
    }
    events = reply.get("events") or []
    assert isinstance(events, list)
    return {**kept, "events": [event["type"] for event in events], "message": reply.get("message")}


async def test_3_a_dry_run_does_not_use_up_its_id(account: Account) -> None:
    fields = {"address": BOB, "owner": "bob", "command_id": new_id()}
    for _ in range(2):
        assert (await account.attempt("ConnectPersonal", "bob", **fields, dry_run=True)).outcome == "accepted"
    assert (await account.attempt("ConnectPersonal", "bob", **fields)).outcome == "accepted"
    assert (await account.attempt("ConnectPersonal", "bob", **fields, dry_run=True)).outcome == "unchanged"


async def test_6_refused_attempts_are_on_record_and_answered_again_word_for_word(
    account: Account, running: RunningSwitchboard
) -> None:
    await account.do("ConnectPersonal", "bob", address=BOB, owner="bob")
    fields = {"address": BOB, "inbox": "support", "visibility_acknowledged": True, "command_id": new_id()}
    refusal = await account.attempt("ConnectTeam", "ana", **fields)
    assert refusal.reason == "ADDRESS_ALREADY_PERSONAL"
    await account.do("Disconnect", "bob", address=BOB)
    again = await account.attempt("ConnectTeam", "ana", **fields)
    assert (again.raw, again.error) == (refusal.raw, refusal.error)
    reused = await account.attempt("ConnectTeam", "ana", **fields | {"inbox": "sales"})
    assert reused.reason == "COMMAND_ID_REUSED"
    with psycopg.connect(running.postgres_url) as connection:
        recorded = connection.execute(
            "SELECT actor, command, outcome, reason FROM connections.journal WHERE account = %s AND reason IS NOT NULL",
            (account.name,),
        ).fetchall()
    assert ("ana", "ConnectTeam", "refused", "ADDRESS_ALREADY_PERSONAL") in recorded
    assert ("ana", "ConnectTeam", "refused", "COMMAND_ID_REUSED") in recorded


async def test_9_the_feed_can_be_replayed_and_tells_all_that_the_views_show(wire: Wire) -> None:
    account = cast.new_account(wire)
    for step in STORY:
        await account.do(step.command, step.actor, **step.fields)
    await account.do("ConnectTeam", "ana", address=HELP, inbox="sales", visibility_acknowledged=True)
    await account.do("AddAlias", "ana", address=HELP, alias="hilfe@acme.example")
    await account.do("ConnectPersonal", "ana", address=BOB, owner="ana")
    first, second = await account.facts(), await account.facts()
    assert first == second
    expected = directory(first)
    listed = {item["address"]: item for item in await account.pages("Addresses", limit=2)}
    assert set(listed) == set(expected)
    for address, entry in expected.items():
        assert {name: listed[address][name] for name in entry} == entry, address
