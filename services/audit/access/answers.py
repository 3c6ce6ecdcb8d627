"""Intervals as answers show them, and the keys of their pages."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from services.audit.access.edges import Edge, read_edges
from services.audit.bounds import Bounds
from services.audit.domain.access import Interval
from services.audit.domain.facts import UserFacts
from shared.process.log_reader import EventLog

SEPARATOR = "/"


class Found(NamedTuple):
    """An interval of a user at an address or inbox, with its place in the list."""

    key: str
    user: UserFacts
    interval: Interval
    address: str | None = None
    inbox: str | None = None


def place_in_list(key: str) -> tuple[str, int]:
    """Return the name in a key, and the number of its interval; 0 where the key has none."""
    name, _, number = key.rpartition(SEPARATOR)
    return name, int(number) if re.fullmatch("[0-9]{1,9}", number) else 0


async def interval_answers(log: EventLog, found: Sequence[Found], bounds: Bounds) -> list[tuple[str, dict[str, Any]]]:
    """Return the items of a page, each with its key."""
    positions = (position for one in found for position in (one.interval.start, one.interval.end))
    edges = await read_edges(log, positions)
    return [(one.key, to_answer(one, edges, bounds)) for one in found]


def to_answer(found: Found, edges: Mapping[int, Edge], bounds: Bounds) -> dict[str, Any]:
    user, way, start, end = found.interval
    life = found.user.life_at(start)
    return {
        "user": user,
        "name": life.name,
        "added": life.added,
        "address": found.address,
        "inbox": found.inbox,
        "can": way.can,
        "rule": way.rule,
        "via": way.via,
        "from": edges[start],
        "to": None if end is None else edges[end],
        "began_before": start < bounds.first,
        "goes_on_after": end is None or end > bounds.last,
    }
