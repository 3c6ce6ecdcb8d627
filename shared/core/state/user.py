"""One user: their status, permissions and preferences. After a removal a return begins with new preferences."""

from shared.core.policies import holds
from shared.core.state.rows import Logging, UserRow, require_started
from shared.language.events import (
    AvailabilityChanged,
    DefaultFontChanged,
    DefaultSenderChanged,
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
from shared.language.recorded import Recorded


def fold(row: UserRow | None, event: UserEvent, recorded: Recorded) -> UserRow:
    """Return the row after the event; a chosen default sender is kept with the position of its event."""
    if isinstance(event, UserAdded):
        return {
            "user": event.user,
            "name": event.name,
            "permissions": list(event.permissions),
            "status": "active",
            "seat": False,
            "availability": "available",
            "signature": "",
            "font": None,
            "logging": {"log_replies": True, "track_opens": False, "track_clicks": False, "never_log": []},
            "default_sender": None,
        }
    return change(require_started(row), event, recorded)


def change(row: UserRow, event: UserEvent, recorded: Recorded) -> UserRow:
    match event:
        case PermissionsChanged(permissions=permissions):
            return row | {"permissions": list(permissions)}
        case SeatAssigned():
            return row | {"seat": True}
        case SeatUnassigned():
            return row | {"seat": False}
        case UserDeactivated():
            return row | {"status": "deactivated"}
        case UserReactivated():
            return row | {"status": "active"}
        case UserRemoved():
            return row | {"status": "removed", "seat": False}
        case AvailabilityChanged(availability=availability):
            return row | {"availability": availability}
        case DefaultSenderChanged(address=address):
            return row | {"default_sender": {"address": address, "at": recorded.position}}
        case SignatureChanged(signature=signature):
            return row | {"signature": signature}
        case DefaultFontChanged(font=font, size=size):
            return row | {"font": {"font": font, "size": size}}
        case LoggingPreferencesChanged():
            return row | {"logging": logging_of(event)}
        case _:
            return row


def logging_of(event: LoggingPreferencesChanged) -> Logging:
    return {
        "log_replies": event.log_replies,
        "track_opens": event.track_opens,
        "track_clicks": event.track_clicks,
        "never_log": list(event.never_log),
    }


def administers(row: UserRow | None) -> bool:
    return row is not None and holds(row["permissions"], "account_access")
