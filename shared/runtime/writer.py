"""The one thread in which a process decides: it takes what has gathered, settles it as a group, then answers.

While one group waits for the disk the next one gathers, so groups grow with the load and nobody waits for a timer.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import structlog
from eventsourcing.persistence import PersistenceError

from shared.runtime.ledger import Answer, Ledger, Pending, Verdict
from shared.runtime.recorder import NotSent, Unclear

LARGEST_GROUP = 512
MOST_WAITING = 8_192
# How long a command may wait for a store that does not answer before the caller is told BUSY.
PATIENCE_SECONDS = 2.5
PROBE_SECONDS = 1.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0

log = structlog.get_logger(__name__)

Answers = Sequence[tuple[Pending, Answer]]


class Writer:
    """Commands go in with `submit`, on the event loop; their answers come to `tell`, on the loop too.

    `open_ledger` is called in the thread, again and again until the store answers; `busy` makes the answer of a
    command that is not decided in time; `failed` is told when the thread has ended by a mistake of ours.
    """

    def __init__(
        self,
        open_ledger: Callable[[], Ledger],
        tell: Callable[[Answers], None],
        busy: Callable[[Pending], Verdict],
        failed: Callable[[], None],
    ) -> None:
        self._failed = failed
        self._open_ledger = open_ledger
        self._make_busy = busy
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Pending] = deque()
        self._arrived = threading.Event()
        self._stopping = threading.Event()
        self._idle = True
        self._waking = False
        self._trouble: str | None = "not connected to PostgreSQL yet"
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._sweeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._thread.start()
        self._sweeper = asyncio.create_task(self._sweep())

    def submit(self, pending: Pending) -> bool:
        """Takes the command, unless too many wait already; then the caller is to be told BUSY."""
        if len(self._waiting) >= MOST_WAITING or self._stopping.is_set():
            return False
        pending.arrived = time.monotonic()
        self._waiting.append(pending)
        if not self._waking:
            # Once for all that was read together: a thread woken by the first would take it alone, and the
            # interpreter's lock from who reads the rest.
            self._waking = True
            self._loop.call_soon(self._wake)
        return True

    def _wake(self) -> None:
        self._waking = False
        self._arrived.set()

    def trouble(self) -> str | None:
        """Why commands are not being decided now; None when they are."""
        return self._trouble

    async def drain(self, seconds: float) -> None:
        """Waits until everything taken has been answered, then stops the thread."""
        deadline = time.monotonic() + seconds
        while (self._waiting or not self._idle) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        self._stopping.set()
        self._arrived.set()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.to_thread(self._thread.join, max(0.5, deadline - time.monotonic()))

    # ---- in the thread

    def _work(self) -> None:
        try:
            ledger = self._opened()
            if ledger is None:
                return
            self._trouble = None
            while not self._stopping.is_set():
                group = self._take()
                if group:
                    self._settle(ledger, group)
                elif group is None:
                    self._probe(ledger)
            ledger.close()
        except Exception:
            self._trouble = "the writer has failed; see the log"
            log.exception("writer.failed")
            self._loop.call_soon_threadsafe(self._failed)

    def _probe(self, ledger: Ledger) -> None:
        """While nobody asks: whether commands would be decided."""
        try:
            ledger.probe()
            self._trouble = None
        except NotSent as error:
            self._tell_trouble(error)

    def _opened(self) -> Ledger | None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                return self._open_ledger()
            except PersistenceError as error:
                self._trouble = f"PostgreSQL does not answer: {error}"
                log.warning("ledger.not_opened", error=str(error))
                self._stopping.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return None

    def _take(self) -> list[Pending] | None:
        """What has gathered, which may be nothing; None when nobody asked for a while."""
        if not self._waiting:
            self._idle = True
            if not self._arrived.wait(PROBE_SECONDS):
                return None
        self._arrived.clear()
        self._idle = not self._waiting
        group: list[Pending] = []
        while len(group) < LARGEST_GROUP:
            try:
                group.append(self._waiting.popleft())
            except IndexError:
                break
        if self._waiting:
            self._arrived.set()
        return group

    def _settle(self, ledger: Ledger, group: list[Pending]) -> None:
        """Settles the group; a store that is away is waited for, once it may have committed for as long as it takes."""
        pause, unclear = FIRST_PAUSE_SECONDS, False
        while group and not self._stopping.is_set():
            try:
                self._answer(ledger.settle(group))
                self._trouble = None
                return
            except Unclear as error:
                unclear = True
                self._tell_trouble(error)
            except NotSent as error:
                self._tell_trouble(error)
                if not unclear:
                    group = self._without_impatient(group)
            except Exception:
                log.exception("writer.group_failed", commands=len(group), unclear=unclear)
                self._settle_one_by_one(ledger, group)
                return
            self._stopping.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        # Asked to stop meanwhile: asked again with the same id, the journal tells what became of each.
        self._answer([self._busy(pending) for pending in group])

    def _settle_one_by_one(self, ledger: Ledger, group: list[Pending]) -> None:
        """One command that cannot be decided must not keep the others from their answers."""
        if len(group) > 1:
            for pending in group:
                self._settle(ledger, [pending])
        else:
            self._answer([self._busy(group[0])])

    def _tell_trouble(self, error: Exception) -> None:
        if self._trouble is None:
            log.warning("event_store.away", error=str(error))
        self._trouble = f"PostgreSQL does not answer: {error}"

    def _without_impatient(self, group: list[Pending]) -> list[Pending]:
        limit = time.monotonic() - PATIENCE_SECONDS
        self._answer([self._busy(pending) for pending in group if pending.arrived <= limit])
        return [pending for pending in group if pending.arrived > limit]

    def _busy(self, pending: Pending) -> tuple[Pending, Answer]:
        verdict = self._make_busy(pending)
        return pending, Answer(verdict.reply, verdict.outcome, verdict.reason)

    def _answer(self, answers: Answers) -> None:
        if answers:
            self._loop.call_soon_threadsafe(self._tell, answers)

    # ---- on the loop

    async def _sweep(self) -> None:
        """While the thread is held up by the store, those who wait behind it are told BUSY in time."""
        while True:
            await asyncio.sleep(0.25)
            limit = time.monotonic() - PATIENCE_SECONDS
            late: list[Pending] = []
            while self._waiting and self._waiting[0].arrived <= limit:
                try:
                    pending = self._waiting.popleft()
                except IndexError:
                    break
                if pending.arrived > limit:
                    self._waiting.appendleft(pending)
                    break
                late.append(pending)
            if late:
                self._tell([self._busy(pending) for pending in late])
