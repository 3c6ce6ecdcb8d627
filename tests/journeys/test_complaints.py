"""What users of other products complain about does not happen here: one test per complaint, named after it."""

import json

import psycopg
import pytest

from shared.process.clock import new_id
from tests.journeys.steps import UNCHANGED, Case, accepted, does, refused, sees
from tests.journeys.wire import Account, Some, command_subject, is_time, question_subject
from tests.real_servers import RunningSwitchboard

BOB = "bob@acme.example"
HELP = "help@acme.example"
SALES = "sales@acme.example"
CUSTOMER = "customer@elsewhere.example"

BOB_CONNECTS = does("bob", "ConnectPersonal", address=BOB, owner="bob", provider="google", provider_identity="g-1",
                    from_name="Bob of Acme")  # fmt: skip
HELP_CONNECTS = does("ana", "ConnectTeam", address=HELP, inbox="support", visibility_acknowledged=True)
SALES_CONNECTS = does("ana", "ConnectTeam", address=SALES, inbox="sales", visibility_acknowledged=True)
BOB_LEAVES = (does("ana", "DeactivateUser", user="bob"), does("ana", "RemoveUser", user="bob"))

CASES = (
    Case("zammad#4607", "Reconnecting with the wrong account does not rebind the mailbox.", (
        BOB_CONNECTS,
        does("bob", "RequireReauthentication", address=BOB, cause="token revoked"),
        does("bob", "Reconnect", refused("REAUTH_IDENTITY_MISMATCH", "Reconnect"),
             address=BOB, provider_identity="g-2"),
        does("bob", "Reconnect", refused("REAUTH_IDENTITY_MISMATCH"), address=BOB),
        sees("bob", "Address", {"state": "reauth_required", "owner": "bob", "health": "reauth_required"}, address=BOB),
        does("bob", "Reconnect", accepted("Reconnected"), address=BOB, provider_identity="g-1"),
        sees("bob", "Address", {"state": "connected", "health": "healthy"}, address=BOB),
    )),
    Case("twenty#13358", "Removing a member neither loses nor silently deletes what he connected.", (
        BOB_CONNECTS,
        does("dora", "ConnectTeam", address=SALES, inbox="sales", visibility_acknowledged=True),
        sees("ana", "RemovalImpact", {"addresses": Some(BOB), "inboxes": ["support"]}, user="bob"),
        *BOB_LEAVES,
        sees("ana", "Address", {"state": "orphaned", "kind": "personal"}, address=BOB),
        sees("ana", "Orphans", [{"address": BOB, "former_owner": "bob"}]),
        does("ana", "DeactivateUser", user="dora"),
        does("ana", "RemoveUser", accepted("UserRemoved"), user="dora"),
        sees("ana", "Address", {"state": "connected", "inbox": "sales", "connector": "dora", "connector_gone": True,
                                "health": "degraded"}, address=SALES),
    )),
    Case("zammad#3240", "Who only wants to authenticate again is told how, not that the address exists already.", (
        BOB_CONNECTS,
        does("bob", "RequireReauthentication", address=BOB, cause="password changed"),
        does("bob", "ConnectPersonal", refused("REAUTH_REQUIRED", "Reconnect"), address=BOB, owner="bob"),
        does("bob", "Reconnect", accepted("Reconnected"), address=BOB, provider_identity="g-1"),
        does("bob", "ConnectPersonal", UNCHANGED, address=BOB, owner="bob"),
    )),
    Case("freescout#4244", "One mailbox can be switched off, and receiving off while sending stays on.", (
        HELP_CONNECTS,
        does("ana", "Pause", accepted("ConnectionPaused"), address=HELP, receive=True),
        sees("bob", "Address", {"state": "paused", "receiving": False, "sending": True, "health": "degraded"},
             address=HELP),
        sees("bob", "Identities", [{"address": HELP, "usable": True}], user="bob"),
        sees("ana", "Resolve", [{"destination": "none", "reason": "RECEIVING_PAUSED"}],
             recipients=[HELP], sender=CUSTOMER),
        does("ana", "Pause", accepted("ConnectionPaused"), address=HELP),
        sees("bob", "Address", {"receiving": False, "sending": False, "health": "paused"}, address=HELP),
        sees("bob", "Identities", [{"address": HELP, "usable": False, "why_not": bool}], user="bob"),
        does("ana", "Resume", accepted("ConnectionResumed"), address=HELP),
        sees("bob", "Address", {"state": "connected", "health": "healthy"}, address=HELP),
    )),
    Case("zammad#889 (transfer)", "After a transfer nobody writes under the former owner's name.", (
        BOB_CONNECTS,
        does("bob", "BindTool", address=BOB, tool="sequences"),
        does("ana", "TransferOwnership", accepted("OwnershipTransferred"), address=BOB, new_owner="cleo"),
        sees("cleo", "Address", {"owner": "cleo", "from_name": None, "tools": []}, address=BOB),
        sees("cleo", "Identities", [{"address": BOB, "from_name": "Cleo"}], user="cleo"),
        sees("bob", "Identities", [], user="bob"),
    )),
    Case("zammad#889 (move)", "After a move the mail goes out under the new inbox's name.", (
        HELP_CONNECTS,
        sees("bob", "Identities", [{"from_name": "Support"}], user="bob"),
        does("ana", "MoveTeamAddress", accepted("TeamAddressMoved"), address=HELP, to_inbox="sales"),
        sees("dora", "Identities", [{"address": HELP, "from_name": "Sales", "inbox": "sales"}], user="dora"),
        sees("bob", "Identities", [], user="bob"),
    )),
    Case("zammad#4485", "A mail to two team addresses goes to both inboxes.", (
        HELP_CONNECTS,
        SALES_CONNECTS,
        sees("ana", "Resolve", [{"recipient": HELP, "destination": "inbox", "inbox": "support"},
                                {"recipient": SALES, "destination": "inbox", "inbox": "sales"},
                                {"recipient": HELP, "destination": "inbox", "inbox": "support"}],
             recipients=[HELP, SALES, HELP], sender=CUSTOMER),
    )),
    Case("zammad#2414", "One's own alias is known as one's own: a reply to it comes back to the same place.", (
        HELP_CONNECTS,
        does("ana", "AddAlias", accepted("AliasAdded"), address=HELP, alias="hilfe@acme.example"),
        sees("bob", "Address", {"state": "connected", "kind": "team", "inbox": "support", "primary": HELP},
             address="Hilfe@acme.example"),
        sees("bob", "Identities", Some({"address": "hilfe@acme.example", "via": "alias", "usable": True}), user="bob"),
        sees("ana", "Resolve", [{"destination": "inbox", "inbox": "support"}],
             recipients=["hilfe@acme.example"], sender=HELP),
        does("cleo", "ConnectPersonal", refused("ADDRESS_IS_ALIAS", "RemoveAlias"),
             address="hilfe@acme.example", owner="cleo"),
    )),
    Case("chatwoot#869", "Nobody who was removed is given a conversation, and the rule says so.", (
        HELP_CONNECTS,
        does("ana", "SetRouting", inbox="support", rule={"kind": "users_and_teams", "users": ["bob", "cleo"]}),
        *BOB_LEAVES,
        *(sees("ana", "Resolve", [{"assignee": "cleo", "candidates": [
            {"user": "bob", "eligible": False, "why_not": "NOT_ACTIVE"},
            {"user": "cleo", "eligible": True, "why_not": None}]}], recipients=[HELP], sender=CUSTOMER, turn=turn)
          for turn in range(3)),
        sees("ana", "Routing", {"targets": Some({"user": "bob", "eligible": False, "why_not": "NOT_ACTIVE"})},
             inbox="support"),
    )),
    Case("CVE-2019-19844", "No address is taken over by one that a careless comparison holds to be the same.", (
        does("bob", "ConnectPersonal", address="mike@kite.example", owner="bob"),
        *(does("cleo", "ConnectPersonal", refused("ADDRESS_INVALID", field="address"), address=spelling, owner="cleo")
          for spelling in ("m\u0131ke@kite.example", "mi\u212ae@kite.example", "\uff4dike@kite.example")),
        *(does("cleo", "ConnectPersonal", refused("ADDRESS_ALREADY_PERSONAL"), address=spelling, owner="cleo")
          for spelling in ("MIKE@KITE.EXAMPLE", "mike@\u212aite.example", " mike@kite\u3002example\t",
                           "mike@\uff4bite.example")),
        does("cleo", "ConnectPersonal", accepted("PersonalConnected"), address="mike@k\u0131te.example", owner="cleo"),
        sees("ana", "Address", {"owner": "bob"}, address="mike@kite.example"),
    )),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_the_complaint_has_no_ground_here(case: Case, account: Account) -> None:
    await case.happen(account)


async def test_cpython_61739_a_name_that_stands_twice_is_refused_and_nothing_is_done(account: Account) -> None:
    before = account.position
    rule = b'{"kind":"contact_owner","fallback":{"kind":"users_and_teams","users":["bob"],"users":["cleo"]}}'
    for name, fields, at_fault in (
        ("ConnectPersonal", b'"address":"bob@acme.example","owner":"bob","owner":"cleo"', "owner"),
        ("SetRouting", b'"inbox":"support","rule":' + rule, "rule.fallback.users"),
    ):
        reply = await account.wire.ask(command_subject(account.name, name), b'{"actor":"service:x",' + fields + b"}")
        assert (reply.reason, reply.body["details"]["errors"][0]["field"]) == ("COMMAND_INVALID", at_fault)
    asked = question_subject(account.name, "Address")
    reply = await account.wire.ask(asked, b'{"actor":"ana","address":"bob@acme.example","actor":"bob"}')
    assert (reply.error, reply.body["details"]["errors"][0]["field"]) == ((400, "QUERY_INVALID"), "actor")
    await account.do("RenameInbox", "ana", inbox="support", name="Help")
    assert account.position == before + 1


async def test_zammad_344_every_change_tells_who_made_it_and_when(account: Account) -> None:
    before = account.position
    await account.do("SetFromName", "ana", **await connected_help(account), from_name="One")
    await account.do("SetRouting", "dora", inbox="support", rule={"kind": "contact_owner"})
    await account.do("MoveTeamAddress", "dora", address=HELP, to_inbox="sales")
    facts = [fact for fact in await account.facts() if fact.position > before]
    assert [(fact.name, fact.headers["ce-actor"]) for fact in facts] == [
        ("TeamConnected", "ana"),
        ("FromNameChanged", "ana"),
        ("RoutingChanged", "dora"),
        ("TeamAddressMoved", "dora"),
    ]
    assert all(is_time(fact.headers["ce-time"]) for fact in facts)


async def connected_help(account: Account) -> dict[str, str]:
    await account.do("ConnectTeam", "ana", address=HELP, inbox="support", visibility_acknowledged=True)
    return {"address": HELP}


async def test_zammad_3292_one_record_that_cannot_be_read_does_not_spoil_the_list(
    account: Account, running: RunningSwitchboard
) -> None:
    await account.do("ConnectPersonal", "bob", address=BOB, owner="bob")
    await account.do("ConnectPersonal", "cleo", address="cleo@acme.example", owner="cleo")
    stream = (await account.facts())[-2].headers["ce-subject"].removeprefix("address/")
    account.position = write_an_event_of_the_future(running.postgres_url, stream)
    listed = {item["address"]: item for item in await account.see("Addresses")}
    assert set(listed) == {BOB, "cleo@acme.example"}
    assert listed["cleo@acme.example"]["health"] == "healthy"
    touched = await account.ask("Address", address=BOB)
    assert touched.error is None
    assert touched.body["incomplete_since"] == account.position
    assert "incomplete_since" not in (await account.ask("Address", address="cleo@acme.example")).body
    await account.do("SetFromName", "cleo", address="cleo@acme.example", from_name="Cleo C.")
    assert (await account.see("Address", address="cleo@acme.example"))["from_name"] == "Cleo C."
    resolved = await account.see("Resolve", recipients=["cleo@acme.example"], sender=CUSTOMER)
    assert resolved[0]["owner"] == "cleo"


def write_an_event_of_the_future(postgres_url: str, stream: str) -> int:
    """As a newer version would have stored it, under the lock of all writers (event_store.sql); its position."""
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(5824113001)")
        version, state, end = connection.execute(
            """
            SELECT originator_version, state, (SELECT max(notification_id) FROM connections.events)
            FROM connections.events WHERE originator_id = %s ORDER BY originator_version DESC LIMIT 1
            """,
            (stream,),
        ).fetchall()[0]
        anew = json.loads(state) | {"id": new_id()}
        connection.execute(
            "INSERT INTO connections.events VALUES (%s, %s, 'switchboard.AddressBlessed.v1', %s, %s)",
            (stream, version + 1, json.dumps(anew, separators=(",", ":")).encode(), end + 1),
        )
    return int(end) + 1
