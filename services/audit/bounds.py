"""The positions that a question is about: of one moment, or of the first and the last moment of a range."""

from typing import NamedTuple

from shared.language.audit import AtOrBetween, Range
from shared.language.moments import instant
from shared.language.reasons import QuestionError
from shared.messaging.json_body import problem
from shared.process.log_reader import EventLog
from shared.projections.answers import QuestionRefusedError, invalid
from shared.projections.log_moments import history_behind, position_of
from shared.projections.snapshot import Snapshot


class Bounds(NamedTuple):
    """The state as of `first`, and every state after it up to the one as of `last`."""

    first: int
    last: int


async def bounds_of(snapshot: Snapshot, question: Range) -> Bounds:
    """Return the bounds of a question; without a moment, those of the newest state.

    Raises:
        QuestionRefusedError: AS_OF_TOO_EARLY, AS_OF_TOO_LATE; HISTORY_BEHIND, the history does not reach so far; or
            QUERY_INVALID, the range ends before it begins.
    """
    log = EventLog(snapshot.rows)
    if isinstance(question, AtOrBetween) and question.from_ is None and question.to is None:
        at = snapshot.position if question.at is None else await reached_position(snapshot, log, question.at)
        return Bounds(at, at)
    last = snapshot.position if question.to is None else await reached_position(snapshot, log, question.to)
    first = 1 if question.from_ is None else await _first(log, question.from_)
    if first > last and question.to is None:
        raise history_behind(last, first, await log.end())
    if first > last:
        raise invalid([problem("from", "the range ends before it begins")])
    return Bounds(first, last)


async def events_within(snapshot: Snapshot, question: Range) -> Bounds:
    """Return the first and the last event of a range: of two times, those that are not before or after them.

    Raises:
        QuestionRefusedError: as `bounds_of` does.
    """
    bounds = await bounds_of(snapshot, question)
    if not isinstance(question.from_, str):
        return bounds
    return Bounds(await EventLog(snapshot.rows).first_not_before(instant(question.from_)), bounds.last)


async def reached_position(snapshot: Snapshot, log: EventLog, moment: int | str) -> int:
    """Return the position of a moment that the snapshot reaches."""
    if (position := await position_of(log, moment)) > snapshot.position:
        raise history_behind(snapshot.position, position, await log.end())
    return position


async def _first(log: EventLog, moment: int | str) -> int:
    """Return the position of a moment; a time before the log began is its beginning."""
    try:
        return await position_of(log, moment)
    except QuestionRefusedError as error:
        if isinstance(moment, str) and error.error is QuestionError.AS_OF_TOO_EARLY:
            return 1
        raise
