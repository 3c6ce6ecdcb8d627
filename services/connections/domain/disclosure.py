"""Everybody may learn that an address is taken, and its kind; only some may learn its holder, inbox and date."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from services.connections.domain.account import RegisteredAccount
from services.connections.domain.actor import Actor
from services.connections.domain.address.state import (
    AddressState,
    AddressTakenError,
    Alias,
    ConnectionOrAlias,
    Orphaned,
    Personal,
    Team,
)
from services.connections.domain.inbox import Inbox, InboxState
from services.connections.domain.user import User, UserState, is_active
from shared.core.refusal import NextAction, Refused, next_action
from shared.language.commands import MoveTeamAddress, ReactivateUser, ReclaimAddress, ReleaseAddress, RemoveAlias
from shared.language.text import Permission

ADMINS: Final = ("super_admin",)
# Commands by what they are for: they connect an address, name a mailbox, or want an address for a team.
CONNECTS: Final = frozenset(("ConnectPersonal", "ConnectTeam", "AddAlias"))
NAMES_A_MAILBOX: Final = frozenset(("ConnectPersonal", "ConnectTeam", "Reconnect"))
FOR_A_TEAM: Final = frozenset(("ConnectTeam", "ConvertConnection", "MoveTeamAddress"))


def may_see(actor: Actor, primary: AddressState, inbox: InboxState, account: RegisteredAccount) -> bool:
    """Services, administrators, the holder, and for a team address the members of its inbox."""
    if actor.holds("account_access"):
        return True
    match primary:
        case Personal(owner=owner):
            return owner == actor.id
        case Team():
            return isinstance(inbox, Inbox) and inbox.admits(actor.id, account)
        case _:
            return False


class RefusedCommand(NamedTuple):
    """The command that was refused: its name, its address and the state of that, and whether its actor may see all.

    `primary` is the holder's connection, of an alias its primary's; `owner` is the user who holds it as personal.
    """

    command: str
    address: str
    state: AddressState
    actor: Actor
    primary: AddressState
    owner: UserState
    visible: bool


def explain(error: AddressTakenError, refused: RefusedCommand) -> Refused:
    """The refusal as this actor may read it."""
    holder = error.holder
    details: dict[str, Any] = {"kind": kind_of(refused.primary if isinstance(holder, Alias) else holder)}
    if error.via_mailbox:
        details["via"] = "provider_identity"
    subject = f"The mailbox behind {refused.address}" if error.via_mailbox else refused.address
    if refused.visible:
        details |= holder_of(holder)
        if isinstance(holder, Personal) and not is_active(refused.owner):
            details["holder_status"] = refused.owner.status if isinstance(refused.owner, User) else "removed"
        behind = f"is the mailbox of {holder.address}, which " if error.via_mailbox else ""
        message = f"{subject} {behind}{in_words(holder)}."
    else:
        details["advice"] = "ask an administrator"
        message = f"{subject} is taken: {in_short(holder)}. Ask an administrator."
    if error.via_mailbox and refused.command in NAMES_A_MAILBOX:
        message += " If another person's login opens the mailbox, name it by its own id instead of the login."
    return Refused(error.reason, message, details, next_actions(error, refused))


def kind_of(state: AddressState) -> str:
    return "team" if isinstance(state, Team) else "personal"


def holder_of(holder: ConnectionOrAlias) -> Mapping[str, Any]:
    match holder:
        case Personal(owner=owner, since=since):
            return {"holder": owner, "since": since}
        case Team(inbox=inbox, connector=connector, since=since):
            return {"holder": inbox, "inbox": inbox, "connector": connector, "since": since}
        case Orphaned(owner=owner, since=since):
            return {"former_owner": owner, "since": since}
        case Alias(primary=primary, since=since):
            return {"primary": primary, "since": since}


def in_words(holder: ConnectionOrAlias) -> str:
    match holder:
        case Personal(owner=owner, since=since):
            return f"has been the personal address of {owner} since {since}"
        case Team(inbox=inbox, since=since):
            return f"has been connected to the inbox {inbox} since {since}"
        case Orphaned(owner=owner, since=since):
            return f"has been orphaned since {since}, when its owner {owner} was removed"
        case Alias(primary=primary, since=since):
            return f"has been an alias of {primary} since {since}"


def in_short(holder: ConnectionOrAlias) -> str:
    match holder:
        case Personal():
            return "it is connected as personal"
        case Team():
            return "it is connected as a team address"
        case Orphaned():
            return "it is orphaned"
        case Alias():
            return "it is an alias of another address"


def next_actions(error: AddressTakenError, refused: RefusedCommand) -> list[NextAction]:
    """The commands that help, by roles that suffice; they name no person."""
    if error.via_mailbox:
        return behind_the_mailbox(error.holder, refused)
    match error.holder:
        case Personal() as holder:
            actions = of_personal(holder, refused)
        case Team():
            actions = of_team(refused)
        case Orphaned():
            actions = of_orphan(refused)
        case Alias() if isinstance(refused.primary, Orphaned):
            actions = of_orphan(refused)
        case Alias():
            actions = [next_action(RemoveAlias, "Take the alias from its primary address.")]
            if refused.command not in CONNECTS:
                actions.append(NextAction(refused.command, ("holder",), "Or name the primary address instead."))
    if refused.command in CONNECTS:
        actions.append(NextAction(refused.command, ("anyone entitled",), "Or connect a different mail account."))
    return actions


def behind_the_mailbox(holder: ConnectionOrAlias, refused: RefusedCommand) -> list[NextAction]:
    """For another address of the same mailbox: name the mailbox rightly, or disconnect that address."""
    actions = []
    if refused.command in NAMES_A_MAILBOX:
        actions.append(NextAction(refused.command, ("anyone entitled",), "Give the mailbox's own provider_identity."))
    match holder:
        case Personal():
            by = (*owner_if_able(refused), *ADMINS)
            actions.append(NextAction("Disconnect", by, "Or disconnect the mailbox's other address."))
        case Team():
            actions.append(NextAction("Disconnect", ("account_access",), "Or disconnect the mailbox's other address."))
        case _:
            actions += [
                *keeping_the_orphan(refused),
                next_action(ReleaseAddress, "Or release the mailbox's orphaned address."),
            ]
    return actions


def keeping_the_orphan(refused: RefusedCommand) -> list[NextAction]:
    """The orphan gets the holder that the other address of its mailbox is to have."""
    if refused.command == "ConvertConnection":
        # Until it is done the other address has the wrong holder for that.
        return []
    if refused.command in FOR_A_TEAM or isinstance(refused.state, Team):
        return [NextAction("ConvertConnection", ADMINS, "Make the mailbox's orphaned address the team's, too.")]
    return [next_action(ReclaimAddress, "Give the mailbox's orphaned address to the same user.")]


def of_personal(holder: Personal, refused: RefusedCommand) -> list[NextAction]:
    by = (*owner_if_able(refused), *ADMINS)
    actions = [
        NextAction("TransferOwnership", by, "Hand the connection to another user."),
        NextAction("Disconnect", by, "End the personal connection."),
    ]
    if refused.command in FOR_A_TEAM:
        owner = owner_if_able(refused, "account_access")
        actions.insert(0, NextAction("ConvertConnection", owner or ("service",), "Turn it into a team address."))
    if refused.visible and holder.reauthenticate and owner_if_able(refused):
        actions.insert(0, NextAction("Reconnect", ("owner",), "Authenticate the mailbox again."))
    return actions


def of_team(refused: RefusedCommand) -> list[NextAction]:
    actions = [NextAction("Disconnect", ("account_access",), "End the team connection.")]
    if refused.command in FOR_A_TEAM:
        return [next_action(MoveTeamAddress, "Move it to another inbox."), *actions]
    able = refused.actor.holds("account_access") and refused.actor.holds("personal_email_access")
    by = ("account_access",) if able else ("service",)
    return [NextAction("ConvertConnection", by, "Turn it into a personal address."), *actions]


def of_orphan(refused: RefusedCommand) -> list[NextAction]:
    actions = [
        next_action(ReclaimAddress, "Give it to an active user."),
        NextAction("TransferOwnership", ADMINS, "Hand it to another user."),
        next_action(ReleaseAddress, "Free it for a new connection."),
        next_action(ReactivateUser, "Or bring its former owner back."),
    ]
    if refused.command in FOR_A_TEAM:
        actions.insert(0, NextAction("ConvertConnection", ADMINS, "Make it the team's in one step."))
    return actions


def owner_if_able(refused: RefusedCommand, permission: Permission | None = None) -> tuple[str, ...]:
    """The role `owner` if they are active and hold the permission; those who may not see the owner learn nothing."""
    owner = refused.owner
    if not refused.visible or not isinstance(owner, User) or not owner.active:
        return ()
    return ("owner",) if permission is None or Actor(owner.id, owner).holds(permission) else ()
