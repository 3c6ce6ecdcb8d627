"""One address, free or held: what its events make of it. An alias has no state of its own; it follows its primary."""

from typing import Final

from services.inbox_views.domain.document import Doc, require_started
from shared.core import sending
from shared.language.events import (
    AddressEvent,
    AddressOrphaned,
    AddressReclaimed,
    AddressReleased,
    AliasAdded,
    AliasPromoted,
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
from shared.language.recorded import Recorded

# `reauthenticate` and `orphaned` are told by `state` in answers; `state` and `sends` are kept for statements.
# `claimed` is the position at which the present claim of the address began, `held` the one at which its holder's did; a
# default sender chosen before either has no effect. `moved` says where the claims went whose primary it was.
FREE: Final[Doc] = {
    "state": "free",
    "sends": False,
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
    "claimed": 0,
    "held": 0,
}


def fold(doc: Doc | None, event: AddressEvent, recorded: Recorded) -> Doc:
    """The document after the event; `recorded` says when, where and by whom."""
    changed = claim_of(event, recorded)
    if changed is None:
        changed = require_started(doc) | changes(require_started(doc), event, recorded)
    elif doc is not None and "moved" in doc:
        changed["moved"] = doc["moved"]
    changed["state"] = state_of(changed)
    changed["sends"] = changed["kind"] is not None and why_not_sending(changed) is None
    return changed


def claim_of(event: AddressEvent, recorded: Recorded) -> Doc | None:
    """What an event makes of the address whatever it was before, a new document; None when it changes what is there."""
    match event:
        case PersonalConnected():
            return connected(event, recorded) | {"kind": "personal", "owner": event.owner}
        case TeamConnected():
            return connected(event, recorded) | {"kind": "team", "inbox": event.inbox, "connector": event.connector}
        case AliasAdded():
            return beginning(event, recorded) | {"primary": event.primary}
        case _:
            return None


def beginning(event: PersonalConnected | TeamConnected | AliasAdded, recorded: Recorded) -> Doc:
    return {"address": event.address, "display": event.display} | FREE | since(recorded)


def connected(event: PersonalConnected | TeamConnected, recorded: Recorded) -> Doc:
    return beginning(event, recorded) | {"from_name": event.from_name, "receiving": True, "sending": True}


def since(recorded: Recorded) -> Doc:
    """A claim begins."""
    return {"since": recorded.time, "claimed": recorded.position, "held": recorded.position}


def changes(doc: Doc, event: AddressEvent, recorded: Recorded) -> Doc:
    """The fields that an event sets; `since` is when the present holder's claim began."""
    match event:
        case Disconnected() | AddressReleased() | AliasRemoved():
            return FREE
        case OwnershipTransferred(to=owner, from_=former) | AddressReclaimed(owner=owner, from_=former):
            same = {"since": recorded.time}
            return personal(owner) | (same if owner == former else somebody_elses(recorded))
        case AddressOrphaned():
            return {"orphaned": True, "since": recorded.time}
        case TeamAddressMoved(to=inbox):
            return {"inbox": inbox, "since": recorded.time}
        case ConnectionConverted(to="team"):
            team = {"kind": "team", "owner": None, "inbox": event.inbox, "connector": event.connector or recorded.actor}
            return team | {"orphaned": False} | somebody_elses(recorded)
        case ConnectionConverted():
            return personal(event.owner) | somebody_elses(recorded)
        case AliasPromoted():
            return promotion(doc, event, recorded)
        case _:
            return link_changes(doc, event)


def somebody_elses(recorded: Recorded) -> Doc:
    """Another holder's claim begins: tools and From name were the former one's."""
    return since(recorded) | {"tools": [], "from_name": None}


def promotion(doc: Doc, event: AliasPromoted, recorded: Recorded) -> Doc:
    """An alias and its primary change places; what the claim is goes along, and the other aliases follow."""
    if event.address == event.primary:
        # Whose it is began at a position that this address never saw: nothing chosen of it or its aliases ends here.
        return {
            "primary": None,
            "kind": event.kind,
            "owner": event.owner,
            "inbox": event.inbox,
            "connector": event.connector,
            "since": event.since,
            "from_name": event.from_name,
            "tools": sorted(event.tools),
            "receiving": event.receiving,
            "sending": event.sending,
            "reauthenticate": event.reauthentication_required,
            "held": 0,
        }
    if event.address != event.former_primary:
        return {"primary": event.primary}
    went = {"to": event.primary, "at": recorded.position, "since": doc["claimed"]}
    # Of one claim the last move says it all: whoever went along before came back first.
    moved = [one for one in doc.get("moved", ()) if one["since"] != doc["claimed"]]
    kept = {"claimed": doc["claimed"], "since": recorded.time, "primary": event.primary, "moved": [*moved, went]}
    return FREE | kept


def personal(owner: str) -> Doc:
    return {"kind": "personal", "owner": owner, "inbox": None, "connector": None, "orphaned": False}


def link_changes(doc: Doc, event: AddressEvent) -> Doc:
    """The fields of the connection itself, whoever holds it."""
    match event:
        case ReauthenticationRequired():
            return {"reauthenticate": True}
        case Reconnected(connector=str(connector)) if doc["kind"] == "team":
            return {"reauthenticate": False, "connector": connector}
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


def why_not_sending(doc: Doc) -> str | None:
    """The state of the connection that keeps everybody from sending as the address."""
    return sending.why_not_sending(
        orphaned=doc["orphaned"], reauthenticate=doc["reauthenticate"], sending=doc["sending"]
    )
