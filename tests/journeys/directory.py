"""What a reader of nothing but the feed makes of it: who holds which address, as the directory should show it."""

from collections.abc import Iterable
from typing import Any

from tests.journeys.wire import Fact

Entry = dict[str, Any]

FREE: Entry = {
    "kind": None, "owner": None, "inbox": None, "primary": None, "from_name": None, "tools": [], "receiving": False,
    "sending": False, "connector": None, "broken": False, "orphaned": False,
}  # fmt: skip
HELD: Entry = FREE | {"receiving": True, "sending": True}
PERSONAL: Entry = {"kind": "personal", "inbox": None, "connector": None, "orphaned": False}
SHOWN = ("kind", "owner", "inbox", "from_name", "receiving", "sending", "connector")


def directory(facts: Iterable[Fact]) -> dict[str, Entry]:
    """Every address that ever was, by its canonical form, with the fields of the question `Addresses` that follow."""
    known: dict[str, Entry] = {}
    for fact in facts:
        if fact.headers["ce-subject"].startswith("address/"):
            before = known.get(fact.body["address"], FREE)
            known[fact.body["address"]] = before | change(fact.name, fact.body, before)
    return {address: shown(entry, known) for address, entry in known.items()}


def shown(entry: Entry, known: dict[str, Entry]) -> Entry:
    """An alias shows what it follows."""
    claim = known[entry["primary"]] if entry["primary"] else entry
    tools = [] if entry["primary"] else sorted(entry["tools"])
    return {name: claim[name] for name in SHOWN} | {"primary": entry["primary"], "tools": tools, "state": state(claim)}


def state(claim: Entry) -> str:
    if claim["kind"] is None:
        return "free"
    if claim["orphaned"]:
        return "orphaned"
    if claim["broken"]:
        return "reauth_required"
    return "connected" if claim["receiving"] and claim["sending"] else "paused"


def change(name: str, told: dict[str, Any], before: Entry) -> Entry:
    """The fields that one fact sets."""
    nobodys: Entry = {"tools": [], "from_name": None}
    match name:
        case "PersonalConnected":
            return HELD | PERSONAL | {"owner": told["owner"], "from_name": told.get("from_name")}
        case "TeamConnected":
            whose = {"kind": "team", "inbox": told["inbox"], "connector": told["connector"]}
            return HELD | whose | {"from_name": told.get("from_name")}
        case "AliasAdded":
            return FREE | {"primary": told["primary"]}
        case "Disconnected" | "AddressReleased" | "AliasRemoved":
            return FREE
        case "AddressOrphaned":
            return {"orphaned": True}
        case "OwnershipTransferred":
            return PERSONAL | nobodys | {"owner": told["to"]}
        case "AddressReclaimed":
            return PERSONAL | {"owner": told["owner"]} | ({} if told["owner"] == told["from"] else nobodys)
        case "TeamAddressMoved":
            return {"inbox": told["to"]}
        case "ConnectionConverted" if told["to"] == "team":
            whose = {"kind": "team", "owner": None, "inbox": told["inbox"], "connector": told["connector"]}
            return nobodys | whose | {"orphaned": False}
        case "ConnectionConverted":
            return PERSONAL | nobodys | {"owner": told["owner"]}
        case "AliasPromoted" if told["address"] != told["primary"]:
            return FREE | {"primary": told["primary"]}
        case "AliasPromoted":
            claim = {name: told.get(name) for name in (*SHOWN, "tools")}
            return HELD | claim | {"broken": told["reauthentication_required"]}
    return change_of_the_connection(name, told, before)


def change_of_the_connection(name: str, told: dict[str, Any], before: Entry) -> Entry:
    """The fields that a fact sets while the holder stays."""
    match name:
        case "ReauthenticationRequired":
            return {"broken": True}
        case "Reconnected":
            return {"broken": False} | ({"connector": told["connector"]} if "connector" in told else {})
        case "ConnectionPaused" | "ConnectionResumed":
            return {"receiving": told["receiving"], "sending": told["sending"]}
        case "ToolBound":
            return {"tools": [*before["tools"], told["tool"]]}
        case "ToolUnbound":
            return {"tools": [tool for tool in before["tools"] if tool != told["tool"]]}
        case "FromNameChanged":
            return {"from_name": told["from_name"]}
    raise AssertionError(f"{name} is not known to happen to an address")
