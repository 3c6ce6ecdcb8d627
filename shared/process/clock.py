"""Time and ids, made nowhere else: decisions get them handed in."""

import os
import random
import time
from datetime import UTC, datetime
from functools import lru_cache

# Unique, not secret. A generator of our own, so that nobody else's seed repeats its numbers; seeded again after a fork.
_bits = random.Random()  # noqa: S311  ids are no secrets
os.register_at_fork(after_in_child=_bits.seed)
_jumped_ns = 0


def now() -> str:
    """The time as RFC 3339 in UTC with milliseconds, such as `2026-11-01T09:00:00.000Z`."""
    seconds, nanoseconds = divmod(time.time_ns() + _jumped_ns, 1_000_000_000)
    return f"{_second(seconds)}.{nanoseconds // 1_000_000:03d}Z"


def jump(seconds: float) -> None:
    """This process takes it for so much later from now on, or earlier; for tests (`failpoints.py`)."""
    global _jumped_ns  # noqa: PLW0603  one process, one clock
    _jumped_ns += round(seconds * 1_000_000_000)


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def new_id() -> str:
    """A fresh UUID of version 7 (RFC 9562): ordered by the millisecond it was made in.

    Its bits are not asked of the system each time: that would cost more than all the rest of it.
    """
    milliseconds, bits = (time.time_ns() + _jumped_ns) // 1_000_000, _bits.getrandbits(74)
    first, second = bits >> 62, bits >> 48 & 0x3FFF | 0x8000
    return (
        f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{first:03x}-{second:04x}-{bits & 0xFFFF_FFFF_FFFF:012x}"
    )
