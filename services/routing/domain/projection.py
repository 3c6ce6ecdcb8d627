"""The rows that routing needs: where each address leads, each inbox with its rule, who may get mail."""

from collections.abc import Mapping
from typing import Any, Final

from services.routing.domain.rows import AccountRow, AddressRow, InboxRow, UserRow, require_started
from shared.language.events import (
    AccountEvent,
    AccountNeverLogChanged,
    AccountRegistered,
    AddressEvent,
    AddressOrphaned,
    AddressReclaimed,
    AddressReleased,
    AliasAdded,
    AliasPromoted,
    AliasRemoved,
    AvailabilityChanged,
    ConnectionConverted,
    ConnectionPaused,
    Disconnected,
    InboxAccessChanged,
    InboxCreated,
    InboxEvent,
    LoggingPreferencesChanged,
    OwnershipTransferred,
    PermissionsChanged,
    PersonalConnected,
    ReauthenticationRequired,
    Reconnected,
    RoutingChanged,
    SeatAssigned,
    SeatUnassigned,
    TeamAddressMoved,
    TeamConnected,
    TeamCreated,
    TeamMembersChanged,
    UserAdded,
    UserDeactivated,
    UserEvent,
    UserReactivated,
    UserRemoved,
)
from shared.language.recorded import Recorded

NOWHERE: Final[AddressRow] = {
    "address": "",
    "kind": None,
    "owner": None,
    "inbox": None,
    "primary": None,
    "receiving": False,
    "reauthenticate": False,
    "orphaned": False,
}


def fold(row: Any, recorded: Recorded) -> Mapping[str, Any]:
    """Return the row after the event; `row` is what the aggregate's earlier events made, or None."""
    match recorded.event:
        case AddressEvent() as event:
            return address(row, event)
        case UserEvent() as event:
            return user(row, event)
        case InboxEvent() as event:
            return inbox(row, event)
        case AccountEvent() as event:
            return account(row, event)
        case event:
            raise TypeError(f"{type(event).__name__} belongs to no aggregate of this view")


# ---- account


def account(row: AccountRow | None, event: AccountEvent) -> AccountRow:
    match event:
        case AccountRegistered():
            return {"teams": {}, "never_log": []}
        case TeamCreated(team=team, members=members) | TeamMembersChanged(team=team, members=members):
            started = require_started(row)
            return started | {"teams": started["teams"] | {team: sorted(members)}}
        case AccountNeverLogChanged(entries=entries):
            return require_started(row) | {"never_log": list(entries)}
        case _:
            return require_started(row)


# ---- user


def user(row: UserRow | None, event: UserEvent) -> UserRow:
    if isinstance(event, UserAdded):
        return {
            "user": event.user,
            "permissions": list(event.permissions),
            "status": "active",
            "seat": False,
            "availability": "available",
            "log_replies": True,
            "never_log": [],
        }
    return change_user(require_started(row), event)


def change_user(row: UserRow, event: UserEvent) -> UserRow:
    match event:
        case PermissionsChanged(permissions=permissions):
            return row | {"permissions": list(permissions)}
        case SeatAssigned():
            return row | {"seat": True}
        case SeatUnassigned():
            return row | {"seat": False}
        case UserDeactivated():
            return row | {"status": "deactivated"}
        case UserReactivated():
            return row | {"status": "active"}
        case UserRemoved():
            return row | {"status": "removed", "seat": False}
        case AvailabilityChanged(availability=availability):
            return row | {"availability": availability}
        case LoggingPreferencesChanged(log_replies=log_replies, never_log=never_log):
            return row | {"log_replies": log_replies, "never_log": list(never_log)}
        case _:
            return row


# ---- inbox


def inbox(row: InboxRow | None, event: InboxEvent) -> InboxRow:
    match event:
        case InboxCreated():
            return {
                "inbox": event.inbox,
                "rule": {"kind": "unassigned"},
                "access": event.access,
                "members": list(event.members),
                "teams": list(event.teams),
            }
        case InboxAccessChanged(access=access, members=members, teams=teams):
            return require_started(row) | {"access": access, "members": list(members), "teams": list(teams)}
        case RoutingChanged():
            changed: InboxRow = require_started(row) | {"rule": event.rule.model_dump(mode="json")}
            return changed
        case _:
            return require_started(row)


# ---- address


def address(row: AddressRow | None, event: AddressEvent) -> AddressRow:
    nowhere: AddressRow = NOWHERE | {"address": event.address}
    match event:
        case PersonalConnected(owner=owner):
            return nowhere | {"receiving": True, "kind": "personal", "owner": owner}
        case TeamConnected(inbox=inbox):
            return nowhere | {"receiving": True, "kind": "team", "inbox": inbox}
        case AliasAdded(primary=primary):
            return nowhere | {"primary": primary}
        case AliasPromoted(primary=primary):
            return with_claim(nowhere, event) if event.address == primary else nowhere | {"primary": primary}
        case Disconnected() | AddressReleased() | AliasRemoved():
            return nowhere
        case _:
            return change_address(require_started(row), event)


def with_claim(row: AddressRow, event: AliasPromoted) -> AddressRow:
    """Give the row the claim of its former primary; an orphan's alias is never promoted."""
    return row | {
        "kind": event.kind,
        "owner": event.owner,
        "inbox": event.inbox,
        "receiving": event.receiving,
        "reauthenticate": event.reauthentication_required,
    }


def change_address(row: AddressRow, event: AddressEvent) -> AddressRow:
    match event:
        case OwnershipTransferred(to=owner) | AddressReclaimed(owner=owner):
            return row | {"owner": owner, "orphaned": False}
        case AddressOrphaned():
            return row | {"orphaned": True}
        case TeamAddressMoved(to=inbox):
            return row | {"inbox": inbox}
        case ConnectionConverted(to="team", inbox=inbox):
            return row | {"kind": "team", "owner": None, "inbox": inbox, "orphaned": False}
        case ConnectionConverted(owner=owner):
            return row | {"kind": "personal", "owner": owner, "inbox": None, "orphaned": False}
        case ReauthenticationRequired():
            return row | {"reauthenticate": True}
        case Reconnected():
            return row | {"reauthenticate": False}
        case ConnectionPaused(receiving=receiving):
            return row | {"receiving": receiving}
        case _:
            return row
