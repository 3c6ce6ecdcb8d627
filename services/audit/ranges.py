"""The part of the log that a question is about: both of its ends are part of it.

An event belongs to a range by its position, and an attempt by its place among the events. At an end that is a time,
an attempt between two events belongs to it by its own time.
"""

from datetime import datetime
from typing import NamedTuple

from shared.language.audit import Range
from shared.language.moments import instant
from shared.language.reasons import QuestionError
from shared.messaging.json_body import problem
from shared.process.log_reader import EventLog
from shared.projections.answers import QuestionRefusedError, invalid
from shared.projections.log_moments import history_behind, position_of
from shared.projections.snapshot import Snapshot


class LogRange(NamedTuple):
    """The positions `first` to `last`; `since` and `until` limit the attempts at its edges, None where nothing does."""

    first: int
    last: int
    since: datetime | None = None
    until: datetime | None = None

    @property
    def parameters(self) -> dict[str, object]:
        """The parameters of a statement with the conditions of `IN_RANGE`."""
        edge = self.first - 1 if self.since else self.first
        return {"edge": edge, "first": self.first, "last": self.last, "since": self.since, "until": self.until}


async def range_of(snapshot: Snapshot, question: Range) -> LogRange:
    """Return the range of a question, within what the snapshot has reached.

    Raises:
        QuestionRefusedError: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, the log lacks the moment; HISTORY_BEHIND, the snapshot
            does not reach the beginning; or QUERY_INVALID, the range ends before it begins.
    """
    log, reached = EventLog(snapshot.rows), snapshot.position
    first, since = await _beginning(log, question.from_)
    last, until = await _end(log, question.to)
    # At a time, attempts after the event before it belong to the range.
    edge = first if since is None else first - 1
    if last is not None and edge > last:
        raise invalid([problem("from", "the range ends before it begins")])
    if edge > reached:
        raise history_behind(reached, edge, await log.end())
    if last is None or last > reached:
        return LogRange(first, reached, since)
    return LogRange(first, last, since, until)


async def _beginning(log: EventLog, moment: int | str | None) -> tuple[int, datetime | None]:
    if moment is None:
        return 0, None
    if isinstance(moment, int):
        return await position_of(log, moment), None
    time = instant(moment)
    try:
        # Later than now is an error.
        await position_of(log, moment)
    except QuestionRefusedError as error:
        if error.error is QuestionError.AS_OF_TOO_EARLY:
            return 0, time
        raise
    return await log.first_not_before(time), time


async def _end(log: EventLog, moment: int | str | None) -> tuple[int | None, datetime | None]:
    if moment is None:
        return None, None
    return await position_of(log, moment), instant(moment) if isinstance(moment, str) else None
