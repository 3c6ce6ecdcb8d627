"""Looks for the first position at which a value in an answer became as wanted.

A value may come and go, so that halving would miss it: each position at which it can change is asked about, in order.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

# The value as of a position.
ValueAt = Callable[[int], Awaitable[Any]]
# The next positions after one, at most so many.
PositionsAfter = Callable[[int, int], Awaitable[Sequence[int]]]

AT_ONCE: Final = 16


class Found(NamedTuple):
    """The value became as wanted at `position`; None when it did not, up to `last`. `before` is None without one."""

    position: int | None
    before: Any
    after: Any
    last: int
    complete: bool


@dataclass(frozen=True)
class Search:
    """A search that ends after so many seconds, with what it has looked at.

    `seconds` are few: the questions of others wait for the same snapshot.
    """

    value_at: ValueAt
    positions_after: PositionsAfter
    wanted: Any
    seconds: float = 2.0

    async def run(self, first: int, last: int) -> Found:
        """Return the first position after `first`, up to `last`; or `first`, where the value was so as of it."""
        until = time.monotonic() + self.seconds
        before = await self.value_at(first)
        if same(before, self.wanted):
            return Found(first, None, before, first, complete=True)
        looked_at = first
        while positions := await self.positions_after(looked_at, AT_ONCE):
            values = await asyncio.gather(*(self.value_at(position) for position in positions))
            for position, value in zip(positions, values, strict=True):
                if same(value, self.wanted):
                    return Found(position, before, value, position, complete=True)
                before = value
            looked_at = positions[-1]
            if time.monotonic() > until:
                return Found(None, before, None, looked_at, complete=looked_at == last)
        return Found(None, before, None, last, complete=True)


def same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal; true is not 1."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)
