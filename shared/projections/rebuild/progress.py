"""Progress of a replay: its position, its rate, and the time that is left; logged every few seconds."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from shared.process.log_reader import LogReader

LOG_SECONDS = 5.0
READ_END_SECONDS = 0.5
EVENTS = "events"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ProgressStep:
    """`end` is the log's end, `left` the remaining seconds at this rate; None while that is unknown."""

    phase: str
    position: int
    end: int
    per_second: int
    left: float | None


OnProgress = Callable[[ProgressStep], None]


def ignore_progress(_step: ProgressStep) -> None:
    """Do nothing."""


class ProgressReporter:
    """Reports progress to `on_progress` after every batch, and to the log every `LOG_SECONDS`."""

    def __init__(self, view: str, events: LogReader, on_progress: OnProgress, start: int = 0) -> None:
        self._view = view
        self._events = events
        self._on_progress = on_progress
        self._start = start
        self._started = self._logged_at = time.monotonic()
        self._end_read_at = 0.0
        self._end = 0

    async def advanced(self, position: int) -> None:
        now = time.monotonic()
        if now - self._end_read_at > READ_END_SECONDS:
            self._end, self._end_read_at = await self._events.end(), now
        self.report(EVENTS, position)

    def report(self, phase: str, position: int) -> None:
        now = time.monotonic()
        rate = (position - self._start) / max(now - self._started, 0.001)
        end = max(self._end, position)
        left = round((end - position) / rate, 1) if rate > 0 and phase == EVENTS else None
        step = ProgressStep(phase, position, end, round(rate), left)
        self._on_progress(step)
        if now - self._logged_at > LOG_SECONDS:
            self._logged_at = now
            log.info("view.rebuilding", view=self._view, **vars(step))
