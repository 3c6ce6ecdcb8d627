"""The reads in the table of commands: each takes the context and the command, and returns one value for the decider.

A read whose name begins with `require` raises the refusal of a thing that must be there.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from services.connections.context import DecisionContext
from services.connections.domain import account as accounts
from services.connections.domain import inbox as inboxes
from services.connections.domain import user as users
from services.connections.domain.account import AccountState, RegisteredAccount
from services.connections.domain.address import orphan
from services.connections.domain.address.state import AddressState, Alias, Free, LiveConnection, Personal, Team
from services.connections.domain.inbox import Inbox, InboxState
from services.connections.domain.user import User, UserState
from shared.core.address import CanonicalAddress
from shared.core.policies import holds
from shared.core.refusal import leave_out
from shared.core.sending import best_first, is_identity_of, why_not_sender, why_not_sending
from shared.language import commands as c
from shared.language.events import Event
from shared.language.text import SERVICE

# So many team addresses are read for a list of those that one may use.
LISTED_TEAM_ADDRESSES: Final = 300

OfUser = (
    c.SetPermissions | c.AssignSeat | c.UnassignSeat | c.DeactivateUser | c.SetAvailability | c.SetDefaultSender
    | c.SetSignature | c.SetDefaultFont | c.SetLoggingPreferences
)  # fmt: skip
OfMembers = c.CreateTeam | c.SetTeamMembers | c.CreateInbox | c.SetInboxAccess
OfOpenInbox = c.SetInboxAccess | c.SetRouting | c.ConnectTeam

# ---- account


def account_name(context: DecisionContext, _: c.Command) -> str:
    return context.name


def account_state(context: DecisionContext, _: c.Command) -> AccountState:
    return context.account_state()


def account(context: DecisionContext, _: c.Command) -> RegisteredAccount:
    return context.account()


def entries(context: DecisionContext, _: c.SetAccountNeverLog) -> Sequence[str]:
    return context.lists["entries"]


def require_team(context: DecisionContext, command: c.SetTeamMembers) -> None:
    accounts.require_team(context.account(), command.team)


def require_teams(context: DecisionContext, command: c.SetInboxAccess) -> None:
    for team in command.teams:
        with leave_out("SetInboxAccess", "teams"):
            accounts.require_team(context.account(), team)


# ---- user


def user_state(context: DecisionContext, command: c.AddUser) -> UserState:
    return context.user(command.user)


def user(context: DecisionContext, command: OfUser) -> User:
    """Active or deactivated."""
    return users.require_user(context.user(command.user), command.user)


def added_user(context: DecisionContext, command: c.ReactivateUser | c.RemoveUser) -> User:
    """Removed or not."""
    return users.require_added(context.user(command.user), command.user)


def never_log(context: DecisionContext, _: c.SetLoggingPreferences) -> Sequence[str] | None:
    return context.lists.get("never_log")


def is_last_super_admin(context: DecisionContext, command: c.SetPermissions | c.DeactivateUser) -> bool:
    return context.is_last_super_admin(user(context, command))


def require_members(context: DecisionContext, command: OfMembers) -> None:
    for name in command.members or ():
        with leave_out(type(command).__name__, "members"):
            users.require_user(context.user(name), name)


def require_inactive(context: DecisionContext, command: c.RemoveUser) -> None:
    users.require_inactive(added_user(context, command))


def require_owner(context: DecisionContext, command: c.ConnectPersonal) -> None:
    users.require_owner(context.user(command.owner), command.owner)


def require_new_owner(context: DecisionContext, command: c.TransferOwnership | c.ReclaimAddress | c.RemoveUser) -> None:
    if command.new_owner is not None:
        users.require_owner(context.user(command.new_owner), command.new_owner)


def returned(context: DecisionContext, command: c.AddUser | c.ReactivateUser) -> Sequence[Event]:
    """The addresses that a removed user gets again: the orphans of the last removal, by its time (A10)."""
    former = context.user(command.user)
    if not isinstance(former, User) or former.status != "removed":
        return ()
    permissions = command.permissions if isinstance(command, c.AddUser) else former.permissions
    if not holds(permissions, "personal_email_access"):
        return ()
    orphans = [one for one in context.orphaned(former.id) if one.since == former.removed_at]
    return orphan.returned(zip(orphans, context.siblings_of_all(orphans), strict=True))


def left_behind(context: DecisionContext, command: c.RemoveUser) -> Sequence[Event]:
    """The events of the connections of a user who is to be removed."""
    if added_user(context, command).status == "removed":
        return ()
    owned = context.owned(command.user)
    aliases = context.aliases_of_all([one.address for one in owned]) if command.policy == "release" else {}
    return orphan.left_behind(command, owned, aliases)


def usable_identities(context: DecisionContext, command: c.SetDefaultSender) -> Sequence[str]:
    """The chosen address if the user may send as it; else all others, which may be thousands, best first."""
    chooser, chosen = user(context, command), context.target().address
    return [chosen] if may_send_as(context, chooser, chosen) else identities(context, chooser)


def may_send_as(context: DecisionContext, user: User, address: str) -> bool:
    """Right now: a condition that was lost since makes the connection ineffective (A4)."""
    connection = context.primary(context.address(address))
    if not isinstance(connection, Personal | Team) or not is_usable(user, connection):
        return False
    if isinstance(connection, Personal):
        return is_identity_of(user.id, connection.owner, None)
    inbox = context.inbox(connection.inbox)
    if not isinstance(inbox, Inbox) or inbox.archived:
        return False
    return is_identity_of(user.id, None, inbox.membership(context.account()))


def is_usable(user: User, connection: LiveConnection) -> bool:
    lacks = why_not_sender(user.status, user.permissions, personal=isinstance(connection, Personal))
    return not lacks and not why_not_sending(
        orphaned=False, reauthenticate=connection.reauthenticate, sending=connection.sending
    )


def identities(context: DecisionContext, user: User) -> list[str]:
    """The addresses that the user may send as, best first.

    Of thousands of team addresses the first ones: the answer lists a hundred, and all commands wait for the thread.
    """
    if not user.active:
        return []
    owned = [one for one in context.owned(user.id) if is_usable(user, one)]
    admitting = [inbox.id for inbox in context.open_inboxes() if inbox.admits(user.id, context.account())]
    connected = context.connected_to_all(admitting, at_most=LISTED_TEAM_ADDRESSES).values()
    team = [one for of_inbox in connected for one in of_inbox if is_usable(user, one)]
    aliases = context.aliases_of_all([*(one.address for one in owned), *(one.address for one in team)])
    found = best_first(
        ((one.since, one.address, None) for one in owned),
        ((one.address, None) for one in team),
        ((primary, alias.address) for primary, of_one in aliases.items() for alias in of_one),
    )
    return [identity.address for identity in found]


def claimed_at(context: DecisionContext, _: c.SetDefaultSender) -> str | None:
    chosen = context.state()
    return None if isinstance(chosen, Free) else chosen.claimed_at


# ---- inbox


def inbox_state(context: DecisionContext, command: c.CreateInbox) -> InboxState:
    return context.inbox(command.inbox)


def inbox(context: DecisionContext, command: c.RenameInbox | c.ArchiveInbox | c.RestoreInbox) -> Inbox:
    """Open or archived."""
    return inboxes.require_inbox(context.inbox(command.inbox), command.inbox)


def open_inbox(context: DecisionContext, command: OfOpenInbox) -> Inbox:
    return context.open_inbox(command.inbox)


def require_open_inbox(context: DecisionContext, command: c.SetInboxAccess | c.ConnectTeam) -> None:
    context.open_inbox(command.inbox)


def require_other_inbox(context: DecisionContext, command: c.MoveTeamAddress) -> None:
    context.open_inbox(command.to_inbox)


def require_new_holder(context: DecisionContext, command: c.ConvertConnection) -> None:
    if command.owner is not None:
        users.require_owner(context.user(command.owner), command.owner)
    if command.inbox is not None:
        context.open_inbox(command.inbox)


def holder_of_name(context: DecisionContext, command: c.CreateInbox | c.RenameInbox) -> Inbox | None:
    return context.holder_of_name(command.name, but=command.inbox)


def open_inbox_count(context: DecisionContext, _: c.CreateInbox | c.RestoreInbox) -> int:
    return context.open_inbox_count()


def targets(context: DecisionContext, command: c.SetRouting) -> Mapping[str, UserState]:
    """The users whom the rule names."""
    return {name: context.user(name) for name in inboxes.users_of(command.rule)}


def team_addresses(context: DecisionContext, command: c.ArchiveInbox) -> Sequence[Team]:
    return context.connected_to_all([command.inbox])[command.inbox]


def aliases_in_inbox(context: DecisionContext, command: c.ArchiveInbox) -> Mapping[str, Sequence[Alias]]:
    return context.aliases_of_all([one.address for one in team_addresses(context, command)])


# ---- address


def address(context: DecisionContext, _: c.Command) -> str:
    return context.target().address


def target(context: DecisionContext, _: c.Command) -> CanonicalAddress:
    return context.target()


def state(context: DecisionContext, _: c.Command) -> AddressState:
    return context.state()


def aliases(context: DecisionContext, _: c.Command) -> Sequence[Alias]:
    name = context.target().address
    return context.aliases_of_all([name])[name]


def alias(context: DecisionContext, _: c.Command) -> CanonicalAddress:
    return context.target("alias")


def alias_state(context: DecisionContext, _: c.Command) -> AddressState:
    return context.address(context.target("alias").address)


def siblings(context: DecisionContext, _: c.Command) -> Iterable[AddressState]:
    """The other addresses of the mailbox behind the address."""
    return context.siblings(context.state())


def named_siblings(
    context: DecisionContext, command: c.ConnectPersonal | c.ConnectTeam | c.Reconnect
) -> Iterable[AddressState]:
    """The other addresses of the mailbox that the command names."""
    if command.provider_identity is None:
        return ()
    present = context.state()
    provider = None if isinstance(command, c.Reconnect) else command.provider
    if provider is None and not isinstance(present, Free | Alias):
        provider = present.provider
    return context.mailbox(provider, command.provider_identity, context.target().address)


def connector_gone(context: DecisionContext, _: c.Reconnect) -> bool:
    """Whether the user who connected the team address is no longer an active one; a service never is gone."""
    present = context.state()
    if not isinstance(present, Team) or present.connector.startswith(SERVICE):
        return False
    return not context.is_active(present.connector)
