"""Every question: the exact shape of its answer, who may ask it, what he may see, and as of when."""

import asyncio
import json
import time
from typing import Any

import pytest

from tests.journeys import cast
from tests.journeys.steps import UNCHANGED, Case, does, sees
from tests.journeys.wire import Account, Some, Wire, body, differences, is_time, question_subject

BOB, HELP, SALES = "bob@acme.example", "help@acme.example", "sales@acme.example"
CUSTOMER = "customer@elsewhere.example"
HIDDEN = {"kind": "personal", "advice": "ask an administrator"}
UNASSIGNED = {"kind": "unassigned"}


async def connected(account: Account) -> None:
    """bob's address, help@ (with an alias) in support, sales@ in sales."""
    await account.do("ConnectPersonal", "bob", address="Bob@Acme.example", owner="bob", from_name="Bob B.")
    await account.do("ConnectTeam", "ana", address=HELP, inbox="support", visibility_acknowledged=True)
    await account.do("AddAlias", "ana", address=HELP, alias="Hilfe@acme.example")
    await account.do("ConnectTeam", "dora", address=SALES, inbox="sales", visibility_acknowledged=True)
    await account.do("CreateTeam", "ana", team="helpers", name="Helpers", members=["cleo", "eve"])
    await account.do("BindTool", "bob", address=BOB, tool="sequences")


FREE: dict[str, Any] = {
    "address": "free@acme.example", "display": "Free@acme.example", "state": "free", "kind": None, "owner": None,
    "inbox": None, "since": None, "tools": [], "aliases": [], "primary": None, "from_name": None, "receiving": False,
    "sending": False, "connector": None, "connector_gone": False, "health": "disconnected",
}  # fmt: skip
PERSONAL = FREE | {
    "address": BOB, "display": "Bob@Acme.example", "state": "connected", "kind": "personal", "owner": "bob",
    "since": is_time, "tools": ["sequences"], "from_name": "Bob B.", "receiving": True, "sending": True,
    "health": "healthy",
}  # fmt: skip
TEAM = FREE | {
    "address": HELP, "display": HELP, "state": "connected", "kind": "team", "inbox": "support", "since": is_time,
    "aliases": ["hilfe@acme.example"], "receiving": True, "sending": True, "connector": "ana", "health": "healthy",
}  # fmt: skip
ALIAS = TEAM | {
    "address": "hilfe@acme.example", "display": "Hilfe@acme.example", "aliases": [], "primary": HELP,
}  # fmt: skip
IN_SUPPORT = {
    "inbox": "support", "name": "Support", "archived": False, "access": "members", "members": ["bob", "cleo"],
    "inactive": [], "addresses": [{"address": HELP, "health": "healthy", "from_name": lambda _: True,
                   "aliases": ["hilfe@acme.example"]}],
    "routing": UNASSIGNED | {"words": bool}, "readers": ["bob", "cleo"],
}  # fmt: skip
LOGGING = {"log_replies": True, "track_opens": False, "track_clicks": False, "never_log": []}
USER_BOB = {
    "user": "bob", "name": "Bob", "status": "active", "permissions": ["personal_email_access"], "seat": True,
    "availability": "available", "teams": [], "signature": "", "font": None, "logging": LOGGING, "default_sender": BOB,
}  # fmt: skip
IDENTITY = {
    "address": BOB, "from_name": "Bob B.", "signature": "", "via": "personal", "inbox": None, "default": True,
    "usable": True, "why_not": None,
}  # fmt: skip
ENTRY: dict[str, Any] = {
    "recipient": HELP, "destination": "inbox", "inbox": "support", "owner": None, "assignee": None,
    "rule": "unassigned", "candidates": [], "reason": None, "suspected": None,
}  # fmt: skip

# question, fields, the whole result: no key more, no key less.
SHAPES: list[tuple[str, dict[str, Any], Any]] = [
    ("Address", {"address": " Free@acme.example\t"}, FREE),
    ("Address", {"address": "BOB@ACME.EXAMPLE"}, PERSONAL),
    ("Address", {"address": HELP}, TEAM),
    ("Address", {"address": "hilfe@acme.example"}, ALIAS),
    ("Inbox", {"inbox": "support"}, IN_SUPPORT),
    ("Routing", {"inbox": "support"},
     {"inbox": "support", "rule": UNASSIGNED, "words": bool, "targets": []}),
    ("User", {"user": "bob"}, USER_BOB),
    ("Account", {}, {"plan": "professional", "limits": {"inboxes": 100}, "never_log": []}),
    ("Usage", {}, {"plan": "professional", "inboxes": {"used": 3, "limit": 100}}),
    ("RemovalImpact", {"user": "bob"}, {"addresses": [BOB], "inboxes": ["support"], "teams": [], "rules": [],
                                        "connections": [], "last_reader_of": []}),
    ("Identities", {"user": "bob"}, [
        IDENTITY,
        IDENTITY | {"address": HELP, "from_name": "Support", "via": "inbox", "inbox": "support", "default": False},
        IDENTITY | {"address": "hilfe@acme.example", "from_name": "Support", "via": "alias", "inbox": "support",
                    "default": False},
    ]),
    ("Resolve", {"recipients": [HELP, "Hilfe@acme.example", "free@acme.example", BOB, "no address"],
                 "sender": CUSTOMER}, [
        ENTRY,
        ENTRY | {"recipient": "hilfe@acme.example"},
        ENTRY | {"recipient": "free@acme.example", "destination": "none", "inbox": None, "rule": None,
                 "reason": "NOT_CONNECTED"},
        ENTRY | {"recipient": BOB, "destination": "personal", "inbox": None, "owner": "bob", "rule": "personal"},
        ENTRY | {"recipient": "no address", "destination": "none", "inbox": None, "rule": None,
                 "reason": "ADDRESS_INVALID"},
    ]),
    ("Addresses", {}, [PERSONAL, TEAM, ALIAS, TEAM | {
        "address": SALES, "display": SALES, "inbox": "sales", "aliases": [], "connector": "dora"}]),
    ("Inboxes", {}, lambda found: [one["inbox"] for one in found] == ["inbox", "sales", "support"]
     and all(set(one) == set(IN_SUPPORT) for one in found)),
    ("Users", {}, lambda found: [one["user"] for one in found] == ["ana", "bob", "cleo", "dora", "eve"]
     and all(set(one) == set(USER_BOB) for one in found)),
    ("Teams", {}, [{"team": "helpers", "name": "Helpers", "members": ["cleo", "eve"], "inactive": []}]),
    ("Orphans", {}, []),
]  # fmt: skip


async def test_every_answer_has_exactly_the_shape_that_was_agreed(account: Account) -> None:
    await connected(account)
    for question, fields, expected in SHAPES:
        reply = await account.ask(question, **fields)
        wrong = differences(expected, reply.result)
        assert not wrong, (question, fields, wrong)
        assert same_keys(expected, reply.result), (question, reply.result)
        assert set(reply.body) == {"position", "result"} | ({"next"} if question in LISTS else set()), reply.body
        assert reply.position >= account.position


LISTS = {"Addresses", "Inboxes", "Identities", "Users", "Teams", "Orphans"}


def same_keys(expected: Any, got: Any) -> bool:
    """Whether nothing is told beyond what was agreed."""
    if isinstance(expected, dict) and isinstance(got, dict):
        return set(expected) == set(got) and all(same_keys(expected[key], got[key]) for key in expected)
    if isinstance(expected, list) and isinstance(got, list):
        return all(same_keys(want, have) for want, have in zip(expected, got, strict=True))
    return True


# Who may ask what: T service, S super admin, A administrator, B bob, C cleo (a member of support too), E eve.
WHO: list[tuple[str, dict[str, Any], str]] = [
    ("Addresses", {}, "TSA"),
    ("Orphans", {}, "TSA"),
    ("Usage", {}, "TSA"),
    ("RemovalImpact", {"user": "bob"}, "TSA"),
    ("Users", {}, "TSA"),
    ("Account", {}, "TSA"),
    ("Inbox", {"inbox": "support"}, "TSABC"),
    ("Inbox", {"inbox": "sales"}, "TSA"),
    ("Inbox", {"inbox": "inbox"}, "TSABCE"),
    ("Inboxes", {}, "TSABCE"),
    ("Routing", {"inbox": "support"}, "TSABC"),
    ("Routing", {"inbox": "sales"}, "TSA"),
    ("Identities", {"user": "bob"}, "TSAB"),
    ("User", {"user": "bob"}, "TSAB"),
    ("User", {"user": "eve"}, "TSAE"),
    ("Address", {"address": BOB}, "TSABCE"),
    ("Resolve", {"recipients": [HELP], "sender": CUSTOMER}, "TSABCE"),
]
ACTORS = {"T": "service:crm", "S": "ana", "A": "dora", "B": "bob", "C": "cleo", "E": "eve"}


async def test_who_may_ask_what(account: Account) -> None:
    await connected(account)
    for question, fields, allowed in WHO:
        for letter, actor in ACTORS.items():
            reply = await account.ask(question, actor, **fields)
            if letter in allowed:
                assert reply.error is None, (question, fields, actor, reply.body)
            else:
                assert reply.error == (403, "PERMISSION_MISSING"), (question, fields, actor, reply.body)


async def test_whoever_is_unknown_deactivated_or_removed_may_ask_nothing(account: Account) -> None:
    await connected(account)
    await account.do("DeactivateUser", "ana", user="cleo")
    await account.do("DeactivateUser", "ana", user="eve")
    await account.do("RemoveUser", "ana", user="eve")
    for actor in ("nobody", "cleo", "eve"):
        for question, fields, _ in WHO:
            assert (await account.ask(question, actor, **fields)).error == (403, "PERMISSION_MISSING")


async def test_lists_show_members_only_their_own_inboxes(account: Account) -> None:
    assert [one["inbox"] for one in await account.see("Inboxes", "bob")] == ["inbox", "support"]
    assert [one["inbox"] for one in await account.see("Inboxes", "eve")] == ["inbox"]
    await account.do("CreateTeam", "ana", team="helpers", name="Helpers", members=["eve"])
    await account.do("SetInboxAccess", "ana", inbox="support", access="members", teams=["helpers"])
    assert [one["inbox"] for one in await account.see("Inboxes", "eve")] == ["inbox", "support"]
    assert [one["inbox"] for one in await account.see("Inboxes", "bob")] == ["inbox"]


DISCLOSURE = Case("disclosure", "Who holds an address only some may know; that it is taken, and its kind, everybody.", (
    sees("bob", "Address", PERSONAL, address=BOB),
    sees("ana", "Address", PERSONAL, address=BOB),
    sees("dora", "Address", PERSONAL, address=BOB),
    *(sees(actor, "Address", lambda told: told == HIDDEN, address=BOB) for actor in ("cleo", "eve")),
    *(sees(actor, "Address", TEAM, address=HELP) for actor in ("ana", "dora", "bob", "cleo", "service:crm")),
    *(sees("eve", "Address", lambda told: told == HIDDEN | {"kind": "team"}, address=address)
      for address in (HELP, "hilfe@acme.example")),
    sees("bob", "Address", lambda told: told == HIDDEN | {"kind": "team"}, address=SALES),
    sees("eve", "Address", FREE, address="Free@acme.example"),
    sees("bob", "Resolve", [{"destination": "personal", "owner": "bob"}, {"destination": "inbox"},
                            {"destination": "none", "reason": "NOT_VISIBLE", "inbox": None, "owner": None}],
         recipients=[BOB, HELP, SALES], sender=CUSTOMER),
    sees("eve", "Resolve", [{"reason": "NOT_VISIBLE"}, {"reason": "NOT_VISIBLE"}, {"reason": "NOT_CONNECTED"}],
         recipients=[BOB, HELP, "free@acme.example"], sender=CUSTOMER),
    does("ana", "DeactivateUser", user="bob"),
    does("ana", "RemoveUser", user="bob"),
    sees("cleo", "Address", lambda told: told == HIDDEN, address=BOB),
    sees("dora", "Address", {"state": "orphaned", "owner": "bob"}, address=BOB),
))  # fmt: skip


async def test_an_answer_tells_of_a_holder_only_to_who_may_know(account: Account) -> None:
    await connected(account)
    await DISCLOSURE.happen(account)


IDENTITIES = Case("identities", "What a user may send as, best first, and the default that falls to the next one.", (
    sees("eve", "Identities", [], user="eve"),
    does("eve", "SetDefaultSender", {"reason": "IDENTITY_NOT_USABLE"}, user="eve", address=BOB),
    does("bob", "SetDefaultSender", user="bob", address=HELP),
    sees("bob", "Identities", Some({"address": HELP, "default": True}, {"address": BOB, "default": False}), user="bob"),
    sees("bob", "User", {"default_sender": HELP}, user="bob"),
    does("ana", "Pause", address=HELP, send=True),
    sees("bob", "Identities", Some({"address": HELP, "default": False, "usable": False},
                                   {"address": "hilfe@acme.example", "usable": False},
                                   {"address": BOB, "default": True}), user="bob"),
    sees("bob", "User", {"default_sender": BOB}, user="bob"),
    does("ana", "Resume", address=HELP),
    sees("bob", "User", {"default_sender": HELP}, user="bob"),
    does("bob", "RequireReauthentication", address=BOB, cause="expired"),
    sees("bob", "Identities", Some({"address": BOB, "usable": False, "why_not": bool}), user="bob"),
    does("ana", "SetInboxAccess", inbox="support", access="members", members=["cleo"]),
    sees("bob", "Identities", [{"address": BOB, "usable": False, "default": False}], user="bob"),
    sees("bob", "User", {"default_sender": None}, user="bob"),
))  # fmt: skip


async def test_the_default_sender_falls_to_the_next_identity_and_comes_back(account: Account) -> None:
    await connected(account)
    await IDENTITIES.happen(account)


async def test_readers_of_an_inbox_are_active_members_and_administrators_only_if_members(account: Account) -> None:
    await connected(account)
    await account.do("SetInboxAccess", "ana", inbox="support", access="members", members=["bob"], teams=["helpers"])
    assert (await account.see("Inbox", inbox="support"))["readers"] == ["bob", "cleo", "eve"]
    await account.do("DeactivateUser", "ana", user="cleo")
    assert (await account.see("Inbox", inbox="support"))["readers"] == ["bob", "eve"]
    await account.do("SetInboxAccess", "ana", inbox="support", access="everyone")
    shown = await account.see("Inbox", inbox="support")
    assert (shown["access"], shown["members"], shown["readers"]) == ("everyone", [], ["ana", "bob", "dora", "eve"])


RESOLVE = Case("resolve", "Personal mail goes to its owner's log, unless somebody does not want it there.", (
    does("bob", "SetLoggingPreferences", user="bob", never_log=["lawyer.example"]),
    does("ana", "SetAccountNeverLog", entries=["ceo@rival.example"]),
    *(sees("ana", "Resolve", [{"destination": "none", "reason": "NEVER_LOG"}, {"destination": "inbox"}],
           recipients=[BOB, HELP], sender=sender)
      for sender in ("x@lawyer.example", "X@Mail.Lawyer.Example", "CEO@rival.example")),
    *(sees("ana", "Resolve", [{"destination": "personal"}], recipients=[BOB], sender=sender)
      for sender in ("x@notlawyer.example", "x@rival.example", "lawyer.example@x.example")),
    does("bob", "SetLoggingPreferences", user="bob", log_replies=False),
    sees("ana", "Resolve", [{"reason": "LOGGING_OFF"}], recipients=[BOB], sender=CUSTOMER),
    does("bob", "SetLoggingPreferences", user="bob", log_replies=True, never_log=[]),
    sees("ana", "Resolve", [{"destination": "personal"}], recipients=[BOB], sender="x@lawyer.example"),
    does("bob", "RequireReauthentication", address=BOB, cause="expired"),
    sees("ana", "Resolve", [{"reason": "REAUTH_REQUIRED"}], recipients=[BOB], sender=CUSTOMER),
    does("bob", "Reconnect", address=BOB),
    does("bob", "Pause", address=BOB),
    sees("ana", "Resolve", [{"reason": "RECEIVING_PAUSED"}], recipients=[BOB], sender=CUSTOMER),
    does("bob", "Resume", address=BOB),
    does("ana", "DeactivateUser", user="bob"),
    sees("ana", "Resolve", [{"reason": "OWNER_NOT_ACTIVE"}], recipients=[BOB], sender=CUSTOMER),
    sees("ana", "Address", {"state": "connected", "health": "degraded"}, address=BOB),
    sees("ana", "Resolve", [{"reason": "OWNER_NOT_ACTIVE"}], recipients=[BOB], sender="nobody at all"),
    sees("ana", "Resolve", [], recipients=[], sender=CUSTOMER),
    does("ana", "ReactivateUser", user="bob"),
    does("ana", "SetPermissions", user="bob", permissions=[]),
    sees("ana", "Resolve", [{"reason": "PERMISSION_MISSING"}], recipients=[BOB], sender=CUSTOMER),
))  # fmt: skip


async def test_where_personal_mail_goes(account: Account) -> None:
    await connected(account)
    await RESOLVE.happen(account)


RULES = Case("rules", "Only available, active, seated members are chosen, by turns or by what the contact says.", (
    does("ana", "AssignSeat", UNCHANGED, user="bob"),
    does("ana", "SetInboxAccess", inbox="support", access="everyone"),
    does("ana", "SetRouting", inbox="support",
         rule={"kind": "users_and_teams", "users": ["dora", "bob"], "teams": ["helpers"]}),
    *(sees("ana", "Resolve", [{"assignee": who, "candidates": [
        {"user": "dora", "eligible": True}, {"user": "bob", "eligible": True}, {"user": "cleo", "eligible": True},
        {"user": "eve", "eligible": False, "why_not": "NO_SEAT"}]}], recipients=[HELP], sender=CUSTOMER, turn=turn)
      for turn, who in ((0, "dora"), (1, "bob"), (2, "cleo"), (3, "dora"), (3_000_001, "bob"))),
    does("ana", "SetAvailability", user="dora", availability="away"),
    does("ana", "SetAvailability", user="bob", availability="away"),
    sees("ana", "Resolve", [{"assignee": "cleo", "rule": "users_and_teams"}], recipients=[HELP], sender=CUSTOMER),
    does("ana", "SetAvailability", user="cleo", availability="away"),
    sees("ana", "Resolve", [{"destination": "inbox", "assignee": None}], recipients=[HELP], sender=CUSTOMER),
    does("ana", "SetRouting", inbox="support",
         rule={"kind": "contact_owner", "fallback": {"kind": "users_and_teams", "users": ["bob"]}}),
    sees("ana", "Resolve", [{"assignee": None, "rule": "fallback"}],
         recipients=[HELP], sender=CUSTOMER, contact_owner="dora"),
    does("ana", "SetAvailability", user="dora", availability="available"),
    sees("ana", "Resolve", [{"assignee": "dora", "rule": "contact_owner"}],
         recipients=[HELP], sender=CUSTOMER, contact_owner="dora"),
    does("ana", "SetAvailability", user="bob", availability="available"),
    sees("ana", "Resolve", [{"assignee": "bob", "rule": "fallback"}], recipients=[HELP], sender=CUSTOMER),
    sees("ana", "Resolve", [{"assignee": "bob", "rule": "fallback"}],
         recipients=[HELP], sender=CUSTOMER, contact_owner="nobody"),
    sees("ana", "Routing", {"rule": {"kind": "contact_owner", "fallback": {"kind": "users_and_teams"}},
                            "targets": [{"user": "bob", "eligible": True, "why_not": None}]}, inbox="support"),
))  # fmt: skip


async def test_who_is_chosen(account: Account) -> None:
    await connected(account)
    await RULES.happen(account)


async def test_a_sender_keeps_his_person_and_senders_are_spread(account: Account) -> None:
    await connected(account)
    await account.do("SetRouting", "ana", inbox="support", rule={"kind": "users_and_teams", "users": ["bob", "cleo"]})
    senders = [f"customer-{number}@elsewhere.example" for number in range(40)]

    async def chosen(sender: str) -> str:
        (entry,) = await account.see("Resolve", recipients=[HELP], sender=sender)
        return str(entry["assignee"])

    first = [await chosen(sender) for sender in senders]
    assert [await chosen(sender.upper()) for sender in senders] == first
    assert min(first.count("bob"), first.count("cleo")) >= 8


@pytest.mark.parametrize(
    ("question", "count"), [("Addresses", 25), ("Users", 30), ("Inboxes", 28), ("Teams", 25), ("Orphans", 25)]
)
async def test_pages_show_everything_once(account: Account, question: str, count: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(25):
            match question:
                case "Addresses" | "Orphans":
                    address = f"bob-{number:02}@acme.example"
                    tasks.create_task(account.do("ConnectPersonal", "bob", address=address, owner="bob"))
                case "Users":
                    tasks.create_task(account.do("AddUser", user=f"u-{number:02}", name="U", permissions=[]))
                case "Inboxes":
                    tasks.create_task(account.do("CreateInbox", inbox=f"i-{number:02}", name=f"I {number}"))
                case _:
                    tasks.create_task(account.do("CreateTeam", team=f"t-{number:02}", name="T"))
    if question == "Orphans":
        await account.do("DeactivateUser", user="bob")
        await account.do("RemoveUser", user="bob")
    whole = await account.see(question)
    assert len(whole) == count
    for limit in (1, 7, count, 1000):
        assert await account.pages(question, limit=limit) == whole
    assert (await account.ask(question, limit=count)).body["next"] is None
    for wrong in (0, -1, 1001, "10", 1.5, True):
        assert (await account.ask(question, limit=wrong)).error == (400, "QUERY_INVALID")
    for wrong in ("no cursor", 3, "AAAA"):
        assert (await account.ask(question, after=wrong)).typed()


async def test_a_list_answers_at_most_100_items_unless_more_are_wanted(account: Account) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(101):
            tasks.create_task(account.do("CreateTeam", team=f"t-{number:03}", name="T"))
    first = await account.ask("Teams")
    assert len(first.result) == 100
    assert [team["team"] for team in (await account.ask("Teams", after=first.body["next"])).result] == ["t-100"]
    assert len(await account.see("Teams", limit=1000)) == 101


async def test_addresses_are_filtered_by_state_kind_inbox_and_owner(account: Account) -> None:
    await connected(account)
    await account.do("ConnectPersonal", "cleo", address="cleo@acme.example", owner="cleo")
    await account.do("ConnectPersonal", "cleo", address="old@acme.example", owner="cleo")
    await account.do("Disconnect", "cleo", address="old@acme.example")
    await account.do("Pause", "ana", address=SALES)
    await account.do("RequireReauthentication", "cleo", address="cleo@acme.example", cause="expired")

    async def found(**filters: str) -> set[str]:
        return {one["address"] for one in await account.pages("Addresses", limit=2, **filters)}

    alias = "hilfe@acme.example"
    assert await found(state="free") == {"old@acme.example"}
    assert await found(state="connected") == {BOB, HELP, alias}
    assert await found(state="paused") == {SALES}
    assert await found(state="reauth_required") == {"cleo@acme.example"}
    assert await found(state="orphaned") == set()
    assert await found(kind="team") == {HELP, SALES, alias}
    assert await found(kind="team", inbox="support") == {HELP, alias}
    assert await found(owner="bob") == {BOB}
    assert await found(owner="bob", kind="team") == set()
    assert await found(inbox="nowhere") == set()
    for wrong in ({"state": "broken"}, {"kind": "both"}, {"inbox": "a b"}, {"owner": ""}, {"colour": "red"}):
        assert (await account.ask("Addresses", **wrong)).error == (400, "QUERY_INVALID"), wrong


async def test_one_reads_what_one_wrote(account: Account) -> None:
    for number in range(100):
        address = f"bob-{number}@acme.example"
        done = await account.do("ConnectPersonal", "bob", address=address, owner="bob")
        shown, routed = await asyncio.gather(
            account.ask("Address", "bob", address=address, at_least=done.position),
            account.ask("Resolve", recipients=[address], sender=CUSTOMER, at_least=done.position),
        )
        assert shown.result["state"] == "connected"
        assert routed.result[0]["owner"] == "bob"
        assert min(shown.position, routed.position) >= done.position


@pytest.mark.parametrize(
    ("question", "fields"), [("Usage", {}), ("Resolve", {"recipients": [HELP], "sender": CUSTOMER})]
)
async def test_a_question_waits_as_long_as_it_says_and_then_says_that_the_view_is_behind(
    account: Account, question: str, fields: dict[str, Any]
) -> None:
    far = account.position + 1_000_000

    async def waited(**wait: int) -> float:
        began = time.monotonic()
        async with asyncio.timeout(30):
            reply = await account.wire.question(account.name, question, **fields, at_least=far, **wait)
        assert reply.error == (503, "VIEW_BEHIND")
        return time.monotonic() - began

    await waited(wait_ms=0)
    assert await waited(wait_ms=300) >= 0.3
    assert await waited() >= 1.9
    for wrong in ({"at_least": -1}, {"at_least": "3"}, {"at_least": 1.5}, {"wait_ms": -1}, {"at_least": 2**64}):
        assert (await account.ask(question, **fields, **wrong)).error == (400, "QUERY_INVALID"), wrong


async def test_a_waiting_question_is_answered_as_soon_as_its_position_comes(account: Account) -> None:
    waiting = asyncio.create_task(account.ask("Usage", at_least=account.position + 1, wait_ms=20_000))
    await asyncio.sleep(0)
    await account.do("CreateTeam", team="t", name="T")
    assert (await waiting).error is None


WRONG: list[tuple[str, dict[str, Any], tuple[int, str]]] = [
    ("Nonsense", {}, (404, "QUERY_UNKNOWN")),
    ("address", {"address": BOB}, (404, "QUERY_UNKNOWN")),
    ("ConnectTeam", {}, (404, "QUERY_UNKNOWN")),
    ("Inbox", {"inbox": "nowhere"}, (404, "INBOX_NOT_FOUND")),
    ("Routing", {"inbox": "nowhere"}, (404, "INBOX_NOT_FOUND")),
    ("User", {"user": "nobody"}, (404, "USER_NOT_FOUND")),
    ("Identities", {"user": "nobody"}, (404, "USER_NOT_FOUND")),
    ("RemovalImpact", {"user": "nobody"}, (404, "USER_NOT_FOUND")),
    ("Address", {"address": "no address"}, (422, "ADDRESS_INVALID")),
    ("Address", {}, (400, "QUERY_INVALID")),
    ("Address", {"address": 7}, (400, "QUERY_INVALID")),
    ("Address", {"address": None}, (400, "QUERY_INVALID")),
    ("Address", {"address": BOB, "more": 1}, (400, "QUERY_INVALID")),
    ("Inbox", {"inbox": ["support"]}, (400, "QUERY_INVALID")),
    ("Resolve", {"recipients": HELP, "sender": CUSTOMER}, (400, "QUERY_INVALID")),
    ("Resolve", {"recipients": [HELP], "sender": CUSTOMER, "turn": -1}, (400, "QUERY_INVALID")),
    ("Resolve", {"recipients": [HELP] * 1001, "sender": CUSTOMER}, (400, "QUERY_INVALID")),
    ("Usage", {"limit": 3}, (400, "QUERY_INVALID")),
]


async def test_what_cannot_be_answered_says_why_with_the_micro_headers(account: Account) -> None:
    for question, fields, error in WRONG:
        reply = await account.ask(question, **fields)
        assert (reply.error, reply.body.get("error")) == (error, error[1]), (question, fields, reply.body)
        assert reply.body["message"]
    invalid = await account.ask("Resolve", recipients=7, sender=7, contact_owner=7)
    assert {one["field"] for one in invalid.body["details"]["errors"]} == {"recipients", "sender", "contact_owner"}


async def test_an_account_that_is_not_there_is_not_found_whoever_asks(wire: Wire) -> None:
    for question, fields in (
        ("Usage", {}),
        ("Resolve", {"recipients": [], "sender": CUSTOMER}),
        ("Address", {"address": BOB}),
    ):
        for actor in ("service:crm", "ana"):
            reply = await wire.question(cast.new_account(wire).name, question, actor, **fields)
            assert reply.error == (404, "ACCOUNT_NOT_FOUND"), reply.body


async def test_absent_and_null_are_the_same(account: Account) -> None:
    reply = await account.ask("Addresses", state=None, kind=None, inbox=None, owner=None, limit=None, after=None)
    assert reply.result == await account.see("Addresses")
    nobody = await account.wire.ask(question_subject(account.name, "Usage"), body(None, {}))
    assert nobody.error == (400, "QUERY_INVALID")


async def test_one_account_sees_nothing_of_another(account: Account, wire: Wire) -> None:
    await connected(account)
    other = await cast.furnished(wire)
    assert (await other.see("Address", address=BOB))["state"] == "free"
    assert await other.see("Addresses") == []
    assert (await other.see("Resolve", recipients=[HELP], sender=CUSTOMER))[0]["reason"] == "NOT_CONNECTED"
    await other.do("ConnectPersonal", "cleo", address=BOB, owner="cleo")
    assert (await account.see("Address", address=BOB))["owner"] == "bob"


async def test_switchboard_is_found_by_the_micro_protocol(wire: Wire) -> None:
    inbox = wire.client.new_inbox()
    subscription = await wire.client.subscribe(inbox)
    await wire.client.publish("$SRV.INFO", reply=inbox)
    found: dict[str, set[str]] = {}
    wanted = {"switchboard.command.v1.*.*", "switchboard.query.v1.*.*"}
    async with asyncio.timeout(10):
        while not wanted <= set().union(*found.values()):
            info = json.loads((await subscription.next_msg(timeout=10)).data)
            assert info["type"] == "io.nats.micro.v1.info_response"
            found.setdefault(info["name"], set()).update(end["subject"] for end in info["endpoints"])
    await subscription.unsubscribe()
    assert {"switchboard-connections", "switchboard-inbox-views"} <= set(found), found
