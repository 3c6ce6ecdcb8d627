"""What may be asked of Switchboard: one frozen message per command, exactly as it stands on the wire.

`null` equals absent and is taken away before validation. Addresses are as typed; their canonical form is
computed in `shared.core.address`. Class names and field names are public: the golden file pins them.
"""

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from shared.language.rules import Rule
from shared.language.text import (
    Access,
    Actor,
    AddressText,
    AddressTexts,
    Availability,
    Cause,
    CommandId,
    CorrelationId,
    Font,
    FontSize,
    FromName,
    Id,
    Ids,
    Kind,
    Name,
    NewId,
    Note,
    Permissions,
    PersonName,
    Plan,
    Policy,
    Provider,
    ProviderIdentity,
    Signature,
    Tool,
)


class Command(BaseModel):
    """Who asks, under which id; a dry run is decided in the same way and leaves no trace."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    actor: Actor
    command_id: CommandId | None = None
    correlation_id: CorrelationId | None = None
    dry_run: bool = False


# ---- account


class RegisterAccount(Command):
    """Begin an account: its first user, and the inbox `inbox`, which stays."""

    plan: Plan
    admin: NewId


class ChangePlan(Command):
    """A plan below what is in use is allowed; nothing new until it is under it."""

    plan: Plan


class CreateTeam(Command):
    team: NewId
    name: Name
    members: Ids = ()


class SetTeamMembers(Command):
    team: Id
    members: Ids


class SetAccountNeverLog(Command):
    entries: AddressTexts


# ---- user


class AddUser(Command):
    """Also for an id that was removed: what is still orphaned from that removal comes back with it."""

    user: NewId
    name: PersonName
    permissions: Permissions


class SetPermissions(Command):
    """Replaces all of them."""

    user: Id
    permissions: Permissions


class AssignSeat(Command):
    """Only who has a seat is chosen by routing."""

    user: Id


class UnassignSeat(Command):
    user: Id


class DeactivateUser(Command):
    """What the user holds stays his and has no effect while he is away."""

    user: Id


class ReactivateUser(Command):
    """From deactivated or removed; what is still orphaned from that removal comes back."""

    user: Id


class RemoveUser(Command):
    """Only who is deactivated; the policy says what becomes of his personal addresses."""

    user: Id
    policy: Policy = "orphan"
    new_owner: Id | None = None

    @model_validator(mode="after")
    def names_a_new_owner_exactly_for_transfer(self) -> Self:
        if (self.policy == "transfer_to") != (self.new_owner is not None):
            raise ValueError("new_owner goes with policy transfer_to, and with no other")
        return self


class SetAvailability(Command):
    """Routing does not choose who is away."""

    user: Id
    availability: Availability
    cause: Cause | None = None


class SetDefaultSender(Command):
    """The address the user sends from if he does not choose; while unusable, the next one stands in."""

    user: Id
    address: AddressText


class SetSignature(Command):
    user: Id
    signature: Signature


class SetDefaultFont(Command):
    user: Id
    font: Font
    size: FontSize | None = None


class SetLoggingPreferences(Command):
    """What is absent stays as it is; `never_log` replaces the whole list."""

    user: Id
    log_replies: bool | None = None
    track_opens: bool | None = None
    track_clicks: bool | None = None
    never_log: AddressTexts | None = None


# ---- inbox


class CreateInbox(Command):
    """Open to everyone when `members` is absent, else to them, an empty list too; its mail is left unassigned."""

    inbox: NewId
    name: Name
    members: Ids | None = None


class RenameInbox(Command):
    inbox: Id
    name: Name


class SetInboxAccess(Command):
    """Who sees and answers its mail; replaces members and teams."""

    inbox: Id
    access: Access
    members: Ids = ()
    teams: Ids = ()

    @model_validator(mode="after")
    def lists_nobody_when_open_to_everyone(self) -> Self:
        if self.access == "everyone" and (self.members or self.teams):
            raise ValueError("members and teams go with access members only")
        return self


class SetRouting(Command):
    """Who gets a new conversation. The users named must be active members with a seat, now."""

    inbox: Id
    rule: Rule


class ArchiveInbox(Command):
    """It keeps its name and takes no more addresses; its place in the plan's limit is free."""

    inbox: Id
    cascade: bool = False


class RestoreInbox(Command):
    inbox: Id


# ---- address


class ConnectPersonal(Command):
    """Claim an address for one user, who must be the actor; given again, what is new is applied or refused."""

    address: AddressText
    owner: Id
    provider: Provider | None = None
    provider_identity: ProviderIdentity | None = None
    from_name: FromName | None = None


class ConnectTeam(Command):
    """Claim an address for one inbox, whose team sees all its mail; given again, what is new is applied or refused."""

    address: AddressText
    inbox: Id
    visibility_acknowledged: bool = False
    provider: Provider | None = None
    provider_identity: ProviderIdentity | None = None
    from_name: FromName | None = None


class Disconnect(Command):
    """End the claim: tools are unbound, aliases go, the address is free. History stays."""

    address: AddressText
    note: Note | None = None


class RequireReauthentication(Command):
    """The mailbox no longer lets us in; the claim stays."""

    address: AddressText
    cause: Cause


class Reconnect(Command):
    """The mailbox lets us in again. Another mailbox than the pinned one changes nothing."""

    address: AddressText
    provider_identity: ProviderIdentity | None = None


class Pause(Command):
    """`True` for the ways that are meant; both when neither is given."""

    address: AddressText
    receive: bool | None = None
    send: bool | None = None

    @model_validator(mode="after")
    def means_some_way(self) -> Self:
        if False in (self.receive, self.send) and True not in (self.receive, self.send):
            raise ValueError("say true for receive, send or both, or leave both out")
        return self


class Resume(Pause):
    """`True` for the ways that are meant; both when neither is given."""


class MoveTeamAddress(Command):
    """To another inbox, in one step."""

    address: AddressText
    to_inbox: Id


class ConvertConnection(Command):
    """Personal becomes team, or team personal, in one step; an orphan becomes the team's, too."""

    address: AddressText
    to: Kind
    owner: Id | None = None
    inbox: Id | None = None
    visibility_acknowledged: bool = False

    @model_validator(mode="after")
    def names_the_new_holder(self) -> Self:
        if self.to == "personal" and (self.owner is None or self.inbox is not None):
            raise ValueError("to personal takes an owner and no inbox")
        if self.to == "team" and (self.inbox is None or self.owner is not None):
            raise ValueError("to team takes an inbox and no owner")
        return self


class TransferOwnership(Command):
    """A personal address, or an orphan, gets another owner; his tools and From name start anew."""

    address: AddressText
    new_owner: Id


class ReclaimAddress(Command):
    """An orphaned address gets an active user as its owner."""

    address: AddressText
    new_owner: Id


class ReleaseAddress(Command):
    """An orphaned address becomes free."""

    address: AddressText


class BindTool(Command):
    """Let a tool use a personal address."""

    address: AddressText
    tool: Tool


class UnbindTool(Command):
    address: AddressText
    tool: Tool


class AddAlias(Command):
    """A further address of the same mailbox; it is claimed like any other and follows its primary."""

    address: AddressText
    alias: AddressText


class RemoveAlias(Command):
    address: AddressText
    alias: AddressText


class PromoteAlias(Command):
    """The mailbox has a new name: an alias and its primary change places, and everything else goes along."""

    address: AddressText
    alias: AddressText


class SetFromName(Command):
    address: AddressText
    from_name: FromName


COMMANDS: dict[str, type[Command]] = {
    message.__name__: message
    for message in (
        RegisterAccount, ChangePlan, CreateTeam, SetTeamMembers, SetAccountNeverLog,
        AddUser, SetPermissions, AssignSeat, UnassignSeat, DeactivateUser, ReactivateUser, RemoveUser,
        SetAvailability, SetDefaultSender, SetSignature, SetDefaultFont, SetLoggingPreferences,
        CreateInbox, RenameInbox, SetInboxAccess, SetRouting, ArchiveInbox, RestoreInbox,
        ConnectPersonal, ConnectTeam, Disconnect, RequireReauthentication, Reconnect, Pause, Resume,
        MoveTeamAddress, ConvertConnection, TransferOwnership, ReclaimAddress, ReleaseAddress,
        BindTool, UnbindTool, AddAlias, RemoveAlias, PromoteAlias, SetFromName,
    )
}  # fmt: skip
