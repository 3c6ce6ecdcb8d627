"""What an accepted command would have to say, and no message carries."""

from collections.abc import Sequence
from typing import NamedTuple, cast
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from shared.messaging.message_size import published_size

# The position in a reply is still 0 when it is measured.
DIGITS = 18


class TooLarge(NamedTuple):
    """The bytes of `what`, which is the stored name of an event, or `reply`, and how many one message carries."""

    what: str
    size: int
    max_payload: int


def largest_of(events: Sequence[StoredEvent], reply: bytes, max_payload: int) -> TooLarge | None:
    """The largest of them, when that is more than one message carries."""
    found = [TooLarge("reply", len(reply) + DIGITS, max_payload)]
    for event in events:
        stream = cast(UUID, event.originator_id)
        size = published_size(stream, event.originator_version, event.topic, event.state)
        found.append(TooLarge(event.topic, size, max_payload))
    largest = max(found, key=lambda one: one.size)
    return largest if largest.size > max_payload else None
