"""That an address is taken, and its kind, is no secret; whose it is, since when and where, only some may learn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.connections.domain.account import Account
from services.connections.domain.actor import Actor
from services.connections.domain.address import AddressState, Alias, Claim, Claimed, Orphaned, Personal, Team
from services.connections.domain.inbox import Inbox, InboxState
from services.connections.domain.user import User, UserState, is_active
from shared.core.refusal import NextAction, Refused, next_action
from shared.language.commands import MoveTeamAddress, ReactivateUser, ReclaimAddress, ReleaseAddress, RemoveAlias
from shared.language.text import Permission

ADMINS: Final = ("super_admin",)
# Commands by what they are for: they claim an address, name a mailbox, want the address for a team.
CLAIMING: Final = frozenset(("ConnectPersonal", "ConnectTeam", "AddAlias"))
NAMES_A_MAILBOX: Final = frozenset(("ConnectPersonal", "ConnectTeam", "Reconnect"))
FOR_A_TEAM: Final = frozenset(("ConnectTeam", "ConvertConnection", "MoveTeamAddress"))


def may_see(actor: Actor, claim: AddressState, inbox: InboxState, account: Account) -> bool:
    """Services, administrators, the holder, and for a team address the members of its inbox."""
    if actor.holds("account_access"):
        return True
    match claim:
        case Personal(owner=owner):
            return owner == actor.id
        case Team():
            return isinstance(inbox, Inbox) and inbox.admits(actor.id, account)
        case _:
            return False


@dataclass(frozen=True, slots=True)
class Asked:
    """The command that was refused: its name, the address it is about, who gave it, and whether they may see all.

    `held` is what that address is now; `primary` is what an alias follows, else the claim itself; `owner` is the user
    who holds it as personal.
    """

    command: str
    address: str
    held: AddressState
    actor: Actor
    primary: AddressState
    owner: UserState
    visible: bool


def explain(claimed: Claimed, asked: Asked) -> Refused:
    """The refusal as this actor may read it."""
    claim = claimed.claim
    details: dict[str, Any] = {"kind": kind_of(asked.primary if isinstance(claim, Alias) else claim)}
    if claimed.via_mailbox:
        details["via"] = "provider_identity"
    subject = f"The mailbox behind {asked.address}" if claimed.via_mailbox else asked.address
    if asked.visible:
        details |= holder_of(claim)
        if isinstance(claim, Personal) and not is_active(asked.owner):
            details["holder_status"] = asked.owner.status if isinstance(asked.owner, User) else "removed"
        behind = f"is that of {claim.address}, which " if claimed.via_mailbox else ""
        message = f"{subject} {behind}{in_words(claim)}."
    else:
        details["advice"] = "ask an administrator"
        message = f"{subject} is taken: {in_short(claim)}. Ask an administrator."
    if claimed.via_mailbox and asked.command in NAMES_A_MAILBOX:
        message += " A mailbox that is opened with somebody's login is named by its own id, not by the login's."
    return Refused(claimed.reason, message, details, next_actions(claimed, asked))


def kind_of(state: AddressState) -> str:
    return "team" if isinstance(state, Team) else "personal"


def holder_of(claim: Claim | Alias) -> Mapping[str, Any]:
    match claim:
        case Personal(owner=owner, since=since):
            return {"holder": owner, "since": since}
        case Team(inbox=inbox, connector=connector, since=since):
            return {"holder": inbox, "inbox": inbox, "connector": connector, "since": since}
        case Orphaned(owner=owner, since=since):
            return {"former_owner": owner, "since": since}
        case Alias(primary=primary, since=since):
            return {"primary": primary, "since": since}


def in_words(claim: Claim | Alias) -> str:
    match claim:
        case Personal(owner=owner, since=since):
            return f"is the personal address of {owner} since {since}"
        case Team(inbox=inbox, since=since):
            return f"is connected to the inbox {inbox} since {since}"
        case Orphaned(owner=owner, since=since):
            return f"is orphaned since {since}, when its owner {owner} was removed"
        case Alias(primary=primary, since=since):
            return f"is an alias of {primary} since {since}"


def in_short(claim: Claim | Alias) -> str:
    match claim:
        case Personal():
            return "it is connected as personal"
        case Team():
            return "it is connected as a team address"
        case Orphaned():
            return "it is orphaned"
        case Alias():
            return "it is an alias of another address"


def next_actions(claimed: Claimed, asked: Asked) -> list[NextAction]:
    """What somebody may do next, by roles that suffice; it names no person."""
    if claimed.via_mailbox:
        return behind_the_mailbox(claimed.claim, asked)
    match claimed.claim:
        case Personal() as claim:
            actions = of_personal(claim, asked)
        case Team():
            actions = of_team(asked)
        case Orphaned():
            actions = of_orphan(asked)
        case Alias() if isinstance(asked.primary, Orphaned):
            actions = of_orphan(asked)
        case Alias():
            actions = [next_action(RemoveAlias, "Take the alias from its primary address.")]
            if asked.command not in CLAIMING:
                actions.append(NextAction(asked.command, ("holder",), "Or name the primary address instead."))
    if asked.command in CLAIMING:
        actions.append(NextAction(asked.command, ("anyone entitled",), "Or connect a different mail account."))
    return actions


def behind_the_mailbox(claim: Claim | Alias, asked: Asked) -> list[NextAction]:
    """Another address of the same mailbox stands in the way: the mailbox was misnamed, or that address is to go."""
    actions = []
    if asked.command in NAMES_A_MAILBOX:
        actions.append(NextAction(asked.command, ("anyone entitled",), "Give the mailbox's own provider_identity."))
    match claim:
        case Personal():
            by = (*owner_if_able(asked), *ADMINS)
            actions.append(NextAction("Disconnect", by, "Or disconnect the mailbox's other address."))
        case Team():
            actions.append(NextAction("Disconnect", ("account_access",), "Or disconnect the mailbox's other address."))
        case _:
            actions += [
                *keeping_the_orphan(asked),
                next_action(ReleaseAddress, "Or release the mailbox's orphaned address."),
            ]
    return actions


def keeping_the_orphan(asked: Asked) -> list[NextAction]:
    """The orphan gets the holder that the other address of its mailbox is to have."""
    if asked.command == "ConvertConnection":
        # Until it is done the other address has the wrong holder for that.
        return []
    if asked.command in FOR_A_TEAM or isinstance(asked.held, Team):
        return [NextAction("ConvertConnection", ADMINS, "Make the mailbox's orphaned address the team's, too.")]
    return [next_action(ReclaimAddress, "Give the mailbox's orphaned address to the same user.")]


def of_personal(claim: Personal, asked: Asked) -> list[NextAction]:
    by = (*owner_if_able(asked), *ADMINS)
    actions = [
        NextAction("TransferOwnership", by, "Hand the connection to another user."),
        NextAction("Disconnect", by, "End the personal connection."),
    ]
    if asked.command in FOR_A_TEAM:
        owner = owner_if_able(asked, "account_access")
        actions.insert(0, NextAction("ConvertConnection", owner or ("service",), "Turn it into a team address."))
    if asked.visible and claim.link.reauthenticate and owner_if_able(asked):
        actions.insert(0, NextAction("Reconnect", ("owner",), "Authenticate the mailbox again."))
    return actions


def of_team(asked: Asked) -> list[NextAction]:
    actions = [NextAction("Disconnect", ("account_access",), "End the team connection.")]
    if asked.command in FOR_A_TEAM:
        return [next_action(MoveTeamAddress, "Move it to another inbox."), *actions]
    able = asked.actor.holds("account_access") and asked.actor.holds("personal_email_access")
    by = ("account_access",) if able else ("service",)
    return [NextAction("ConvertConnection", by, "Turn it into a personal address."), *actions]


def of_orphan(asked: Asked) -> list[NextAction]:
    actions = [
        next_action(ReclaimAddress, "Give it to an active user."),
        NextAction("TransferOwnership", ADMINS, "Hand it to another user."),
        next_action(ReleaseAddress, "Free it for a new connection."),
        next_action(ReactivateUser, "Or bring its former owner back."),
    ]
    if asked.command in FOR_A_TEAM:
        actions.insert(0, NextAction("ConvertConnection", ADMINS, "Make it the team's in one step."))
    return actions


def owner_if_able(asked: Asked, permission: Permission | None = None) -> tuple[str, ...]:
    """The role `owner` if they are active and hold the permission; those who may not see the owner learn nothing."""
    owner = asked.owner
    if not asked.visible or not isinstance(owner, User) or not owner.active:
        return ()
    return ("owner",) if permission is None or Actor(owner.id, owner).holds(permission) else ()
