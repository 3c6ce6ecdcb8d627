"""What the article says, sentence by sentence, happens over the wire.

S1 to S18 are the sentences of HubSpot's "Choose an inbox connection" in our own words. The people are in `cast.py`.
"""

from collections.abc import Mapping

import pytest

from tests.journeys.steps import ACCEPTED, NOT_ALLOWED, UNCHANGED, Case, Does, accepted, does, refused, sees
from tests.journeys.wire import Account, Some, Unordered, Without, is_time

BOB = "bob@acme.example"
HELP = "help@acme.example"


def bob_connects(address: str = BOB, **more: object) -> Does:
    return does("bob", "ConnectPersonal", accepted("PersonalConnected"), address=address, owner="bob", **more)


def ana_connects(address: str = HELP, inbox: str = "support", **more: object) -> Does:
    return does(
        "ana", "ConnectTeam", accepted("TeamConnected"),
        address=address, inbox=inbox, visibility_acknowledged=True, **more,
    )  # fmt: skip


def ana_tries_to_connect(address: str, expected: Mapping[str, object], inbox: str = "support", **more: object) -> Does:
    return does("ana", "ConnectTeam", expected, address=address, inbox=inbox, visibility_acknowledged=True, **more)


BOB_IS_GONE = (
    bob_connects(),
    does("ana", "DeactivateUser", user="bob"),
    does("ana", "RemoveUser", accepted("UserRemoved", "AddressOrphaned"), user="bob"),
    sees("ana", "Address", {"state": "orphaned", "health": "orphaned", "kind": "personal"}, address=BOB),
    sees("ana", "Orphans", [{"address": BOB, "former_owner": "bob", "since": is_time}]),
    ana_tries_to_connect(BOB, refused("ADDRESS_ORPHANED", "ReclaimAddress", former_owner="bob", since=is_time)),
)

CASES = (
    Case("S1", "An address is connected as personal or as team, whichever serves the goal; trying it first is free.", (
        does("bob", "ConnectPersonal", {**ACCEPTED, "dry_run": True, "events": [{"type": "PersonalConnected"}]},
             address=BOB, owner="bob", dry_run=True),
        does("ana", "ConnectTeam", {**ACCEPTED, "dry_run": True, "events": [{"type": "TeamConnected"}]},
             address=HELP, inbox="support", visibility_acknowledged=True, dry_run=True),
        sees("ana", "Address", {"state": "free", "kind": None}, address=BOB),
        sees("ana", "Address", {"state": "free", "kind": None}, address=HELP),
        bob_connects(),
        ana_connects(),
        sees("ana", "Address", {"state": "connected", "kind": "personal", "owner": "bob", "inbox": None}, address=BOB),
        sees("ana", "Address", {"state": "connected", "kind": "team", "owner": None, "inbox": "support"}, address=HELP),
    )),
    Case("S2", "One mail account is never personal and team at once; who needs both connects two accounts.", (
        bob_connects(provider="google", provider_identity="g-1"),
        ana_connects(provider="google", provider_identity="g-2"),
        ana_tries_to_connect(BOB, refused("ADDRESS_ALREADY_PERSONAL", "ConnectTeam", kind="personal", holder="bob")),
        does("bob", "ConnectPersonal", refused("ADDRESS_ALREADY_TEAM", "ConnectPersonal", kind="team"),
             address=HELP, owner="bob"),
        ana_tries_to_connect("robert@acme.example", refused("ADDRESS_ALREADY_PERSONAL", via="provider_identity"),
                             provider="google", provider_identity="g-1"),
        does("bob", "ConnectPersonal", refused("ADDRESS_ALREADY_TEAM", via="provider_identity"),
             address="rob@acme.example", owner="bob", provider="google", provider_identity="g-2"),
        sees("ana", "Addresses", Unordered([{"address": BOB, "kind": "personal"}, {"address": HELP, "kind": "team"}])),
    )),
    Case("S3", "A team address in the conversations inbox cannot serve the meetings tool, nor the other way round.", (
        ana_connects(),
        does("ana", "BindTool", refused("TEAM_ADDRESS_IN_MEETINGS_FORBIDDEN", "ConnectPersonal"),
             address=HELP, tool="meetings"),
        does("dora", "ConnectPersonal", address="dora@acme.example", owner="dora"),
        does("dora", "BindTool", accepted("ToolBound"), address="dora@acme.example", tool="meetings"),
        does("dora", "ConvertConnection", refused("ADDRESS_USED_BY_MEETINGS", "UnbindTool", tools=["meetings"]),
             address="dora@acme.example", to="team", inbox="sales", visibility_acknowledged=True),
        does("dora", "UnbindTool", accepted("ToolUnbound"), address="dora@acme.example", tool="meetings"),
        does("dora", "ConvertConnection", accepted("ConnectionConverted"),
             address="dora@acme.example", to="team", inbox="sales", visibility_acknowledged=True),
    )),
    Case("S4", "A personal address gives mail from the CRM, logged replies, tracking, sequences and the extension.", (
        bob_connects(),
        does("bob", "BindTool", address=BOB, tool="one_to_one"),
        does("bob", "BindTool", address=BOB, tool="sequences"),
        does("bob", "BindTool", address=BOB, tool="extension"),
        does("bob", "SetLoggingPreferences", user="bob", track_opens=True, track_clicks=True),
        sees("bob", "Address", {"tools": Unordered(["extension", "one_to_one", "sequences"])}, address=BOB),
        sees("bob", "User", {"logging": {"log_replies": True, "track_opens": True, "track_clicks": True}}, user="bob"),
        sees("bob", "Identities", [{"address": BOB, "via": "personal", "usable": True, "default": True}], user="bob"),
        sees("ana", "Resolve", [{"recipient": BOB, "destination": "personal", "owner": "bob", "rule": "personal"}],
             recipients=[BOB], sender="customer@elsewhere.example"),
    )),
    Case("S5", "Some tools need a personal connection.", (
        ana_connects(),
        does("ana", "BindTool", refused("PERSONAL_CONNECTION_REQUIRED", "ConnectPersonal"),
             address=HELP, tool="sequences"),
        does("bob", "BindTool", refused("PERSONAL_CONNECTION_REQUIRED", "ConnectPersonal"),
             address=BOB, tool="extension"),
        bob_connects(),
        does("bob", "BindTool", accepted("ToolBound"), address=BOB, tool="extension"),
    )),
    Case("S6", "A user may connect several personal addresses and send from any of them.", (
        bob_connects(),
        bob_connects("bob@sub.acme.example"),
        does("bob", "SetDefaultSender", accepted("DefaultSenderChanged"), user="bob", address="bob@sub.acme.example"),
        sees("bob", "Identities", Unordered([
            {"address": BOB, "via": "personal", "usable": True, "default": False},
            {"address": "bob@sub.acme.example", "via": "personal", "usable": True, "default": True},
        ]), user="bob"),
    )),
    Case("S7", "A personal address belongs to one user, and no other member uses it.", (
        bob_connects(),
        does("cleo", "ConnectPersonal",
             refused("ADDRESS_ALREADY_PERSONAL", kind="personal", advice="ask an administrator"),
             address=BOB, owner="cleo"),
        does("cleo", "SetFromName", refused("PERMISSION_MISSING"), address=BOB, from_name="Not Cleo"),
        does("cleo", "SetDefaultSender", refused("IDENTITY_NOT_USABLE", usable=[]), user="cleo", address=BOB),
        sees("cleo", "Identities", [], user="cleo"),
        sees("cleo", "Address", lambda told: told == {"kind": "personal", "advice": "ask an administrator"},
             address=BOB),
    )),
    Case("S8", "It should be the address one normally uses, such as the company's: anything else gives a warning.", (
        does("bob", "ConnectPersonal", {**ACCEPTED, "warnings": [{"code": "FREE_MAIL_DOMAIN"}]},
             address="bob@gmail.com", owner="bob"),
        does("cleo", "ConnectPersonal", {**ACCEPTED, "warnings": [{"code": "ROLE_BASED_LOCAL_PART"}]},
             address="info@acme.example", owner="cleo"),
        does("dora", "ConnectPersonal", {**ACCEPTED, "warnings": Unordered([
            {"code": "FREE_MAIL_DOMAIN"}, {"code": "SAME_MAILBOX_SUSPECTED"}])},
             address="dora+work@gmail.com", owner="dora"),
        does("ana", "ConnectPersonal", {**ACCEPTED, "warnings": []}, address="ana@acme.example", owner="ana"),
        sees("bob", "Address", {"state": "connected"}, address="bob@gmail.com"),
    )),
    Case("S9", "Afterwards one installs the extension, sets logging and tracking, and a default font.", (
        does("bob", "ConnectPersonal", {**ACCEPTED, "next_steps": [
            {"command": "BindTool"}, {"command": "SetLoggingPreferences"}, {"command": "SetDefaultFont"}]},
             address=BOB, owner="bob"),
        does("bob", "BindTool", address=BOB, tool="extension"),
        does("bob", "SetLoggingPreferences", user="bob", log_replies=False),
        does("bob", "SetDefaultFont", user="bob", font="Lato", size=11),
        sees("bob", "User", {"font": {"font": "Lato", "size": 11}, "logging": {"log_replies": False}}, user="bob"),
    )),
    Case("S10", "A team address is shared: the team sees, manages and answers its mail in the inbox.", (
        ana_connects(),
        sees("bob", "Inbox", {"addresses": [{"address": HELP, "health": "healthy"}],
                              "members": ["bob", "cleo"], "readers": ["bob", "cleo"]}, inbox="support"),
        sees("cleo", "Identities", [{"address": HELP, "via": "inbox", "inbox": "support", "usable": True}],
             user="cleo"),
        sees("eve", "Inbox", NOT_ALLOWED, inbox="support"),
        sees("eve", "Inboxes", [{"inbox": "inbox"}]),
    )),
    Case("S11", "Every plan connects addresses; the number of inboxes depends on the subscription.", (
        does("ana", "ChangePlan", accepted("PlanChanged"), plan="free"),
        sees("ana", "Usage", {"plan": "free", "inboxes": {"used": 3, "limit": 1}}),
        does("ana", "CreateInbox", refused("INBOX_LIMIT_REACHED", "ChangePlan", limit=1, used=3),
             inbox="more", name="More"),
        bob_connects(),
        ana_connects(),
        does("ana", "ChangePlan", plan="starter"),
        does("ana", "CreateInbox", accepted("InboxCreated"), inbox="more", name="More"),
        sees("ana", "Usage", {"plan": "starter", "inboxes": {"used": 4, "limit": 5}}),
    )),
    Case("S12", "A team address is connected to one inbox only.", (
        ana_connects(),
        ana_tries_to_connect(HELP, refused("ADDRESS_IN_OTHER_INBOX", "MoveTeamAddress", inbox="support"),
                             inbox="sales"),
        ana_tries_to_connect(HELP, UNCHANGED),
        sees("ana", "Inbox", {"addresses": []}, inbox="sales"),
        sees("ana", "Inbox", {"addresses": [{"address": HELP}]}, inbox="support"),
    )),
    Case("S13", "Already connected? The answer says who holds it, since when, and what may be done about it.", (
        bob_connects(),
        ana_tries_to_connect(BOB, {
            **refused("ADDRESS_ALREADY_PERSONAL", "Disconnect", kind="personal", holder="bob", since=is_time),
            "message": lambda text: "bob" in text,
            "next_actions": Some({"command": "TransferOwnership"}, {"command": "Disconnect"}),
        }),
        does("eve", "ConnectPersonal", refused("PERMISSION_MISSING"), address=BOB, owner="eve"),
        does("cleo", "ConnectPersonal", {"reason": "ADDRESS_ALREADY_PERSONAL", "details": Without("holder", "since"),
                                         "next_actions": Without("bob")}, address=BOB, owner="cleo"),
        does("ana", "Disconnect", accepted("Disconnected"), address=BOB),
        ana_connects(BOB),
    )),
    Case("S14 reclaim", "If the user who connected it is gone, an administrator gives the address to somebody else.", (
        *BOB_IS_GONE,
        does("ana", "ReclaimAddress", accepted("AddressReclaimed"), address=BOB, new_owner="cleo"),
        sees("cleo", "Address", {"state": "connected", "owner": "cleo", "since": is_time}, address=BOB),
        sees("ana", "Orphans", []),
    )),
    Case("S14 transfer", "… or transfers it,", (
        *BOB_IS_GONE,
        does("ana", "TransferOwnership", accepted("OwnershipTransferred"), address=BOB, new_owner="cleo"),
        sees("cleo", "Identities", [{"address": BOB, "via": "personal", "usable": True}], user="cleo"),
    )),
    Case("S14 release", "… or frees it for the team.", (
        *BOB_IS_GONE,
        does("ana", "ReleaseAddress", accepted("AddressReleased"), address=BOB),
        sees("ana", "Address", {"state": "free", "kind": None, "owner": None, "health": "disconnected"}, address=BOB),
        ana_connects(BOB),
    )),
    Case("S14 as in the article", "The article's own path works: recreate the user, then disconnect.", (
        *BOB_IS_GONE,
        does("ana", "ReactivateUser", accepted("UserReactivated", "AddressReclaimed"), user="bob"),
        sees("bob", "Address", {"state": "connected", "owner": "bob", "health": "healthy"}, address=BOB),
        does("bob", "Disconnect", accepted("Disconnected"), address=BOB),
        ana_connects(BOB),
        sees("ana", "Address", {"kind": "team", "inbox": "support"}, address=BOB),
    )),
    Case("S14 with a new user", "It works with a user made anew under the same id, too.", (
        *BOB_IS_GONE,
        does("ana", "AddUser",
             accepted("UserAdded", "AddressReclaimed", warnings=[
                 {"code": "ADDRESSES_RETURNED", "count": 1}, {"code": "PLACES_RETURNED", "inboxes": ["support"]},
             ]),
             user="bob", name="Bob the Second", permissions=["personal_email_access"]),
        does("ana", "Disconnect", accepted("Disconnected"), address=BOB),
        ana_connects(BOB),
    )),
    Case("S15", "The whole team sees all mail to a team address, so nobody connects a private one unawares.", (
        does("ana", "ConnectTeam", refused("TEAM_VISIBILITY_NOT_ACKNOWLEDGED", "ConnectTeam"),
             address=HELP, inbox="support"),
        does("ana", "ConnectTeam", refused("TEAM_VISIBILITY_NOT_ACKNOWLEDGED"),
             address=HELP, inbox="support", visibility_acknowledged=False),
        sees("ana", "Address", {"state": "free"}, address=HELP),
        ana_connects(),
        sees("ana", "Inbox", {"readers": ["bob", "cleo"]}, inbox="support"),
        sees("ana", "Inbox", {"readers": ["ana", "bob", "cleo", "dora", "eve"]}, inbox="inbox"),
    )),
    Case("S16", "The team writes and answers from the inbox as the team address.", (
        ana_connects(from_name="Acme Support"),
        does("bob", "SetSignature", user="bob", signature="-- \nBob"),
        sees("bob", "Identities", [{"address": HELP, "from_name": "Acme Support", "signature": "-- \nBob",
                                    "via": "inbox", "inbox": "support",
                                    "default": True, "usable": True, "why_not": None}], user="bob"),
        sees("dora", "Identities", [], user="dora"),
    )),
    Case("S17", "The From name can be changed.", (
        ana_connects(),
        sees("bob", "Identities", [{"from_name": "Support"}], user="bob"),
        does("ana", "SetFromName", accepted("FromNameChanged"), address=HELP, from_name="The Acme Team"),
        sees("bob", "Identities", [{"from_name": "The Acme Team"}], user="bob"),
        sees("bob", "Inbox", {"addresses": [{"address": HELP, "from_name": "The Acme Team"}]}, inbox="support"),
        does("ana", "SetFromName", UNCHANGED, address=HELP, from_name="The Acme Team"),
    )),
    Case("S18", "The routing rules can be changed.", (
        ana_connects(),
        sees("ana", "Resolve", [{"destination": "inbox", "inbox": "support", "assignee": None, "rule": "unassigned"}],
             recipients=[HELP], sender="customer@elsewhere.example"),
        does("ana", "SetRouting", accepted("RoutingChanged"), inbox="support",
             rule={"kind": "users_and_teams", "users": ["bob", "cleo"], "teams": []}),
        sees("ana", "Routing", {"inbox": "support", "rule": {"kind": "users_and_teams", "users": ["bob", "cleo"]},
                                "targets": [{"user": "bob", "eligible": True, "why_not": None},
                                            {"user": "cleo", "eligible": True, "why_not": None}]}, inbox="support"),
        sees("ana", "Resolve", [{"assignee": "cleo", "rule": "users_and_teams"}],
             recipients=[HELP], sender="customer@elsewhere.example", turn=1),
        does("ana", "SetRouting", inbox="support", rule={"kind": "contact_owner", "fallback": {"kind": "unassigned"}}),
        sees("ana", "Resolve", [{"assignee": "bob", "rule": "contact_owner"}],
             recipients=[HELP], sender="customer@elsewhere.example", contact_owner="bob"),
    )),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_what_the_article_says_happens(case: Case, account: Account) -> None:
    await case.happen(account)
