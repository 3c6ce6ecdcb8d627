"""What is kept in memory stays bounded, at the same cost for each entry however many there are."""

from collections.abc import Hashable
from itertools import islice
from typing import Any, Final

# Many go at once: each look for the oldest entry of a dict passes over all that were removed before it.
AT_ONCE: Final = 0.1


def forget_oldest(kept: dict[Any, Any], most: int) -> None:
    """Once there are more than `most`, removes what was put in longest ago."""
    if len(kept) > most:
        oldest: list[Hashable] = list(islice(kept, len(kept) - int(most * (1 - AT_ONCE))))
        for key in oldest:
            del kept[key]
