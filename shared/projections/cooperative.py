"""Yield to other tasks during long work on the event loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

# At most so many items in one pass of the event loop: a thousand rows take 10 ms, in which no other task runs.
ROWS_AT_ONCE: Final = 20
# A pass ends after so long, too.
TURN_SECONDS: Final = 0.002

T = TypeVar("T")


async def cooperatively(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items one by one; other tasks run in between."""
    until = time.perf_counter() + TURN_SECONDS
    for number, item in enumerate(items, 1):
        yield item
        if number % ROWS_AT_ONCE == 0 or time.perf_counter() > until:
            await asyncio.sleep(0)
            until = time.perf_counter() + TURN_SECONDS
