"""The statements that find the rows which changed in a range of positions, in the order of their first change in it.

Each part reads one index by position, so that a page costs what its rows cost.
"""

from collections.abc import Iterable
from typing import Final, LiteralString

from shared.language.events import Aggregate
from shared.projections.history.versions import CURRENT_AND_PAST

# A version from within the range, with none before it in the range.
FIRST_CHANGE: Final[LiteralString] = """
SELECT '{aggregate}' AS aggregate, v.stream, v.key, v.position FROM {table} v
WHERE v.account = %(account)s AND v.position > %(after)s AND v.position <= %(last)s {named}
    AND NOT EXISTS (
        SELECT FROM {past} p WHERE p.stream = v.stream AND p.position > %(first)s AND p.position < v.position
    )
"""
NAMED: Final[LiteralString] = "AND v.key = %(name)s"
# The rows of streams as of a position.
AS_OF: Final[LiteralString] = """
SELECT stream, version, doc FROM {current} WHERE stream = ANY(%(streams)s) AND position <= %(position)s
UNION ALL SELECT stream, version, doc FROM {past}
WHERE stream = ANY(%(streams)s) AND position <= %(position)s AND until > %(position)s
"""
# The first events of each stream after a version of it, up to another.
EVENTS: Final[LiteralString] = """
SELECT e.* FROM unnest(%(streams)s::uuid[], %(before)s::bigint[], %(until)s::bigint[]) AS r (stream, before, until)
CROSS JOIN LATERAL (
    SELECT originator_id, originator_version, topic, state, notification_id FROM connections.events
    WHERE originator_id = r.stream AND originator_version > r.before AND originator_version <= r.until
    ORDER BY originator_version LIMIT %(limit)s
) AS e
"""
# A literal, as the type of the statements asks for.
NAMES: Final[dict[Aggregate, LiteralString]] = {
    "account": "account", "user": "user", "inbox": "inbox", "address": "address",
}  # fmt: skip


def first_changes(aggregates: Iterable[Aggregate], *, named: bool) -> LiteralString:
    """Return the statement for rows of these kinds; `named` for the one with a name."""
    parts: list[LiteralString] = []
    for aggregate in aggregates:
        for table in CURRENT_AND_PAST[aggregate]:
            part = FIRST_CHANGE.replace("{aggregate}", NAMES[aggregate]).replace("{table}", table)
            parts.append(
                part.replace("{named}", NAMED if named else "").replace("{past}", CURRENT_AND_PAST[aggregate][1])
            )
    return " UNION ALL ".join(parts) + " ORDER BY position LIMIT %(limit)s"


def rows_as_of(aggregate: Aggregate) -> LiteralString:
    current, past = CURRENT_AND_PAST[aggregate]
    return AS_OF.replace("{current}", current).replace("{past}", past)
