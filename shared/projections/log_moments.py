"""The position of a moment: positions and times that questions name, and the errors for those that the log lacks."""

from typing import Any

from shared.language.moments import instant
from shared.language.reasons import QuestionError
from shared.process import clock
from shared.process.log_reader import EventLog, Moment
from shared.projections.answers import AWAY_RETRY_MS, QuestionRefusedError


async def position_of(log: EventLog, moment: int | str) -> int:
    """Return the position; of a time, the last one up to which no event is later.

    Raises:
        QuestionRefusedError: AS_OF_TOO_EARLY or AS_OF_TOO_LATE, the log does not have the moment.
    """
    if isinstance(moment, int):
        return await _within(log, moment)
    time = instant(moment)
    if time > instant(clock.now()):
        raise await _out_of_range(log, QuestionError.AS_OF_TOO_LATE, "that time is later than now")
    if not (position := await log.position_at(time)):
        raise await _out_of_range(log, QuestionError.AS_OF_TOO_EARLY, "the first event is later than that time")
    return position


async def _within(log: EventLog, position: int) -> int:
    end = await log.end()
    if not end or position < 1:
        why = "positions begin with 1" if end else "there is no event yet"
        raise await _out_of_range(log, QuestionError.AS_OF_TOO_EARLY, why)
    if position > end:
        raise await _out_of_range(log, QuestionError.AS_OF_TOO_LATE, f"the log ends at position {end}")
    return position


def history_behind(reached: int, position: int, end: int) -> QuestionRefusedError:
    """Return the error for a position that the history, now at `reached`, does not have yet; `end` is the log's."""
    details = {"position": reached, "as_of": position, "log_end": end, "retry_after_ms": AWAY_RETRY_MS}
    message = f"The history is at position {reached} of {end}, before {position}; ask again."
    return QuestionRefusedError(QuestionError.HISTORY_BEHIND, message, details)


async def _out_of_range(log: EventLog, error: QuestionError, why: str) -> QuestionRefusedError:
    """`details` have the first and the last moment that can be asked about; null where there is no event."""
    ends = await log.first_and_last()
    first, last = ends or (None, None)
    details = {"first": first and _moment_answer(first), "last": last and _moment_answer(last)}
    advice = "Ask as of a moment between details.first and details.last." if ends else "Ask again once there is one."
    return QuestionRefusedError(error, f"Not answered: {why}. {advice}", details)


def _moment_answer(moment: Moment) -> dict[str, Any]:
    return {"position": moment.position, "time": moment.time and clock.written(moment.time)}
