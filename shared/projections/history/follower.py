"""The follower of a history: it reads the log from PostgreSQL and writes every version of each row.

One process at a time follows, the one with the lease. Position and epoch in each commit keep two processes right. A
follower may lag: while the log grows fast it rests most of the time, so that commands are not slower for it. Every
error is logged and leads to a new attempt; readiness does not depend on it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from shared.process import failpoints, unexpected_errors
from shared.process.cancellation import cancellation_requested
from shared.process.lease import Lease, LeaseLostError
from shared.process.log_reader import LogReader
from shared.process.postgres import DirectAsync
from shared.projections.checkpoint import LogMismatchError, log_mismatch, read_checkpoint
from shared.projections.commit_strategies import PositionMovedError
from shared.projections.definition import ProjectionDefinition, VersionMismatchError
from shared.projections.history.log_growth import LogGrowth
from shared.projections.history.preparation import prepare_history
from shared.projections.rebuild.limits import LIMITS, RebuildLimits
from shared.projections.rebuild.replay import LogIncompleteError, Replay, resume_replay
from shared.projections.schemas import SESSION_SETTINGS, PreconditionFailedError, follower_lease
from shared.wire.backoff import Backoff

# A process that is stopped while it writes may not stop the others for longer.
SESSION = SESSION_SETTINGS | {"lock_timeout": "10s", "idle_in_transaction_session_timeout": "10s"}

# A history may lag: another process may take over later than it would for live rows.
LEASE_SECONDS = 6.0
BEAT_SECONDS = 1.5
# Each attempt to read a log with a gap reads all of it before the gap.
INCOMPLETE_SECONDS = 60.0

log = structlog.get_logger(__name__)


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


class HistoryFollower:
    """Follows the log with one history.

    Args:
        history: a temporal definition.
        live: the definition of the live rows, where there are any: their version decides that of the history.
        applied: returns the position of the live rows; None while this process does not apply events to them.
    """

    def __init__(
        self,
        postgres_url: str,
        history: ProjectionDefinition,
        live: ProjectionDefinition | None = None,
        limits: FollowerLimits = FollowerLimits(),
        applied: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._url = postgres_url
        self._history = history
        self._live = live
        self._limits = limits
        self._applied = applied
        self._replay_limits: RebuildLimits = replace(
            LIMITS, batch=limits.batch, cached_documents=limits.cached_documents
        )
        self._lease = Lease(postgres_url, follower_lease(history), LEASE_SECONDS, BEAT_SECONDS)
        self._growth = LogGrowth(limits.fast_growth)
        self._backoff = Backoff(0.05, 2.0)
        self._checked_at = self._worked_since = 0.0
        self.last_error: str | None = "starting"

    @property
    def follows(self) -> bool:
        """Whether this process is the one that writes the history."""
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
                self.last_error = "starting"
            except LogIncompleteError as error:
                self._set_error(error)
                await asyncio.sleep(INCOMPLETE_SECONDS)
            except (
                PositionMovedError, LogMismatchError, VersionMismatchError, PreconditionFailedError, psycopg.Error,
                TimeoutError, OSError,
            ) as error:  # fmt: skip
                self._set_error(error)
            except Exception as error:  # noqa: BLE001  the live rows go on, and so does the next attempt
                self._set_error(error)
                unexpected_errors.record(error, "following", view=self._history.name)
            await asyncio.sleep(self._backoff.next())

    def _set_error(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}".strip()
        if text != self.last_error:
            self.last_error = text
            log.warning("history.not_followed", view=self._history.name, error=text)

    def _clear_error(self, position: int) -> None:
        self._backoff.reset()
        if self.last_error is not None:
            self.last_error = None
            log.info("history.followed", view=self._history.name, position=position)

    async def _follow(self) -> None:
        async with LogReader(self._url) as events:

            async def rest_after_batch(_position: int) -> None:
                self._require_lease()
                await self._back_off(events, time.monotonic() - self._worked_since)

            self._worked_since = time.monotonic()
            await prepare_history(self._url, self._history, self._live, rest_after_batch, self._replay_limits)
            async with _connection(self._url, self._history.name) as connection:
                replay = await resume_replay(connection, events, self._history, self._history.name, self._replay_limits)
                while not cancellation_requested():
                    await self._step(replay, events)

    async def _step(self, replay: Replay, events: LogReader) -> None:
        """Apply the next events and rest, or wait for some."""
        self._require_lease()
        self._worked_since = time.monotonic()
        end = await events.end()
        self._growth.observe(end)
        if end <= replay.position:
            await self._check_while_idle(replay, events)
            self._clear_error(replay.position)
            await self._wait_for_events(replay.position)
            return
        await self._require_same(replay, events)
        batches = 1 if self._growth.is_fast else self._limits.batches
        await replay.run(min(end, replay.position + batches * self._limits.batch))
        failpoints.reached("history.committed")
        self._clear_error(replay.position)
        await self._back_off(events, time.monotonic() - self._worked_since)

    def _require_lease(self) -> None:
        if not self._lease.held:
            raise LeaseLostError

    async def _wait_for_events(self, position: int) -> None:
        """Return when there may be events after the position."""
        until = time.monotonic() + self._limits.look_seconds
        applied: int | None = position
        # A process that applies events to the live rows knows of new ones without a look at the log.
        while applied is not None and applied <= position and time.monotonic() < until:
            await asyncio.sleep(self._limits.poll_seconds)
            applied = self._applied()

    async def _check_while_idle(self, replay: Replay, events: LogReader) -> None:
        if time.monotonic() - self._checked_at > self._limits.check_seconds:
            await self._require_same(replay, events)

    async def _require_same(self, replay: Replay, events: LogReader) -> None:
        """Require that the history is where this process left it, and that the log still has the event there.

        Raises:
            PositionMovedError: other rows are in its place.
            LogMismatchError: the log was restored from an older backup.
        """
        self._checked_at = time.monotonic()
        async with replay.connection.cursor() as cursor:
            checkpoint = await read_checkpoint(cursor, self._history.name)
        if checkpoint[:2] != (self._history.version, replay.position):
            raise PositionMovedError(f"{self._history.name} is not at position {replay.position} any more")
        if why := await log_mismatch(events, checkpoint):
            raise LogMismatchError(why)

    async def _back_off(self, events: LogReader, worked: float) -> None:
        """Leave the processor to commands while the log grows fast, in proportion to the work before."""
        until = time.monotonic() + self._limits.rest_times * worked
        while (left := until - time.monotonic()) > 0 and self._growth.is_fast:
            await asyncio.sleep(min(left, self._limits.look_seconds))
            self._growth.observe(await events.end())
        self._worked_since = time.monotonic()


@asynccontextmanager
async def _connection(postgres_url: str, name: str) -> AsyncIterator[AsyncConnection[Any]]:
    connection = await DirectAsync.connect(
        postgres_url, settings=SESSION, autocommit=True, application_name=f"{name}-follower"
    )
    async with connection:
        yield connection
