"""Questions that wait at the same moment share one snapshot: each then costs little more than its own rows."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg

from shared.runtime.view import READERS, Snapshot, View

LARGEST_GROUP = 64

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Waiting:
    account: str
    actor: str
    look: Callable[[Snapshot], Awaitable[Any]]
    found: "asyncio.Future[Any]"

    def fail(self, error: BaseException) -> None:
        if not self.found.done():
            self.found.set_exception(error)


class SharedSnapshots:
    """At most `READERS` snapshots are open at once; who comes while they are in use waits for the next."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._waiting: deque[Waiting] = deque()
        self._reading: set[asyncio.Task[None]] = set()

    async def look(self, account: str, actor: str, look: Callable[[Snapshot], Awaitable[T]]) -> T:
        """What `look` makes of a snapshot that was taken after this was called.

        Raises:
            psycopg.Error: the database is away or refused; besides, whatever `look` raises.
        """
        waiting = Waiting(account, actor, look, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if len(self._reading) < READERS:
            reading = asyncio.create_task(self._read())
            self._reading.add(reading)
            reading.add_done_callback(self._reading.discard)
        found: T = await waiting.found
        return found

    async def _read(self) -> None:
        while self._waiting:
            group = deque(self._waiting.popleft() for _ in range(min(LARGEST_GROUP, len(self._waiting))))
            try:
                await self._answer(group)
            except psycopg.Error as error:
                # The snapshot was not to be had.
                for waiting in group:
                    waiting.fail(error)

    async def _answer(self, group: deque[Waiting]) -> None:
        """Takes each out of the group as it is answered; the one that breaks the transaction fails alone."""
        async with self._view.snapshots([(waiting.account, waiting.actor) for waiting in group]) as snapshots:
            for snapshot in snapshots:
                waiting = group.popleft()
                try:
                    found = await waiting.look(snapshot)
                except psycopg.Error as error:
                    waiting.fail(error)
                    self._waiting.extendleft(reversed(group))
                    group.clear()
                    raise
                except Exception as error:  # noqa: BLE001  it is the asker's to hear
                    waiting.fail(error)
                else:
                    if not waiting.found.done():
                        waiting.found.set_result(found)
