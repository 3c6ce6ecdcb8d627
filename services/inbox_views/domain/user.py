"""One user: who he is, what he may do, how he works; a return begins anew, but for his places in lists."""

from typing import Final

from services.inbox_views.domain.document import Doc, require_started
from shared.core.policies import holds
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

BEGINNING: Final[Doc] = {
    "status": "active",
    "seat": False,
    "availability": "available",
    "signature": "",
    "font": None,
    "logging": {"log_replies": True, "track_opens": False, "track_clicks": False, "never_log": []},
    "default_sender": None,
}


def fold(doc: Doc | None, event: UserEvent, recorded: Recorded) -> Doc:
    """The document after the event; `recorded` says where it stands."""
    if isinstance(event, UserAdded):
        return {"user": event.user, "name": event.name, "permissions": list(event.permissions)} | BEGINNING
    return require_started(doc) | changes(event, recorded)


def changes(event: UserEvent, recorded: Recorded) -> Doc:
    """The fields that an event sets; what was chosen is kept with the position at which it was."""
    match event:
        case PermissionsChanged(permissions=permissions):
            return {"permissions": list(permissions)}
        case SeatAssigned():
            return {"seat": True}
        case SeatUnassigned():
            return {"seat": False}
        case UserDeactivated():
            return {"status": "deactivated"}
        case UserReactivated():
            return {"status": "active"}
        case UserRemoved():
            return {"status": "removed", "seat": False}
        case AvailabilityChanged(availability=availability):
            return {"availability": availability}
        case DefaultSenderChanged(address=address):
            return {"default_sender": {"address": address, "at": recorded.position}}
        case SignatureChanged(signature=signature):
            return {"signature": signature}
        case DefaultFontChanged(font=font, size=size):
            return {"font": {"font": font, "size": size}}
        case LoggingPreferencesChanged():
            logging = event.model_dump(include={"log_replies", "track_opens", "track_clicks"})
            return {"logging": logging | {"never_log": list(event.never_log)}}
        case _:
            return {}


def to_answer(doc: Doc, teams: list[str], default_sender: str | None) -> Doc:
    """The answer's object; the default sender is the one in force, not the one once chosen."""
    fields = ("user", "name", "status", "permissions", "seat", "availability")
    rest = ("signature", "font", "logging")
    return (
        {name: doc[name] for name in fields}
        | {"teams": teams}
        | {name: doc[name] for name in rest}
        | {"default_sender": default_sender}
    )


def administers(doc: Doc | None) -> bool:
    return doc is not None and holds(doc["permissions"], "account_access")
