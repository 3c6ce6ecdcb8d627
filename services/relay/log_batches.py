"""Batches of the event log, each checked for gaps."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Final, TypeVar

from services.relay.errors import LogBehindStream, LogGap, StreamOfAnotherLog
from shared.process.log_reader import LogReader, StoredEvent
from shared.process.postgres import PostgresUnavailable
from shared.process.stored_events import id_in_state

BATCH_EVENTS: Final = 1_000
BATCH_BYTES: Final = 4_000_000
ADVICE: Final = (
    "connect the two that belong together, or have the stream published again from the log with "
    "`switchboard streams --delete`"
)

T = TypeVar("T")


class LogBatches:
    """Reads the log in batches; never waits longer than `log_seconds` for PostgreSQL."""

    def __init__(self, postgres_url: str, log_seconds: float = 5.0) -> None:
        self._reader = LogReader(postgres_url)
        self._log_seconds = log_seconds
        self._limit = BATCH_EVENTS

    async def after(self, position: int, event: str | None = None) -> list[StoredEvent]:
        """Read at most `BATCH_EVENTS` events, of at most `BATCH_BYTES` unless the first alone is larger.

        `event` is the id of the event at the position, which the log must still have.

        Raises:
            LogGap: the positions do not follow one another.
            LogBehindStream: the log ends before the position.
            StreamOfAnotherLog: the log has another event there.
        """
        if event is None:
            found = await self._with_timeout(self._reader.read(position, self._limit))
        else:
            found = await self._with_timeout(self._reader.read(position - 1, self._limit + 1))
            require_same(found[0] if found else None, position, event)
            del found[0]
        if found and found[-1].position != position + len(found):
            raise LogGap(f"the log has {len(found)} events after position {position} up to {found[-1].position}")
        fit = _fitting(found)
        # Large events are rare and come in runs: the next batch is not larger than this one.
        self._limit = min(BATCH_EVENTS, self._limit * 2) if fit == len(found) else fit
        return found[:fit]

    async def require(self, position: int, event: str | None) -> None:
        """Check that the log has this event there.

        Raises:
            LogBehindStream: the log ends before the position.
            StreamOfAnotherLog: the log has another event there.
        """
        found = await self._with_timeout(self._reader.read(position - 1, 1))
        require_same(found[0] if found else None, position, event)

    async def identity(self) -> str | None:
        """Return the id of the log; None before the first writer started."""
        return await self._with_timeout(self._reader.identity())

    async def end(self) -> int:
        return await self._with_timeout(self._reader.end())

    async def close(self) -> None:
        await self._reader.close()

    async def _with_timeout(self, reading: Coroutine[None, None, T]) -> T:
        try:
            async with asyncio.timeout(self._log_seconds):
                return await reading
        except TimeoutError as error:
            await self._reader.close()
            raise PostgresUnavailable(f"no answer within {self._log_seconds:g} s") from error
        except (PostgresUnavailable, asyncio.CancelledError):
            await self._reader.close()
            raise


def require_same(stored: StoredEvent | None, position: int, event: str | None) -> None:
    """Check that the log still has the last event of the stream.

    Raises:
        LogBehindStream: the log ends before that.
        StreamOfAnotherLog: the log has another event there.
    """
    if stored is None:
        raise LogBehindStream(f"the stream has events up to position {position}, the log ends before it: {ADVICE}")
    if stored.position != position or id_in_state(stored.state) != event:
        raise StreamOfAnotherLog(f"at position {position} the stream has another event than the log: {ADVICE}")


def _fitting(events: Sequence[StoredEvent]) -> int:
    total = 0
    for count, event in enumerate(events):
        total += len(event.state)
        if total > BATCH_BYTES and count:
            return count
    return len(events)
