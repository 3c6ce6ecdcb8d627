"""The follower of a history: it reads the log from PostgreSQL and writes every version of each row.

Position and epoch in each commit keep two processes right, should both write for a moment.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from shared.process import failpoints
from shared.process.cancellation import cancellation_requested
from shared.process.log_reader import LogReader
from shared.process.postgres import DirectAsync
from shared.projections.checkpoint import LogMismatchError, log_mismatch, read_checkpoint
from shared.projections.commit_strategies import PositionMovedError
from shared.projections.definition import ProjectionDefinition, VersionMismatchError
from shared.projections.history.following import SESSION, FollowerLimits, LogFollower
from shared.projections.history.preparation import prepare_history
from shared.projections.rebuild.limits import LIMITS, RebuildLimits
from shared.projections.rebuild.replay import LogIncompleteError, Replay, resume_replay
from shared.projections.schemas import PreconditionFailedError, follower_lease

# Each attempt to read a log with a gap reads all of it before the gap.
INCOMPLETE_SECONDS = 60.0

log = structlog.get_logger(__name__)


class HistoryFollower(LogFollower):
    """Follows the log with one history.

    Args:
        history: a temporal definition.
        live: the definition of the live rows, where there are any: their version decides that of the history.
        applied: returns the position of the live rows; None while this process does not apply events to them.
    """

    expected = (
        PositionMovedError, LogIncompleteError, LogMismatchError, VersionMismatchError, PreconditionFailedError,
        psycopg.Error, TimeoutError, OSError,
    )  # fmt: skip

    def __init__(
        self,
        postgres_url: str,
        history: ProjectionDefinition,
        live: ProjectionDefinition | None = None,
        limits: FollowerLimits = FollowerLimits(),  # noqa: B008  it is frozen
        applied: Callable[[], int | None] = lambda: None,
    ) -> None:
        super().__init__(postgres_url, history.name, follower_lease(history), limits)
        self._history = history
        self._live = live
        self._applied = applied
        self._replay_limits: RebuildLimits = replace(
            LIMITS, batch=limits.batch, cached_documents=limits.cached_documents
        )
        self._worked_since = 0.0

    def _pause_after(self, error: Exception) -> float:
        return INCOMPLETE_SECONDS if isinstance(error, LogIncompleteError) else 0.0

    def _log_error(self, error: str) -> None:
        log.warning("history.not_followed", view=self._history.name, error=error)

    def _log_followed(self, position: int) -> None:
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
        await super()._back_off(events, worked)
        self._worked_since = time.monotonic()


@asynccontextmanager
async def _connection(postgres_url: str, name: str) -> AsyncIterator[AsyncConnection[Any]]:
    connection = await DirectAsync.connect(
        postgres_url, settings=SESSION, autocommit=True, application_name=f"{name}-follower"
    )
    async with connection:
        yield connection
