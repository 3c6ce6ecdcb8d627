"""Questions wait until the view has reached the position that they require (read your writes)."""

import asyncio
import time

import psycopg
import structlog

from shared.language.reasons import QuestionError
from shared.projections.answers import QuestionRefusedError
from shared.projections.view import View

log = structlog.get_logger(__name__)


class PositionWait:
    """Waits for positions of one view; while a question waits, it also polls for commits of other processes."""

    def __init__(self, view: View, poll_seconds: float = 0.05) -> None:
        self._view = view
        self._poll_seconds = poll_seconds
        self._poller: asyncio.Task[None] | None = None

    async def reach(self, at_least: int, until: float) -> None:
        """Return when the view has reached the position.

        Raises:
            QuestionRefusedError: it has not in time (VIEW_BEHIND).
        """
        waiters = self._view.waiters
        if waiters.position >= at_least:
            return
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        if not await waiters.wait_for(at_least, max(until - time.monotonic(), self._poll_seconds)):
            raise self.behind(at_least)

    def behind(self, at_least: int) -> QuestionRefusedError:
        position = self._view.waiters.position
        return QuestionRefusedError(
            QuestionError.VIEW_BEHIND,
            f"The view is at position {position}, before {at_least}; ask again.",
            {"position": position, "at_least": at_least},
        )

    def close(self) -> None:
        if self._poller is not None:
            self._poller.cancel()

    async def _poll(self) -> None:
        waiters, logged = self._view.waiters, ""
        while True:
            before = waiters.position
            await asyncio.sleep(self._poll_seconds)
            if not waiters.has_waiters:
                return
            if waiters.position == before:
                try:
                    await self._view.position()
                except psycopg.Error as error:
                    # The database may be back in time; otherwise the answer itself reports the error.
                    if logged != (logged := type(error).__name__):
                        log.warning("view.unreadable", view=self._view.definition.name, error=logged)
