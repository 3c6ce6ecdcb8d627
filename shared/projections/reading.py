"""Read a view for questions in time: a position is reached, then a snapshot answers, else the reason is an error."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from shared.messaging.admission import KnownTenants
from shared.projections.answers import busy
from shared.projections.position_wait import PositionWait
from shared.projections.snapshot import Asker, Snapshot
from shared.projections.snapshots import SharedSnapshots
from shared.projections.view import View

QUIET_SECONDS = 1.0

log = structlog.get_logger(__name__)

Query = Callable[[Snapshot], Awaitable[bytes]]


class SnapshotBehindError(Exception):
    """The snapshot is older than the question allows."""


class ViewReading:
    """Reads one view for many questions.

    Args:
        answer_seconds: how long the database may take for an answer.
    """

    def __init__(self, view: View, tenants: KnownTenants, answer_seconds: float) -> None:
        self.view = view
        self.snapshots = SharedSnapshots(view, tenants)
        self._position = PositionWait(view)
        self._answer_seconds = answer_seconds
        self._stuck: set[asyncio.Task[bytes]] = set()
        self._unlogged, self._quiet_until = 0, 0.0

    def close(self) -> None:
        """Give up waiting for positions."""
        self._position.close()

    async def read(self, asker: Asker, at_least: int, until: float, query: Query) -> bytes:
        """Return the query's answer from a snapshot that is not older than `at_least`.

        Raises:
            QuestionRefusedError: VIEW_BEHIND, it was not reached until then; BUSY; or the query's own error.
            OverloadedError: its turn did not come in time.
        """
        while True:
            await self._position.reach(at_least, until)
            try:
                return await self._with_timeout(asker, self._requiring(at_least, query))
            except SnapshotBehindError:
                if time.monotonic() >= until:
                    raise self._position.behind(at_least) from None

    def _requiring(self, at_least: int, query: Query) -> Query:
        async def checked(snapshot: Snapshot) -> bytes:
            if snapshot.reached < at_least:
                self.view.waiters.advance(snapshot.reached)
                raise SnapshotBehindError
            return await query(snapshot)

        return checked

    async def _with_timeout(self, asker: Asker, query: Query) -> bytes:
        """Give BUSY when the database does not answer in time; the stuck task ends by itself later."""
        task = asyncio.create_task(self._with_retry(asker, query))
        await asyncio.wait({task}, timeout=self._answer_seconds)
        if not task.done():
            self._stuck.add(task)
            task.add_done_callback(self._log_late_end)
            task.cancel()
            raise busy("the database takes too long")
        return task.result()

    def _log_late_end(self, task: "asyncio.Task[bytes]") -> None:
        self._stuck.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("question.ended_late", error=type(error).__name__)

    async def _with_retry(self, asker: Asker, query: Query) -> bytes:
        """Try again when the connection was broken, since a restart of the database breaks idle ones unnoticed."""
        try:
            try:
                return await self.snapshots.read(asker, query)
            except PoolTimeout:
                raise busy("no connection to the database was free in time") from None
            except psycopg.OperationalError:
                await self.view.replace_broken_readers()
                return await self.snapshots.read(asker, query)
        except psycopg.OperationalError as error:
            self._log_busy(type(error).__name__)
            raise busy("the database is away") from None
        except (psycopg.ProgrammingError, psycopg.NotSupportedError, psycopg.InternalError) as error:
            # Tables that come and go under a statement: missing, of another shape, or dropped just now.
            self._log_busy(str(error).splitlines()[0])
            raise busy("the view is being made") from None

    def _log_busy(self, error: str) -> None:
        """Log one line for all within a second, so that a flood of questions is not a flood of lines."""
        self._unlogged += 1
        if time.monotonic() >= self._quiet_until:
            log.warning("question.busy", view=self.view.definition.name, error=error, questions=self._unlogged)
            self._unlogged, self._quiet_until = 0, time.monotonic() + QUIET_SECONDS
