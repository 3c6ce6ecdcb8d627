"""How far rows are that are being filled, how fast they go on, and how long it will take."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from shared.process.log_reader import LogReader

LOG_SECONDS = 5.0
LOOK_SECONDS = 0.5
EVENTS = "events"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Step:
    """How far it is: `end` is the log's, `left` the seconds to go at this rate, None while it is not known."""

    phase: str
    position: int
    end: int
    per_second: int
    left: float | None


Heard = Callable[[Step], None]


def nobody(_step: Step) -> None:
    """Who wants to hear nothing of it."""


class Meter:
    """Says how far it is: to `heard` after every batch, to the log every `LOG_SECONDS`."""

    def __init__(self, view: str, events: LogReader, heard: Heard, start: int = 0) -> None:
        self._view = view
        self._events = events
        self._heard = heard
        self._start = start
        self._began = self._logged = time.monotonic()
        self._looked = 0.0
        self._end = 0

    async def told(self, position: int) -> None:
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._end, self._looked = await self._events.end(), now
        self.say(EVENTS, position)

    def say(self, phase: str, position: int) -> None:
        now = time.monotonic()
        rate = (position - self._start) / max(now - self._began, 0.001)
        end = max(self._end, position)
        left = round((end - position) / rate, 1) if rate > 0 and phase == EVENTS else None
        step = Step(phase, position, end, round(rate), left)
        self._heard(step)
        if now - self._logged > LOG_SECONDS:
            self._logged = now
            log.info("view.rebuilding", view=self._view, **vars(step))
