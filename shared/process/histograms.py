"""Histograms in plain lists: an observation takes well under a microsecond; `metrics.py` writes them for Prometheus."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

# In nanoseconds.
DURATIONS: Final = tuple(round(ms * 1e6) for ms in (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1e3, 2.5e3, 5e3, 1e4))
SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
# Replaces names that callers have made up: those have no end.
OTHER: Final = "other"


class Histogram:
    """Counts of values by upper bound; the last count is of values above all bounds."""

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
