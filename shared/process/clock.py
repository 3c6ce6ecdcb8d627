"""The time and the ids of a process: decisions receive them as arguments."""

import time
from datetime import UTC, datetime
from functools import lru_cache

from shared.wire import ids

_jumped_ns = 0


def now() -> str:
    """The time as RFC 3339 in UTC with milliseconds, such as `2026-11-01T09:00:00.000Z`."""
    seconds, nanoseconds = divmod(time.time_ns() + _jumped_ns, 1_000_000_000)
    return f"{_second(seconds)}.{nanoseconds // 1_000_000:03d}Z"


def posix_seconds() -> int:
    """Return the seconds since 1970, by the clock of this process."""
    return (time.time_ns() + _jumped_ns) // 1_000_000_000


def written(time_: datetime) -> str:
    """Return a time in the form of `now`."""
    return time_.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def jump(seconds: float) -> None:
    """Move the clock of this process forward from now on, or back; for tests (`failpoints.py`)."""
    global _jumped_ns  # noqa: PLW0603  one process, one clock
    _jumped_ns += round(seconds * 1_000_000_000)


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def new_id() -> str:
    """A new UUID of version 7 by the clock of this process."""
    return ids.new_id(_jumped_ns)
