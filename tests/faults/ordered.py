"""The order that the write side keeps beside the log: ordinals and places of journal entries, and the times of commits.

An event without an accepted entry was written by a nemesis, and belongs to no commit.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import accumulate, pairwise
from typing import NamedTuple

import psycopg

from tests.faults.verdict import Verdict


class Entry(NamedTuple):
    """A row of the journal, answered again or not; `position` is that of an accepted command's last event."""

    id: str
    ordinal: int | None
    outcome: str
    position: int | None
    log_position: int | None


class Commit(NamedTuple):
    """No event up to the position is later than this time."""

    latest: datetime
    position: int


class Written(NamedTuple):
    """An event with the transaction that wrote it."""

    position: int
    time: datetime | None
    transaction: int


class Order(NamedTuple):
    """Entries by ordinal, commits by position, and events by position."""

    entries: Sequence[Entry]
    commits: Sequence[Commit]
    events: Sequence[Written]


ENTRIES = "SELECT entry::text, ordinal, outcome, position, log_position FROM connections.journal ORDER BY ordinal"
COMMITS = "SELECT latest, position FROM connections.commits ORDER BY position"
EVENTS = """
SELECT notification_id, convert_from(state, 'UTF8')::json->>'time', xmin::text::bigint
FROM connections.events ORDER BY notification_id
"""


def kept_order(postgres_url: str) -> Order:
    with psycopg.connect(postgres_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        entries = [Entry._make(row) for row in connection.execute(ENTRIES).fetchall()]
        commits = [Commit._make(row) for row in connection.execute(COMMITS).fetchall()]
        events = connection.execute(EVENTS).fetchall()
    return Order(
        entries, commits, [Written(at, time and datetime.fromisoformat(time), xid) for at, time, xid in events]
    )


def of_the_order(order: Order) -> Verdict:
    numbers = [entry.ordinal for entry in order.entries if entry.ordinal is not None]
    accepted = [entry for entry in order.entries if entry.outcome == "accepted"]
    expected, seen = set(commits_of(order.events, accepted)), set(order.commits)
    return {
        "journal entries without an ordinal": [entry.id for entry in order.entries if entry.ordinal is None],
        "ordinals missing or beyond the last": sorted(set(range(1, len(order.entries) + 1)) ^ set(numbers)),
        "ordinals given twice": sorted({before for before, after in pairwise(sorted(numbers)) if before == after}),
        "positions not in the order of ordinals": [
            (before.ordinal, after.ordinal)
            for before, after in pairwise(accepted)
            if (before.position or 0) >= (after.position or 0)
        ],
        "entries at another place of the log": misplaced(order),
        "commits without their row": sorted(expected - seen),
        "rows of no commit": sorted(seen - expected),
    }


def misplaced(order: Order) -> list[tuple[int | None, str, int | None, int | None]]:
    """Entries whose `log_position` is not where their ordinal places them: (ordinal, outcome, position, log position).

    That of an accepted entry is its own, behind every earlier one; every other entry stands at an end of a command.
    """
    accepted = {entry.position for entry in order.entries if entry.outcome == "accepted"}
    ends = {0, *accepted, *of_nobody(order.events, accepted)}
    wrong, last = [], 0
    for entry in order.entries:
        place = -1 if entry.log_position is None else entry.log_position
        right = last < place == entry.position if entry.outcome == "accepted" else last <= place in ends
        if not right:
            wrong.append((entry.ordinal, entry.outcome, entry.position, entry.log_position))
        last = max(last, place)
    return wrong


def commits_of(events: Sequence[Written], accepted: Iterable[Entry]) -> list[Commit]:
    """The rows that there must be: at the end of each transaction, the latest time of an event so far."""
    nobodys = of_nobody(events, {entry.position for entry in accepted})
    ours = [one for one in events if one.position not in nobodys and one.time is not None]
    latest = accumulate((one.time for one in ours if one.time), max)
    ends = {one.transaction: Commit(time, one.position) for one, time in zip(ours, latest, strict=True)}
    return list(ends.values())


def of_nobody(events: Iterable[Written], accepted: set[int | None]) -> set[int]:
    """The positions of events in transactions of which no accepted entry tells."""
    positions: dict[int, set[int]] = defaultdict(set)
    for one in events:
        positions[one.transaction].add(one.position)
    return {position for of_one in positions.values() if of_one.isdisjoint(accepted) for position in of_one}
