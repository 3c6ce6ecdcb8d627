"""That an address is taken, and its kind, is no secret; whose it is, since when and where, only some may learn."""

from collections.abc import Mapping
from typing import Any

from services.connections.domain.account import Account
from services.connections.domain.actor import Actor
from services.connections.domain.address import AddressState, Alias, Claim, Claimed, Orphaned, Personal, Team
from services.connections.domain.inbox import Inbox, InboxState
from shared.core.refusal import NextAction, Refused
from shared.language.reasons import Reason


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


def explain(claimed: Claimed, command: str, address: str, primary: AddressState, *, visible: bool) -> Refused:
    """The refusal as this actor may read it. `primary` is what an alias follows, else the claim itself."""
    claim = claimed.claim
    kind = kind_of(primary if isinstance(claim, Alias) else claim)
    details: dict[str, Any] = {"kind": kind}
    if claimed.via_mailbox:
        details["via"] = "provider_identity"
    subject = f"The mailbox behind {address}" if claimed.via_mailbox else address
    if visible:
        details |= holder_of(claim)
        message = f"{subject} {in_words(claim)}."
    else:
        details["advice"] = "ask an administrator"
        message = f"{subject} is taken: {in_short(claim)}. Ask an administrator."
    return Refused(claimed.reason, message, details, next_actions(claimed.reason, claim, command, visible=visible))


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


def next_actions(reason: Reason, claim: Claim | Alias, command: str, *, visible: bool) -> list[NextAction]:
    """What somebody may do next; roles, never names."""
    admins = ("super_admin",)
    match claim:
        case Personal():
            actions = [
                NextAction("TransferOwnership", ("owner", *admins), "Hand the connection to another user."),
                NextAction("Disconnect", ("owner", *admins), "End the personal connection."),
            ]
            if reason is Reason.ADDRESS_ALREADY_PERSONAL and command in ("ConnectTeam", "ConvertConnection"):
                actions.insert(0, NextAction("ConvertConnection", ("owner",), "Turn it into a team address."))
            if visible and claim.link.reauthenticate:
                actions.insert(0, NextAction("Reconnect", ("owner",), "Authenticate the mailbox again."))
        case Team():
            actions = [
                NextAction("MoveTeamAddress", ("account_access",), "Move it to another inbox."),
                NextAction("ConvertConnection", ("account_access",), "Turn it into a personal address."),
                NextAction("Disconnect", ("account_access", *admins), "End the team connection."),
            ]
        case Orphaned():
            actions = [
                NextAction("ReclaimAddress", admins, "Give it to an active user."),
                NextAction("TransferOwnership", admins, "Hand it to another user."),
                NextAction("ReleaseAddress", admins, "Free it for a new connection."),
                NextAction("ReactivateUser", admins, "Or bring its former owner back."),
            ]
        case Alias():
            actions = [
                NextAction("RemoveAlias", ("holder",), "Take the alias from its primary address."),
                NextAction(command, ("holder",), "Or name the primary address instead."),
            ]
    if command in ("ConnectPersonal", "ConnectTeam", "AddAlias"):
        actions.append(NextAction(command, ("anyone entitled",), "Or connect a different mail account."))
    return actions
