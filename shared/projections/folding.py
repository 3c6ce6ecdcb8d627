"""Fold a run of events onto the documents of their aggregates.

No event is skipped: one that cannot be applied is parked (a dead letter), and so are the later ones of its aggregate.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from shared.language.recorded import Recorded
from shared.projections.definition import Document, Fold
from shared.projections.document_cache import DocumentCache
from shared.projections.events import IncomingEvent

# The event that made it, and the document since then.
Version = tuple[Recorded, Document]


@dataclass(slots=True)
class FoldResult:
    """The outcome of a run: new documents, the last event of each, parked events and their first position by stream.

    `versions` has the document after each event, in order; None unless they were asked for.
    """

    documents: dict[UUID, Document] = field(default_factory=dict)
    last: dict[UUID, Recorded] = field(default_factory=dict)
    parked: list[IncomingEvent] = field(default_factory=list)
    parked_since: dict[UUID, int] = field(default_factory=dict)
    versions: list[Version] | None = None


def fold_events(
    fold: Fold, run: Iterable[IncomingEvent], cache: DocumentCache, *, versions: bool = False
) -> FoldResult:
    """Fold each aggregate's events onto its document; the cache does not change."""
    result = FoldResult(versions=[] if versions else None)
    documents, last, before, after_each = result.documents, result.last, cache.documents, result.versions
    for event in run:
        recorded, stream = event.recorded, event.stream
        first = _first_parked(event, cache, result) if cache.parked or result.parked_since else None
        if recorded is None or first is not None:
            event.error = event.error or f"behind position {first}"
        else:
            try:
                document = documents.get(stream)
                document = documents[stream] = fold(before.get(stream) if document is None else document, recorded)
                last[stream] = recorded
                if after_each is not None:
                    after_each.append((recorded, document))
                continue
            except Exception as error:  # noqa: BLE001  any error of a fold parks the event, with its reason
                event.error = f"{type(error).__name__}: {error}"
        result.parked_since.setdefault(stream, event.position)
        result.parked.append(event)
    return result


def _first_parked(event: IncomingEvent, cache: DocumentCache, result: FoldResult) -> int | None:
    """Return the first position before the event's at which its aggregate is parked."""
    first = cache.parked.get(event.stream)
    return first if first is not None and first < event.position else result.parked_since.get(event.stream)
