"""How far somebody who follows the log is behind its end, in events and in time."""

import asyncio
import math
from datetime import UTC, datetime
from typing import NamedTuple

from shared.process import clock
from shared.process.log_reader import LogReader, Stored
from shared.process.stored_events import Undecodable, time_in_state


class Lag(NamedTuple):
    """`seconds` is how long the oldest event that waits has waited: 0 when none does, None when it does not say."""

    log_end: int
    events: int
    seconds: float | None


async def behind(events: LogReader, position: int) -> Lag:
    """How far the position is behind the log.

    Raises:
        psycopg.Error: PostgreSQL does not answer.
    """
    end = await events.end()
    waiting = await events.read(position, 1) if end > position else []
    return Lag(end, max(end - position, 0), age(waiting[0]) if waiting else 0.0)


class LogWatch:
    """Looks how far a position is behind, over a connection of its own; one look after the other."""

    def __init__(self, postgres_url: str) -> None:
        self._events = LogReader(postgres_url)
        self._turn = asyncio.Lock()

    async def behind(self, position: int) -> Lag:
        """As `behind`; a look that was cut short leaves no connection that waits for its answer."""
        async with self._turn:
            try:
                return await behind(self._events, position)
            except BaseException:
                await self._events.close()
                raise

    async def close(self) -> None:
        await self._events.close()


def age(stored: Stored) -> float | None:
    """Seconds since the event happened, None when it does not say."""
    try:
        recorded = _moment(time_in_state(stored.state))
        return max(round((_moment(clock.now()) - recorded).total_seconds(), 1), 0.0)
    except (Undecodable, ValueError):
        return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def seconds_of(lag: Lag) -> float:
    """Not a number where the event that waits does not say."""
    return math.nan if lag.seconds is None else lag.seconds
