"""One phrase for each event type: what the actor did. The actor's name comes before it, and a full stop behind."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from services.audit.domain import wording as w
from shared.language import events as e
from shared.language.events import Event

# From the event and its actor.
Phrase = Callable[[Any, str], str]

LEFT_BEHIND: Final[Mapping[str, str]] = {
    "orphan": "left any personal addresses without an owner",
    "release": "released any personal addresses",
}


def _user_removed(event: e.UserRemoved, _: str) -> str:
    if event.policy == "transfer_to":
        return f"removed the user {event.user} and gave any personal addresses to {event.new_owner or 'another user'}"
    return f"removed the user {event.user} and {LEFT_BEHIND[event.policy]}"


def _logging(event: e.LoggingPreferencesChanged, actor: str) -> str:
    log = "replies are logged" if event.log_replies else "replies are not logged"
    opens = "opens" if event.track_opens else "no opens"
    clicks = "clicks" if event.track_clicks else "no clicks"
    kept_out = f", and mail with {w.listed(event.never_log)} never is" if event.never_log else ""
    return f"set {w.own('logging', event.user, actor)}: {log}{kept_out}; {opens} and {clicks} are tracked"


def _inbox_access(event: e.InboxAccessChanged, _: str) -> str:
    if event.access == "everyone":
        return f"opened the inbox {event.inbox} to everyone"
    return f"set the members of the inbox {event.inbox} to {w.people(event.members, event.teams)}"


def _inbox_created(event: e.InboxCreated, _: str) -> str:
    who = "everyone" if event.access == "everyone" else w.people(event.members, event.teams)
    return f"created the inbox {event.inbox} ({w.quoted(event.name)}) for {who}"


def _converted(event: e.ConnectionConverted, _: str) -> str:
    if event.to == "team":
        return f"made {event.address}, a personal address of {event.owner}, an address of the inbox {event.inbox}"
    return f"made {event.address}, an address of the inbox {event.inbox}, a personal address of {event.owner}"


def _personal(event: e.PersonalConnected, actor: str) -> str:
    return f"connected {event.address} as {w.own('personal address', event.owner, actor)}"


def _reclaimed(event: e.AddressReclaimed, _: str) -> str:
    if event.cause == "owner_returned":
        return f"brought {event.owner} back, who owns {event.address} again"
    return f"gave {event.address}, which {event.from_} had owned, to {event.owner}"


def _promoted(event: e.AliasPromoted, _: str) -> str:
    if event.address == event.primary:
        return f"made the alias {event.primary} the primary address in place of {event.former_primary}"
    if event.address == event.former_primary:
        return f"made {event.address} an alias of {event.primary}, which was its alias before"
    return f"made the alias {event.address} follow {event.primary}, the new primary address"


def _font(event: e.DefaultFontChanged, actor: str) -> str:
    size = "" if event.size is None else f", {event.size} points"
    return f"set {w.own('font', event.user, actor)} to {w.quoted(event.font)}{size}"


def _reconnected(event: e.Reconnected, _: str) -> str:
    mailbox = f" for the mailbox {w.quoted(event.provider_identity)}" if event.provider_identity else ""
    return f"reported that the connection of {event.address} works again{mailbox}"


EVENT_PHRASES: Final[Mapping[type[Event], Phrase]] = {
    # ---- account
    e.AccountRegistered: lambda it, _: f"registered the account with the plan {it.plan} and the first user {it.admin}",
    e.PlanChanged: lambda it, _: f"changed the plan to {it.plan}",
    e.TeamCreated: lambda it, _: f"created the team {it.team} ({w.quoted(it.name)}) with {w.people(it.members)}",
    e.TeamMembersChanged: lambda it, _: f"set the members of the team {it.team} to {w.people(it.members)}",
    e.AccountNeverLogChanged: lambda it, _: f"set the never-log list of the account to {w.listed(it.entries, 'none')}",
    # ---- user
    e.UserAdded: lambda it, _: f"added the user {it.user} ({w.quoted(it.name)}) with {w.permissions(it.permissions)}",
    e.PermissionsChanged: lambda it, _: f"set the permissions of {it.user} to {w.words(it.permissions, 'none')}",
    e.SeatAssigned: lambda it, _: f"gave {it.user} a seat",
    e.SeatUnassigned: lambda it, actor: f"took {w.own('seat', it.user, actor)} away",
    e.UserDeactivated: lambda it, _: f"deactivated the user {it.user}",
    e.UserReactivated: lambda it, _: f"brought the user {it.user} back",
    e.UserRemoved: _user_removed,
    e.AvailabilityChanged: lambda it, actor: (
        f"set {w.own('availability', it.user, actor)} to {it.availability}{w.because(it.cause)}"
    ),
    e.DefaultSenderChanged: lambda it, actor: f"set {w.own('default sender', it.user, actor)} to {it.address}",
    e.SignatureChanged: lambda it, actor: f"changed {w.own('signature', it.user, actor)}",
    e.DefaultFontChanged: _font,
    e.LoggingPreferencesChanged: _logging,
    # ---- inbox
    e.InboxCreated: _inbox_created,
    e.InboxRenamed: lambda it, _: f"renamed the inbox {it.inbox} to {w.quoted(it.name)}",
    e.InboxAccessChanged: _inbox_access,
    e.RoutingChanged: lambda it, _: f"set the rule of the inbox {it.inbox}: {w.rule_in_words(it.rule)}",
    e.InboxArchived: lambda it, _: f"archived the inbox {it.inbox}",
    e.InboxRestored: lambda it, _: f"restored the inbox {it.inbox}",
    # ---- address
    e.PersonalConnected: _personal,
    e.TeamConnected: lambda it, _: f"connected {it.address} to the inbox {it.inbox}",
    e.Disconnected: lambda it, actor: (
        f"disconnected {it.address} from {w.holder(it.owner, it.inbox, actor)}{w.because(it.note)}"
    ),
    e.ReauthenticationRequired: lambda it, _: (
        f"reported that {it.address} must be authenticated again{w.because(it.cause)}"
    ),
    e.Reconnected: _reconnected,
    e.ConnectionPaused: lambda it, _: f"paused {w.ways(it.receive, it.send)} {it.address}",
    e.ConnectionResumed: lambda it, _: f"resumed {w.ways(it.receive, it.send)} {it.address}",
    e.TeamAddressMoved: lambda it, _: f"moved {it.address} from the inbox {it.from_} to the inbox {it.to}",
    e.ConnectionConverted: _converted,
    e.OwnershipTransferred: lambda it, actor: (
        f"transferred {it.address} from {w.whom(it.from_, actor)} to {w.whom(it.to, actor)}"
    ),
    e.AddressOrphaned: lambda it, _: f"removed {it.owner}, which left {it.address} without an owner",
    e.AddressReclaimed: _reclaimed,
    e.AddressReleased: lambda it, _: f"released {it.address}, which {it.owner} had owned",
    e.ToolBound: lambda it, _: f"let the tool {w.plain(it.tool)} use {it.address}",
    e.ToolUnbound: lambda it, _: f"stopped the tool {w.plain(it.tool)} from using {it.address}",
    e.AliasAdded: lambda it, _: f"added {it.address} as an alias of {it.primary}",
    e.AliasRemoved: lambda it, _: f"removed {it.address} as an alias of {it.primary}",
    e.AliasPromoted: _promoted,
    e.FromNameChanged: lambda it, _: f"set the From name of {it.address} to {w.quoted(it.from_name)}",
}
