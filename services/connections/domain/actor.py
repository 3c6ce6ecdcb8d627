"""Who asks, and whether he may: a service passes every permission check, a user needs what the command names."""

from dataclasses import dataclass
from typing import NoReturn

from services.connections.domain.address import AddressState, Alias, Free, Orphaned, Personal, Team
from services.connections.domain.user import User, UserState
from shared.core.policies import holds
from shared.core.refusal import NextAction, Refused
from shared.language.reasons import Reason
from shared.language.text import SERVICE, Permission


@dataclass(frozen=True, slots=True)
class Actor:
    """`user` is None for a trusted service."""

    id: str
    user: User | None

    @property
    def service(self) -> bool:
        return self.user is None

    def holds(self, permission: Permission) -> bool:
        """A service holds all of them."""
        return self.user is None or holds(self.user.permissions, permission)

    def require(self, permission: Permission) -> None:
        if not self.holds(permission):
            refuse(permission, self.id)

    def require_self(self, user: str, *, or_super_admin: bool = False) -> None:
        if self.service or self.id == user or (or_super_admin and self.holds("super_admin")):
            return
        refuse("self", self.id)

    def require_owner_is_actor(self, owner: str) -> None:
        """Users connect for themselves (A4)."""
        if not self.service and self.id != owner:
            raise Refused(
                Reason.OWNER_MUST_BE_ACTOR,
                "A personal address is connected by its owner himself.",
                {"owner": owner},
                [NextAction("ConnectPersonal", ("owner",), "Let the owner give the command.")],
            )

    def require_holder(self, state: AddressState, primary: AddressState, *, or_super_admin: bool = False) -> None:
        """The owner of a personal connection, `account_access` for a team one, super admins for an orphan.

        An alias is judged by its primary; of a free address everybody may learn that it is free.
        """
        if self.service or (or_super_admin and self.holds("super_admin")):
            return
        match primary if isinstance(state, Alias) else state:
            case Free() | Alias():
                return
            case Personal(owner=owner):
                if owner != self.id:
                    refuse("owner", self.id)
            case Team():
                self.require("account_access")
            case Orphaned():
                self.require("super_admin")

    def require_owner_or_super_admin(self, state: AddressState, primary: AddressState) -> None:
        if self.service or self.holds("super_admin"):
            return
        match primary if isinstance(state, Alias) else state:
            case Free() | Alias():
                return
            case Personal(owner=owner) if owner == self.id:
                return
            case _:
                refuse("super_admin", self.id)


def identify(actor: str, user: UserState) -> Actor:
    """The actor who is a user, if he is an active one."""
    if not isinstance(user, User) or not user.active:
        refuse("active_user", actor)
    return Actor(actor, user)


def require_service(actor: str) -> None:
    if not actor.startswith(SERVICE):
        refuse("service", actor)


_WHY = {
    "active_user": "the actor is not an active user of this account",
    "service": "only a trusted service may do this",
    "self": "only the user himself may do this",
    "owner": "only the owner of the connection may do this",
}


def refuse(permission: str, actor: str) -> NoReturn:
    raise Refused(
        Reason.PERMISSION_MISSING,
        f"This is not allowed to {actor}: {_WHY.get(permission, f'the permission {permission} is missing')}.",
        {"permission": permission},
    )
