"""An event with its record: its position, its actor and its time."""

import hashlib
from typing import NamedTuple
from uuid import UUID

from shared.language.events import AddressEvent, Event, InboxEvent, UserEvent

# Never change it: every stream's id is derived from it and a name, for ever.
STREAMS = UUID("6f1d1f5e-6f0c-5c3c-9a43-1c6f5b0f7a11")
_STREAMS = STREAMS.bytes


class Recorded(NamedTuple):
    """`position` counts the whole log and `version` its stream, both from 1; `time` is RFC 3339 in UTC."""

    id: str
    account: str
    stream: UUID
    version: int
    position: int
    actor: str
    command_id: str
    correlation_id: str | None
    traceparent: str | None
    time: str
    event: Event

    @property
    def subject(self) -> str:
        """The `ce-subject`: `<aggregate>/<id>`; an address is named by its stream's id."""
        match self.event:
            case UserEvent(user=user):
                return f"user/{user}"
            case InboxEvent(inbox=inbox):
                return f"inbox/{inbox}"
            case AddressEvent():
                return f"address/{self.stream}"
            case _:
                return f"account/{self.account}"


def stream_id(account: str, aggregate: str, name: str) -> UUID:
    """The stream of one aggregate; `name` is the canonical address, the id of the user or inbox, or the account's."""
    return named(f"{account}/{aggregate}/{name}")


def named(name: str) -> UUID:
    """`uuid.uuid5(STREAMS, name)` (RFC 9562, version 5), in half its time."""
    digest = int.from_bytes(hashlib.sha1(_STREAMS + name.encode(), usedforsecurity=False).digest()[:16])
    return UUID(int=digest & ~(0xF000 << 64 | 0xC000 << 48) | 0x5000 << 64 | 0x8000 << 48)
