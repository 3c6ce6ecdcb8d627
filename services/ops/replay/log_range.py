"""The range of the log that a replay publishes: from one position to another, both of them part of it."""

from datetime import datetime
from typing import NamedTuple

from shared.language.moments import IN_WORDS, instant
from shared.process import clock
from shared.process.log_reader import EventLog


class RangeError(Exception):
    """The log has no such range; the message says what there is."""


class LogRange(NamedTuple):
    """The positions `first` to `last`; none when `last` is before `first`."""

    first: int
    last: int


async def range_of(log: EventLog, from_: int | str | None, to: int | str | None) -> LogRange:
    """Return the range between two moments, as the log is now.

    Args:
        log: the event log.
        from_: a position, or a time as of which nothing before is part of it; None for the first event.
        to: a position, or a time as of which nothing after is part of it; None for the end of the log now.

    Raises:
        RangeError: the log has no such moment, or the range ends before it begins.
    """
    end = await log.end()
    first = 1 if from_ is None else await _first(log, from_, end)
    last = end if to is None else min(await _last(log, to, end), end)
    if first > last + 1:
        raise RangeError(f"The range ends before it begins: it is positions {first:,} to {last:,}.")
    return LogRange(first, last)


async def _first(log: EventLog, moment: int | str, end: int) -> int:
    if isinstance(moment, str):
        return min(await log.first_not_before(_past(moment)), end + 1)
    if not 1 <= moment <= end + 1:
        raise RangeError(f"--from is position {moment:,}; the log has positions 1 to {end:,}.")
    return moment


async def _last(log: EventLog, moment: int | str, end: int) -> int:
    if isinstance(moment, str):
        return await log.position_at(_past(moment))
    if not 0 <= moment <= end:
        raise RangeError(f"--to is position {moment:,}; the log ends at position {end:,}. Leave --to out for its end.")
    return moment


def _past(text: str) -> datetime:
    try:
        time = instant(text)
    except ValueError as error:
        raise RangeError(f"{text} is not a moment; write {IN_WORDS}.") from error
    if time > instant(clock.now()):
        raise RangeError(f"{text} is later than now, {clock.now()}.")
    return time
