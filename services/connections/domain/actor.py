"""The actor of a command, and whether they may give it: a service passes every check, a user needs a role."""

from collections.abc import Callable
from typing import NamedTuple, NoReturn, assert_never

from services.connections.domain.address.state import AddressState, Alias, Free, Orphaned, Personal, Team
from services.connections.domain.user import User, UserState
from shared.core.policies import holds
from shared.core.refusal import NextAction, Refused
from shared.language.commands import Command
from shared.language.permissions import PermissionRule, Role
from shared.language.reasons import Reason
from shared.language.text import Permission


class Actor(NamedTuple):
    """`user` is None for a trusted service."""

    id: str
    user: User | None

    def holds(self, permission: str) -> bool:
        """A service holds all of them."""
        return self.user is None or holds(self.user.permissions, permission)


def identify(actor: str, user: UserState) -> Actor:
    """The actor who is a user, if they are an active one."""
    if not isinstance(user, User) or not user.active:
        refuse("active_user", actor)
    return Actor(actor, user)


def require(
    rule: PermissionRule,
    actor: Actor,
    command: Command,
    state: Callable[[], AddressState],
    holder: Callable[[], AddressState],
) -> None:
    """Refuse a command that this user may not give.

    `state` reads the address that the command names; `holder` does too, of an alias its primary.
    """
    missing = missing_for(rule.roles[0], actor, command, holder)
    if missing is not None and all(missing_for(role, actor, command, holder) for role in rule.roles[1:]):
        refuse(missing, actor.id)
    owner: str | None = getattr(command, "owner", None) if rule.owner_is_actor else None
    if owner is not None and owner != actor.id:
        refuse_other_owner(owner)
    if rule.orphan_to_team is not None and owner is None and isinstance(state(), Orphaned):
        refuse_without(rule.orphan_to_team, actor)


def missing_for(role: Role, actor: Actor, command: Command, holder: Callable[[], AddressState]) -> Role | None:
    """The role that the actor would need instead; None when they have this one."""
    match role:
        case "self":
            return None if getattr(command, "user", None) == actor.id else role
        case "owner" | "holder":
            return missing_for_address(role, actor, holder())
        case _:
            return None if actor.holds(role) else role


def missing_for_address(role: Role, actor: Actor, claim: AddressState) -> Role | None:
    """Of a free address anybody may learn that it is free."""
    match claim:
        case Free() | Alias():
            return None
        case Personal(owner=owner):
            return None if owner == actor.id else "owner"
        case Team() | Orphaned():
            needed: Permission = "account_access" if isinstance(claim, Team) else "super_admin"
            return None if role == "holder" and actor.holds(needed) else needed
        case _:
            assert_never(claim)


def refuse_without(permission: Permission, actor: Actor) -> None:
    if not actor.holds(permission):
        refuse(permission, actor.id)


def refuse_other_owner(owner: str) -> NoReturn:
    """Users connect for themselves (A4)."""
    raise Refused(
        Reason.OWNER_MUST_BE_ACTOR,
        "Only the owner can connect a personal address.",
        {"owner": owner},
        [NextAction("ConnectPersonal", ("owner",), "Let the owner give the command.")],
    )


_WHY = {
    "active_user": "the actor is not an active user of this account",
    "service": "only a trusted service may do this",
    "self": "only the user themselves may do this",
    "owner": "only the owner of the connection may do this",
}


def refuse(permission: str, actor: str) -> NoReturn:
    raise Refused(
        Reason.PERMISSION_MISSING,
        f"{actor} may not do this: {_WHY.get(permission, f'missing permission {permission}')}.",
        {"permission": permission},
    )
