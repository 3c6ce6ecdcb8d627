"""Documents that a writer wrote last, so that it reads only what is missing.

The cache is never trusted: a live commit succeeds only in the epoch and at the position that the cache belongs to.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from shared.process.bounded import evict_oldest
from shared.projections.definition import Document
from shared.projections.events import IncomingEvent


@dataclass(slots=True)
class DocumentCache:
    """Documents as of the rows' position, by stream, and the first parked position of each stream that has one.

    `given_up` has the positions that the writer skips: a history may come to an event after an operator gave it up.
    """

    documents: dict[UUID, Document] = field(default_factory=dict)
    parked: dict[UUID, int] = field(default_factory=dict)
    given_up: frozenset[int] = frozenset()

    def without_given_up(self, run: Sequence[IncomingEvent]) -> Sequence[IncomingEvent]:
        return [event for event in run if event.position not in self.given_up] if self.given_up else run

    def missing(self, run: Iterable[IncomingEvent]) -> list[IncomingEvent]:
        """Return one event of each stream whose row may exist and is not cached; a first event has no row yet."""
        first: dict[UUID, IncomingEvent] = {}
        for event in run:
            first.setdefault(event.stream, event)
        return [
            event
            for stream, event in first.items()
            if event.recorded and event.recorded.version != 1 and stream not in self.documents
        ]

    def remember(self, documents: Mapping[UUID, Document], parked: Mapping[UUID, int], limit: int) -> None:
        """Take over what was written; of more than `limit` documents, forget those unchanged for longest."""
        for stream in self.documents.keys() & documents.keys():
            del self.documents[stream]
        self.documents.update(documents)
        evict_oldest(self.documents, limit)
        self.parked |= {stream: position for stream, position in parked.items() if stream not in self.parked}
