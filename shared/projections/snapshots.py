"""Questions that wait at the same moment share one snapshot: each costs little more than its own rows.

Accounts take turns, and a snapshot ends soon: questions that are left wait for the next one, in front. While there are
several accounts, none has all of the snapshots, nor all of the event loop's time.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg

from shared.messaging.admission import KnownTenants, Throughput
from shared.messaging.fair_queue import FairQueue
from shared.process.pacing import pause_after
from shared.projections.cpu_time import CpuTimed
from shared.projections.snapshot import Asker, Snapshot
from shared.projections.view import View

# A snapshot whose answers have kept the event loop busy for so long begins no further one.
SLICE_SECONDS = 0.01
# After a snapshot an account rests, beside others, for so many times as long as its answers kept the loop busy.
REST_TIMES = 8.0
# An account that took no more of it does not rest.
MIN_REST_AFTER_SECONDS = 0.002
# The time on the loop that a question takes besides: to be parsed, begun and replied to.
OVERHEAD_SECONDS = 0.0002
# The estimate before the first group is measured.
FIRST_THROUGHPUT = 1_000.0

T = TypeVar("T")


class OverloadedError(Exception):
    """Too many questions were before it."""


@dataclass(slots=True, eq=False)
class QueuedQuestion:
    account: str
    asker: Asker
    read: Callable[[Snapshot], Awaitable[Any]]
    answer: "asyncio.Future[Any]"
    arrived: float
    weight: int = 1
    # The time that it took on the event loop.
    seconds: float = 0.0

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class SharedSnapshots:
    """Groups questions into snapshots, of which the view has at most `readers` at once.

    Args:
        max_wait_seconds: after so long a question fails: most callers have given up, and those behind it have not.
        group: the most questions of one snapshot.
        of_one: the most of one account, while there are others.
    """

    def __init__(
        self, view: View, accounts: KnownTenants, max_wait_seconds: float = 4.0, group: int = 64, of_one: int = 16
    ) -> None:
        self._view = view
        self.max_wait_seconds = max_wait_seconds
        self._group = group
        self._of_one = of_one
        self._accounts = accounts
        self._waiting: FairQueue[QueuedQuestion] = FairQueue(accounts)
        self.throughput = Throughput(FIRST_THROUGHPUT)
        self._reading: set[asyncio.Task[None]] = set()
        # In how many snapshots each line is now, including those that it rests after.
        self._in_use: Counter[str] = Counter()

    async def read(self, asker: Asker, read: Callable[[Snapshot], Awaitable[T]]) -> T:
        """Return the result of `read` from a snapshot that was taken after this call.

        All askers of one view ask about the newest rows, or all of them about a position.

        Raises:
            OverloadedError: its turn did not come in time.
            psycopg.Error: the database is away or refused; `read` may raise others.
        """
        waiting = QueuedQuestion(
            asker.account, asker, read, asyncio.get_running_loop().create_future(), time.monotonic()
        )
        self._waiting.put(waiting)
        self._start()
        try:
            answered: T = await waiting.answer
        except asyncio.CancelledError:
            # While the readers hang, no group takes it: it must not stay until one does.
            self._waiting.remove_expired(lambda other: other.answer.done())
            raise
        return answered

    def _start(self) -> None:
        if len(self._reading) < self._view.readers:
            reading = asyncio.create_task(self._read())
            self._reading.add(reading)
            reading.add_done_callback(self._reading.discard)

    async def _read(self) -> None:
        while taken := self._waiting.take(self._group, self._of_one, self._in_use, self._view.readers):
            began = time.monotonic()
            lines = [self._waiting.share_of(waiting) for waiting in taken]
            self._in_use.update(set(lines))
            try:
                if group := deque([one for one in taken if self._still_waits(one, began - self.max_wait_seconds)]):
                    await self._serve_group(group, began)
            finally:
                spent: dict[str, float] = dict.fromkeys(lines, 0.0)
                for line, waiting in zip(lines, taken, strict=True):
                    spent[line] += waiting.seconds
                self._release(spent)

    async def _serve_group(self, group: deque[QueuedQuestion], began: float) -> None:
        size = len(group)
        try:
            await self._answer_group(group)
        except psycopg.Error as error:
            # There was no snapshot.
            for waiting in group:
                waiting.fail(error)
        else:
            self._waiting.put_back(group)
            # The other readers do as much meanwhile.
            self.throughput.observe((size - len(group)) * len(self._reading), time.monotonic() - began)

    def _release(self, spent: Mapping[str, float]) -> None:
        """Let an account that asks for much leave the event loop to the others for most of the time."""
        loop, contended = asyncio.get_running_loop(), self._waiting.contended()
        for line, seconds in spent.items():
            if contended and seconds > MIN_REST_AFTER_SECONDS:
                loop.call_later(pause_after(seconds, REST_TIMES, 0.0), self._after_rest, line)
            else:
                self._release_one(line)

    def _release_one(self, line: str) -> None:
        self._in_use[line] -= 1
        if not self._in_use[line]:
            del self._in_use[line]

    def _after_rest(self, line: str) -> None:
        self._release_one(line)
        if self._waiting:
            self._start()

    def _still_waits(self, waiting: QueuedQuestion, limit: float) -> bool:
        """Return whether the caller still waits; questions that came before the limit fail."""
        if waiting.arrived < limit:
            waiting.fail(OverloadedError())
        return not waiting.answer.done()

    async def _answer_group(self, group: deque[QueuedQuestion]) -> None:
        """Take each out of the group as it is answered; the one that breaks the transaction fails alone."""
        async with self._view.snapshots([waiting.asker for waiting in group]) as snapshots:
            met = {snapshot.account for snapshot in snapshots if snapshot.account_doc is not None}
            if new_accounts := {account for account in met if account not in self._accounts}:
                self._waiting.add_tenants(new_accounts)
            spent = 0.0
            for snapshot in snapshots:
                spent += await self._answer_one(group, snapshot)
                if spent > SLICE_SECONDS:
                    return

    async def _answer_one(self, group: deque[QueuedQuestion], snapshot: Snapshot) -> float:
        """Answer the first of the group; return the seconds that it kept the event loop busy."""
        waiting = group.popleft()
        timed = CpuTimed(waiting.read(snapshot))
        try:
            answer = await timed
        except psycopg.Error as error:
            waiting.fail(error)
            self._waiting.put_back(group)
            group.clear()
            raise
        except Exception as error:  # noqa: BLE001  the caller handles it
            waiting.fail(error)
        else:
            if not waiting.answer.done():
                waiting.answer.set_result(answer)
        finally:
            waiting.seconds = timed.seconds + OVERHEAD_SECONDS
        return timed.seconds
