"""The routing table: where each address leads, each inbox with its rule, each user as far as he may be chosen."""

from typing import Any, Final

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

Doc = dict[str, Any]

NEW_USER: Final[Doc] = {
    "status": "active",
    "seat": False,
    "availability": "available",
    "log_replies": True,
    "never_log": [],
}
NOWHERE: Final[Doc] = {
    "kind": None,
    "owner": None,
    "inbox": None,
    "primary": None,
    "receiving": False,
    "reauthenticate": False,
    "orphaned": False,
}
OPEN: Final[Doc] = {"receiving": True}


class UnknownAggregateError(Exception):
    """An event of an aggregate whose beginning was never seen."""


def require_started(doc: Doc | None) -> Doc:
    """The document of an aggregate that has begun."""
    if doc is None:
        raise UnknownAggregateError("the aggregate has not begun here")
    return doc


def fold(doc: Doc | None, recorded: Recorded) -> Doc:
    """The document after the event; `doc` is what the aggregate's earlier events made, if any."""
    match recorded.event:
        case AddressEvent() as event:
            return address(doc, event)
        case UserEvent() as event:
            return user(doc, event)
        case InboxEvent() as event:
            return inbox(doc, event)
        case AccountEvent() as event:
            return account(doc, event)
        case event:
            raise TypeError(f"{type(event).__name__} stands on no aggregate of this view")


# ---- account


def account(doc: Doc | None, event: AccountEvent) -> Doc:
    match event:
        case AccountRegistered():
            return {"teams": {}, "never_log": []}
        case TeamCreated(team=team, members=members) | TeamMembersChanged(team=team, members=members):
            return require_started(doc) | {"teams": require_started(doc)["teams"] | {team: sorted(members)}}
        case AccountNeverLogChanged(entries=entries):
            return require_started(doc) | {"never_log": list(entries)}
        case _:
            return require_started(doc)


# ---- user


def user(doc: Doc | None, event: UserEvent) -> Doc:
    if isinstance(event, UserAdded):
        return {"user": event.user, "permissions": list(event.permissions)} | NEW_USER
    return require_started(doc) | user_changes(event)


def user_changes(event: UserEvent) -> Doc:
    """The fields that an event sets."""
    match event:
        case PermissionsChanged(permissions=permissions):
            return {"permissions": list(permissions)}
        case SeatAssigned():
            return {"seat": True}
        case SeatUnassigned():
            return {"seat": False}
        case UserDeactivated():
            return {"status": "deactivated"}
        case UserReactivated():
            return {"status": "active"}
        case UserRemoved():
            return {"status": "removed", "seat": False}
        case AvailabilityChanged(availability=availability):
            return {"availability": availability}
        case LoggingPreferencesChanged(log_replies=log_replies, never_log=never_log):
            return {"log_replies": log_replies, "never_log": list(never_log)}
        case _:
            return {}


# ---- inbox


def inbox(doc: Doc | None, event: InboxEvent) -> Doc:
    match event:
        case InboxCreated():
            return {"inbox": event.inbox, "rule": {"kind": "unassigned"}} | access_of(event)
        case InboxAccessChanged():
            return require_started(doc) | access_of(event)
        case RoutingChanged(rule=rule):
            return require_started(doc) | {"rule": rule.model_dump(mode="json")}
        case _:
            return require_started(doc)


def access_of(event: InboxCreated | InboxAccessChanged) -> Doc:
    return {"access": event.access, "members": list(event.members), "teams": list(event.teams)}


# ---- address


def address(doc: Doc | None, event: AddressEvent) -> Doc:
    name = {"address": event.address}
    match event:
        case PersonalConnected(owner=owner):
            return name | NOWHERE | OPEN | {"kind": "personal", "owner": owner}
        case TeamConnected(inbox=inbox):
            return name | NOWHERE | OPEN | {"kind": "team", "inbox": inbox}
        case AliasAdded(primary=primary):
            return name | NOWHERE | {"primary": primary}
        case AliasPromoted():
            return name | NOWHERE | (claim_of(event) if event.address == event.primary else {"primary": event.primary})
        case Disconnected() | AddressReleased() | AliasRemoved():
            return name | NOWHERE
        case _:
            return require_started(doc) | address_changes(event)


def claim_of(event: AliasPromoted) -> Doc:
    """The claim that has come over from the former primary; an orphan's alias is never promoted."""
    return {
        "kind": event.kind,
        "owner": event.owner,
        "inbox": event.inbox,
        "receiving": event.receiving,
        "reauthenticate": event.reauthentication_required,
    }


def address_changes(event: AddressEvent) -> Doc:
    """The fields that an event sets."""
    match event:
        case OwnershipTransferred(to=owner) | AddressReclaimed(owner=owner):
            return {"owner": owner, "orphaned": False}
        case AddressOrphaned():
            return {"orphaned": True}
        case TeamAddressMoved(to=inbox):
            return {"inbox": inbox}
        case ConnectionConverted(to="team", inbox=inbox):
            return {"kind": "team", "owner": None, "inbox": inbox, "orphaned": False}
        case ConnectionConverted(owner=owner):
            return {"kind": "personal", "owner": owner, "inbox": None, "orphaned": False}
        case ReauthenticationRequired():
            return {"reauthenticate": True}
        case Reconnected():
            return {"reauthenticate": False}
        case ConnectionPaused(receiving=receiving):
            return {"receiving": receiving}
        case _:
            return {}
