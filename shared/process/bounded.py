"""Bounds for dictionaries: eviction costs the same for each entry, however many there are."""

from collections.abc import Hashable
from itertools import islice
from typing import Any, Final

# Many are evicted at once: each search for the oldest entry of a dict passes all that were removed before it.
AT_ONCE: Final = 0.1


def evict_oldest(entries: dict[Any, Any], limit: int) -> None:
    """Once there are more than `limit` entries, remove those that were put in first."""
    if len(entries) > limit:
        oldest: list[Hashable] = list(islice(entries, len(entries) - int(limit * (1 - AT_ONCE))))
        for key in oldest:
            del entries[key]
