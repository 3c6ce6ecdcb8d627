"""The log in the portions that are told at once."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Final, TypeVar

import psycopg

from shared.runtime.codec import id_in_state
from shared.runtime.store.log_reader import LogReader, Stored
from shared.runtime.telling.trouble import LogHasHole

BATCH_EVENTS: Final = 1_000
BATCH_BYTES: Final = 4_000_000
LOG_SECONDS: Final = 5.0

T = TypeVar("T")


class NextEvents:
    """The log in portions that go out as one batch; never waits longer than `LOG_SECONDS`."""

    def __init__(self, postgres_url: str) -> None:
        self._reader = LogReader(postgres_url)
        self._limit = BATCH_EVENTS

    async def after(self, position: int) -> list[Stored]:
        """At most `BATCH_EVENTS` events, of at most `BATCH_BYTES` unless the first alone is larger.

        Raises:
            LogHasHole: the positions do not follow one another.
        """
        found = await self._answer(self._reader.read(position, self._limit))
        if found and found[-1].position != position + len(found):
            raise LogHasHole(f"the log has {len(found)} events after position {position} up to {found[-1].position}")
        fit = _fitting(found)
        # Large events are rare and come in runs: the next step is no larger than what has just proved right.
        self._limit = min(BATCH_EVENTS, self._limit * 2) if fit == len(found) else fit
        return found[:fit]

    async def identity(self) -> str | None:
        """Which log it is; None while no writer has begun one."""
        return await self._answer(self._reader.identity())

    async def end(self) -> int:
        return await self._answer(self._reader.end())

    async def id_at(self, position: int) -> str | None:
        """The id of the event at a position, None when there is none."""
        found = await self._answer(self._reader.read(position - 1, 1))
        return id_in_state(found[0].state) if found and found[0].position == position else None

    async def close(self) -> None:
        await self._reader.close()

    async def _answer(self, asked: Coroutine[None, None, T]) -> T:
        try:
            async with asyncio.timeout(LOG_SECONDS):
                return await asked
        except TimeoutError as error:
            await self._reader.close()
            raise psycopg.OperationalError(f"no answer within {LOG_SECONDS:g} s") from error
        except (psycopg.OperationalError, asyncio.CancelledError):
            await self._reader.close()
            raise


def _fitting(events: Sequence[Stored]) -> int:
    total = 0
    for count, event in enumerate(events):
        total += len(event.state)
        if total > BATCH_BYTES and count:
            return count
    return len(events)
