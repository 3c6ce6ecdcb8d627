"""Ids of commands, events and processes."""

import os
import random
import time

# Unique, not secret. The generator is separate, so that a seed elsewhere cannot repeat its numbers.
_bits = random.Random()  # noqa: S311  ids are no secrets
os.register_at_fork(after_in_child=_bits.seed)


def new_id(ahead_ns: int = 0) -> str:
    """A new UUID of version 7 (RFC 9562), ordered by the millisecond it was made in.

    Its bits come from a generator of the process, since asking the system each time would cost more than the rest.
    `ahead_ns` is how far the clock of the process is ahead of the system's, in nanoseconds.
    """
    milliseconds, bits = (time.time_ns() + ahead_ns) // 1_000_000, _bits.getrandbits(74)
    first, second = bits >> 62, bits >> 48 & 0x3FFF | 0x8000
    return (
        f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{first:03x}-{second:04x}-{bits & 0xFFFF_FFFF_FFFF:012x}"
    )
