"""The preferences of a user: availability, default sender, signature, font, logging."""

from collections.abc import Sequence

from services.connections.domain.user import Logging, User
from shared.core.policies import holds
from shared.core.refusal import LISTED, NextAction, Refused, next_action
from shared.language.commands import (
    ConnectPersonal,
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
    SignatureChanged,
)
from shared.language.reasons import Reason


def set_availability(command: SetAvailability, user: User) -> list[Event]:
    if user.availability == command.availability:
        return []
    return [AvailabilityChanged(user=user.id, availability=command.availability, cause=command.cause)]


def set_default_sender(
    _: SetDefaultSender, user: User, address: str, usable: Sequence[str], claimed_at: str | None
) -> list[Event]:
    """`usable` are the identities that the user may send as right now, best first (D2).

    `claimed_at` is when the connection began: a choice that was made of an earlier one has ended with it.
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


def way_to_send(user: User, usable: Sequence[str]) -> NextAction:
    """The command that lets the user choose a default sender."""
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


def set_signature(command: SetSignature, user: User) -> list[Event]:
    if user.signature == command.signature:
        return []
    return [SignatureChanged(user=user.id, signature=command.signature)]


def set_default_font(command: SetDefaultFont, user: User) -> list[Event]:
    if user.font == (command.font, command.size):
        return []
    return [DefaultFontChanged(user=user.id, font=command.font, size=command.size)]


def set_logging(command: SetLoggingPreferences, user: User, never_log: Sequence[str] | None) -> list[Event]:
    """`never_log` is the canonical form of the command's list; an absent preference stays as it is."""
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
