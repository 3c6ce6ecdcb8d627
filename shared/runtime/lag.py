"""How far somebody who follows the log is behind its end, in events and in time."""

import asyncio
from datetime import UTC, datetime
from typing import NamedTuple

from shared.language.subjects import Ce
from shared.runtime import clock
from shared.runtime.codec import Undecodable, stored_to_wire
from shared.runtime.store.log_reader import LogReader, Stored


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
        told = stored_to_wire(*stored)[1][Ce.TIME]
        return max(round((_moment(clock.now()) - _moment(told)).total_seconds(), 1), 0.0)
    except (Undecodable, ValueError):
        return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
