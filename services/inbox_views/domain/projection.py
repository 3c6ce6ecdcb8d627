"""Each aggregate's events make one document, by the page of its kind."""

from services.inbox_views.domain import account, address, inbox, user
from services.inbox_views.domain.document import Doc
from shared.language.events import AccountEvent, AddressEvent, InboxEvent, UserEvent
from shared.language.recorded import Recorded


def fold(doc: Doc | None, recorded: Recorded) -> Doc:
    """The document after the event; `doc` is what the aggregate's earlier events made, if any."""
    match recorded.event:
        case AddressEvent() as event:
            return address.fold(doc, event, recorded)
        case UserEvent() as event:
            return user.fold(doc, event, recorded)
        case InboxEvent() as event:
            return inbox.fold(doc, event)
        case AccountEvent() as event:
            return account.fold(doc, event)
        case event:
            raise TypeError(f"{type(event).__name__} stands on no aggregate of this view")
