"""What a command must be answered in a given state, written anew from the contract and not from the code under test.

It knows the people of `cast.py` and the commands of `workload.py`; of anything else it says `NOT_JUDGED`.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tests.faults import people
from tests.faults.people import LEAVER, STATUS
from tests.faults.workload import LEAVERS_PERMISSIONS
from tests.journeys import cast
from tests.journeys.directory import FREE, Entry, change
from tests.journeys.wire import TRUSTED

NOT_JUDGED: Final = "NOT_JUDGED"
SERVICE: Final = TRUSTED.partition(":")[0]
PERMISSIONS: Final = {
    **cast.PEOPLE,
    "ana": ["account_access", "personal_email_access", "super_admin"],
    LEAVER: [*LEAVERS_PERMISSIONS],
}
NEW_USER: Final[Entry] = {"availability": "available", "signature": "", "status": None}
# What happens to addresses and is known here; anything else on a stream changes nothing in this model.
OF_ADDRESSES: Final = frozenset((
    "PersonalConnected", "TeamConnected", "AliasAdded", "Disconnected", "AddressReleased", "AliasRemoved",
    "AddressOrphaned", "OwnershipTransferred", "AddressReclaimed", "TeamAddressMoved", "ConnectionConverted",
    "ReauthenticationRequired", "Reconnected", "ConnectionPaused", "ConnectionResumed", "ToolBound", "ToolUnbound",
    "AliasPromoted", "FromNameChanged",
))  # fmt: skip
OF_USERS: Final = {"AvailabilityChanged": "availability", "SignatureChanged": "signature"}


class Expected(NamedTuple):
    """`answer` is `accepted`, `unchanged`, a reason, or `NOT_JUDGED`.

    `details` are those of a refusal: where the reply has them, these are their values.
    """

    answer: str
    details: Mapping[str, Any] = {}


ACCEPTED: Final = Expected("accepted")
UNCHANGED: Final = Expected("unchanged")
MISSING: Final = Expected("PERMISSION_MISSING")
UNJUDGED: Final = Expected(NOT_JUDGED)

Key = tuple[str, str]


def keys(fields: Mapping[str, Any]) -> list[Key]:
    """What a command is about, the first thing first: ("address", canonical) or ("user", id).

    Whom an address is to belong to comes last, if his standing changes.
    """
    if "address" in fields:
        owner = [("user", LEAVER)] if LEAVER in (fields.get("owner"), fields.get("new_owner")) else []
        return [("address", fields[name]) for name in ("address", "alias") if name in fields] + owner
    return [("user", fields["user"])] if "user" in fields else []


def beginning(key: Key) -> Entry:
    return FREE if key[0] == "address" else NEW_USER


def key_of_event(name: str, data: Mapping[str, Any]) -> Key | None:
    """What an event changes in this model; nothing when its body lacks the name of it."""
    if name in OF_ADDRESSES and "address" in data:
        return "address", data["address"]
    return ("user", data["user"]) if name in (*OF_USERS, *STATUS) and "user" in data else None


def after(name: str, data: Mapping[str, Any], before: Entry) -> Entry:
    """The state after an event; an event with a body that its type does not allow changes nothing."""
    if name in STATUS:
        return before | {"status": STATUS[name]}
    try:
        changed = {OF_USERS[name]: data[OF_USERS[name]]} if name in OF_USERS else change(name, dict(data), before)
    except KeyError:
        return before
    return before | changed


# ---- what is right


def expected(name: str, actor: str, fields: Mapping[str, Any], states: list[Entry]) -> Expected:
    """`states` are those of `keys(fields)`."""
    if not actor.startswith(SERVICE) and actor not in PERMISSIONS:
        return UNJUDGED
    if actor == LEAVER and states[-1].get("status") != "active":
        return MISSING
    match name:
        case "AddUser" | "DeactivateUser" | "ReactivateUser" | "RemoveUser":
            ours = fields.get("user") == LEAVER and may(actor, "super_admin")
            return Expected(people.of_a_life(name, states[0]["status"])) if ours else UNJUDGED
        case "SetAvailability" | "SetSignature":
            field = "availability" if name == "SetAvailability" else "signature"
            if not (trusted(actor) or actor == fields["user"]):
                return UNJUDGED
            return already(states[0][field] == fields[field])
        case "ConnectPersonal" | "ConnectTeam" | "MoveTeamAddress" | "ConvertConnection":
            return of_a_claim(name, actor, fields, states[0])
        case "TransferOwnership" | "ReclaimAddress":
            return of_a_gift(name, actor, fields["new_owner"], states)
        case "ReleaseAddress":
            return of_a_release(actor, states[0])
        case "Disconnect":
            return of_a_disconnection(actor, states[0])
        case "BindTool" | "UnbindTool":
            return of_a_tool(name, actor, fields["tool"], states[0])
        case "Pause" | "Resume" | "RequireReauthentication" | "Reconnect" | "SetFromName" if trusted(actor):
            return stands_in_the_way(states[0]) or already(is_so(name, fields, states[0]))
        case "AddAlias" if trusted(actor):
            return of_an_alias(fields["address"], *states)
    return UNJUDGED


def trusted(actor: str) -> bool:
    return actor.startswith(SERVICE)


def may(actor: str, permission: str) -> bool:
    held = PERMISSIONS.get(actor, [])
    return trusted(actor) or permission in held or (permission == "account_access" and "super_admin" in held)


def already(so: bool) -> Expected:
    return UNCHANGED if so else ACCEPTED


def stands_in_the_way(entry: Entry) -> Expected | None:
    """Why there is no live connection to work on."""
    if entry["primary"]:
        return Expected("ADDRESS_IS_ALIAS", {"primary": entry["primary"]})
    if entry["kind"] is None:
        return Expected("NOT_CONNECTED")
    if entry["orphaned"]:
        return Expected("ADDRESS_ORPHANED", {"kind": "personal", "former_owner": entry["owner"]})
    return None


def held(entry: Entry, wanted: str) -> Expected:
    """Why somebody else who wants a held address does not get it."""
    if (reason := stands_in_the_way(entry)) is not None:
        return reason
    if entry["kind"] == "personal":
        return Expected("ADDRESS_ALREADY_PERSONAL", {"kind": "personal", "holder": entry["owner"]})
    reason_ = "ADDRESS_ALREADY_TEAM" if wanted == "personal" else "ADDRESS_IN_OTHER_INBOX"
    return Expected(reason_, {"kind": "team", "holder": entry["inbox"]})


def of_a_claim(name: str, actor: str, fields: Mapping[str, Any], entry: Entry) -> Expected:
    match name:
        case "ConnectPersonal" if trusted(actor) or fields["owner"] != actor:
            return UNJUDGED
        case "ConnectPersonal":
            if not may(actor, "personal_email_access"):
                return MISSING
            return connecting(entry, "personal", entry["owner"] == fields["owner"])
        case _ if not may(actor, "account_access"):
            return MISSING
        case "ConnectTeam" if fields.get("visibility_acknowledged"):
            return connecting(entry, "team", entry["inbox"] == fields["inbox"])
        case "MoveTeamAddress":
            return stands_in_the_way(entry) or (
                held(entry, "team") if entry["kind"] == "personal" else already(entry["inbox"] == fields["to_inbox"])
            )
        case "ConvertConnection" if fields.get("owner") == actor and may(actor, "personal_email_access"):
            return stands_in_the_way(entry) or (
                ACCEPTED if entry["kind"] == "team" else UNCHANGED if entry["owner"] == actor else held(entry, "")
            )
    return UNJUDGED


def connecting(entry: Entry, kind: str, own: bool) -> Expected:
    if entry["kind"] is None and not entry["primary"]:
        return ACCEPTED
    if entry["orphaned"] or entry["kind"] != kind or not own:
        return held(entry, kind)
    if entry["broken"]:
        return Expected("REAUTH_REQUIRED")
    return UNCHANGED if entry["receiving"] and entry["sending"] else Expected("CONNECTION_PAUSED")


def of_a_gift(name: str, actor: str, new_owner: str, states: list[Entry]) -> Expected:
    """Of an address that gets another owner, be it somebody's or, reclaimed, an orphan only."""
    entry = states[0]
    if not may(actor, "super_admin") or new_owner not in PERMISSIONS:
        return UNJUDGED
    if new_owner == LEAVER and (away := people.as_owner(states[-1]["status"])) is not None:
        return Expected(away)
    if not may(new_owner, "personal_email_access"):
        return MISSING
    if entry["orphaned"]:
        return ACCEPTED
    if (reason := stands_in_the_way(entry)) is not None:
        return reason
    if entry["owner"] == new_owner:
        return UNCHANGED
    return ACCEPTED if entry["kind"] == "personal" and name == "TransferOwnership" else held(entry, "personal")


def of_a_release(actor: str, entry: Entry) -> Expected:
    if not may(actor, "super_admin"):
        return UNJUDGED
    if entry["orphaned"]:
        return ACCEPTED
    return UNCHANGED if entry["kind"] is None and not entry["primary"] else held(entry, "personal")


def of_a_disconnection(actor: str, entry: Entry) -> Expected:
    if not may(actor, "super_admin"):
        return UNJUDGED
    if entry["primary"]:
        return stands_in_the_way(entry) or UNJUDGED
    return already(entry["kind"] is None)


def of_a_tool(name: str, actor: str, tool: str, entry: Entry) -> Expected:
    if entry["primary"]:
        return UNJUDGED
    if entry["orphaned"]:
        return stands_in_the_way(entry) or UNJUDGED if may(actor, "super_admin") else MISSING
    if entry["kind"] == "personal" and not (trusted(actor) or actor == entry["owner"]):
        return MISSING
    if entry["kind"] == "team" and not may(actor, "account_access"):
        return MISSING
    if name == "UnbindTool":
        return stands_in_the_way(entry) or already(tool not in entry["tools"])
    if entry["kind"] == "personal":
        return already(tool in entry["tools"])
    meetings = entry["kind"] == "team" and tool == "meetings"
    return Expected("TEAM_ADDRESS_IN_MEETINGS_FORBIDDEN" if meetings else "PERSONAL_CONNECTION_REQUIRED")


def is_so(name: str, fields: Mapping[str, Any], entry: Entry) -> bool:
    """Whether a connection is already as the command would have it."""
    match name:
        case "RequireReauthentication" | "Reconnect":
            return bool(entry["broken"] == (name == "RequireReauthentication"))
        case "SetFromName":
            return bool(entry["from_name"] == fields["from_name"])
    both = not (fields.get("receive") or fields.get("send"))
    ways = [way for field, way in (("receive", "receiving"), ("send", "sending")) if both or fields.get(field)]
    return all(entry[way] == (name == "Resume") for way in ways)


def of_an_alias(address: str, primary: Entry, alias: Entry) -> Expected:
    if (reason := stands_in_the_way(primary)) is not None:
        return reason
    if alias["primary"] == address:
        return UNCHANGED
    return ACCEPTED if alias["kind"] is None and not alias["primary"] else held(alias, "personal")


# ---- what an accepted command must have made


EVENTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "ConnectPersonal": ("PersonalConnected", {"address": "address", "owner": "owner"}),
    "ConnectTeam": ("TeamConnected", {"address": "address", "inbox": "inbox"}),
    "Disconnect": ("Disconnected", {"address": "address"}),
    "MoveTeamAddress": ("TeamAddressMoved", {"address": "address", "to_inbox": "to"}),
    "TransferOwnership": ("OwnershipTransferred", {"address": "address", "new_owner": "to"}),
    "ReclaimAddress": ("AddressReclaimed", {"address": "address", "new_owner": "owner"}),
    "ReleaseAddress": ("AddressReleased", {"address": "address"}),
    "ConvertConnection": ("ConnectionConverted", {"address": "address", "to": "to", "owner": "owner"}),
    "Pause": ("ConnectionPaused", {"address": "address"}),
    "Resume": ("ConnectionResumed", {"address": "address"}),
    "RequireReauthentication": ("ReauthenticationRequired", {"address": "address", "cause": "cause"}),
    "Reconnect": ("Reconnected", {"address": "address"}),
    "SetFromName": ("FromNameChanged", {"address": "address", "from_name": "from_name"}),
    "BindTool": ("ToolBound", {"address": "address", "tool": "tool"}),
    "UnbindTool": ("ToolUnbound", {"address": "address", "tool": "tool"}),
    "AddAlias": ("AliasAdded", {"address": "primary", "alias": "address"}),
    "SetAvailability": ("AvailabilityChanged", {"user": "user", "availability": "availability"}),
    "SetSignature": ("SignatureChanged", {"user": "user", "signature": "signature"}),
    "AddUser": ("UserAdded", {"user": "user", "permissions": "permissions"}),
    "DeactivateUser": ("UserDeactivated", {"user": "user"}),
    "ReactivateUser": ("UserReactivated", {"user": "user"}),
    "RemoveUser": ("UserRemoved", {"user": "user", "policy": "policy", "new_owner": "new_owner"}),
}


def says_what_was_asked(name: str, fields: Mapping[str, Any], event: str, data: Mapping[str, Any]) -> bool:
    """Whether an event is the first one that the command makes; true for commands that are not known here."""
    if name not in EVENTS:
        return True
    wanted, named = EVENTS[name]
    return event == wanted and all(data.get(there) == fields[here] for here, there in named.items() if here in fields)
