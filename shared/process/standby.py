"""What a process sees that waits for another one's lease: is the work done, by whoever holds it?

The lease may be held by a session whose process is gone, behind a pooler for example, or by one that can do nothing.
Whoever waits is ready only while nothing is due, or something moves.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

LOOK_SECONDS: Final = 2.0
STOOD_SECONDS: Final = 10.0


class Progress(NamedTuple):
    """`done` is the position that the work has come to, `due` the one that it could have come to."""

    done: int
    due: int


class Standby:
    """Watches work that somebody else should do; `look` tells how far it is."""

    def __init__(self, what: str, look: Callable[[], Awaitable[Progress]]) -> None:
        self._what = what
        self._look = look
        self._looked = 0.0
        self._done = -1
        self._since = time.monotonic()
        self._trouble: str | None = None

    async def trouble(self) -> str | None:
        """None while nothing is due or something moves; asked as often as one likes."""
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            longer_ago, self._looked = now - self._looked > STOOD_SECONDS, now
            done, due = await self._look()
            if done >= due or done != self._done or longer_ago:
                self._done, self._since = done, now
            stood = now - self._since
            self._trouble = (
                f"{self._what} has stood at position {done} for {stood:.0f} s, though events up to {due} are due and "
                "another process holds the lease"
                if stood > STOOD_SECONDS
                else None
            )
        return self._trouble
