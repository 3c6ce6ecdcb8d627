"""THE TABLE: which command goes to which decider, with what it reads, in the order in which it may be refused."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from services.connections import readers
from services.connections.context import DecisionContext
from services.connections.domain import account as accounts
from services.connections.domain import actor as actors
from services.connections.domain import address as addresses
from services.connections.domain import claims, connecting, conversion, links
from services.connections.domain import inbox as inboxes
from services.connections.domain import user as users
from services.connections.domain.account import Account, NoAccount
from services.connections.domain.address import AddressState, Alias, Claimed, Free, Orphaned, Personal, Team
from services.connections.domain.inbox import Inbox, NoInbox
from services.connections.domain.user import NoUser, User
from services.connections.store.set_rules import SetRules
from shared.core.decider import Decision, Page
from shared.core.policies import holds
from shared.core.refusal import leave_out
from shared.core.sending import best_first, is_identity_of, why_not_sender, why_not_sending
from shared.language import commands as c
from shared.language.events import (
    Aggregate,
    Event,
    InboxArchived,
    PersonalConnected,
    Reconnected,
    TeamConnected,
    UserRemoved,
)
from shared.language.permissions import PERMISSIONS
from shared.language.rules import ContactOwner, UsersAndTeams
from shared.language.text import SERVICE, Provider

PAGES: Final[Mapping[Aggregate, Page]] = {
    "account": Page(NoAccount(), accounts.evolve, accounts.memberships),
    "user": Page(NoUser(), users.evolve, users.memberships),
    "inbox": Page(NoInbox(), inboxes.evolve, inboxes.memberships),
    "address": Page(Free(), addresses.evolve, addresses.memberships),
}

# So many team addresses are looked at for a list of those that one may use.
LOOKED_AT: Final = 300
# 2: mailboxes that are named by an e-mail address, whatever its spelling and provider; archived inboxes.
# 3: mailboxes that are named by a login that reads as an e-mail address, such as bob@corp.local.
SET_RULES: Final = SetRules(3, lambda event: names_a_mailbox(event) or isinstance(event, InboxArchived))

SERVICES_ONLY: Final = ("service",)

Outcome = Decision | Sequence[Event]


def names_a_mailbox(event: Event) -> bool:
    identity = event.provider_identity if isinstance(event, PersonalConnected | TeamConnected | Reconnected) else None
    return identity is not None and "@" in identity


def decide(context: DecisionContext, command: c.Command) -> Decision:
    """The one decision, for real and for a dry run alike.

    Raises:
        Refused: with what the actor may know.
    """
    if not isinstance(command, c.RegisterAccount):
        context.account()
    if not command.actor.startswith(SERVICE):
        require_permission(context, command)
    try:
        outcome = TABLE[type(command)](context, command)
    except Claimed as claimed:
        raise context.explain(claimed, type(command).__name__) from None
    return outcome if isinstance(outcome, Decision) else Decision(outcome)


def require_permission(context: DecisionContext, command: c.Command) -> None:
    """Raises the refusals PERMISSION_MISSING and OWNER_MUST_BE_ACTOR; a service passes every check."""
    rule = PERMISSIONS[type(command)]
    if rule.roles == SERVICES_ONLY:
        actors.refuse("service", command.actor)
    actors.require(rule, context.actor(), command, context.state, context.holder)


# ---- account


def register_account(context: DecisionContext, command: c.RegisterAccount) -> Outcome:
    return accounts.register(context.account_state(), context.name, command)


def change_plan(context: DecisionContext, command: c.ChangePlan) -> Outcome:
    return accounts.change_plan(context.account(), command)


def create_team(context: DecisionContext, command: c.CreateTeam) -> Outcome:
    require_users(context, command, command.members)
    return accounts.create_team(context.account(), command)


def set_team_members(context: DecisionContext, command: c.SetTeamMembers) -> Outcome:
    accounts.team_found(context.account(), command.team)
    require_users(context, command, command.members)
    events = accounts.set_team_members(context.account(), command)
    if not events:
        return events
    afterwards: Account = PAGES["account"].evolve(context.account(), events[0], "")
    return Decision(events, readers.unread(context, readers.of_team(context, command.team), afterwards))


def set_account_never_log(context: DecisionContext, command: c.SetAccountNeverLog) -> Outcome:
    return accounts.set_never_log(context.account(), context.lists["entries"])


def require_users(context: DecisionContext, command: c.Command, names: Iterable[str]) -> None:
    """A list may name those who are there only."""
    for name in names:
        with leave_out(type(command).__name__, "members"):
            users.present(context.user(name), name)


# ---- user


def add_user(context: DecisionContext, command: c.AddUser) -> Outcome:
    former = context.user(command.user)
    events = users.add(former, command)
    if not isinstance(former, User):
        return events
    back = returning(context, command.user) if holds(command.permissions, "personal_email_access") else []
    warnings = [*addresses_returned(former, back), *readers.places(context, former)]
    return Decision([*events, *back], warnings)


def addresses_returned(user: User, back: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
    message = f"Addresses of the former user {user.id} came back with the id: {len(back)}."
    return [{"code": "ADDRESSES_RETURNED", "count": len(back), "message": message}] if back else ()


def returning(context: DecisionContext, user: str) -> list[Event]:
    """What is still orphaned from the user's last removal, one commit with one time, comes back with him (A10)."""
    state = context.user(user)
    removed_at = state.removed_at if isinstance(state, User) else None
    back = [claim for claim in context.orphaned(user) if claim.since == removed_at]
    context.look_at_mailboxes(back)
    return [event for claim in back for event in claims.returned(claim, context.siblings(claim))]


def set_permissions(context: DecisionContext, command: c.SetPermissions) -> Outcome:
    user = users.present(context.user(command.user), command.user)
    return users.set_permissions(user, command, last_super_admin=context.is_last_super_admin(user))


def assign_seat(context: DecisionContext, command: c.AssignSeat) -> Outcome:
    return users.assign_seat(users.present(context.user(command.user), command.user))


def unassign_seat(context: DecisionContext, command: c.UnassignSeat) -> Outcome:
    return users.unassign_seat(users.present(context.user(command.user), command.user))


def deactivate_user(context: DecisionContext, command: c.DeactivateUser) -> Outcome:
    user = users.present(context.user(command.user), command.user)
    events = users.deactivate(user, last_super_admin=context.is_last_super_admin(user))
    return Decision(events, unread_without(context, user)) if events else events


def unread_without(context: DecisionContext, user: User) -> Sequence[Mapping[str, Any]]:
    return readers.unread(context, readers.of_user(context, user.id), context.account(), without=user.id)


def reactivate_user(context: DecisionContext, command: c.ReactivateUser) -> Outcome:
    user = users.found(context.user(command.user), command.user)
    events = users.reactivate(user)
    if not events or user.status != "removed" or not holds(user.permissions, "personal_email_access"):
        return events
    return [*events, *returning(context, user.id)]


def remove_user(context: DecisionContext, command: c.RemoveUser) -> Outcome:
    user = users.deactivated_before_removal(users.found(context.user(command.user), command.user))
    if command.new_owner is not None:
        users.owner(context.user(command.new_owner), command.new_owner)
    if user.status == "removed":
        return []
    removed = UserRemoved(user=user.id, policy=command.policy, new_owner=command.new_owner)
    return Decision([removed, *left_behind(context, context.owned(user.id), command)], unread_without(context, user))


def left_behind(context: DecisionContext, owned: Sequence[Personal], command: c.RemoveUser) -> list[Event]:
    """The policy says what becomes of a removed user's connections (D3)."""
    if command.policy == "orphan":
        return [event for claim in owned for event in claims.orphaned(claim)]
    if command.policy == "release":
        aliases = context.aliases_of_all([claim.address for claim in owned])
        return [event for claim in owned for event in claims.released(claim, aliases[claim.address])]
    assert command.new_owner is not None, "the message's own rule"
    return [event for claim in owned for event in claims.handed_over(claim, command.new_owner)]


def set_availability(context: DecisionContext, command: c.SetAvailability) -> Outcome:
    return users.set_availability(users.present(context.user(command.user), command.user), command)


def set_default_sender(context: DecisionContext, command: c.SetDefaultSender) -> Outcome:
    user = own(context, command.user)
    address = context.target().address
    # What else is usable may be thousands of addresses, and is read only when the answer names them.
    usable = [address] if may_send_as(context, user, address) else usable_identities(context, user)
    return users.set_default_sender(user, address, usable, claimed_at(context.address(address)))


def claimed_at(state: AddressState) -> str | None:
    return None if isinstance(state, Free) else state.claimed_at


def may_send_as(context: DecisionContext, user: User, address: str) -> bool:
    """Right now: a condition of the claim that was lost since makes it ineffective (A4)."""
    claim = context.primary(context.address(address))
    if not isinstance(claim, Personal | Team) or not is_usable(user, claim):
        return False
    if isinstance(claim, Personal):
        return is_identity_of(user.id, claim.owner, None)
    inbox = context.inbox(claim.inbox)
    if not isinstance(inbox, Inbox) or inbox.archived:
        return False
    return is_identity_of(user.id, None, inbox.membership(context.account()))


def is_usable(user: User, claim: Personal | Team) -> bool:
    lacks = why_not_sender(user.status, user.permissions, personal=isinstance(claim, Personal))
    link = claim.link
    return not lacks and not why_not_sending(orphaned=False, reauthenticate=link.reauthenticate, sending=link.sending)


def usable_identities(context: DecisionContext, user: User) -> list[str]:
    """The addresses that the user may send as, best first.

    Of thousands of team addresses the first ones: the answer lists a hundred, and everybody waits for the thread.
    """
    if not user.active:
        return []
    owned = [claim for claim in context.owned(user.id) if is_usable(user, claim)]
    admitting = [inbox.id for inbox in context.open_inboxes() if inbox.admits(user.id, context.account())]
    connected = context.connected_to_all(admitting, at_most=LOOKED_AT).values()
    team = [claim for claims in connected for claim in claims if is_usable(user, claim)]
    aliases = context.aliases_of_all([*(one.address for one in owned), *(one.address for one in team)])
    found = best_first(
        ((claim.since, claim.address, None) for claim in owned),
        ((claim.address, None) for claim in team),
        ((primary, alias.address) for primary, of_one in aliases.items() for alias in of_one),
    )
    return [identity.address for identity in found]


def own(context: DecisionContext, user: str) -> User:
    """The user who sets something of their own."""
    return users.present(context.user(user), user)


def set_signature(context: DecisionContext, command: c.SetSignature) -> Outcome:
    return users.set_signature(own(context, command.user), command)


def set_default_font(context: DecisionContext, command: c.SetDefaultFont) -> Outcome:
    return users.set_default_font(own(context, command.user), command)


def set_logging_preferences(context: DecisionContext, command: c.SetLoggingPreferences) -> Outcome:
    return users.set_logging(own(context, command.user), command, context.lists.get("never_log"))


# ---- inbox


def create_inbox(context: DecisionContext, command: c.CreateInbox) -> Outcome:
    require_users(context, command, command.members or ())
    return inboxes.create(
        context.inbox(command.inbox),
        command,
        context.account(),
        context.holder_of_name(command.name, but=command.inbox),
        context.open_inbox_count(),
    )


def rename_inbox(context: DecisionContext, command: c.RenameInbox) -> Outcome:
    inbox = inboxes.found(context.inbox(command.inbox), command.inbox)
    return inboxes.rename(inbox, command, context.holder_of_name(command.name, but=command.inbox))


def set_inbox_access(context: DecisionContext, command: c.SetInboxAccess) -> Outcome:
    inbox = context.open_inbox(command.inbox)
    require_users(context, command, command.members)
    for team in command.teams:
        with leave_out("SetInboxAccess", "teams"):
            accounts.team_found(context.account(), team)
    events = inboxes.set_access(inbox, command)
    if not events:
        return events
    afterwards: Inbox = PAGES["inbox"].evolve(inbox, events[0], "")
    return Decision(events, readers.unread(context, [afterwards], context.account(), empty_too=True))


def set_routing(context: DecisionContext, command: c.SetRouting) -> Outcome:
    inbox = context.open_inbox(command.inbox)
    named = {user: context.user(user) for user in users_of(command)}
    return inboxes.set_routing(inbox, command, context.account(), named)


def users_of(command: c.SetRouting) -> Sequence[str]:
    rule = command.rule.fallback if isinstance(command.rule, ContactOwner) else command.rule
    return rule.users if isinstance(rule, UsersAndTeams) else ()


def archive_inbox(context: DecisionContext, command: c.ArchiveInbox) -> Outcome:
    inbox = inboxes.found(context.inbox(command.inbox), command.inbox)
    teams = context.connected_to(inbox.id)
    aliases = context.aliases_of_all([claim.address for claim in teams])
    in_use = [name for claim in teams for name in (claim.address, *(a.address for a in aliases[claim.address]))]
    archived = inboxes.archive(inbox, in_use, cascade=command.cascade)
    return [
        *(event for claim in teams for event in claims.end_of_claim(claim, aliases[claim.address])),
        *archived,
    ]


def restore_inbox(context: DecisionContext, command: c.RestoreInbox) -> Outcome:
    inbox = inboxes.found(context.inbox(command.inbox), command.inbox)
    return inboxes.restore(inbox, context.account(), context.open_inbox_count())


# ---- address


def connect_personal(context: DecisionContext, command: c.ConnectPersonal) -> Outcome:
    users.owner(context.user(command.owner), command.owner)
    target = context.target()
    state = context.address(target.address)
    mailbox = context.mailbox(command.provider or provider_of(state), command.provider_identity, target.address)
    return connecting.connect_personal(state, command, target, mailbox)


def connect_team(context: DecisionContext, command: c.ConnectTeam) -> Outcome:
    inbox = context.open_inbox(command.inbox)
    target = context.target()
    state = context.address(target.address)
    mailbox = context.mailbox(command.provider or provider_of(state), command.provider_identity, target.address)
    decision = connecting.connect_team(state, command, target, mailbox)
    if not any(isinstance(event, TeamConnected) for event in decision.events):
        return decision
    return with_unread(context, inbox, decision)


def with_unread(context: DecisionContext, inbox: Inbox, decision: Decision) -> Decision:
    """An address comes to the inbox: does anybody read it?"""
    warnings = readers.unread(context, [inbox], context.account(), empty_too=True)
    return replace(decision, warnings=[*decision.warnings, *warnings]) if warnings else decision


def provider_of(state: AddressState) -> Provider | None:
    return None if isinstance(state, Free | Alias) else state.link.provider


def held(context: DecisionContext) -> tuple[AddressState, str]:
    """The address that the command names, and its canonical form."""
    address = context.target().address
    return context.address(address), address


def disconnect(context: DecisionContext, command: c.Disconnect) -> Outcome:
    state, address = held(context)
    return claims.disconnect(state, command, context.aliases(address))


def require_reauthentication(context: DecisionContext, command: c.RequireReauthentication) -> Outcome:
    state, address = held(context)
    return links.require_reauthentication(state, command, address)


def reconnect(context: DecisionContext, command: c.Reconnect) -> Outcome:
    state, address = held(context)
    mailbox = context.mailbox(provider_of(state), command.provider_identity, address)
    return links.reconnect(state, command, address, mailbox, connector_gone=connector_gone(context, state))


def connector_gone(context: DecisionContext, state: AddressState) -> bool:
    """Whether the user who connected the team address is no longer an active one; a service never is gone."""
    if not isinstance(state, Team) or state.connector.startswith(SERVICE):
        return False
    return not context.is_active(state.connector)


def pause(context: DecisionContext, command: c.Pause) -> Outcome:
    state, address = held(context)
    return links.pause(state, command, address)


def resume(context: DecisionContext, command: c.Resume) -> Outcome:
    state, address = held(context)
    return links.resume(state, command, address)


def move_team_address(context: DecisionContext, command: c.MoveTeamAddress) -> Outcome:
    inbox = context.open_inbox(command.to_inbox)
    address = context.target().address
    events = claims.move(context.address(address), command, address)
    return with_unread(context, inbox, Decision(events)) if events else events


def convert_connection(context: DecisionContext, command: c.ConvertConnection) -> Outcome:
    address = context.target().address
    state = context.address(address)
    if command.owner is not None:
        users.owner(context.user(command.owner), command.owner)
        return conversion.convert_to_personal(state, command.owner, address, context.siblings(state))
    assert command.inbox is not None, "the message's own rule"
    inbox = context.open_inbox(command.inbox)
    siblings = context.siblings(state)
    if isinstance(state, Orphaned):
        events = conversion.convert_orphan_to_team(state, command, inbox.id, siblings)
    else:
        events = conversion.convert_to_team(
            state, command, inbox.id, address, siblings, on_behalf=command.actor.startswith(SERVICE)
        )
    return with_unread(context, inbox, Decision(events)) if events else events


def transfer_ownership(context: DecisionContext, command: c.TransferOwnership) -> Outcome:
    address = context.target().address
    state = context.address(address)
    users.owner(context.user(command.new_owner), command.new_owner)
    return claims.transfer(state, command, address, context.siblings(state))


def reclaim_address(context: DecisionContext, command: c.ReclaimAddress) -> Outcome:
    users.owner(context.user(command.new_owner), command.new_owner)
    address = context.target().address
    state = context.address(address)
    return claims.reclaim(state, command, address, context.siblings(state))


def release_address(context: DecisionContext, command: c.ReleaseAddress) -> Outcome:
    address = context.target().address
    return claims.release(context.address(address), context.aliases(address))


def bind_tool(context: DecisionContext, command: c.BindTool) -> Outcome:
    state, address = held(context)
    return links.bind_tool(state, command, address)


def unbind_tool(context: DecisionContext, command: c.UnbindTool) -> Outcome:
    state, address = held(context)
    return links.unbind_tool(state, command, address)


def add_alias(context: DecisionContext, command: c.AddAlias) -> Outcome:
    primary, address = held(context)
    target = context.target("alias")
    return links.add_alias(primary, address, context.address(target.address), target)


def remove_alias(context: DecisionContext, command: c.RemoveAlias) -> Outcome:
    primary, address = held(context)
    alias = context.target("alias").address
    return links.remove_alias(primary, address, context.address(alias), alias)


def promote_alias(context: DecisionContext, command: c.PromoteAlias) -> Outcome:
    primary, address = held(context)
    alias = context.target("alias").address
    return links.promote_alias(primary, address, context.address(alias), alias, context.aliases(address))


def set_from_name(context: DecisionContext, command: c.SetFromName) -> Outcome:
    state, address = held(context)
    return links.set_from_name(state, command, address)


TABLE: Final[Mapping[type[c.Command], Callable[[DecisionContext, Any], Outcome]]] = {
    c.RegisterAccount: register_account,
    c.ChangePlan: change_plan,
    c.CreateTeam: create_team,
    c.SetTeamMembers: set_team_members,
    c.SetAccountNeverLog: set_account_never_log,
    c.AddUser: add_user,
    c.SetPermissions: set_permissions,
    c.AssignSeat: assign_seat,
    c.UnassignSeat: unassign_seat,
    c.DeactivateUser: deactivate_user,
    c.ReactivateUser: reactivate_user,
    c.RemoveUser: remove_user,
    c.SetAvailability: set_availability,
    c.SetDefaultSender: set_default_sender,
    c.SetSignature: set_signature,
    c.SetDefaultFont: set_default_font,
    c.SetLoggingPreferences: set_logging_preferences,
    c.CreateInbox: create_inbox,
    c.RenameInbox: rename_inbox,
    c.SetInboxAccess: set_inbox_access,
    c.SetRouting: set_routing,
    c.ArchiveInbox: archive_inbox,
    c.RestoreInbox: restore_inbox,
    c.ConnectPersonal: connect_personal,
    c.ConnectTeam: connect_team,
    c.Disconnect: disconnect,
    c.RequireReauthentication: require_reauthentication,
    c.Reconnect: reconnect,
    c.Pause: pause,
    c.Resume: resume,
    c.MoveTeamAddress: move_team_address,
    c.ConvertConnection: convert_connection,
    c.TransferOwnership: transfer_ownership,
    c.ReclaimAddress: reclaim_address,
    c.ReleaseAddress: release_address,
    c.BindTool: bind_tool,
    c.UnbindTool: unbind_tool,
    c.AddAlias: add_alias,
    c.RemoveAlias: remove_alias,
    c.PromoteAlias: promote_alias,
    c.SetFromName: set_from_name,
}
