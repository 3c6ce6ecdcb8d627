"""One address, free or held: by whom, since when, in what state; an alias shows what it follows."""

from dataclasses import dataclass
from typing import Final

from services.inbox_views.domain.document import Doc, begun
from shared.language.events import (
    AddressEvent,
    AddressOrphaned,
    AddressReclaimed,
    AddressReleased,
    AliasAdded,
    AliasRemoved,
    ConnectionConverted,
    ConnectionPaused,
    Disconnected,
    FromNameChanged,
    OwnershipTransferred,
    PersonalConnected,
    ReauthenticationRequired,
    Reconnected,
    TeamAddressMoved,
    TeamConnected,
    ToolBound,
    ToolUnbound,
)
from shared.language.text import SERVICE

# `reauthenticate` and `orphaned` are told by `state` in answers; `state` is kept for the filters.
FREE: Final[Doc] = {
    "state": "free",
    "kind": None,
    "owner": None,
    "inbox": None,
    "since": None,
    "tools": [],
    "primary": None,
    "from_name": None,
    "receiving": False,
    "sending": False,
    "connector": None,
    "reauthenticate": False,
    "orphaned": False,
}
SOMEBODY_ELSE: Final[Doc] = {"tools": [], "from_name": None}
ADVICE: Final = "ask an administrator"


# ---- the fold


def fold(doc: Doc | None, event: AddressEvent, time: str, actor: str) -> Doc:
    """`time` is the event's, `actor` who caused it."""
    changed = claimed(event, time) or (begun(doc) | changes(begun(doc), event, time, actor))
    changed["state"] = state_of(changed)
    return changed


def claimed(event: AddressEvent, time: str) -> Doc | None:
    """What an event makes of the address whatever it was before, a new document; None when it changes what is there."""
    match event:
        case PersonalConnected():
            return held(event, time) | {"kind": "personal", "owner": event.owner}
        case TeamConnected():
            return held(event, time) | {"kind": "team", "inbox": event.inbox, "connector": event.connector}
        case AliasAdded():
            return {
                "address": event.address,
                "display": event.display,
                **FREE,
                "since": time,
                "primary": event.primary,
            }
        case _:
            return None


def held(event: PersonalConnected | TeamConnected, time: str) -> Doc:
    return {
        "address": event.address,
        "display": event.display,
        **FREE,
        "since": time,
        "from_name": event.from_name,
        "receiving": True,
        "sending": True,
    }


def changes(doc: Doc, event: AddressEvent, time: str, actor: str) -> Doc:
    """The fields that an event sets; `since` is when the present holder's claim began."""
    match event:
        case Disconnected() | AddressReleased() | AliasRemoved():
            return FREE
        case OwnershipTransferred(to=owner, from_=former) | AddressReclaimed(owner=owner, from_=former):
            return personal(owner, time) | ({} if owner == former else SOMEBODY_ELSE)
        case AddressOrphaned():
            return {"orphaned": True, "since": time}
        case TeamAddressMoved(to=inbox):
            return {"inbox": inbox, "since": time}
        case ConnectionConverted(to="team"):
            connector = event.connector or actor
            return {"kind": "team", "owner": None, "inbox": event.inbox, "connector": connector, "since": time}
        case ConnectionConverted():
            return personal(event.owner, time)
        case _:
            return link_changes(doc, event)


def personal(owner: str, time: str) -> Doc:
    return {"kind": "personal", "owner": owner, "inbox": None, "connector": None, "orphaned": False, "since": time}


def link_changes(doc: Doc, event: AddressEvent) -> Doc:
    """The fields of the connection itself, whoever holds it."""
    match event:
        case ReauthenticationRequired():
            return {"reauthenticate": True}
        case Reconnected():
            return {"reauthenticate": False}
        case ConnectionPaused(receiving=receiving, sending=sending):
            return {"receiving": receiving, "sending": sending}
        case ToolBound(tool=tool):
            return {"tools": sorted({*doc["tools"], tool})}
        case ToolUnbound(tool=tool):
            return {"tools": [bound for bound in doc["tools"] if bound != tool]}
        case FromNameChanged(from_name=from_name):
            return {"from_name": from_name}
        case _:
            return {}


def state_of(doc: Doc) -> str:
    """Of an alias this is `free`: what it follows has the state."""
    if doc["kind"] is None:
        return "free"
    if doc["orphaned"]:
        return "orphaned"
    if doc["reauthenticate"]:
        return "reauth_required"
    return "connected" if doc["receiving"] and doc["sending"] else "paused"


# ---- what is shown


@dataclass(frozen=True)
class Around:
    """What an address is shown with: what it follows when it is an alias, and the people behind it."""

    primary: Doc | None = None
    owner: Doc | None = None
    connector: Doc | None = None
    aliases: tuple[str, ...] = ()


def follows(doc: Doc, around: Around) -> Doc:
    """Where the state stands: on the address itself, or on its primary."""
    return around.primary if doc["primary"] is not None and around.primary is not None else doc


def shown(doc: Doc, around: Around) -> Doc:
    """The answer's object, in the order of the wire."""
    claim = follows(doc, around)
    if claim["kind"] is None:
        return free(doc["address"], doc["display"])
    alias = claim is not doc
    gone = connector_gone(claim, around.connector)
    return {
        "address": doc["address"],
        "display": doc["display"],
        "state": claim["state"],
        "kind": claim["kind"],
        "owner": claim["owner"],
        "inbox": claim["inbox"],
        "since": max(doc["since"], claim["since"]),
        "tools": [] if alias else claim["tools"],
        "aliases": list(around.aliases),
        "primary": doc["primary"],
        "from_name": claim["from_name"],
        "receiving": claim["receiving"],
        "sending": claim["sending"],
        "connector": claim["connector"],
        "connector_gone": gone,
        "health": health(claim, around.owner, gone=gone),
    }


def free(address: str, display: str) -> Doc:
    names = ("state", "kind", "owner", "inbox", "since", "tools")
    rest = ("from_name", "receiving", "sending", "connector")
    return (
        {"address": address, "display": display}
        | {name: FREE[name] for name in names}
        | {"aliases": [], "primary": None}
        | {name: FREE[name] for name in rest}
        | {"connector_gone": False, "health": "disconnected"}
    )


def concealed(claim: Doc) -> Doc:
    """What everybody may know of an address that somebody holds."""
    return {"kind": claim["kind"], "advice": ADVICE}


def connector_gone(claim: Doc, connector: Doc | None) -> bool:
    """Whether the user who connected the team address was removed; a service never is."""
    name = claim["connector"]
    if claim["kind"] != "team" or name is None or name.startswith(SERVICE):
        return False
    return connector is None or connector["status"] == "removed"


def health(claim: Doc, owner: Doc | None, *, gone: bool) -> str:
    if claim["kind"] is None:
        return "disconnected"
    if claim["state"] in ("orphaned", "reauth_required"):
        return str(claim["state"])
    if not claim["receiving"] and not claim["sending"]:
        return "paused"
    inactive = claim["kind"] == "personal" and (owner is None or owner["status"] != "active")
    if claim["state"] == "paused" or inactive or gone:
        return "degraded"
    return "healthy"


def in_inbox(doc: Doc, around: Around) -> Doc:
    """An address as its inbox shows it."""
    claim = follows(doc, around)
    gone = connector_gone(claim, around.connector)
    return {
        "address": doc["address"],
        "health": health(claim, around.owner, gone=gone),
        "from_name": claim["from_name"],
        "aliases": list(around.aliases),
    }
