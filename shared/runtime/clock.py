"""Time and ids, made nowhere else: decisions get them handed in."""

import os
import threading
import time
from datetime import UTC, datetime


def now() -> str:
    """The time as RFC 3339 in UTC with milliseconds, such as `2026-11-01T09:00:00.000Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


class Randomness:
    """Bytes of the system's generator, drawn many at a time: one call of it costs more than the rest of an id."""

    DRAWN = 4_096

    def __init__(self) -> None:
        self._left = b""
        self._drawing = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)

    def draw(self, count: int) -> bytes:
        with self._drawing:
            if len(self._left) < count:
                self._left = os.urandom(self.DRAWN)
            drawn, self._left = self._left[:count], self._left[count:]
            return drawn

    def _forget(self) -> None:
        """Nothing is left to draw from; a forked child must not draw what its parent draws."""
        self._left = b""
        self._drawing = threading.Lock()


_randomness = Randomness()


def new_id() -> str:
    """A fresh UUID of version 7 (RFC 9562): ordered by the millisecond it was made in."""
    milliseconds = time.time_ns() // 1_000_000
    raw = (milliseconds << 80) | int.from_bytes(_randomness.draw(10))
    raw = raw & ~(0xF << 76) | 0x7 << 76
    raw = raw & ~(0x3 << 62) | 0x2 << 62
    text = f"{raw:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
