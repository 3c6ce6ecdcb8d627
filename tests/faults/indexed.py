"""The audit's index against a plain recomputation from log and journal: what each event and each attempt concerns."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import psycopg

from services.audit.index.schema import LIVE
from tests.audit.past import rows
from tests.audit.plain_index import Row, indexed_rows, plain_index
from tests.faults.verdict import Verdict

LOOK_SECONDS = 0.1
REACHED = """
SELECT (SELECT max(notification_id) FROM connections.events), (SELECT max(ordinal) FROM connections.journal),
    position, ordinal FROM audit_index.checkpoint
"""


class Index(NamedTuple):
    """Account, kind, name, position and ordinal of each entry: those that are there, and those that must be."""

    seen: Sequence[Row]
    right: frozenset[Row]


def reached(postgres_url: str, seconds: float) -> Index:
    """Return the index once it has come to the ends of log and journal.

    Raises:
        AssertionError: it does not get there in time.
    """
    until = time.monotonic() + seconds
    while (place := _place(postgres_url)) is None or place[:2] != place[2:]:
        assert time.monotonic() < until, f"the index came in {seconds:g} s to (end, ordinal, its own) {place}"
        time.sleep(LOOK_SECONDS)
    return Index(indexed_rows(postgres_url, LIVE), frozenset(plain_index(postgres_url)))


def _place(postgres_url: str) -> tuple[int, ...] | None:
    with suppress(psycopg.errors.UndefinedTable):
        return tuple(rows(postgres_url, REACHED)[0])
    return None


def of_the_index(index: Index, strangers: frozenset[str]) -> Verdict:
    """Accounts of strangers are left out: the index may have come to their events before a nemesis changed them."""
    seen = [one for one in index.seen if one[0] not in strangers]
    right = {one for one in index.right if one[0] not in strangers}
    return {
        "not in the index": sorted(right - set(seen)),
        "in the index for nothing": sorted(set(seen) - right),
        "in the index twice": [one for one, times in Counter(seen).items() if times > 1],
    }
