"""What becomes of each command, and what keeps a question from its answer: who may, refused why, told how.

The decisions themselves are made in the services; a test plays random histories and compares what it saw with this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from services.ops.contract.meanings import Untold
from shared.language import commands as c
from shared.language import events as e
from shared.language import questions as q
from shared.language.events import Event
from shared.language.reasons import QuestionError, Reason

M = TypeVar("M")
T = TypeVar("T")

SERVICES: Final = "a trusted service"
SUPER_ADMIN: Final = "`super_admin`"
ADMIN: Final = "`account_access`"
SELF: Final = "the user himself"
HOLDER: Final = (
    "the holder: the owner of a personal address, `account_access` for a team one, `super_admin` for an orphan"
)


@dataclass(frozen=True)
class Decided:
    """`refused` are its own reasons in the order in which they are looked at; `unchanged` says when."""

    who: str
    refused: Sequence[Reason]
    events: Sequence[type[Event]]
    unchanged: str | None


@dataclass(frozen=True)
class Answered:
    who: str
    errors: Sequence[QuestionError]


# Looked at before a command's own; STREAM_NOT_UNDERSTOOD, BUSY and INTERNAL_ERROR may come at any time.
EVERY_COMMAND: Final = (Reason.ACCOUNT_NOT_FOUND, Reason.COMMAND_ID_REUSED, Reason.PERMISSION_MISSING)
EVERY_QUESTION: Final = (
    QuestionError.QUERY_INVALID,
    QuestionError.VIEW_BEHIND,
    QuestionError.BUSY,
    QuestionError.INTERNAL_ERROR,
    QuestionError.ACCOUNT_NOT_FOUND,
    QuestionError.PERMISSION_MISSING,
)

INBOX: Final = (Reason.INBOX_NOT_FOUND, Reason.INBOX_ARCHIVED)
OWNER: Final = (Reason.USER_NOT_FOUND, Reason.OWNER_NOT_ACTIVE)
CONNECTED: Final = (Reason.NOT_CONNECTED, Reason.ADDRESS_IS_ALIAS, Reason.ADDRESS_ORPHANED)
HELD_ALREADY: Final = (Reason.REAUTH_REQUIRED, Reason.CONNECTION_PAUSED)

_SAME: Final = "it is the same already"
_SO: Final = "it is so already"

DECIDED: Final[Mapping[type[c.Command], Decided]] = {
    c.RegisterAccount: Decided(
        SERVICES, (Reason.ACCOUNT_EXISTS,), (e.AccountRegistered, e.UserAdded, e.InboxCreated), None
    ),
    c.ChangePlan: Decided(SUPER_ADMIN, (), (e.PlanChanged,), _SAME),
    c.CreateTeam: Decided(ADMIN, (Reason.USER_NOT_FOUND, Reason.TEAM_EXISTS), (e.TeamCreated,), None),
    c.SetTeamMembers: Decided(
        ADMIN, (Reason.TEAM_NOT_FOUND, Reason.USER_NOT_FOUND), (e.TeamMembersChanged,), "the same set"
    ),
    c.SetAccountNeverLog: Decided(ADMIN, (), (e.AccountNeverLogChanged,), "the same set"),
    c.AddUser: Decided(SUPER_ADMIN, (Reason.USER_EXISTS,), (e.UserAdded, e.AddressReclaimed), None),
    c.SetPermissions: Decided(
        SUPER_ADMIN, (Reason.USER_NOT_FOUND, Reason.LAST_SUPER_ADMIN), (e.PermissionsChanged,), "the same set"
    ),
    c.AssignSeat: Decided(SUPER_ADMIN, (Reason.USER_NOT_FOUND,), (e.SeatAssigned,), _SO),
    c.UnassignSeat: Decided(SUPER_ADMIN, (Reason.USER_NOT_FOUND,), (e.SeatUnassigned,), _SO),
    c.DeactivateUser: Decided(SUPER_ADMIN, (Reason.USER_NOT_FOUND, Reason.LAST_SUPER_ADMIN), (e.UserDeactivated,), _SO),
    c.ReactivateUser: Decided(
        SUPER_ADMIN, (Reason.USER_NOT_FOUND,), (e.UserReactivated, e.AddressReclaimed), "he is active"
    ),
    c.RemoveUser: Decided(
        SUPER_ADMIN,
        (Reason.USER_NOT_FOUND, Reason.USER_NOT_DEACTIVATED, Reason.OWNER_NOT_ACTIVE),
        (e.UserRemoved, e.AddressOrphaned, e.AddressReleased, e.OwnershipTransferred, e.AliasRemoved),
        "he was removed before",
    ),
    c.SetAvailability: Decided(f"{SELF}, {SUPER_ADMIN}", (Reason.USER_NOT_FOUND,), (e.AvailabilityChanged,), _SAME),
    c.SetDefaultSender: Decided(
        SELF, (Reason.USER_NOT_FOUND, Reason.IDENTITY_NOT_USABLE), (e.DefaultSenderChanged,), _SAME
    ),
    c.SetSignature: Decided(SELF, (Reason.USER_NOT_FOUND,), (e.SignatureChanged,), _SAME),
    c.SetDefaultFont: Decided(SELF, (Reason.USER_NOT_FOUND,), (e.DefaultFontChanged,), _SAME),
    c.SetLoggingPreferences: Decided(SELF, (Reason.USER_NOT_FOUND,), (e.LoggingPreferencesChanged,), _SAME),
    c.CreateInbox: Decided(
        ADMIN,
        (Reason.USER_NOT_FOUND, Reason.INBOX_EXISTS, Reason.INBOX_NAME_TAKEN, Reason.INBOX_LIMIT_REACHED),
        (e.InboxCreated,),
        None,
    ),
    c.RenameInbox: Decided(ADMIN, (Reason.INBOX_NOT_FOUND, Reason.INBOX_NAME_TAKEN), (e.InboxRenamed,), _SAME),
    c.SetInboxAccess: Decided(
        ADMIN, (*INBOX, Reason.USER_NOT_FOUND, Reason.TEAM_NOT_FOUND), (e.InboxAccessChanged,), "the same sets"
    ),
    c.SetRouting: Decided(
        ADMIN,
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
    c.ArchiveInbox: Decided(
        ADMIN,
        (Reason.INBOX_NOT_FOUND, Reason.DEFAULT_INBOX, Reason.INBOX_IN_USE),
        (e.Disconnected, e.AliasRemoved, e.InboxArchived),
        _SO,
    ),
    c.RestoreInbox: Decided(
        ADMIN, (Reason.INBOX_NOT_FOUND, Reason.INBOX_LIMIT_REACHED), (e.InboxRestored,), "it is open"
    ),
    c.ConnectPersonal: Decided(
        f"{SELF}, with `personal_email_access`",
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
        "it is the owner's and healthy, and nothing that is given differs",
    ),
    c.ConnectTeam: Decided(
        ADMIN,
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
        "it is connected to this inbox and healthy, and nothing that is given differs",
    ),
    c.Disconnect: Decided(
        f"{HOLDER}; {SUPER_ADMIN}", (Reason.ADDRESS_IS_ALIAS,), (e.Disconnected, e.AliasRemoved), "it is free"
    ),
    c.RequireReauthentication: Decided(HOLDER, CONNECTED, (e.ReauthenticationRequired,), _SO),
    c.Reconnect: Decided(
        HOLDER,
        (*CONNECTED, Reason.REAUTH_IDENTITY_MISMATCH, Reason.ADDRESS_ALREADY_PERSONAL, Reason.ADDRESS_ALREADY_TEAM),
        (e.Reconnected,),
        "it is not broken",
    ),
    c.Pause: Decided(HOLDER, CONNECTED, (e.ConnectionPaused,), _SO),
    c.Resume: Decided(HOLDER, CONNECTED, (e.ConnectionResumed,), _SO),
    c.MoveTeamAddress: Decided(
        ADMIN, (*INBOX, *CONNECTED, Reason.ADDRESS_ALREADY_PERSONAL), (e.TeamAddressMoved,), "it is in this inbox"
    ),
    c.ConvertConnection: Decided(
        f"{ADMIN}; to team the owner, an orphan {SUPER_ADMIN}; to personal for oneself",
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
        "it is of that kind and holder",
    ),
    c.TransferOwnership: Decided(
        f"the owner, {SUPER_ADMIN}; of an orphan {SUPER_ADMIN} only",
        (
            *OWNER,
            Reason.NOT_CONNECTED,
            Reason.ADDRESS_IS_ALIAS,
            Reason.ADDRESS_ALREADY_TEAM,
            Reason.ADDRESS_ALREADY_PERSONAL,
        ),
        (e.OwnershipTransferred,),
        "it is his already",
    ),
    c.ReclaimAddress: Decided(
        SUPER_ADMIN,
        (
            *OWNER,
            Reason.NOT_CONNECTED,
            Reason.ADDRESS_IS_ALIAS,
            Reason.ADDRESS_ALREADY_TEAM,
            Reason.ADDRESS_ALREADY_PERSONAL,
        ),
        (e.AddressReclaimed,),
        "it is his already",
    ),
    c.ReleaseAddress: Decided(
        SUPER_ADMIN,
        (Reason.ADDRESS_IS_ALIAS, Reason.ADDRESS_ALREADY_PERSONAL, Reason.ADDRESS_ALREADY_TEAM),
        (e.AddressReleased, e.AliasRemoved),
        "it is free",
    ),
    c.BindTool: Decided(
        HOLDER,
        (
            Reason.ADDRESS_IS_ALIAS,
            Reason.ADDRESS_ORPHANED,
            Reason.TEAM_ADDRESS_IN_MEETINGS_FORBIDDEN,
            Reason.PERSONAL_CONNECTION_REQUIRED,
        ),
        (e.ToolBound,),
        "it is bound",
    ),
    c.UnbindTool: Decided(HOLDER, CONNECTED, (e.ToolUnbound,), "it is not bound"),
    c.AddAlias: Decided(
        HOLDER,
        (*CONNECTED, Reason.ADDRESS_ALREADY_PERSONAL, Reason.ADDRESS_ALREADY_TEAM),
        (e.AliasAdded,),
        "it is its alias already",
    ),
    c.RemoveAlias: Decided(HOLDER, CONNECTED, (e.AliasRemoved,), None),
    c.PromoteAlias: Decided(HOLDER, CONNECTED, (e.AliasPromoted,), None),
    c.SetFromName: Decided(HOLDER, CONNECTED, (e.FromNameChanged,), _SAME),
}

ADMINS: Final = "administrators and services"
MEMBERS: Final = f"the inbox's members, {ADMINS}"

ANSWERED: Final[Mapping[type[q.Question], Answered]] = {
    q.Address: Answered(
        "anybody; whose it is, administrators, the holder and the inbox's members", (QuestionError.ADDRESS_INVALID,)
    ),
    q.Addresses: Answered(ADMINS, ()),
    q.Inbox: Answered(MEMBERS, (QuestionError.INBOX_NOT_FOUND,)),
    q.Inboxes: Answered("anybody: administrators and services all of them, others those they are in", ()),
    q.Identities: Answered(f"{SELF}, {ADMINS}", (QuestionError.USER_NOT_FOUND,)),
    q.User: Answered(f"{SELF}, {ADMINS}", (QuestionError.USER_NOT_FOUND,)),
    q.Users: Answered(ADMINS, ()),
    q.Teams: Answered(ADMINS, ()),
    q.Account: Answered(ADMINS, ()),
    q.Orphans: Answered(ADMINS, ()),
    q.Usage: Answered(ADMINS, ()),
    q.RemovalImpact: Answered(ADMINS, (QuestionError.USER_NOT_FOUND,)),
    q.Resolve: Answered("anybody; recipients whose mail the actor may not see come as `NOT_VISIBLE`", ()),
    q.Routing: Answered(MEMBERS, (QuestionError.INBOX_NOT_FOUND,)),
}

# The fields whose text must be an address, or for a list addresses and domains.
_ADDRESSES: Final = frozenset({"address", "alias", "entries", "never_log"})


def decided(command: type[c.Command]) -> Decided:
    """Raises `Untold` for one that is new."""
    return told(DECIDED, command)


def answered(question: type[q.Question]) -> Answered:
    """Raises `Untold` for one that is new."""
    return told(ANSWERED, question)


def told(table: Mapping[type[M], T], message: type[M]) -> T:
    if message not in table:
        raise Untold(f"What becomes of {message.__name__} is not said yet: services/ops/contract/decisions.py")
    return table[message]


def refusals(command: type[c.Command]) -> list[Reason]:
    """Every reason that a reply to this command may bear, in the order in which they are looked at."""
    readable = [Reason.COMMAND_INVALID, *([Reason.ADDRESS_INVALID] if _ADDRESSES & command.model_fields.keys() else [])]
    every = [one for one in EVERY_COMMAND if command is not c.RegisterAccount or one is not Reason.ACCOUNT_NOT_FOUND]
    at_any_time = (Reason.STREAM_NOT_UNDERSTOOD, Reason.BUSY, Reason.INTERNAL_ERROR)
    return [*readable, *every, *decided(command).refused, *at_any_time]


def errors(question: type[q.Question]) -> list[QuestionError]:
    """Every error that an answer to this question may bear."""
    return [*EVERY_QUESTION, *answered(question).errors]
