"""The fields that facts changed, from the versions of rows before and at each of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, LiteralString

from services.audit.domain.differences import FieldChange, difference
from services.audit.logged_facts import LoggedFact
from shared.language.events import AccountEvent, Aggregate
from shared.projections.cooperative import cooperatively
from shared.projections.history.versions import CURRENT_AND_PAST
from shared.projections.snapshot import Snapshot

# The version that the event at a position made, and the one before it.
VERSIONS: Final[LiteralString] = """
SELECT q.position, now.doc, before.doc
FROM unnest(%(streams)s::uuid[], %(positions)s::bigint[], %(parts)s::text[]) AS q (stream, position, part)
CROSS JOIN LATERAL (
    SELECT {doc} AS doc FROM {current} WHERE stream = q.stream AND position = q.position
    UNION ALL SELECT {doc} FROM {past} WHERE stream = q.stream AND position = q.position
    LIMIT 1
) now
LEFT JOIN LATERAL (
    SELECT {doc} AS doc FROM {past} WHERE stream = q.stream AND position < q.position ORDER BY position DESC LIMIT 1
) before ON true
"""
# The row of an account has all of its teams; an event changes at most one of them.
ACCOUNT_DOC: Final[LiteralString] = """
jsonb_set(doc, '{teams}', CASE WHEN doc->'teams' ? q.part
    THEN jsonb_build_object(q.part, doc->'teams'->q.part) ELSE '{}' END)
"""


async def changes_of(snapshot: Snapshot, facts: Iterable[LoggedFact]) -> Mapping[int, Sequence[FieldChange]]:
    """Return the changes of each fact, by position; a fact that no row has is left out."""
    by_aggregate: dict[Aggregate, list[LoggedFact]] = defaultdict(list)
    for fact in facts:
        if fact.recorded is not None:
            by_aggregate[fact.recorded.event.aggregate].append(fact)
    found: dict[int, Sequence[FieldChange]] = {}
    for aggregate, of_aggregate in by_aggregate.items():
        async for position, now, before in cooperatively(await _versions(snapshot, aggregate, of_aggregate)):
            found[position] = difference(aggregate, before, now)
    return found


async def _versions(snapshot: Snapshot, aggregate: Aggregate, facts: Sequence[LoggedFact]) -> list[tuple[Any, ...]]:
    current, past = CURRENT_AND_PAST[aggregate]
    doc = ACCOUNT_DOC if aggregate == "account" else "doc"
    statement = VERSIONS.replace("{doc}", doc).replace("{current}", current).replace("{past}", past)
    recorded = [fact.recorded for fact in facts if fact.recorded is not None]
    params = {
        "streams": [one.stream for one in recorded],
        "positions": [one.position for one in recorded],
        "parts": [
            team if isinstance(one.event, AccountEvent) and (team := getattr(one.event, "team", None)) else ""
            for one in recorded
        ],
    }
    return await snapshot.select(statement, params)
