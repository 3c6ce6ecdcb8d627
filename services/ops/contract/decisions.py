"""The published rules of each command and question: permissions, refusals, events and errors.

The services decide; a test plays random histories and compares their outcomes with these rules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from services.ops.contract.meanings import MissingDescriptionError
from shared.language import commands as c
from shared.language import events as e
from shared.language.events import Event
from shared.language.permissions import PERMISSIONS, Role
from shared.language.reasons import Reason

M = TypeVar("M")
T = TypeVar("T")

# The roles of shared/language/permissions.py, in words.
ROLES: Final[Mapping[Role, str]] = {
    "service": "a trusted service",
    "super_admin": "`super_admin`",
    "account_access": "`account_access`",
    "personal_email_access": "`personal_email_access`",
    "self": "the users themselves",
    "owner": "the owner",
    "holder": "the holder (the owner of a personal address, `account_access` for team ones, `super_admin` for orphans)",
}


@dataclass(frozen=True)
class CommandRules:
    """`refused` are the command's own reasons, in the order of their checks; `unchanged` is the condition for it."""

    refused: Sequence[Reason]
    events: Sequence[type[Event]]
    unchanged: str | None


# Checked before the command's own; STREAM_NOT_UNDERSTOOD, BUSY and INTERNAL_ERROR are possible at any time.
EVERY_COMMAND: Final = (Reason.ACCOUNT_NOT_FOUND, Reason.COMMAND_ID_REUSED, Reason.PERMISSION_MISSING)
# Of a batch of dry runs as a whole; each of its commands has a refusal of its own.
OF_DRY_RUNS: Final = (Reason.COMMAND_INVALID, Reason.PERMISSION_MISSING, Reason.BUSY, Reason.INTERNAL_ERROR)
INBOX: Final = (Reason.INBOX_NOT_FOUND, Reason.INBOX_ARCHIVED)
OWNER: Final = (Reason.USER_NOT_FOUND, Reason.OWNER_NOT_ACTIVE)
CONNECTED: Final = (Reason.NOT_CONNECTED, Reason.ADDRESS_IS_ALIAS, Reason.ADDRESS_ORPHANED)
HELD_ALREADY: Final = (Reason.REAUTH_REQUIRED, Reason.CONNECTION_PAUSED)

_SAME: Final = "the value is the same"
_SO: Final = "this is already the case"

COMMAND_RULES: Final[Mapping[type[c.Command], CommandRules]] = {
    c.RegisterAccount: CommandRules((Reason.ACCOUNT_EXISTS,), (e.AccountRegistered, e.UserAdded, e.InboxCreated), None),
    c.ChangePlan: CommandRules((), (e.PlanChanged,), _SAME),
    c.CreateTeam: CommandRules((Reason.USER_NOT_FOUND, Reason.TEAM_EXISTS), (e.TeamCreated,), None),
    c.SetTeamMembers: CommandRules(
        (Reason.TEAM_NOT_FOUND, Reason.USER_NOT_FOUND), (e.TeamMembersChanged,), "the set is the same"
    ),
    c.SetAccountNeverLog: CommandRules((), (e.AccountNeverLogChanged,), "the set is the same"),
    c.AddUser: CommandRules((Reason.USER_EXISTS,), (e.UserAdded, e.AddressReclaimed), None),
    c.SetPermissions: CommandRules(
        (Reason.USER_NOT_FOUND, Reason.LAST_SUPER_ADMIN), (e.PermissionsChanged,), "the set is the same"
    ),
    c.AssignSeat: CommandRules((Reason.USER_NOT_FOUND,), (e.SeatAssigned,), _SO),
    c.UnassignSeat: CommandRules((Reason.USER_NOT_FOUND,), (e.SeatUnassigned,), _SO),
    c.DeactivateUser: CommandRules((Reason.USER_NOT_FOUND, Reason.LAST_SUPER_ADMIN), (e.UserDeactivated,), _SO),
    c.ReactivateUser: CommandRules(
        (Reason.USER_NOT_FOUND,), (e.UserReactivated, e.AddressReclaimed), "the user is active"
    ),
    c.RemoveUser: CommandRules(
        (Reason.USER_NOT_FOUND, Reason.USER_NOT_DEACTIVATED, Reason.OWNER_NOT_ACTIVE),
        (e.UserRemoved, e.AddressOrphaned, e.AddressReleased, e.OwnershipTransferred, e.AliasRemoved),
        "the user was removed before",
    ),
    c.SetAvailability: CommandRules((Reason.USER_NOT_FOUND,), (e.AvailabilityChanged,), _SAME),
    c.SetDefaultSender: CommandRules(
        (Reason.USER_NOT_FOUND, Reason.IDENTITY_NOT_USABLE), (e.DefaultSenderChanged,), _SAME
    ),
    c.SetSignature: CommandRules((Reason.USER_NOT_FOUND,), (e.SignatureChanged,), _SAME),
    c.SetDefaultFont: CommandRules((Reason.USER_NOT_FOUND,), (e.DefaultFontChanged,), _SAME),
    c.SetLoggingPreferences: CommandRules((Reason.USER_NOT_FOUND,), (e.LoggingPreferencesChanged,), _SAME),
    c.CreateInbox: CommandRules(
        (Reason.USER_NOT_FOUND, Reason.INBOX_EXISTS, Reason.INBOX_NAME_TAKEN, Reason.INBOX_LIMIT_REACHED),
        (e.InboxCreated,),
        None,
    ),
    c.RenameInbox: CommandRules((Reason.INBOX_NOT_FOUND, Reason.INBOX_NAME_TAKEN), (e.InboxRenamed,), _SAME),
    c.SetInboxAccess: CommandRules(
        (*INBOX, Reason.USER_NOT_FOUND, Reason.TEAM_NOT_FOUND), (e.InboxAccessChanged,), "the sets are the same"
    ),
    c.SetRouting: CommandRules(
        (
            *INBOX,
            Reason.USER_NOT_FOUND,
            Reason.ROUTING_TARGET_NOT_MEMBER,
            Reason.ROUTING_TARGET_NOT_ACTIVE,
            Reason.ROUTING_TARGET_NO_SEAT,
            Reason.TEAM_NOT_FOUND,
        ),
        (e.RoutingChanged,),
        _SAME,
    ),
    c.ArchiveInbox: CommandRules(
        (Reason.INBOX_NOT_FOUND, Reason.DEFAULT_INBOX, Reason.INBOX_IN_USE),
        (e.Disconnected, e.AliasRemoved, e.InboxArchived),
        _SO,
    ),
    c.RestoreInbox: CommandRules(
        (Reason.INBOX_NOT_FOUND, Reason.INBOX_LIMIT_REACHED), (e.InboxRestored,), "the inbox is open"
    ),
    c.ConnectPersonal: CommandRules(
        (
            Reason.OWNER_MUST_BE_ACTOR,
            *OWNER,
            Reason.ADDRESS_ALREADY_PERSONAL,
            Reason.ADDRESS_ALREADY_TEAM,
            Reason.ADDRESS_ORPHANED,
            Reason.ADDRESS_IS_ALIAS,
            *HELD_ALREADY,
            Reason.REAUTH_IDENTITY_MISMATCH,
        ),
        (e.PersonalConnected, e.FromNameChanged, e.Reconnected),
        "the owner has the address, it is healthy, and no given value differs",
    ),
    c.ConnectTeam: CommandRules(
        (
            *INBOX,
            Reason.ADDRESS_ALREADY_PERSONAL,
            Reason.ADDRESS_IN_OTHER_INBOX,
            Reason.ADDRESS_ORPHANED,
            Reason.ADDRESS_IS_ALIAS,
            *HELD_ALREADY,
            Reason.REAUTH_IDENTITY_MISMATCH,
            Reason.TEAM_VISIBILITY_NOT_ACKNOWLEDGED,
        ),
        (e.TeamConnected, e.FromNameChanged, e.Reconnected),
        "the address is connected to this inbox, it is healthy, and no given value differs",
    ),
    c.Disconnect: CommandRules((Reason.ADDRESS_IS_ALIAS,), (e.Disconnected, e.AliasRemoved), "the address is free"),
    c.RequireReauthentication: CommandRules(CONNECTED, (e.ReauthenticationRequired,), _SO),
    c.Reconnect: CommandRules(
        (*CONNECTED, Reason.REAUTH_IDENTITY_MISMATCH, Reason.ADDRESS_ALREADY_PERSONAL, Reason.ADDRESS_ALREADY_TEAM),
        (e.Reconnected,),
        "the connection works",
    ),
    c.Pause: CommandRules(CONNECTED, (e.ConnectionPaused,), _SO),
    c.Resume: CommandRules(CONNECTED, (e.ConnectionResumed,), _SO),
    c.MoveTeamAddress: CommandRules(
        (*INBOX, *CONNECTED, Reason.ADDRESS_ALREADY_PERSONAL), (e.TeamAddressMoved,), "the address is in this inbox"
    ),
    c.ConvertConnection: CommandRules(
        (
            Reason.OWNER_MUST_BE_ACTOR,
            *OWNER,
            *INBOX,
            *CONNECTED,
            Reason.ADDRESS_ALREADY_PERSONAL,
            Reason.ADDRESS_ALREADY_TEAM,
            Reason.ADDRESS_IN_OTHER_INBOX,
            Reason.ADDRESS_USED_BY_MEETINGS,
            Reason.PERSONAL_CONNECTION_REQUIRED,
            Reason.TEAM_VISIBILITY_NOT_ACKNOWLEDGED,
        ),
        (e.ConnectionConverted,),
        "the address has that kind and holder",
    ),
    c.TransferOwnership: CommandRules(
        (
            *OWNER,
            Reason.NOT_CONNECTED,
            Reason.ADDRESS_IS_ALIAS,
            Reason.ADDRESS_ALREADY_TEAM,
            Reason.ADDRESS_ALREADY_PERSONAL,
        ),
        (e.OwnershipTransferred,),
        "the new owner has the address",
    ),
    c.ReclaimAddress: CommandRules(
        (
            *OWNER,
            Reason.NOT_CONNECTED,
            Reason.ADDRESS_IS_ALIAS,
            Reason.ADDRESS_ALREADY_TEAM,
            Reason.ADDRESS_ALREADY_PERSONAL,
        ),
        (e.AddressReclaimed,),
        "the new owner has the address",
    ),
    c.ReleaseAddress: CommandRules(
        (Reason.ADDRESS_IS_ALIAS, Reason.ADDRESS_ALREADY_PERSONAL, Reason.ADDRESS_ALREADY_TEAM),
        (e.AddressReleased, e.AliasRemoved),
        "the address is free",
    ),
    c.BindTool: CommandRules(
        (
            Reason.ADDRESS_IS_ALIAS,
            Reason.ADDRESS_ORPHANED,
            Reason.TEAM_ADDRESS_IN_MEETINGS_FORBIDDEN,
            Reason.PERSONAL_CONNECTION_REQUIRED,
        ),
        (e.ToolBound,),
        "the tool is bound",
    ),
    c.UnbindTool: CommandRules(CONNECTED, (e.ToolUnbound,), "the tool is not bound"),
    c.AddAlias: CommandRules(
        (*CONNECTED, Reason.ADDRESS_ALREADY_PERSONAL, Reason.ADDRESS_ALREADY_TEAM),
        (e.AliasAdded,),
        "the alias exists",
    ),
    c.RemoveAlias: CommandRules(CONNECTED, (e.AliasRemoved,), None),
    c.PromoteAlias: CommandRules(CONNECTED, (e.AliasPromoted,), None),
    c.SetFromName: CommandRules(CONNECTED, (e.FromNameChanged,), _SAME),
}

# Fields with an address, or a list of addresses and domains.
_ADDRESSES: Final = frozenset({"address", "alias", "entries", "never_log"})


def rules_of_command(command: type[c.Command]) -> CommandRules:
    """Raise `MissingDescriptionError` for a new message."""
    if command not in COMMAND_RULES:
        raise MissingDescriptionError(f"{command.__name__} has no entry yet: services/ops/contract/decisions.py")
    return COMMAND_RULES[command]


def who_may(command: type[c.Command]) -> str:
    """The sufficient roles, in words; trusted services may give every command."""
    rule = PERMISSIONS[command]
    roles = " or ".join(ROLES[role] for role in rule.roles)
    if rule.owner_is_actor:
        roles += ", and the owner must be the actor"
    if rule.orphan_to_team:
        roles += f"; for an orphan {ROLES[rule.orphan_to_team]}"
    return roles


def refusals(command: type[c.Command]) -> list[Reason]:
    """Every reason in a reply to this command, in the order of the checks."""
    readable = [Reason.COMMAND_INVALID, *([Reason.ADDRESS_INVALID] if _ADDRESSES & command.model_fields.keys() else [])]
    every = [one for one in EVERY_COMMAND if command is not c.RegisterAccount or one is not Reason.ACCOUNT_NOT_FOUND]
    at_any_time = (Reason.STREAM_NOT_UNDERSTOOD, Reason.BUSY, Reason.INTERNAL_ERROR)
    return [*readable, *every, *rules_of_command(command).refused, *at_any_time]
