"""One user of an account: active, deactivated or removed; their permissions and preferences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from shared.core.decider import Decision
from shared.core.policies import holds
from shared.core.refusal import Refused, next_action
from shared.language.commands import (
    AddUser,
    AssignSeat,
    DeactivateUser,
    ReactivateUser,
    RemoveUser,
    SetPermissions,
    UnassignSeat,
)
from shared.language.events import (
    AvailabilityChanged,
    DefaultFontChanged,
    DefaultSenderChanged,
    Event,
    LoggingPreferencesChanged,
    PermissionsChanged,
    SeatAssigned,
    SeatUnassigned,
    SignatureChanged,
    UserAdded,
    UserDeactivated,
    UserEvent,
    UserReactivated,
    UserRemoved,
)
from shared.language.reasons import Reason
from shared.language.text import Availability, Permission

SUPER_ADMINS = "super_admins"


# ---- situations


@dataclass(frozen=True, slots=True)
class UnknownUser:
    """Nobody ever had this id."""


@dataclass(frozen=True, slots=True)
class Logging:
    log_replies: bool = True
    track_opens: bool = False
    track_clicks: bool = False
    never_log: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class User:
    id: str
    permissions: frozenset[Permission]
    status: Literal["active", "deactivated", "removed"] = "active"
    seat: bool = False
    availability: Availability = "available"
    default_sender: str | None = None
    default_claimed_at: str | None = None
    signature: str = ""
    font: tuple[str, int | None] | None = None
    logging: Logging = Logging()
    removed_at: str | None = None

    @property
    def active(self) -> bool:
        return self.status == "active"


UserState: TypeAlias = UnknownUser | User


def is_active(user: UserState) -> bool:
    return isinstance(user, User) and user.active


def require_added(user: UserState, name: str) -> User:
    """The user, removed or not; an id that was never added is refused."""
    if isinstance(user, UnknownUser):
        raise Refused(
            Reason.USER_NOT_FOUND,
            f"There is no user {name}.",
            {"user": name},
            [next_action(AddUser, "Add the user first.")],
        )
    return user


def require_user(user: UserState, name: str) -> User:
    """The user, active or deactivated; a removed one is not found."""
    known = require_added(user, name)
    if known.status == "removed":
        raise Refused(
            Reason.USER_NOT_FOUND,
            f"The user {name} was removed.",
            {"user": name, "status": "removed"},
            [next_action(ReactivateUser, "Bring the removed user back first.")],
        )
    return known


def require_owner(user: UserState, name: str) -> User:
    """A user who may own a personal connection: active, with `personal_email_access` (A4)."""
    known = require_user(user, name)
    if not known.active:
        raise Refused(
            Reason.OWNER_NOT_ACTIVE,
            f"The user {name} is deactivated and cannot own a connection.",
            {"user": name, "status": "deactivated"},
            [next_action(ReactivateUser, "Reactivate the user first.")],
        )
    if not holds(known.permissions, "personal_email_access"):
        raise Refused(
            Reason.PERMISSION_MISSING,
            f"The user {name} lacks the permission personal_email_access.",
            {"permission": "personal_email_access", "user": name},
            [next_action(SetPermissions, "Give the user personal_email_access.")],
        )
    return known


# ---- decisions


def add(command: AddUser, user: UserState, back: Sequence[Event]) -> Decision:
    """`back` are the addresses that a former user of this id gets again."""
    if isinstance(user, User) and user.status != "removed":
        asleep = [next_action(ReactivateUser, "Reactivate the user, who is deactivated.")]
        raise Refused(
            Reason.USER_EXISTS,
            f"The user {command.user} exists already{'' if user.active else ' and is deactivated'}.",
            {"user": command.user, "status": user.status},
            [] if user.active else asleep,
        )
    added = UserAdded(user=command.user, name=command.name, permissions=tuple(sorted(set(command.permissions))))
    return Decision([added, *back], addresses_returned(command.user, len(back)))


def addresses_returned(user: str, count: int) -> Sequence[Mapping[str, Any]]:
    message = f"Addresses of the former user {user} came back with the id: {count}."
    return [{"code": "ADDRESSES_RETURNED", "count": count, "message": message}] if count else ()


def set_permissions(command: SetPermissions, user: User, last_super_admin: bool) -> list[Event]:
    if last_super_admin and not holds(command.permissions, "super_admin"):
        refuse_last_super_admin(user)
    if user.permissions == frozenset(command.permissions):
        return []
    return [PermissionsChanged(user=user.id, permissions=tuple(sorted(set(command.permissions))))]


def refuse_last_super_admin(user: User) -> None:
    raise Refused(
        Reason.LAST_SUPER_ADMIN,
        f"{user.id} is the last active super admin.",
        {"user": user.id},
        [next_action(SetPermissions, "Make somebody else a super admin first.")],
    )


def assign_seat(_: AssignSeat, user: User) -> list[Event]:
    return [] if user.seat else [SeatAssigned(user=user.id)]


def unassign_seat(_: UnassignSeat, user: User) -> list[Event]:
    return [SeatUnassigned(user=user.id)] if user.seat else []


def deactivate(_: DeactivateUser, user: User, last_super_admin: bool) -> list[Event]:
    if last_super_admin:
        refuse_last_super_admin(user)
    return [UserDeactivated(user=user.id)] if user.active else []


def reactivate(_: ReactivateUser, user: User, back: Sequence[Event]) -> list[Event]:
    """`back` are the addresses that a removed user gets again."""
    return [] if user.active else [UserReactivated(user=user.id), *back]


def remove(command: RemoveUser, user: User, left_behind: Sequence[Event]) -> list[Event]:
    """`left_behind` are the events of the user's connections."""
    if user.status == "removed":
        return []
    return [UserRemoved(user=user.id, policy=command.policy, new_owner=command.new_owner), *left_behind]


def require_inactive(user: User) -> None:
    if user.active:
        raise Refused(
            Reason.USER_NOT_DEACTIVATED,
            f"The user {user.id} is active; only a deactivated user can be removed.",
            {"user": user.id},
            [next_action(DeactivateUser, "Deactivate the user first.")],
        )


# ---- evolve


def evolve(state: UserState, event: UserEvent, time: str) -> UserState:
    match state, event:
        case _, UserAdded(user=user, permissions=permissions):
            return User(id=user, permissions=frozenset(permissions))
        case User(), PermissionsChanged(permissions=permissions):
            return replace(state, permissions=frozenset(permissions))
        case User(), SeatAssigned():
            return replace(state, seat=True)
        case User(), SeatUnassigned():
            return replace(state, seat=False)
        case User(), UserDeactivated():
            return replace(state, status="deactivated")
        case User(), UserReactivated():
            return replace(state, status="active")
        case User(), UserRemoved():
            return replace(state, status="removed", seat=False, removed_at=time)
        case User(), AvailabilityChanged(availability=availability):
            return replace(state, availability=availability)
        case User(), DefaultSenderChanged(address=address):
            return replace(state, default_sender=address, default_claimed_at=event.claimed_at)
        case User(), SignatureChanged(signature=signature):
            return replace(state, signature=signature)
        case User(), DefaultFontChanged(font=font, size=size):
            return replace(state, font=(font, size))
        case User(), LoggingPreferencesChanged():
            return replace(
                state,
                logging=Logging(
                    log_replies=event.log_replies,
                    track_opens=event.track_opens,
                    track_clicks=event.track_clicks,
                    never_log=frozenset(event.never_log),
                ),
            )
        case _:
            return state


# ---- constraint sets


def constraint_sets(state: UserState) -> frozenset[str]:
    """Active super admins are a set, so that the last one is known (D1)."""
    if isinstance(state, User) and state.active and holds(state.permissions, "super_admin"):
        return frozenset((SUPER_ADMINS,))
    return frozenset()
