"""One address, free or held: how its events change its row. An alias follows its primary."""

from typing import Final

from shared.core import sending
from shared.core.state.rows import AddressRow, MovedClaim, require_started
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
from shared.language.questions import State
from shared.language.recorded import Recorded

FREE: Final[AddressRow] = {
    "address": "",
    "display": "",
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


def fold(row: AddressRow | None, event: AddressEvent, recorded: Recorded) -> AddressRow:
    """Return the row after the event; `recorded` has its time, position and actor."""
    match event:
        case PersonalConnected() | TeamConnected() | AliasAdded():
            after = with_moves(start_claim(event, recorded), row)
        case _:
            after = change(require_started(row), event, recorded)
    after["state"] = state_of(after)
    after["sends"] = after["kind"] is not None and why_not_sending(after) is None
    return after


def free(address: str, display: str) -> AddressRow:
    return FREE | {"address": address, "display": display}


def with_moves(after: AddressRow, before: AddressRow | None) -> AddressRow:
    """Keep the record of claims that moved away, which outlives the address's own claims."""
    if before is not None and "moved" in before:
        after["moved"] = before["moved"]
    return after


def start_claim(event: PersonalConnected | TeamConnected | AliasAdded, recorded: Recorded) -> AddressRow:
    row = begin_claim(free(event.address, event.display), recorded)
    match event:
        case PersonalConnected():
            return connected(row, event) | {"kind": "personal", "owner": event.owner}
        case TeamConnected():
            return connected(row, event) | {"kind": "team", "inbox": event.inbox, "connector": event.connector}
        case AliasAdded():
            return row | {"primary": event.primary}


def begin_claim(row: AddressRow, recorded: Recorded) -> AddressRow:
    return row | {"since": recorded.time, "claimed": recorded.position, "held": recorded.position}


def connected(row: AddressRow, event: PersonalConnected | TeamConnected) -> AddressRow:
    return row | {"from_name": event.from_name, "receiving": True, "sending": True}


def change(row: AddressRow, event: AddressEvent, recorded: Recorded) -> AddressRow:
    """Return a changed copy of the row; `since` is when the present holder's claim began."""
    match event:
        case Disconnected() | AddressReleased() | AliasRemoved():
            return with_moves(free(row["address"], row["display"]), row)
        case OwnershipTransferred(to=owner, from_=former) | AddressReclaimed(owner=owner, from_=former):
            after = personal(row, owner)
            return after | {"since": recorded.time} if owner == former else change_holder(after, recorded)
        case AddressOrphaned():
            return row | {"orphaned": True, "since": recorded.time}
        case TeamAddressMoved(to=inbox):
            return row | {"inbox": inbox, "since": recorded.time}
        case ConnectionConverted(to="team", connector=connector):
            return change_holder(team(row, event.inbox, connector or recorded.actor), recorded)
        case ConnectionConverted():
            return change_holder(personal(row, event.owner), recorded)
        case AliasPromoted():
            return promote(row, event, recorded)
        case _:
            return change_connection(row, event)


def change_holder(row: AddressRow, recorded: Recorded) -> AddressRow:
    """Begin another holder's claim: tools and From name were the former one's."""
    return begin_claim(row, recorded) | {"tools": [], "from_name": None}


def personal(row: AddressRow, owner: str) -> AddressRow:
    return row | {"kind": "personal", "owner": owner, "inbox": None, "connector": None, "orphaned": False}


def team(row: AddressRow, inbox: str, connector: str) -> AddressRow:
    return row | {"kind": "team", "owner": None, "inbox": inbox, "connector": connector, "orphaned": False}


def promote(row: AddressRow, event: AliasPromoted, recorded: Recorded) -> AddressRow:
    """Exchange an alias with its primary: the claim goes to the new primary, and the other aliases follow it."""
    if event.address == event.primary:
        # The holder's claim began at a position that this address never saw, so it ends no choice of a default sender.
        return row | {
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
        return row | {"primary": event.primary}
    moved: MovedClaim = {"to": event.primary, "at": recorded.position, "since": row["claimed"]}
    # Of one claim the last move is enough: a claim that moved before has come back first.
    others = [one for one in row.get("moved", ()) if one["since"] != row["claimed"]]
    return free(row["address"], row["display"]) | {
        "claimed": row["claimed"], "since": recorded.time, "primary": event.primary, "moved": [*others, moved],
    }  # fmt: skip


def change_connection(row: AddressRow, event: AddressEvent) -> AddressRow:
    """Return a copy of the row with the connection changed, which any holder may have."""
    match event:
        case ReauthenticationRequired():
            return row | {"reauthenticate": True}
        case Reconnected(connector=str(connector)) if row["kind"] == "team":
            return row | {"reauthenticate": False, "connector": connector}
        case Reconnected():
            return row | {"reauthenticate": False}
        case ConnectionPaused(receiving=receiving, sending=sending_):
            return row | {"receiving": receiving, "sending": sending_}
        case ToolBound(tool=tool):
            return row | {"tools": sorted({*row["tools"], tool})}
        case ToolUnbound(tool=tool):
            return row | {"tools": [bound for bound in row["tools"] if bound != tool]}
        case FromNameChanged(from_name=from_name):
            return row | {"from_name": from_name}
        case _:
            return row.copy()


def state_of(row: AddressRow) -> State:
    """Return the state; of an alias this is `free`, since its primary has the state."""
    if row["kind"] is None:
        return "free"
    if row["orphaned"]:
        return "orphaned"
    if row["reauthenticate"]:
        return "reauth_required"
    return "connected" if row["receiving"] and row["sending"] else "paused"


def why_not_sending(row: AddressRow) -> str | None:
    """Return the state of the connection that keeps everybody from sending as the address."""
    return sending.why_not_sending(
        orphaned=row["orphaned"], reauthenticate=row["reauthenticate"], sending=row["sending"]
    )
