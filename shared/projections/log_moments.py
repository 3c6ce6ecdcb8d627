"""The position of a moment: positions and times that questions name, and the errors for those that the log lacks."""

from typing import Any

from shared.language.moments import instant
from shared.language.reasons import QuestionError
from shared.process import clock
from shared.process.log_reader import EventLog, Moment
from shared.projections.answers import QuestionRefusedError


async def position_of(log: EventLog, moment: int | str) -> int:
    """Return the position; of a time, the last one up to which no event is later.

    Raises:
        QuestionRefusedError: AS_OF_TOO_EARLY or AS_OF_TOO_LATE, the log does not have the moment.
    """
    ends = await log.first_and_last()
    if isinstance(moment, int):
        return _within(moment, ends)
    time = instant(moment)
    if time > instant(clock.now()):
        raise too_late("that time is later than now", ends)
    if not (position := await log.position_at(time)):
        raise too_early("the first event is later than that time", ends)
    return position


def _within(position: int, ends: tuple[Moment, Moment] | None) -> int:
    if ends is None or position < ends[0].position:
        raise too_early("positions begin with 1" if ends else "there is no event yet", ends)
    if position > ends[1].position:
        raise too_late(f"the log ends at position {ends[1].position}", ends)
    return position


def too_early(why: str, ends: tuple[Moment, Moment] | None) -> QuestionRefusedError:
    return _out_of_range(QuestionError.AS_OF_TOO_EARLY, why, ends)


def too_late(why: str, ends: tuple[Moment, Moment] | None) -> QuestionRefusedError:
    return _out_of_range(QuestionError.AS_OF_TOO_LATE, why, ends)


def _out_of_range(error: QuestionError, why: str, ends: tuple[Moment, Moment] | None) -> QuestionRefusedError:
    """`details` have the first and the last moment that can be asked about; null where there is no event."""
    first, last = ends or (None, None)
    details = {"first": first and _moment_answer(first), "last": last and _moment_answer(last)}
    advice = "Ask as of a moment between details.first and details.last." if ends else "Ask again once there is one."
    return QuestionRefusedError(error, f"Not answered: {why}. {advice}", details)


def _moment_answer(moment: Moment) -> dict[str, Any]:
    written = moment.time and moment.time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"position": moment.position, "time": written}
