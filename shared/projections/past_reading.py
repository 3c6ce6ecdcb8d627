"""Read the history of a view for questions as of a moment: a position of the log, or a time."""

import asyncio
import time

import psycopg

from shared.language.reasons import QuestionError
from shared.messaging.admission import KnownTenants
from shared.process.log_reader import LogReader
from shared.projections.answers import QuestionRefusedError, busy
from shared.projections.log_moments import history_behind, position_of
from shared.projections.reading import Query, ViewReading
from shared.projections.snapshot import Asker
from shared.projections.view import View


class PastReading:
    """Reads a history for many questions, each as of a moment of its own.

    Args:
        answer_seconds: how long the database may take for an answer.
    """

    def __init__(self, postgres_url: str, history: View, tenants: KnownTenants, answer_seconds: float) -> None:
        self._history = history
        self._reading = ViewReading(history, tenants, answer_seconds)
        self._answer_seconds = answer_seconds
        self._log = LogReader(postgres_url)
        self._reading_log = asyncio.Lock()

    async def close(self) -> None:
        """Give up waiting for positions, and disconnect."""
        self._reading.close()
        await self._log.close()

    async def read(self, asker: Asker, moment: int | str, at_least: int, until: float, query: Query) -> bytes:
        """Return the query's answer from the rows as of a moment.

        Raises:
            QuestionRefusedError: AS_OF_TOO_EARLY, AS_OF_TOO_LATE; HISTORY_BEHIND, the history was not there until
                then; BUSY; or the query's own error.
        """
        position = await self._position_of(moment, at_least, until)
        try:
            return await self._reading.read(asker._replace(as_of=position), position, until, query)
        except QuestionRefusedError as error:
            behind = error.error is QuestionError.VIEW_BEHIND
            if behind or (error.error is QuestionError.BUSY and await self._unmade()):
                raise await self._behind(position) from None
            raise

    # ---- the position of a moment

    async def _position_of(self, moment: int | str, at_least: int, until: float) -> int:
        if isinstance(moment, int) and 0 < moment <= self._history.waiters.position:
            return moment
        try:
            async with asyncio.timeout(self._answer_seconds), self._reading_log:
                await self._log_reaches(at_least, until)
                return await position_of(self._log, moment)
        except TimeoutError:
            raise busy("the database takes too long") from None
        except (psycopg.Error, OSError):
            raise busy("the database is away") from None

    async def _log_reaches(self, at_least: int, until: float) -> None:
        """Wait for the end of the log, so that an event that the caller knows counts as of a time after it."""
        while at_least and (end := await self._log.end()) < at_least:
            if time.monotonic() >= until:
                message = f"The log is at position {end}, before {at_least}; ask again."
                raise QuestionRefusedError(QuestionError.VIEW_BEHIND, message, {"position": end, "at_least": at_least})
            await asyncio.sleep(min(0.05, max(0.0, until - time.monotonic())))

    # ---- how far the history is

    async def _unmade(self) -> bool:
        """Return whether there is no history that could answer; the reason of a failed read is that then."""
        try:
            await self._history.position()
        except psycopg.ProgrammingError:
            return True
        except psycopg.Error:
            return False
        return False

    async def _behind(self, position: int) -> QuestionRefusedError:
        try:
            reached = await self._history.built_position()
            async with asyncio.timeout(self._answer_seconds), self._reading_log:
                # A log that was restored from an older backup may end before the history that was known.
                await position_of(self._log, position)
                return history_behind(reached, position, await self._log.end())
        except QuestionRefusedError as error:
            return error
        except (psycopg.Error, OSError, TimeoutError):
            return busy("the database is away")
