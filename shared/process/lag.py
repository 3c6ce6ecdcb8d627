"""The lag of a follower of the log behind its end, in events and in seconds."""

import asyncio
import math
from datetime import UTC, datetime
from typing import NamedTuple

from shared.process import clock
from shared.process.log_reader import EventLog, LogReader, StoredEvent
from shared.process.stored_events import time_in_state
from shared.wire.event_body import Undecodable


class Lag(NamedTuple):
    """`seconds` is the age of the oldest event that waits: 0 when none waits, None when it has no time."""

    log_end: int
    events: int
    seconds: float | None


async def lag_of(events: EventLog, position: int) -> Lag:
    """Return how far the position is behind the log.

    Raises:
        psycopg.Error: PostgreSQL does not answer.
    """
    end = await events.end()
    waiting = await events.read(position, 1) if end > position else []
    return Lag(end, max(end - position, 0), seconds_waiting(waiting[0]) if waiting else 0.0)


class LagMeter:
    """Measures lags over a connection of its own, one after the other."""

    def __init__(self, postgres_url: str) -> None:
        self._events = LogReader(postgres_url)
        self._turn = asyncio.Lock()

    async def lag_of(self, position: int) -> Lag:
        """As the function `lag_of`; after an error or a cancellation the connection is made again."""
        async with self._turn:
            try:
                return await lag_of(self._events, position)
            except BaseException:
                await self._events.close()
                raise

    async def close(self) -> None:
        await self._events.close()


def seconds_waiting(stored: StoredEvent) -> float | None:
    """Return the seconds since the event happened; None when it has no time."""
    try:
        recorded = _parse_time(time_in_state(stored.state))
        return max(round((_parse_time(clock.now()) - recorded).total_seconds(), 1), 0.0)
    except (Undecodable, ValueError):
        return None


def _parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def seconds_or_nan(lag: Lag) -> float:
    """Return the seconds of the lag; not a number where they are unknown."""
    return math.nan if lag.seconds is None else lag.seconds
