"""The commands: one frozen message each, exactly as on the wire.

`null` equals absent and is removed before validation. Addresses are as typed; the write side computes their
canonical form. Class names and field names are public: the golden file pins them.
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
    """The fields of every command: the actor and the ids. A dry run is decided in the same way and writes nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    actor: Actor
    command_id: CommandId | None = None
    correlation_id: CorrelationId | None = None
    dry_run: bool = False


# ---- account


class RegisterAccount(Command):
    """Begin an account with its first user and the inbox `inbox`, which cannot be archived."""

    plan: Plan
    admin: NewId


class ChangePlan(Command):
    """Change the plan. A plan below the present use is allowed; until the use is below it, nothing new is possible."""

    plan: Plan


class CreateTeam(Command):
    """Create a team with its members."""

    team: NewId
    name: Name
    members: Ids = ()


class SetTeamMembers(Command):
    """Set the members of a team; replaces all of them."""

    team: Id
    members: Ids


class SetAccountNeverLog(Command):
    """Set the addresses and domains whose mail is never logged; replaces all of them."""

    entries: AddressTexts


# ---- user


class AddUser(Command):
    """Add a user. With the id of a removed user, the addresses still orphaned by that removal come back."""

    user: NewId
    name: PersonName
    permissions: Permissions


class SetPermissions(Command):
    """Replace all permissions of a user."""

    user: Id
    permissions: Permissions


class AssignSeat(Command):
    """Give a user a seat. Routing chooses only users with a seat."""

    user: Id


class UnassignSeat(Command):
    """Take a user's seat away."""

    user: Id


class DeactivateUser(Command):
    """Deactivate a user. Everything that the user holds is kept, and has no effect meanwhile."""

    user: Id


class ReactivateUser(Command):
    """Bring a deactivated or removed user back, with the addresses still orphaned by the removal."""

    user: Id


class RemoveUser(Command):
    """Remove a deactivated user. The policy decides about the user's personal addresses."""

    user: Id
    policy: Policy = "orphan"
    new_owner: Id | None = None

    @model_validator(mode="after")
    def names_a_new_owner_exactly_for_transfer(self) -> Self:
        if (self.policy == "transfer_to") != (self.new_owner is not None):
            raise ValueError("new_owner goes with policy transfer_to, and with no other")
        return self


class SetAvailability(Command):
    """Set whether a user is available. Routing does not choose users who are away."""

    user: Id
    availability: Availability
    cause: Cause | None = None


class SetDefaultSender(Command):
    """Set the address that a user sends from by default. While it is unusable, the next one is used."""

    user: Id
    address: AddressText


class SetSignature(Command):
    """Set a user's signature."""

    user: Id
    signature: Signature


class SetDefaultFont(Command):
    """Set the font of a user's mail."""

    user: Id
    font: Font
    size: FontSize | None = None


class SetLoggingPreferences(Command):
    """Change logging and tracking of a user's mail. Absent fields stay; `never_log` replaces the whole list."""

    user: Id
    log_replies: bool | None = None
    track_opens: bool | None = None
    track_clicks: bool | None = None
    never_log: AddressTexts | None = None


# ---- inbox


class CreateInbox(Command):
    """Create an inbox: open to everyone without `members`, else to them, even to nobody. Its mail is unassigned."""

    inbox: NewId
    name: Name
    members: Ids | None = None


class RenameInbox(Command):
    """Rename an inbox."""

    inbox: Id
    name: Name


class SetInboxAccess(Command):
    """Set the users and teams that see and answer the mail of an inbox; replaces both lists."""

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
    """Set the rule that assigns new conversations. The named users must be active members with a seat, now."""

    inbox: Id
    rule: Rule


class ArchiveInbox(Command):
    """Archive an inbox. It keeps its name, takes no more addresses, and no longer counts for the plan's limit."""

    inbox: Id
    cascade: bool = False


class RestoreInbox(Command):
    """Restore an archived inbox, which counts for the plan's limit again."""

    inbox: Id


# ---- address


class ConnectPersonal(Command):
    """Claim an address for one user, who must be the actor. A repetition applies or refuses its new values."""

    address: AddressText
    owner: Id
    provider: Provider | None = None
    provider_identity: ProviderIdentity | None = None
    from_name: FromName | None = None


class ConnectTeam(Command):
    """Claim an address for one inbox, whose team sees all its mail. A repetition applies or refuses its new values."""

    address: AddressText
    inbox: Id
    visibility_acknowledged: bool = False
    provider: Provider | None = None
    provider_identity: ProviderIdentity | None = None
    from_name: FromName | None = None


class Disconnect(Command):
    """End the claim: tools are unbound, aliases are removed, the address is free. Its history is kept."""

    address: AddressText
    note: Note | None = None


class RequireReauthentication(Command):
    """Report that the mailbox rejects its credentials; the claim is kept."""

    address: AddressText
    cause: Cause


class Reconnect(Command):
    """Report that the mailbox accepts its credentials again. Another mailbox than the pinned one is refused."""

    address: AddressText
    provider_identity: ProviderIdentity | None = None


class Pause(Command):
    """Pause receiving or sending; both when neither is given."""

    address: AddressText
    receive: bool | None = None
    send: bool | None = None

    @model_validator(mode="after")
    def means_some_way(self) -> Self:
        if False in (self.receive, self.send) and True not in (self.receive, self.send):
            raise ValueError("say true for receive, send or both, or leave both out")
        return self


class Resume(Pause):
    """Resume receiving or sending; both when neither is given."""


class MoveTeamAddress(Command):
    """Move a team address to another inbox, in one step."""

    address: AddressText
    to_inbox: Id


class ConvertConnection(Command):
    """Turn a personal address or an orphan into a team address, or a team address into a personal one, in one step."""

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
    """Give a personal or orphaned address another owner. Tools are unbound and the From name is cleared."""

    address: AddressText
    new_owner: Id


class ReclaimAddress(Command):
    """Give an orphaned address an active user as its owner."""

    address: AddressText
    new_owner: Id


class ReleaseAddress(Command):
    """Make an orphaned address free."""

    address: AddressText


class BindTool(Command):
    """Let a tool use a personal address."""

    address: AddressText
    tool: Tool


class UnbindTool(Command):
    """Stop a tool from using a personal address."""

    address: AddressText
    tool: Tool


class AddAlias(Command):
    """Add a further address of the same mailbox. It is claimed like any other address and follows its primary."""

    address: AddressText
    alias: AddressText


class RemoveAlias(Command):
    """Remove an alias of an address; the alias becomes free."""

    address: AddressText
    alias: AddressText


class PromoteAlias(Command):
    """Report that the mailbox was renamed: an alias and its primary change places, and everything else follows."""

    address: AddressText
    alias: AddressText


class SetFromName(Command):
    """Set the From name of an address."""

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
