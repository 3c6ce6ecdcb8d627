"""Clocks that ran back: runs of events whose time is more than a second before that of an earlier event.

Times within a second differ without a fault: they are the arrivals of commands, which are decided in another order.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.audit.logged_facts import LoggedFact

TOLERANCE_MS: Final = 1_000
# Events of one run are not farther apart, so that two writers with different clocks make few runs.
WITHIN: Final = 1_000


@dataclass(slots=True)
class ClockRun:
    """The first and the last such event, their number, by how much the worst is behind, and the latest time before."""

    position: int
    until: int
    events: int
    milliseconds: int
    latest: datetime

    def takes(self, position: int) -> bool:
        return position - self.until <= WITHIN

    def add(self, other: "ClockRun") -> None:
        self.until = other.until
        self.events += other.events
        self.milliseconds = max(self.milliseconds, other.milliseconds)
        self.latest = max(self.latest, other.latest)


def clock_runs(facts: Iterable[LoggedFact], latest: datetime | None) -> tuple[list[ClockRun], datetime | None]:
    """Return the runs among these events, and the latest time after them; `latest` is that of the events before."""
    found: list[ClockRun] = []
    for fact in facts:
        time = fact.instant()
        if time is None:
            continue
        if latest is None or time >= latest:
            latest = time
        elif (behind := round((latest - time).total_seconds() * 1_000)) > TOLERANCE_MS:
            run = ClockRun(fact.position, fact.position, 1, behind, latest)
            if found and found[-1].takes(fact.position):
                found[-1].add(run)
            else:
                found.append(run)
    return found, latest
