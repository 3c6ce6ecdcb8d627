"""A follower of the log: rows that may lag behind it, written by one process at a time, the one with the lease.

While the log grows fast it rests most of the time, so that commands are not slower for it. Every error is logged and
leads to a new attempt; readiness does not depend on it.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar

from shared.process import unexpected_errors
from shared.process.cancellation import cancellation_requested
from shared.process.lease import Lease, LeaseLostError
from shared.process.log_reader import LogReader
from shared.projections.history.log_growth import LogGrowth
from shared.projections.schemas import SESSION_SETTINGS
from shared.wire.backoff import Backoff

# A process that is stopped while it writes may not stop the others for longer.
SESSION = SESSION_SETTINGS | {"lock_timeout": "10s", "idle_in_transaction_session_timeout": "10s"}

# The rows may lag: another process may take over later than it would for live rows.
LEASE_SECONDS = 6.0
BEAT_SECONDS = 1.5
STOP_SECONDS = 5.0

# The error of a follower that has not come to its first step.
STARTING = "starting"


@dataclass(frozen=True)
class FollowerLimits:
    """
    Args:
        batch: the most events in a commit; other tasks of the process wait while one is folded.
        cached_documents: the most documents in memory, about 1 kB each.
        batches: the most batches between two looks at the log's growth, while it is slow.
        poll_seconds: how often an idle follower looks for events.
        look_seconds: how often it looks in the log itself, while this process applies no event to the live rows.
        check_seconds: how often an idle follower checks that log and history are still the same.
        fast_growth: the events a second from which on the log grows fast.
        rest_times: how many times as long as it worked the follower rests while the log grows fast.
    """

    batch: int = 250
    cached_documents: int = 2_000
    batches: int = 16
    poll_seconds: float = 0.25
    look_seconds: float = 2.0
    check_seconds: float = 5.0
    fast_growth: float = 100.0
    rest_times: float = 60.0


class LogFollower(ABC):
    """Follows the log in one process at a time.

    Args:
        view: the name of what is written, for errors.
        lease: the name of its lease.

    Attributes:
        expected: the errors that are no fault of this code.
        last_error: why it does not follow; None while it does.
    """

    expected: ClassVar[tuple[type[Exception], ...]]

    def __init__(self, postgres_url: str, view: str, lease: str, limits: FollowerLimits) -> None:
        self._url = postgres_url
        self._view = view
        self._limits = limits
        self._lease = Lease(postgres_url, lease, LEASE_SECONDS, BEAT_SECONDS)
        self._growth = LogGrowth(limits.fast_growth)
        self._backoff = Backoff(0.05, 2.0)
        self._checked_at = 0.0
        self.last_error: str | None = STARTING

    @abstractmethod
    async def _follow(self) -> None:
        """Follow until an error ends it."""

    @abstractmethod
    def _log_error(self, error: str) -> None:
        """Log why it does not follow."""

    @abstractmethod
    def _log_followed(self, position: int) -> None:
        """Log that it follows again, after an error or the start."""

    @property
    def follows(self) -> bool:
        """Whether this process is the one that writes."""
        return self._lease.held

    async def run(self) -> None:
        """Follow the log until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lease.run())
            tasks.create_task(self._follow_for_ever())

    async def _follow_for_ever(self) -> None:
        while not cancellation_requested():
            await self._lease.acquired()
            try:
                await self._follow()
            except LeaseLostError:
                self.last_error = STARTING
            except self.expected as error:
                self._set_error(error)
                await asyncio.sleep(self._pause_after(error))
            except Exception as error:  # noqa: BLE001  the process goes on, and so does the next attempt
                self._set_error(error)
                unexpected_errors.record(error, "following", view=self._view)
            await asyncio.sleep(self._backoff.next())

    def _pause_after(self, _error: Exception) -> float:
        """Return the seconds to wait after an error, before the usual pause."""
        return 0.0

    def _set_error(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}".strip()
        if text != self.last_error:
            self.last_error = text
            self._log_error(text)

    def _clear_error(self, position: int) -> None:
        self._backoff.reset()
        if self.last_error is not None:
            self.last_error = None
            self._log_followed(position)

    def _require_lease(self) -> None:
        if not self._lease.held:
            raise LeaseLostError

    async def _back_off(self, events: LogReader, worked: float) -> None:
        """Leave the processor to commands while the log grows fast, in proportion to the work before."""
        until = time.monotonic() + self._limits.rest_times * worked
        while (left := until - time.monotonic()) > 0 and self._growth.is_fast:
            await asyncio.sleep(min(left, self._limits.look_seconds))
            self._growth.observe(await events.end())


@asynccontextmanager
async def running(follower: LogFollower, on_error: Callable[[BaseException], None]) -> AsyncIterator[None]:
    """Run a follower beside the block; `on_error` gets what ended it before, and the process goes on."""

    def ended(following: "asyncio.Task[None]") -> None:
        if not following.cancelled() and (error := following.exception()):
            on_error(error)

    following = asyncio.create_task(follower.run())
    following.add_done_callback(ended)
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait({following}, timeout=STOP_SECONDS)
