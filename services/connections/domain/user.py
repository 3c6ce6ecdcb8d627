"""One user of an account: active, deactivated or removed; what he may do, and how he likes to work."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from shared.core.policies import holds
from shared.core.refusal import LISTED, NextAction, Refused, next_action
from shared.language.commands import (
    AddUser,
    ConnectPersonal,
    DeactivateUser,
    ReactivateUser,
    SetAvailability,
    SetDefaultFont,
    SetDefaultSender,
    SetLoggingPreferences,
    SetPermissions,
    SetSignature,
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


@dataclass(frozen=True, slots=True)
class NoUser:
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


UserState: TypeAlias = NoUser | User


def is_active(user: UserState) -> bool:
    return isinstance(user, User) and user.active


def found(user: UserState, name: str) -> User:
    """The user, removed or not; whoever never existed is refused."""
    if isinstance(user, NoUser):
        raise Refused(
            Reason.USER_NOT_FOUND,
            f"There is no user {name}.",
            {"user": name},
            [next_action(AddUser, "Add the user first.")],
        )
    return user


def present(user: UserState, name: str) -> User:
    """The user, active or deactivated; a removed one counts as not there."""
    known = found(user, name)
    if known.status == "removed":
        raise Refused(
            Reason.USER_NOT_FOUND,
            f"The user {name} was removed.",
            {"user": name, "status": "removed"},
            [next_action(ReactivateUser, "Bring the removed user back first.")],
        )
    return known


def owner(user: UserState, name: str) -> User:
    """A user who may own a personal connection: active, with `personal_email_access` (A4)."""
    known = present(user, name)
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


def add(user: UserState, command: AddUser) -> list[Event]:
    if isinstance(user, User) and user.status != "removed":
        asleep = [next_action(ReactivateUser, "Reactivate the user, who is deactivated.")]
        raise Refused(
            Reason.USER_EXISTS,
            f"The user {command.user} exists already{'' if user.active else ' and is deactivated'}.",
            {"user": command.user, "status": user.status},
            [] if user.active else asleep,
        )
    return [UserAdded(user=command.user, name=command.name, permissions=tuple(sorted(set(command.permissions))))]


def set_permissions(user: User, command: SetPermissions, *, last_super_admin: bool) -> list[Event]:
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


def assign_seat(user: User) -> list[Event]:
    return [] if user.seat else [SeatAssigned(user=user.id)]


def unassign_seat(user: User) -> list[Event]:
    return [SeatUnassigned(user=user.id)] if user.seat else []


def deactivate(user: User, *, last_super_admin: bool) -> list[Event]:
    if last_super_admin:
        refuse_last_super_admin(user)
    return [UserDeactivated(user=user.id)] if user.active else []


def reactivate(user: User) -> list[Event]:
    return [] if user.active else [UserReactivated(user=user.id)]


def deactivated_before_removal(user: User) -> User:
    if user.active:
        raise Refused(
            Reason.USER_NOT_DEACTIVATED,
            f"The user {user.id} is active; only a deactivated user can be removed.",
            {"user": user.id},
            [next_action(DeactivateUser, "Deactivate the user first.")],
        )
    return user


def set_availability(user: User, command: SetAvailability) -> list[Event]:
    if user.availability == command.availability:
        return []
    return [AvailabilityChanged(user=user.id, availability=command.availability, cause=command.cause)]


def set_default_sender(user: User, address: str, usable: list[str], claimed_at: str | None) -> list[Event]:
    """`usable` are the identities that the user may send as right now, best first (D2).

    `claimed_at` is when the claim of the address began: a choice that was made of an earlier one has ended with it.
    """
    if address not in usable:
        raise Refused(
            Reason.IDENTITY_NOT_USABLE,
            f"{user.id} cannot send as {address} now.",
            {"usable": usable[:LISTED], "usable_count": len(usable), "status": user.status},
            [way_to_send(user, usable)],
        )
    if (user.default_sender, user.default_claimed_at) == (address, claimed_at):
        return []
    return [DefaultSenderChanged(user=user.id, address=address, claimed_at=claimed_at)]


def way_to_send(user: User, usable: list[str]) -> NextAction:
    """What lets somebody choose a default sender; where nothing is usable, there is nothing to choose from."""
    if usable:
        return next_action(SetDefaultSender, "Choose one of the usable identities.")
    if not user.active:
        return next_action(ReactivateUser, "Reactivate the user first.")
    if not holds(user.permissions, "personal_email_access"):
        return next_action(SetPermissions, "Give the user personal_email_access.")
    return next_action(
        ConnectPersonal,
        "Connect an address, or put right the one there is: Identities says why it is not usable.",
    )


def set_signature(user: User, command: SetSignature) -> list[Event]:
    if user.signature == command.signature:
        return []
    return [SignatureChanged(user=user.id, signature=command.signature)]


def set_default_font(user: User, command: SetDefaultFont) -> list[Event]:
    if user.font == (command.font, command.size):
        return []
    return [DefaultFontChanged(user=user.id, font=command.font, size=command.size)]


def set_logging(user: User, command: SetLoggingPreferences, never_log: list[str] | None) -> list[Event]:
    """`never_log` is the canonical form of the command's list; what is absent stays as it is."""
    now = user.logging
    wanted = Logging(
        log_replies=now.log_replies if command.log_replies is None else command.log_replies,
        track_opens=now.track_opens if command.track_opens is None else command.track_opens,
        track_clicks=now.track_clicks if command.track_clicks is None else command.track_clicks,
        never_log=now.never_log if never_log is None else frozenset(never_log),
    )
    if wanted == now:
        return []
    return [
        LoggingPreferencesChanged(
            user=user.id,
            log_replies=wanted.log_replies,
            track_opens=wanted.track_opens,
            track_clicks=wanted.track_clicks,
            never_log=tuple(sorted(wanted.never_log)),
        )
    ]


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


def memberships(state: UserState) -> frozenset[str]:
    """Active super admins are a set, so that the last one can be told (D1)."""
    if isinstance(state, User) and state.active and holds(state.permissions, "super_admin"):
        return frozenset((SUPER_ADMINS,))
    return frozenset()
