"""Long work on the event loop is done in turns: nobody else waits for all of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

# At most so many pieces are done in one pass of the event loop: a thousand rows take 10 ms, in which nobody else is
# served.
ROWS_AT_ONCE: Final = 20
# And no further one is begun when those before it took so long.
TURN_SECONDS: Final = 0.002

T = TypeVar("T")


async def cooperatively(items: Iterable[T]) -> AsyncIterator[T]:
    """The items one by one; the event loop serves others in between."""
    until = time.perf_counter() + TURN_SECONDS
    for number, item in enumerate(items, 1):
        yield item
        if number % ROWS_AT_ONCE == 0 or time.perf_counter() > until:
            await asyncio.sleep(0)
            until = time.perf_counter() + TURN_SECONDS
