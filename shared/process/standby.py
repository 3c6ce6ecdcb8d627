"""A process on standby watches the holder of the lease: does the work go on?

The lease may be held by a session without its process, behind a pooler for example, or by a process that can do
nothing. A process on standby is ready only while no work is due, or the position moves.
"""

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """`done` is the position that the work has reached, `due` the one that it could have reached."""

    done: int
    due: int


class Standby:
    """Watches the work of another process.

    Args:
        work: the name of the work, for people.
        read_progress: reads how far the work is.
        interval_seconds: the least time between two reads.
        stalled_seconds: how long the position may stay the same while work is due.
    """

    def __init__(
        self,
        work: str,
        read_progress: Callable[[], Awaitable[Progress]],
        interval_seconds: float = 2.0,
        stalled_seconds: float = 10.0,
    ) -> None:
        self._work = work
        self._read_progress = read_progress
        self._interval_seconds = interval_seconds
        self._stalled_seconds = stalled_seconds
        self._read_at = 0.0
        self._done = -1
        self._since = time.monotonic()
        self._stalled: str | None = None

    async def stalled(self) -> str | None:
        """Return why the work counts as stalled; None while no work is due or the position moves."""
        now = time.monotonic()
        if now - self._read_at > self._interval_seconds:
            long_ago, self._read_at = now - self._read_at > self._stalled_seconds, now
            done, due = await self._read_progress()
            if done >= due or done != self._done or long_ago:
                self._done, self._since = done, now
            seconds = now - self._since
            self._stalled = (
                f"{self._work} has been at position {done} for {seconds:.0f} s, though events up to {due} are due and "
                "another process holds the lease"
                if seconds > self._stalled_seconds
                else None
            )
        return self._stalled
