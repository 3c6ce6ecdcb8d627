"""What happens is counted in plain lists and dicts, well under a microsecond each; `metrics.py` tells it if asked."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

# In nanoseconds.
DURATIONS: Final = tuple(round(ms * 1e6) for ms in (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1e3, 2.5e3, 5e3, 1e4))
SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
# In place of a name that a caller has made up: there is no end of those.
OTHER: Final = "other"


class Histogram:
    """How many values are at most as large as each bound, and larger than the one before; the last have no bound."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[int]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0

    def observe(self, values: Sequence[int]) -> None:
        bounds, counts = self.bounds, self.counts
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self.sum += sum(values)
