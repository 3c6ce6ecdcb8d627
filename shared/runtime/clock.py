"""Time and ids, made nowhere else: decisions get them handed in."""

import os
import random
import time
from datetime import UTC, datetime

# Unique, not secret. A generator of our own, so that nobody else's seed repeats its numbers; seeded again after a fork.
_bits = random.Random()  # noqa: S311  ids are no secrets
os.register_at_fork(after_in_child=_bits.seed)


def now() -> str:
    """The time as RFC 3339 in UTC with milliseconds, such as `2026-11-01T09:00:00.000Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def new_id() -> str:
    """A fresh UUID of version 7 (RFC 9562): ordered by the millisecond it was made in.

    Its bits are not asked of the system each time: that would cost more than all the rest of it.
    """
    milliseconds = time.time_ns() // 1_000_000
    raw = (milliseconds << 80) | _bits.getrandbits(80)
    raw = raw & ~(0xF << 76) | 0x7 << 76
    raw = raw & ~(0x3 << 62) | 0x2 << 62
    text = f"{raw:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
