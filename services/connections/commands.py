"""THE TABLE: which command goes to which decider, with what it reads, in the order in which it may be refused."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from services.connections import readers
from services.connections.context import Desk
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
from shared.core.refusal import leave_out
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

Outcome = Decision | Sequence[Event]


def names_a_mailbox(event: Event) -> bool:
    identity = event.provider_identity if isinstance(event, PersonalConnected | TeamConnected | Reconnected) else None
    return identity is not None and "@" in identity


def decide(desk: Desk, command: c.Command) -> Decision:
    """The one decision, for real and for a dry run alike.

    Raises:
        Refused: with what the actor may know.
    """
    if not isinstance(command, c.RegisterAccount):
        desk.account()
    try:
        outcome = TABLE[type(command)](desk, command)
    except Claimed as claimed:
        raise desk.explain(claimed, type(command).__name__) from None
    return outcome if isinstance(outcome, Decision) else Decision(outcome)


# ---- account


def register_account(desk: Desk, command: c.RegisterAccount) -> Outcome:
    actors.require_service(command.actor)
    return accounts.register(desk.account_state(), desk.name, command)


def change_plan(desk: Desk, command: c.ChangePlan) -> Outcome:
    desk.actor().require("super_admin")
    return accounts.change_plan(desk.account(), command)


def create_team(desk: Desk, command: c.CreateTeam) -> Outcome:
    desk.actor().require("account_access")
    require_users(desk, command, command.members)
    return accounts.create_team(desk.account(), command)


def set_team_members(desk: Desk, command: c.SetTeamMembers) -> Outcome:
    desk.actor().require("account_access")
    accounts.team_found(desk.account(), command.team)
    require_users(desk, command, command.members)
    events = accounts.set_team_members(desk.account(), command)
    if not events:
        return events
    afterwards: Account = PAGES["account"].evolve(desk.account(), events[0], "")
    return Decision(events, readers.unread(desk, readers.of_team(desk, command.team), afterwards))


def set_account_never_log(desk: Desk, command: c.SetAccountNeverLog) -> Outcome:
    desk.actor().require("account_access")
    return accounts.set_never_log(desk.account(), desk.lists["entries"])


def require_users(desk: Desk, command: c.Command, names: Iterable[str]) -> None:
    """A list may name those who are there only."""
    for name in names:
        with leave_out(type(command).__name__, "members"):
            users.present(desk.user(name), name)


# ---- user


def add_user(desk: Desk, command: c.AddUser) -> Outcome:
    desk.actor().require("super_admin")
    former = desk.user(command.user)
    events = users.add(former, command)
    if not isinstance(former, User):
        return events
    back = returning(desk, command.user) if "personal_email_access" in command.permissions else []
    warnings = [*addresses_returned(former, back), *readers.places(desk, former)]
    return Decision([*events, *back], warnings)


def addresses_returned(user: User, back: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
    message = f"Addresses of the former user {user.id} came back with the id: {len(back)}."
    return [{"code": "ADDRESSES_RETURNED", "count": len(back), "message": message}] if back else ()


def returning(desk: Desk, user: str) -> list[Event]:
    """What is still orphaned from the user's last removal, one commit with one time, comes back with him (A10)."""
    state = desk.user(user)
    removed_at = state.removed_at if isinstance(state, User) else None
    back = [claim for claim in desk.orphaned(user) if claim.since == removed_at]
    desk.look_at_mailboxes(back)
    return [event for claim in back for event in claims.returned(claim, desk.siblings(claim))]


def set_permissions(desk: Desk, command: c.SetPermissions) -> Outcome:
    desk.actor().require("super_admin")
    user = users.present(desk.user(command.user), command.user)
    return users.set_permissions(user, command, last_super_admin=desk.is_last_super_admin(user))


def assign_seat(desk: Desk, command: c.AssignSeat) -> Outcome:
    desk.actor().require("super_admin")
    return users.assign_seat(users.present(desk.user(command.user), command.user))


def unassign_seat(desk: Desk, command: c.UnassignSeat) -> Outcome:
    desk.actor().require("super_admin")
    return users.unassign_seat(users.present(desk.user(command.user), command.user))


def deactivate_user(desk: Desk, command: c.DeactivateUser) -> Outcome:
    desk.actor().require("super_admin")
    user = users.present(desk.user(command.user), command.user)
    events = users.deactivate(user, last_super_admin=desk.is_last_super_admin(user))
    return Decision(events, unread_without(desk, user)) if events else events


def unread_without(desk: Desk, user: User) -> Sequence[Mapping[str, Any]]:
    return readers.unread(desk, readers.of_user(desk, user.id), desk.account(), without=user.id)


def reactivate_user(desk: Desk, command: c.ReactivateUser) -> Outcome:
    desk.actor().require("super_admin")
    user = users.found(desk.user(command.user), command.user)
    events = users.reactivate(user)
    if not events or user.status != "removed" or "personal_email_access" not in user.permissions:
        return events
    return [*events, *returning(desk, user.id)]


def remove_user(desk: Desk, command: c.RemoveUser) -> Outcome:
    desk.actor().require("super_admin")
    user = users.deactivated_before_removal(users.found(desk.user(command.user), command.user))
    if command.new_owner is not None:
        users.owner(desk.user(command.new_owner), command.new_owner)
    if user.status == "removed":
        return []
    removed = UserRemoved(user=user.id, policy=command.policy, new_owner=command.new_owner)
    return Decision([removed, *left_behind(desk, desk.owned(user.id), command)], unread_without(desk, user))


def left_behind(desk: Desk, owned: Sequence[Personal], command: c.RemoveUser) -> list[Event]:
    """The policy says what becomes of a removed user's connections (D3)."""
    if command.policy == "orphan":
        return [event for claim in owned for event in claims.orphaned(claim)]
    if command.policy == "release":
        aliases = desk.aliases_of_all([claim.address for claim in owned])
        return [event for claim in owned for event in claims.released(claim, aliases[claim.address])]
    assert command.new_owner is not None, "the message's own rule"
    return [event for claim in owned for event in claims.handed_over(claim, command.new_owner)]


def set_availability(desk: Desk, command: c.SetAvailability) -> Outcome:
    desk.actor().require_self(command.user, or_super_admin=True)
    return users.set_availability(users.present(desk.user(command.user), command.user), command)


def set_default_sender(desk: Desk, command: c.SetDefaultSender) -> Outcome:
    user = own(desk, command.user)
    address = desk.target().address
    # What else is usable may be thousands of addresses, and is read only when the answer names them.
    usable = [address] if may_send_as(desk, user, address) else usable_identities(desk, user)
    return users.set_default_sender(user, address, usable, claimed_at(desk.address(address)))


def claimed_at(state: AddressState) -> str | None:
    return None if isinstance(state, Free) else state.claimed_at


def may_send_as(desk: Desk, user: User, address: str) -> bool:
    """Right now: a condition of the claim that was lost since makes it ineffective (A4)."""
    claim = desk.primary(desk.address(address))
    if not user.active or not isinstance(claim, Personal | Team) or not may_send(claim):
        return False
    if isinstance(claim, Personal):
        return claim.owner == user.id and "personal_email_access" in user.permissions
    inbox = desk.inbox(claim.inbox)
    return isinstance(inbox, Inbox) and not inbox.archived and inbox.admits(user.id, desk.account())


def usable_identities(desk: Desk, user: User) -> list[str]:
    """What the user may send as: own addresses by age, those of his inboxes by name, aliases of both.

    Of thousands of team addresses the first ones: the answer lists a hundred, and everybody waits for the thread.
    """
    if not user.active:
        return []
    effective = desk.owned(user.id) if "personal_email_access" in user.permissions else []
    own_claims = sorted((p for p in effective if may_send(p)), key=lambda p: (p.since, p.address))
    admitting = [inbox.id for inbox in desk.open_inboxes() if inbox.admits(user.id, desk.account())]
    connected = desk.connected_to_all(admitting, at_most=LOOKED_AT).values()
    teams = sorted(claim.address for claims in connected for claim in claims if may_send(claim))
    primaries = [*(p.address for p in own_claims), *teams]
    aliases = desk.aliases_of_all(primaries).values()
    return [*primaries, *(alias.address for of_one in aliases for alias in of_one)]


def may_send(claim: Personal | Team) -> bool:
    return claim.link.sending and not claim.link.reauthenticate


def own(desk: Desk, user: str) -> User:
    """The user who sets something of his own."""
    desk.actor().require_self(user)
    return users.present(desk.user(user), user)


def set_signature(desk: Desk, command: c.SetSignature) -> Outcome:
    return users.set_signature(own(desk, command.user), command)


def set_default_font(desk: Desk, command: c.SetDefaultFont) -> Outcome:
    return users.set_default_font(own(desk, command.user), command)


def set_logging_preferences(desk: Desk, command: c.SetLoggingPreferences) -> Outcome:
    return users.set_logging(own(desk, command.user), command, desk.lists.get("never_log"))


# ---- inbox


def create_inbox(desk: Desk, command: c.CreateInbox) -> Outcome:
    desk.actor().require("account_access")
    require_users(desk, command, command.members or ())
    return inboxes.create(
        desk.inbox(command.inbox),
        command,
        desk.account(),
        desk.holder_of_name(command.name, but=command.inbox),
        desk.open_inbox_count(),
    )


def rename_inbox(desk: Desk, command: c.RenameInbox) -> Outcome:
    desk.actor().require("account_access")
    inbox = inboxes.found(desk.inbox(command.inbox), command.inbox)
    return inboxes.rename(inbox, command, desk.holder_of_name(command.name, but=command.inbox))


def set_inbox_access(desk: Desk, command: c.SetInboxAccess) -> Outcome:
    desk.actor().require("account_access")
    inbox = desk.open_inbox(command.inbox)
    require_users(desk, command, command.members)
    for team in command.teams:
        with leave_out("SetInboxAccess", "teams"):
            accounts.team_found(desk.account(), team)
    events = inboxes.set_access(inbox, command)
    if not events:
        return events
    afterwards: Inbox = PAGES["inbox"].evolve(inbox, events[0], "")
    return Decision(events, readers.unread(desk, [afterwards], desk.account(), empty_too=True))


def set_routing(desk: Desk, command: c.SetRouting) -> Outcome:
    desk.actor().require("account_access")
    inbox = desk.open_inbox(command.inbox)
    named = {user: desk.user(user) for user in users_of(command)}
    return inboxes.set_routing(inbox, command, desk.account(), named)


def users_of(command: c.SetRouting) -> Sequence[str]:
    rule = command.rule.fallback if isinstance(command.rule, ContactOwner) else command.rule
    return rule.users if isinstance(rule, UsersAndTeams) else ()


def archive_inbox(desk: Desk, command: c.ArchiveInbox) -> Outcome:
    desk.actor().require("account_access")
    inbox = inboxes.found(desk.inbox(command.inbox), command.inbox)
    teams = desk.connected_to(inbox.id)
    aliases = desk.aliases_of_all([claim.address for claim in teams])
    in_use = [name for claim in teams for name in (claim.address, *(a.address for a in aliases[claim.address]))]
    archived = inboxes.archive(inbox, in_use, cascade=command.cascade)
    return [
        *(event for claim in teams for event in claims.end_of_claim(claim, aliases[claim.address])),
        *archived,
    ]


def restore_inbox(desk: Desk, command: c.RestoreInbox) -> Outcome:
    desk.actor().require("account_access")
    inbox = inboxes.found(desk.inbox(command.inbox), command.inbox)
    return inboxes.restore(inbox, desk.account(), desk.open_inbox_count())


# ---- address


def connect_personal(desk: Desk, command: c.ConnectPersonal) -> Outcome:
    actor = desk.actor()
    actor.require("personal_email_access")
    actor.require_owner_is_actor(command.owner)
    users.owner(desk.user(command.owner), command.owner)
    target = desk.target()
    state = desk.address(target.address)
    mailbox = desk.mailbox(command.provider or provider_of(state), command.provider_identity, target.address)
    return connecting.connect_personal(state, command, target, mailbox)


def connect_team(desk: Desk, command: c.ConnectTeam) -> Outcome:
    desk.actor().require("account_access")
    inbox = desk.open_inbox(command.inbox)
    target = desk.target()
    state = desk.address(target.address)
    mailbox = desk.mailbox(command.provider or provider_of(state), command.provider_identity, target.address)
    decision = connecting.connect_team(state, command, target, mailbox)
    if not any(isinstance(event, TeamConnected) for event in decision.events):
        return decision
    return with_unread(desk, inbox, decision)


def with_unread(desk: Desk, inbox: Inbox, decision: Decision) -> Decision:
    """An address comes to the inbox: does anybody read it?"""
    warnings = readers.unread(desk, [inbox], desk.account(), empty_too=True)
    return replace(decision, warnings=[*decision.warnings, *warnings]) if warnings else decision


def provider_of(state: AddressState) -> Provider | None:
    return None if isinstance(state, Free | Alias) else state.link.provider


def held(desk: Desk, *, or_super_admin: bool = False) -> tuple[AddressState, str]:
    """The address that only its holder may change, and its name."""
    actor = desk.actor()
    address = desk.target().address
    state = desk.address(address)
    actor.require_holder(state, desk.primary(state), or_super_admin=or_super_admin)
    return state, address


def disconnect(desk: Desk, command: c.Disconnect) -> Outcome:
    state, address = held(desk, or_super_admin=True)
    return claims.disconnect(state, command, desk.aliases(address))


def require_reauthentication(desk: Desk, command: c.RequireReauthentication) -> Outcome:
    state, address = held(desk)
    return links.require_reauthentication(state, command, address)


def reconnect(desk: Desk, command: c.Reconnect) -> Outcome:
    state, address = held(desk)
    mailbox = desk.mailbox(provider_of(state), command.provider_identity, address)
    return links.reconnect(state, command, address, mailbox, connector_gone=connector_gone(desk, state))


def connector_gone(desk: Desk, state: AddressState) -> bool:
    """Whether the user who connected the team address is no longer an active one; a service never is gone."""
    if not isinstance(state, Team) or state.connector.startswith(SERVICE):
        return False
    return not desk.is_active(state.connector)


def pause(desk: Desk, command: c.Pause) -> Outcome:
    state, address = held(desk)
    return links.pause(state, command, address)


def resume(desk: Desk, command: c.Resume) -> Outcome:
    state, address = held(desk)
    return links.resume(state, command, address)


def move_team_address(desk: Desk, command: c.MoveTeamAddress) -> Outcome:
    desk.actor().require("account_access")
    inbox = desk.open_inbox(command.to_inbox)
    address = desk.target().address
    events = claims.move(desk.address(address), command, address)
    return with_unread(desk, inbox, Decision(events)) if events else events


def convert_connection(desk: Desk, command: c.ConvertConnection) -> Outcome:
    actor = desk.actor()
    actor.require("account_access")
    address = desk.target().address
    state = desk.address(address)
    if command.owner is not None:
        actor.require_owner_is_actor(command.owner)
        users.owner(desk.user(command.owner), command.owner)
        return conversion.convert_to_personal(state, command.owner, address, desk.siblings(state))
    assert command.inbox is not None, "the message's own rule"
    if isinstance(state, Orphaned):
        actor.require("super_admin")
    inbox = desk.open_inbox(command.inbox)
    siblings = desk.siblings(state)
    if isinstance(state, Orphaned):
        events = conversion.convert_orphan_to_team(state, command, inbox.id, siblings)
    else:
        events = conversion.convert_to_team(state, command, inbox.id, address, siblings, on_behalf=actor.service)
    return with_unread(desk, inbox, Decision(events)) if events else events


def transfer_ownership(desk: Desk, command: c.TransferOwnership) -> Outcome:
    actor = desk.actor()
    address = desk.target().address
    state = desk.address(address)
    actor.require_owner_or_super_admin(state, desk.primary(state))
    users.owner(desk.user(command.new_owner), command.new_owner)
    return claims.transfer(state, command, address, desk.siblings(state))


def reclaim_address(desk: Desk, command: c.ReclaimAddress) -> Outcome:
    desk.actor().require("super_admin")
    users.owner(desk.user(command.new_owner), command.new_owner)
    address = desk.target().address
    state = desk.address(address)
    return claims.reclaim(state, command, address, desk.siblings(state))


def release_address(desk: Desk, command: c.ReleaseAddress) -> Outcome:
    desk.actor().require("super_admin")
    address = desk.target().address
    return claims.release(desk.address(address), desk.aliases(address))


def bind_tool(desk: Desk, command: c.BindTool) -> Outcome:
    state, address = held(desk)
    return links.bind_tool(state, command, address)


def unbind_tool(desk: Desk, command: c.UnbindTool) -> Outcome:
    state, address = held(desk)
    return links.unbind_tool(state, command, address)


def add_alias(desk: Desk, command: c.AddAlias) -> Outcome:
    primary, address = held(desk)
    target = desk.target("alias")
    return links.add_alias(primary, address, desk.address(target.address), target)


def remove_alias(desk: Desk, command: c.RemoveAlias) -> Outcome:
    primary, address = held(desk)
    alias = desk.target("alias").address
    return links.remove_alias(primary, address, desk.address(alias), alias)


def promote_alias(desk: Desk, command: c.PromoteAlias) -> Outcome:
    primary, address = held(desk)
    alias = desk.target("alias").address
    return links.promote_alias(primary, address, desk.address(alias), alias, desk.aliases(address))


def set_from_name(desk: Desk, command: c.SetFromName) -> Outcome:
    state, address = held(desk)
    return links.set_from_name(state, command, address)


TABLE: Final[Mapping[type[c.Command], Callable[[Desk, Any], Outcome]]] = {
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
