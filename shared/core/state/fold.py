"""Each aggregate's events make one row, by the module of its kind."""

from collections.abc import Mapping
from typing import Any

from shared.core.state import account, address, inbox, user
from shared.language.events import AccountEvent, AddressEvent, InboxEvent, UserEvent
from shared.language.recorded import Recorded


def fold(row: Any, recorded: Recorded) -> Mapping[str, Any]:
    """Return the row after the event; `row` is what the aggregate's earlier events made, or None."""
    match recorded.event:
        case AddressEvent() as event:
            return address.fold(row, event, recorded)
        case UserEvent() as event:
            return user.fold(row, event, recorded)
        case InboxEvent() as event:
            return inbox.fold(row, event)
        case AccountEvent() as event:
            return account.fold(row, event)
        case event:
            raise TypeError(f"{type(event).__name__} belongs to no aggregate here")
