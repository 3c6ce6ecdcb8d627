"""The story that the contract's examples are taken from: every command, every question, in an order in which it works.

The first time a command comes it is its example. What is asked is answered as it stands here; a test plays it all over
the wire, where times and ids are others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.contract.access_story import ACCESS_OF_CLEO, ACCESS_TO_BOBS, BOB_LEFT, ORPHANED

CRM, ANA, BOB, CLEO = "service:crm", "ana", "bob", "cleo"
AUDITOR = "service:audit.zoe"
SUPPORT, BOBS, HELP = "support@acme.example", "bob@acme.example", "help@acme.example"


@dataclass(frozen=True)
class Gives:
    """A command, and what comes of it: an outcome, or the reason for a refusal."""

    actor: str
    name: str
    fields: Mapping[str, Any]
    comes: str = "accepted"


@dataclass(frozen=True)
class Asks:
    """A question and its result, or the name of its error; `error` are its message and details."""

    actor: str
    name: str
    fields: Mapping[str, Any]
    result: Any
    error: Mapping[str, Any] = field(default_factory=dict)


def gives(actor: str, name: str, comes: str = "accepted", /, **fields: Any) -> Gives:
    return Gives(actor, name, fields, comes)


def asks(actor: str, question: str, result: Any, /, **fields: Any) -> Asks:
    return Asks(actor, question, fields, result)


# Ids and times are those of the recording.
def an_id(number: int) -> str:
    return f"0198c0de-0000-7000-8000-{number:012x}"


ALL_PERMISSIONS: Final = "the permissions account access, personal email access and super admin"
REGISTRATION: Final[Mapping[str, Any]] = {
    "command": "RegisterAccount", "command_id": an_id(1), "correlation_id": "signup-81", "actor": CRM, "ordinal": 1,
    "position": 3, "time": "2026-11-01T00:00:00.000Z",
    "body": {"actor": CRM, "admin": ANA, "correlation_id": "signup-81", "plan": "starter"},
    "outcome": "accepted", "reason": None,
    "reply": {
        "outcome": "accepted", "command_id": an_id(1), "position": 3,
        "events": [
            {"id": an_id(number), "type": name}
            for number, name in ((2, "AccountRegistered"), (3, "UserAdded"), (4, "InboxCreated"))
        ],
        "event_count": 3, "warnings": [], "next_steps": [],
    },
    "events": [
        {
            "id": an_id(position + 1), "type": name, "position": position, "time": "2026-11-01T00:00:00.000Z",
            "sentence": f"The service crm {sentence}.", "published": "2026-11-01T00:00:00.041Z",
            "applied": {"inbox_views": "2026-11-01T00:00:00.063Z", "routing": "2026-11-01T00:00:00.058Z"},
            "after_ms": {"published": 41.0, "inbox_views": 63.0, "routing": 58.0}, "missing": {},
        }
        for position, name, sentence in (
            (1, "AccountRegistered", "registered the account with the plan starter and the first user ana"),
            (2, "UserAdded", f"added the user ana (“ana”) with {ALL_PERMISSIONS}"),
            (3, "InboxCreated", "created the inbox inbox (“Inbox”) for everyone"),
        )
    ],
    "event_count": 3,
}  # fmt: skip
CLEO_ADDED: Final[Mapping[str, Any]] = {
    "position": 6, "ordinal": 4, "time": "2026-11-01T00:05:00.000Z", "outcome": "accepted", "actor": ANA,
    "command": "AddUser", "command_id": an_id(9), "correlation_id": None,
    "event": {"id": an_id(10), "type": "UserAdded", "subject": "user/cleo"}, "reason": None, "message": None,
    "sentence": "ana added the user cleo (“Cleo Clark”) with the permission personal email access.",
    "changes": [
        {"field": field, "before": None, "after": after}
        for field, after in (
            ("name", "Cleo Clark"), ("status", "active"), ("permissions", ["personal_email_access"]),
            ("availability", "available"), ("logging.log_replies", True),
        )
    ],
    "dead_letter": False,
}  # fmt: skip
ASKED_ABOUT_CLEO: Final[Mapping[str, Any]] = {
    "number": 2, "question": "Timeline", "fields": {"user": CLEO}, "actor": AUDITOR,
    "time": "2026-11-01T00:05:30.000Z", "position": 6, "outcome": "answered",
}  # fmt: skip

CLEO_IS_NEW: Final[Mapping[str, Any]] = {
    "aggregate": "user", "name": CLEO, "change": "added", "fields": CLEO_ADDED["changes"],
    "sentences": [CLEO_ADDED["sentence"]],
}  # fmt: skip

A_COMPANY: Final = (
    gives(CRM, "RegisterAccount", plan="starter", admin=ANA),
    gives(ANA, "ChangePlan", plan="professional"),
    gives(ANA, "AddUser", user=BOB, name="Bob Baker", permissions=["personal_email_access"]),
    gives(ANA, "AddUser", user=CLEO, name="Cleo Clark", permissions=["personal_email_access"]),
    asks(AUDITOR, "Trace", [REGISTRATION], correlation_id="signup-81"),
    asks(AUDITOR, "Timeline", [CLEO_ADDED], user=CLEO),
    asks(
        AUDITOR,
        "About",
        [{"entry": CLEO_ADDED, "question": None}, {"entry": None, "question": ASKED_ABOUT_CLEO}],
        user=CLEO,
    ),
    asks(AUDITOR, "Changes", [CLEO_IS_NEW], user=CLEO),
    gives(ANA, "SetPermissions", user=BOB, permissions=["personal_email_access", "account_access"]),
    gives(ANA, "AssignSeat", user=BOB),
    gives(ANA, "AssignSeat", user=CLEO),
    gives(ANA, "CreateTeam", team="helpers", name="Helpers", members=[BOB, CLEO]),
    gives(ANA, "SetTeamMembers", team="helpers", members=[CLEO]),
    gives(ANA, "SetAccountNeverLog", entries=["payroll.example", "works-council@acme.example"]),
    gives(BOB, "SetAvailability", user=BOB, availability="away", cause="Parental leave"),
)

FALLBACK: Final = {"kind": "users_and_teams", "users": [BOB], "teams": ["helpers"]}

AN_INBOX: Final = (
    gives(ANA, "CreateInbox", inbox="support", name="Support", members=[BOB, CLEO]),
    gives(ANA, "RenameInbox", inbox="support", name="Customer support"),
    gives(ANA, "SetInboxAccess", inbox="support", access="members", members=[BOB], teams=["helpers"]),
    gives(ANA, "SetRouting", inbox="support", rule={"kind": "contact_owner", "fallback": FALLBACK}),
)

CONNECTIONS: Final = (
    gives(
        ANA, "ConnectTeam", address="Support@Acme.example", inbox="support", visibility_acknowledged=True,
        provider="google", provider_identity="g-1042", from_name="Acme Support",
    ),
    gives(ANA, "ConnectTeam", "unchanged", address=SUPPORT, inbox="support"),
    gives(
        BOB, "ConnectPersonal", address="Bob@Acme.example", owner=BOB, provider="microsoft",
        provider_identity="m-7", from_name="Bob Baker",
    ),
    gives(CLEO, "ConnectPersonal", "ADDRESS_ALREADY_PERSONAL", address=BOBS, owner=CLEO),
    gives(ANA, "ConnectTeam", "ADDRESS_ALREADY_PERSONAL", address=BOBS, inbox="support"),
    gives(ANA, "ConnectTeam", address="news@acme.example", inbox="support", visibility_acknowledged=True, dry_run=True),
    gives(BOB, "SetDefaultSender", user=BOB, address=BOBS),
    gives(BOB, "SetSignature", user=BOB, signature="Bob Baker\nAcme"),
    gives(BOB, "SetDefaultFont", user=BOB, font="Lato", size=12),
    gives(BOB, "SetLoggingPreferences", user=BOB, log_replies=True, track_opens=True, track_clicks=False,
          never_log=["doctor.example"]),
    gives(ANA, "SetFromName", address=SUPPORT, from_name="Acme Help"),
    gives(BOB, "BindTool", address=BOBS, tool="meetings"),
    gives(ANA, "BindTool", "TEAM_ADDRESS_IN_MEETINGS_FORBIDDEN", address=SUPPORT, tool="meetings"),
    gives(ANA, "AddAlias", address=SUPPORT, alias="Help@acme.example"),
)  # fmt: skip

# Times are those of the recording.
SINCE_SUPPORT, SINCE_BOB = "2026-11-01T00:17:00.000Z", "2026-11-01T00:18:00.000Z"

OF_SUPPORT: Final[Mapping[str, Any]] = {
    "address": SUPPORT, "display": "Support@Acme.example", "state": "connected", "kind": "team", "owner": None,
    "inbox": "support", "since": SINCE_SUPPORT, "tools": [], "aliases": [HELP], "primary": None,
    "from_name": "Acme Help", "receiving": True, "sending": True, "connector": ANA, "connector_gone": False,
    "health": "healthy",
}  # fmt: skip
OF_BOBS: Final[Mapping[str, Any]] = {
    "address": BOBS, "display": "Bob@Acme.example", "state": "connected", "kind": "personal", "owner": BOB,
    "inbox": None, "since": SINCE_BOB, "tools": ["meetings"], "aliases": [], "primary": None,
    "from_name": "Bob Baker", "receiving": True, "sending": True, "connector": None, "connector_gone": False,
    "health": "healthy",
}  # fmt: skip
WORDS: Final = (
    "New conversations go to the contact's owner; without one to one of bob and the people of team helpers, "
    "the same person for the same sender."
)
OF_INBOX: Final[Mapping[str, Any]] = {
    "inbox": "support", "name": "Customer support", "archived": False, "access": "members", "members": [BOB],
    "inactive": [],
    "addresses": [{"address": SUPPORT, "health": "healthy", "from_name": "Acme Help", "aliases": [HELP]}],
    "routing": {"kind": "contact_owner", "fallback": FALLBACK, "words": WORDS}, "readers": [BOB, CLEO],
}  # fmt: skip
OF_DEFAULT: Final[Mapping[str, Any]] = {
    "inbox": "inbox", "name": "Inbox", "archived": False, "access": "everyone", "members": [],
    "inactive": [], "addresses": [],
    "routing": {"kind": "unassigned", "words": "New conversations wait unassigned."}, "readers": [ANA, BOB, CLEO],
}  # fmt: skip
IDENTITIES: Final[Sequence[Mapping[str, Any]]] = [
    {
        "address": address, "from_name": from_name, "signature": "Bob Baker\nAcme", "via": via, "inbox": inbox,
        "default": address == BOBS, "usable": True, "why_not": None,
    }
    for address, from_name, via, inbox in (
        (BOBS, "Bob Baker", "personal", None),
        (SUPPORT, "Acme Help", "inbox", "support"),
        (HELP, "Acme Help", "alias", "support"),
    )
]  # fmt: skip
OF_BOB: Final[Mapping[str, Any]] = {
    "user": BOB, "name": "Bob Baker", "status": "active", "permissions": ["account_access", "personal_email_access"],
    "seat": True, "availability": "away", "teams": [], "signature": "Bob Baker\nAcme",
    "font": {"font": "Lato", "size": 12},
    "logging": {"log_replies": True, "track_opens": True, "track_clicks": False, "never_log": ["doctor.example"]},
    "default_sender": BOBS,
}  # fmt: skip
OF_CLEO: Final[Mapping[str, Any]] = {
    "user": CLEO, "name": "Cleo Clark", "status": "active", "permissions": ["personal_email_access"],
    "seat": True, "availability": "available", "teams": ["helpers"], "signature": "", "font": None,
    "logging": {"log_replies": True, "track_opens": False, "track_clicks": False, "never_log": []},
    "default_sender": SUPPORT,
}  # fmt: skip
CANDIDATES: Final[Sequence[Mapping[str, Any]]] = [
    {"user": BOB, "eligible": False, "why_not": "AWAY"},
    {"user": CLEO, "eligible": True, "why_not": None},
]
DESTINATION: Final[dict[str, Any]] = {
    "recipient": SUPPORT, "destination": "inbox", "inbox": "support", "owner": None, "assignee": CLEO,
    "rule": "fallback", "candidates": CANDIDATES, "reason": None, "suspected": None,
}  # fmt: skip
NOWHERE: Final[dict[str, Any]] = {
    "destination": "none",
    "inbox": None,
    "assignee": None,
    "rule": None,
    "candidates": [],
}

QUESTIONS: Final = (
    asks(ANA, "Address", OF_SUPPORT, address="SUPPORT@acme.example"),
    asks(CLEO, "Address", {"kind": "personal", "advice": "ask an administrator"}, address=BOBS),
    asks(CRM, "Addresses", [OF_BOBS], kind="personal", owner=BOB, limit=1),
    asks(BOB, "Inbox", OF_INBOX, inbox="support"),
    asks(CRM, "Inboxes", [OF_DEFAULT, OF_INBOX]),
    asks(BOB, "Identities", IDENTITIES, user=BOB),
    asks(BOB, "User", OF_BOB, user=BOB),
    asks(CRM, "Users", [OF_CLEO], limit=10, after="Ym9i"),
    asks(CRM, "Teams", [{"team": "helpers", "name": "Helpers", "members": [CLEO], "inactive": []}]),
    asks(
        CRM, "Account",
        {"plan": "professional", "limits": {"inboxes": 100},
         "never_log": ["payroll.example", "works-council@acme.example"]},
    ),
    asks(CRM, "Usage", {"plan": "professional", "inboxes": {"used": 2, "limit": 100}}),
    asks(
        CRM, "RemovalImpact",
        {"addresses": [BOBS], "inboxes": ["support"], "teams": [], "rules": ["support"], "connections": [],
         "last_reader_of": []},
        user=BOB,
    ),
    asks(
        CRM, "Resolve",
        [
            DESTINATION,
            DESTINATION | NOWHERE | {
                "recipient": "support+4711@acme.example", "reason": "NOT_CONNECTED", "suspected": SUPPORT,
            },
        ],
        recipients=["Support@Acme.example", "support+4711@acme.example"], sender="Jo Carter <jo@client.example>",
    ),
    asks(
        CRM, "Routing",
        {"inbox": "support", "rule": {"kind": "contact_owner", "fallback": FALLBACK}, "words": WORDS,
         "targets": CANDIDATES},
        inbox="support",
    ),
    Asks(CLEO, "Inbox", {"inbox": "billing"}, "INBOX_NOT_FOUND",
         {"message": "There is no inbox billing.", "details": {"inbox": "billing"}}),
)  # fmt: skip

TAKEN: Final = "bob@acme.example has been the personal address of bob since 2026-11-01T00:18:00.000Z."
REFUSED: Final[Mapping[str, Any]] = {
    "position": 24, "ordinal": 20, "time": "2026-11-01T00:19:00.000Z", "outcome": "refused", "actor": ANA,
    "command": "ConnectTeam", "command_id": an_id(0x2d), "correlation_id": None, "event": None,
    "reason": "ADDRESS_ALREADY_PERSONAL", "message": TAKEN,
    "sentence": f"ana tried to connect bob@acme.example to the inbox support; refused: {TAKEN}",
    "changes": [], "dead_letter": False,
}  # fmt: skip
ATTEMPTS: Final = (
    asks(AUDITOR, "Access", ACCESS_TO_BOBS, address=BOBS),
    asks(AUDITOR, "AccessOf", ACCESS_OF_CLEO, user=CLEO),
    asks(
        AUDITOR, "Refusals",
        [
            {
                "group": {
                    "reason": "ADDRESS_ALREADY_PERSONAL", "command": "ConnectTeam", "count": 1,
                    "first": "2026-11-01T00:19:00.000Z", "last": "2026-11-01T00:19:00.000Z",
                },
                "entry": None, "today": None,
            },
            {
                "group": None, "entry": REFUSED,
                "today": {
                    "outcome": "refused", "reason": "ADDRESS_ALREADY_PERSONAL", "message": TAKEN, "missing": None,
                },
            },
        ],
        address=BOBS, command="ConnectTeam", today=True,
    ),
    asks(
        AUDITOR, "Coverage",
        {
            "log": {
                "id": an_id(0x10c), "position": 33, "ordinal": 33, "first_time": "2026-11-01T00:00:00.000Z",
                "last_time": "2026-11-01T00:32:00.000Z",
            },
            "history": {"position": 33, "behind": 0, "seconds": 0.0},
            "index": {"position": 33, "behind": 0, "seconds": 0.0, "ordinal": 33},
            "proof": [
                {
                    "tree": tree, "origin": f"log.acme.example/{an_id(0x10c)}/{tree}", "size": 33,
                    "time": "2026-11-01T00:32:08.000Z", "behind": 0, "seconds": 4.5, "error": None, "witnessed": [],
                }
                for tree in ("events", "journal")
            ],
            "clocks": {"events": 0, "places": []}, "dead_letters": [],
        },
    ),
)  # fmt: skip

CHANGES: Final = (
    gives(ANA, "RemoveAlias", address=SUPPORT, alias=HELP),
    gives(BOB, "UnbindTool", address=BOBS, tool="meetings"),
    gives(BOB, "Pause", address=BOBS, send=True),
    gives(BOB, "Resume", address=BOBS, send=True),
    gives(CRM, "RequireReauthentication", address=BOBS, cause="The provider no longer takes the password"),
    gives(BOB, "Reconnect", "REAUTH_IDENTITY_MISMATCH", address=BOBS, provider_identity="m-8"),
    gives(BOB, "Reconnect", address=BOBS, provider_identity="m-7"),
    gives(ANA, "MoveTeamAddress", address=SUPPORT, to_inbox="inbox"),
    gives(ANA, "ConnectPersonal", address="events@acme.example", owner=ANA),
    gives(
        ANA, "ConvertConnection", address="events@acme.example", to="team", inbox="support",
        visibility_acknowledged=True,
    ),
    gives(BOB, "ConnectPersonal", address="sales@acme.example", owner=BOB),
    gives(BOB, "TransferOwnership", address="sales@acme.example", new_owner=CLEO),
)  # fmt: skip

SOMEBODY_LEAVES: Final = (
    gives(ANA, "RemoveUser", "USER_NOT_DEACTIVATED", user=BOB),
    gives(ANA, "UnassignSeat", user=BOB),
    gives(ANA, "DeactivateUser", user=BOB),
    gives(ANA, "RemoveUser", user=BOB, policy="orphan"),
    asks(
        CRM, "Orphans", [{"address": BOBS, "former_owner": BOB, "since": "2026-11-01T00:39:00.000Z"}], limit=100
    ),
    gives(CLEO, "ConnectPersonal", "ADDRESS_ORPHANED", address=BOBS, owner=CLEO),
    gives(ANA, "ReclaimAddress", address=BOBS, new_owner=CLEO),
    asks(AUDITOR, "Leavers", BOB_LEFT, hours=8),
    asks(AUDITOR, "Bisect", ORPHANED, question="Address", fields={"address": BOBS}, path="/state", value="orphaned"),
    gives(ANA, "ReactivateUser", user=BOB),
    gives(BOB, "ConnectPersonal", address="baker@acme.example", owner=BOB),
    gives(ANA, "DeactivateUser", user=BOB),
    gives(ANA, "RemoveUser", user=BOB),
    gives(ANA, "ReleaseAddress", address="baker@acme.example"),
    gives(CLEO, "Disconnect", address="sales@acme.example", note="Moved to another provider"),
    gives(ANA, "ArchiveInbox", "INBOX_IN_USE", inbox="support"),
    gives(ANA, "ArchiveInbox", inbox="support", cascade=True),
    gives(ANA, "RestoreInbox", inbox="support"),
    gives(CLEO, "AddAlias", address=BOBS, alias="robin@acme.example"),
    gives(CLEO, "PromoteAlias", address=BOBS, alias="robin@acme.example"),
)  # fmt: skip

STORY: Final[Sequence[Gives | Asks]] = (
    *A_COMPANY, *AN_INBOX, *CONNECTIONS, *QUESTIONS, *ATTEMPTS, *CHANGES, *SOMEBODY_LEAVES,
)  # fmt: skip
