"""Waiting until a view reaches a position, without waking others."""

import asyncio
import heapq
from itertools import count


class PositionWaiters:
    """The view's position as this process knows it, and tasks that wait for later ones.

    Another process of the same view may be ahead.
    """

    def __init__(self) -> None:
        self.position = 0
        self._numbers = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @property
    def has_waiters(self) -> bool:
        """Whether any task waits."""
        return bool(self._waiting)

    def advance(self, position: int) -> None:
        """Set the position, and wake the tasks that waited for it or an earlier one."""
        self.position = position
        while self._waiting and self._waiting[0][0] <= position:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)

    async def wait_for(self, position: int, seconds: float) -> bool:
        """Return whether the position is reached within the time."""
        if position <= self.position:
            return True
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (position, next(self._numbers), future))
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            self._waiting = [entry for entry in self._waiting if entry[2] is not future]
            heapq.heapify(self._waiting)
            return False
        return True
