"""How fast the log grows: while it grows fast, commands are being given, and the follower of a history gives way."""

import time
from collections import deque


class LogGrowth:
    """The growth of the log, from its ends as they were observed.

    Args:
        fast: so many events a second are fast.
        seconds: the time over which the growth is measured.
    """

    def __init__(self, fast: float = 100.0, seconds: float = 1.0) -> None:
        self._fast = fast
        self._seconds = seconds
        self._ends: deque[tuple[float, int]] = deque()

    def observe(self, end: int) -> None:
        now = time.monotonic()
        self._ends.append((now, end))
        # The oldest one is as old as the measure, or older.
        while len(self._ends) > 1 and self._ends[1][0] <= now - self._seconds:
            self._ends.popleft()

    @property
    def is_fast(self) -> bool:
        """Whether the log grows fast; true, too, until there is a measure."""
        if not self._ends:
            return True
        (began, first), (ended, last) = self._ends[0], self._ends[-1]
        return began == ended or last - first > self._fast * (ended - began)
