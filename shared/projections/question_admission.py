"""Admission of questions: how many are in progress is bounded, and accounts take turns to begin.

A flood of one account takes its share, and gets BUSY alone.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from shared.messaging.admission import Admission, KnownTenants, weight_of
from shared.messaging.endpoint import Endpoint, Request
from shared.messaging.fair_queue import FairQueue


@dataclass(slots=True, eq=False)
class PendingQuestion:
    """An admitted question, which is not parsed yet."""

    account: str
    name: str
    share: str
    weight: int
    endpoint: Endpoint
    request: Request


class QuestionAdmission:
    """Admits questions and begins their answers.

    Args:
        answer: answers one question, without raising.
        capacity: the most questions in progress, in weights: one each, and one more for every 4 KiB of its body.
        started_at_once: so many answers begin in one pass of the event loop, so that other tasks run in between.
        started_of_one: so many of one account, while others wait.
    """

    def __init__(
        self,
        tenants: KnownTenants,
        answer: Callable[[PendingQuestion], Coroutine[Any, Any, None]],
        capacity: int = 1_024,
        started_at_once: int = 16,
        started_of_one: int = 2,
    ) -> None:
        self._answer = answer
        self._admission = Admission(capacity, tenants)
        self._pending: FairQueue[PendingQuestion] = FairQueue(tenants)
        self._started_at_once = started_at_once
        self._started_of_one = started_of_one
        self._start_scheduled = False
        self._running: set[asyncio.Task[None]] = set()

    @property
    def in_progress(self) -> int:
        """The weight of all questions that wait or are being answered."""
        return self._admission.total

    def admits(self, account: str, size: int) -> bool:
        """Return whether there is room for a question of so many bytes."""
        return self._admission.admits(account, weight_of(size))

    def enter(self, account: str, name: str, endpoint: Endpoint, request: Request) -> None:
        """Count the question, and begin its answer in its turn; `admits` must have said yes."""
        weight = weight_of(len(request.data))
        share = self._admission.enter(account, weight)
        assert share is not None, "admitted before"
        self._pending.put(PendingQuestion(account, name, share, weight, endpoint, request))
        self._start_soon()

    def _start_soon(self) -> None:
        if not self._start_scheduled:
            self._start_scheduled = True
            asyncio.get_running_loop().call_soon(self._start_some)

    def _start_some(self) -> None:
        self._start_scheduled = False
        for pending in self._pending.take(self._started_at_once, self._started_of_one):
            self._start(pending)
        if self._pending:
            self._start_soon()

    def _start(self, pending: PendingQuestion) -> None:
        def ended(task: "asyncio.Task[None]") -> None:
            self._running.discard(task)
            self._admission.leave(pending.share, pending.weight)

        task = asyncio.create_task(self._answer(pending))
        self._running.add(task)
        task.add_done_callback(ended)

    async def drain(self, seconds: float) -> None:
        """Return when every question has its answer; those that are not through in time are cancelled."""
        while self._pending:
            await asyncio.sleep(0)
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        for late in self._running:
            late.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
