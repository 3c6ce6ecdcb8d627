"""The log in the portions that are told at once."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Final, TypeVar

from services.relay.errors import LogBehindStream, LogHasHole, StreamOfAnotherLog
from shared.process.log_reader import LogReader, StoredEvent
from shared.process.postgres import PostgresUnavailable
from shared.process.stored_events import id_in_state

BATCH_EVENTS: Final = 1_000
BATCH_BYTES: Final = 4_000_000
LOG_SECONDS: Final = 5.0

CURE: Final = (
    "connect the two that belong together, or have the stream published again from the log with "
    "`switchboard streams --delete`"
)

T = TypeVar("T")


class NextEvents:
    """The log in portions that go out as one batch; never waits longer than `LOG_SECONDS`."""

    def __init__(self, postgres_url: str) -> None:
        self._reader = LogReader(postgres_url)
        self._limit = BATCH_EVENTS

    async def after(self, position: int, event: str | None = None) -> list[StoredEvent]:
        """At most `BATCH_EVENTS` events, of at most `BATCH_BYTES` unless the first alone is larger.

        `event` is the id of the one at the position, which the log must still hold.

        Raises:
            LogHasHole: the positions do not follow one another.
            LogBehindStream: the log ends before the position.
            StreamOfAnotherLog: it holds another event there.
        """
        if event is None:
            found = await self._answer(self._reader.read(position, self._limit))
        else:
            found = await self._answer(self._reader.read(position - 1, self._limit + 1))
            require_same(found[0] if found else None, position, event)
            del found[0]
        if found and found[-1].position != position + len(found):
            raise LogHasHole(f"the log has {len(found)} events after position {position} up to {found[-1].position}")
        fit = _fitting(found)
        # Large events are rare and come in runs: the next step is no larger than what has just proved right.
        self._limit = min(BATCH_EVENTS, self._limit * 2) if fit == len(found) else fit
        return found[:fit]

    async def require(self, position: int, event: str | None) -> None:
        """The log holds this event there.

        Raises:
            LogBehindStream: it ends before the position.
            StreamOfAnotherLog: it holds another event there.
        """
        found = await self._answer(self._reader.read(position - 1, 1))
        require_same(found[0] if found else None, position, event)

    async def identity(self) -> str | None:
        """Which log it is; None while no writer has begun one."""
        return await self._answer(self._reader.identity())

    async def end(self) -> int:
        return await self._answer(self._reader.end())

    async def close(self) -> None:
        await self._reader.close()

    async def _answer(self, asked: Coroutine[None, None, T]) -> T:
        try:
            async with asyncio.timeout(LOG_SECONDS):
                return await asked
        except TimeoutError as error:
            await self._reader.close()
            raise PostgresUnavailable(f"no answer within {LOG_SECONDS:g} s") from error
        except (PostgresUnavailable, asyncio.CancelledError):
            await self._reader.close()
            raise


def require_same(stored: StoredEvent | None, position: int, event: str | None) -> None:
    """The log still holds the event with which the stream ends.

    Raises:
        LogBehindStream: it ends before that.
        StreamOfAnotherLog: it holds another one there.
    """
    if stored is None:
        raise LogBehindStream(f"the stream has events up to position {position}, the log ends before it: {CURE}")
    if stored.position != position or id_in_state(stored.state) != event:
        raise StreamOfAnotherLog(f"at position {position} the stream has another event than the log: {CURE}")


def _fitting(events: Sequence[StoredEvent]) -> int:
    total = 0
    for count, event in enumerate(events):
        total += len(event.state)
        if total > BATCH_BYTES and count:
            return count
    return len(events)
