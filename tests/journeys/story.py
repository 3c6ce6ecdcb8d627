"""One story in which every command is given and every event happens, with what each event's body must say.

The bodies are written out by hand: they are the public contract, and other teams' tools read them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.journeys.wire import TRUSTED

Body = dict[str, Any]
PERSON = "bob@acme.example"
SHARED = "Help@Acme.Example"
HELP = "help@acme.example"
BOTH = {"receive": True, "send": True}
NOBODY = {"kind": "unassigned"}
# Stands for any time in a body.
A_TIME = "a time"
TIMES = ("since", "claimed_at")


@dataclass(frozen=True)
class Told:
    """One command that is accepted, and the events it makes: (type, aggregate's kind and id or None, body)."""

    actor: str
    command: str
    fields: Body
    events: Sequence[tuple[str, str, Body]]


def told(actor: str, command: str, fields: Body, *events: tuple[str, str, Body]) -> Told:
    return Told(actor, command, fields, events)


def on_user(type_: str, user: str, /, **more: Any) -> tuple[str, str, Body]:
    return type_, f"user/{user}", {"user": user, **more}


def on_inbox(type_: str, inbox: str, /, **more: Any) -> tuple[str, str, Body]:
    return type_, f"inbox/{inbox}", {"inbox": inbox, **more}


def on_address(type_: str, address: str, /, **more: Any) -> tuple[str, str, Body]:
    return type_, "address/", {"address": address, **more}


def promoted(primary: str, former: str) -> Sequence[tuple[str, str, Body]]:
    """What both streams tell of bob's connection when its primary and its alias change places."""
    claim = {
        "primary": primary,
        "former_primary": former,
        "kind": "personal",
        "owner": "bob",
        "since": A_TIME,
        "provider": "google",
        "provider_identity": "g-1",
        "from_name": "Bob B.",
        "tools": [],
        "receiving": True,
        "sending": True,
        "reauthentication_required": False,
    }
    return [on_address("AliasPromoted", address, **claim) for address in (former, primary)]


ALL_PERMISSIONS = ["account_access", "personal_email_access", "super_admin"]
CONNECT_BOB = on_address("PersonalConnected", PERSON, display=PERSON, owner="bob", canonical_form=1)

# In an account called `{account}`; the order matters.
STORY: Sequence[Told] = (
    told(TRUSTED, "RegisterAccount", {"plan": "starter", "admin": "ana"},
         ("AccountRegistered", "account/{account}", {"plan": "starter", "admin": "ana"}),
         on_user("UserAdded", "ana", name="ana", permissions=ALL_PERMISSIONS),
         on_inbox("InboxCreated", "inbox", name="Inbox", access="everyone", members=[], teams=[])),
    told("ana", "ChangePlan", {"plan": "professional"},
         ("PlanChanged", "account/{account}", {"plan": "professional"})),
    told("ana", "AddUser", {"user": "bob", "name": "Bob", "permissions": ["personal_email_access"]},
         on_user("UserAdded", "bob", name="Bob", permissions=["personal_email_access"])),
    told("ana", "AddUser", {"user": "cleo", "name": "Cleo Ω", "permissions": []},
         on_user("UserAdded", "cleo", name="Cleo Ω", permissions=[])),
    told("ana", "SetPermissions", {"user": "cleo", "permissions": ["personal_email_access", "account_access"]},
         on_user("PermissionsChanged", "cleo", permissions=["account_access", "personal_email_access"])),
    told("ana", "AssignSeat", {"user": "bob"}, on_user("SeatAssigned", "bob")),
    told("ana", "AssignSeat", {"user": "cleo"}, on_user("SeatAssigned", "cleo")),
    told("ana", "UnassignSeat", {"user": "cleo"}, on_user("SeatUnassigned", "cleo")),
    told("cleo", "CreateTeam", {"team": "helpers", "name": "Helpers", "members": ["cleo", "bob"]},
         ("TeamCreated", "account/{account}", {"team": "helpers", "name": "Helpers", "members": ["bob", "cleo"]})),
    told("ana", "SetTeamMembers", {"team": "helpers", "members": ["cleo"]},
         ("TeamMembersChanged", "account/{account}", {"team": "helpers", "members": ["cleo"]})),
    told("ana", "SetAccountNeverLog", {"entries": ["Lawyer.Example", "ceo@rival.example"]},
         ("AccountNeverLogChanged", "account/{account}", {"entries": ["ceo@rival.example", "lawyer.example"]})),
    told("ana", "SetAvailability", {"user": "bob", "availability": "away", "cause": "lunch"},
         on_user("AvailabilityChanged", "bob", availability="away", cause="lunch")),
    told("bob", "SetAvailability", {"user": "bob", "availability": "available"},
         on_user("AvailabilityChanged", "bob", availability="available")),
    told("bob", "SetSignature", {"user": "bob", "signature": "Bob\n\tAcme"},
         on_user("SignatureChanged", "bob", signature="Bob\n\tAcme")),
    told("bob", "SetDefaultFont", {"user": "bob", "font": "Lato", "size": 12},
         on_user("DefaultFontChanged", "bob", font="Lato", size=12)),
    told("bob", "SetLoggingPreferences", {"user": "bob", "track_opens": True, "never_log": ["Mum@Home.Example"]},
         on_user("LoggingPreferencesChanged", "bob", log_replies=True, track_opens=True, track_clicks=False,
                 never_log=["mum@home.example"])),
    told("ana", "CreateInbox", {"inbox": "support", "name": "Support", "members": ["cleo", "bob"]},
         on_inbox("InboxCreated", "support", name="Support", access="members", members=["bob", "cleo"], teams=[])),
    told("ana", "CreateInbox", {"inbox": "sales", "name": "Sales"},
         on_inbox("InboxCreated", "sales", name="Sales", access="everyone", members=[], teams=[])),
    told("ana", "RenameInbox", {"inbox": "support", "name": "Support 2"},
         on_inbox("InboxRenamed", "support", name="Support 2")),
    told("ana", "SetInboxAccess", {"inbox": "support", "access": "members", "members": ["bob"], "teams": ["helpers"]},
         on_inbox("InboxAccessChanged", "support", access="members", members=["bob"], teams=["helpers"])),
    told("ana", "SetRouting", {"inbox": "support", "rule": {"kind": "users_and_teams", "users": ["bob"]}},
         on_inbox("RoutingChanged", "support", rule={"kind": "users_and_teams", "users": ["bob"], "teams": []})),
    told("ana", "SetRouting", {"inbox": "support", "rule": {"kind": "contact_owner", "fallback": NOBODY}},
         on_inbox("RoutingChanged", "support", rule={"kind": "contact_owner", "fallback": NOBODY})),
    told("ana", "SetRouting", {"inbox": "support", "rule": NOBODY},
         on_inbox("RoutingChanged", "support", rule=NOBODY)),
    told("bob", "ConnectPersonal",
         {"address": " Bob@ACME.example", "owner": "bob", "provider": "google", "provider_identity": "g-1",
          "from_name": "Bob of Acme"},
         on_address("PersonalConnected", PERSON, display="Bob@ACME.example", owner="bob", provider="google",
                    provider_identity="g-1", from_name="Bob of Acme", canonical_form=1)),
    told("ana", "ConnectTeam", {"address": SHARED, "inbox": "support", "visibility_acknowledged": True},
         on_address("TeamConnected", HELP, display=SHARED, inbox="support", connector="ana",
                    visibility_acknowledged=True, canonical_form=1)),
    told("bob", "SetDefaultSender", {"user": "bob", "address": PERSON},
         on_user("DefaultSenderChanged", "bob", address=PERSON, claimed_at=A_TIME)),
    told("bob", "SetFromName", {"address": PERSON, "from_name": "Bob B."},
         on_address("FromNameChanged", PERSON, from_name="Bob B.")),
    told("bob", "BindTool", {"address": PERSON, "tool": "meetings"}, on_address("ToolBound", PERSON, tool="meetings")),
    told("bob", "UnbindTool", {"address": PERSON, "tool": "meetings"},
         on_address("ToolUnbound", PERSON, tool="meetings")),
    told("bob", "AddAlias", {"address": PERSON, "alias": "Robert@acme.example"},
         on_address("AliasAdded", "robert@acme.example", display="Robert@acme.example", primary=PERSON,
                    canonical_form=1)),
    told("bob", "PromoteAlias", {"address": PERSON, "alias": "robert@acme.example"},
         *promoted("robert@acme.example", PERSON)),
    told("bob", "PromoteAlias", {"address": "robert@acme.example", "alias": PERSON},
         *promoted(PERSON, "robert@acme.example")),
    told("bob", "RemoveAlias", {"address": PERSON, "alias": "robert@acme.example"},
         on_address("AliasRemoved", "robert@acme.example", primary=PERSON)),
    told("bob", "Pause", {"address": PERSON, "send": True},
         on_address("ConnectionPaused", PERSON, receive=False, send=True, receiving=True, sending=False)),
    told("bob", "Resume", {"address": PERSON},
         on_address("ConnectionResumed", PERSON, **BOTH, receiving=True, sending=True)),
    told("bob", "RequireReauthentication", {"address": PERSON, "cause": "token revoked"},
         on_address("ReauthenticationRequired", PERSON, cause="token revoked")),
    told("bob", "Reconnect", {"address": PERSON, "provider_identity": "g-1"},
         on_address("Reconnected", PERSON, provider_identity="g-1")),
    told("ana", "TransferOwnership", {"address": PERSON, "new_owner": "cleo"},
         on_address("OwnershipTransferred", PERSON, **{"from": "bob", "to": "cleo"})),
    told("cleo", "ConvertConnection",
         {"address": PERSON, "to": "team", "inbox": "support", "visibility_acknowledged": True},
         on_address("ConnectionConverted", PERSON, **{"from": "personal", "to": "team"}, owner="cleo", inbox="support",
                    connector="cleo", visibility_acknowledged=True)),
    told("ana", "MoveTeamAddress", {"address": PERSON, "to_inbox": "sales"},
         on_address("TeamAddressMoved", PERSON, **{"from": "support", "to": "sales"})),
    told("cleo", "ConvertConnection", {"address": PERSON, "to": "personal", "owner": "cleo"},
         on_address("ConnectionConverted", PERSON, **{"from": "team", "to": "personal"}, owner="cleo", inbox="sales")),
    told("cleo", "Disconnect", {"address": PERSON, "note": "moving\non"},
         on_address("Disconnected", PERSON, kind="personal", owner="cleo", note="moving\non")),
    told("bob", "ConnectPersonal", {"address": PERSON, "owner": "bob"}, CONNECT_BOB),
    told("ana", "DeactivateUser", {"user": "bob"}, on_user("UserDeactivated", "bob")),
    told("ana", "RemoveUser", {"user": "bob"},
         on_user("UserRemoved", "bob", policy="orphan"), on_address("AddressOrphaned", PERSON, owner="bob")),
    told("ana", "ReactivateUser", {"user": "bob"},
         on_user("UserReactivated", "bob"),
         on_address("AddressReclaimed", PERSON, **{"from": "bob"}, owner="bob", cause="owner_returned")),
    told("ana", "DeactivateUser", {"user": "bob"}, on_user("UserDeactivated", "bob")),
    told("ana", "RemoveUser", {"user": "bob", "policy": "orphan"},
         on_user("UserRemoved", "bob", policy="orphan"), on_address("AddressOrphaned", PERSON, owner="bob")),
    told("ana", "ReclaimAddress", {"address": PERSON, "new_owner": "cleo"},
         on_address("AddressReclaimed", PERSON, **{"from": "bob"}, owner="cleo", cause="reclaimed")),
    told("ana", "DeactivateUser", {"user": "cleo"}, on_user("UserDeactivated", "cleo")),
    told("ana", "RemoveUser", {"user": "cleo", "policy": "transfer_to", "new_owner": "ana"},
         on_user("UserRemoved", "cleo", policy="transfer_to", new_owner="ana"),
         on_address("OwnershipTransferred", PERSON, **{"from": "cleo", "to": "ana"})),
    told("ana", "AddUser", {"user": "dan", "name": "Dan", "permissions": ["personal_email_access"]},
         on_user("UserAdded", "dan", name="Dan", permissions=["personal_email_access"])),
    told("ana", "TransferOwnership", {"address": PERSON, "new_owner": "dan"},
         on_address("OwnershipTransferred", PERSON, **{"from": "ana", "to": "dan"})),
    told("dan", "AddAlias", {"address": PERSON, "alias": "b@acme.example"},
         on_address("AliasAdded", "b@acme.example", display="b@acme.example", primary=PERSON, canonical_form=1)),
    told("ana", "DeactivateUser", {"user": "dan"}, on_user("UserDeactivated", "dan")),
    told("ana", "RemoveUser", {"user": "dan", "policy": "orphan"},
         on_user("UserRemoved", "dan", policy="orphan"), on_address("AddressOrphaned", PERSON, owner="dan")),
    told("ana", "ReleaseAddress", {"address": PERSON},
         on_address("AddressReleased", PERSON, owner="dan"),
         on_address("AliasRemoved", "b@acme.example", primary=PERSON)),
    told("ana", "ArchiveInbox", {"inbox": "support", "cascade": True},
         on_address("Disconnected", HELP, kind="team", inbox="support"), on_inbox("InboxArchived", "support")),
    told("ana", "RestoreInbox", {"inbox": "support"}, on_inbox("InboxRestored", "support")),
)  # fmt: skip
