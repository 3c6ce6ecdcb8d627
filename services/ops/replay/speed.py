"""The speed of a replay: so many events a second, or the original spacing of the events by a factor.

A pacer says when the next message is due; it reads no clock. Delays of less than a second are made up for. A longer one
moves everything behind it, so that consumers never get more at once than the speed says.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

# The longest delay in seconds that is made up for.
SLACK: Final = 1.0
FASTEST: Final = 1_000_000.0
IN_WORDS: Final = "such as 500/s, 0.5/s, original, 4x or 0.25x"

_RATE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/s")
_FACTOR: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)x")


@dataclass(frozen=True)
class Speed:
    """`per_second` messages, or else the spacing of the log divided by `factor`; `text` as it was written."""

    text: str
    per_second: float | None
    factor: float

    def __str__(self) -> str:
        return self.text


def speed_of(text: str) -> Speed:
    """
    Raises:
        ValueError: it is not a speed.
    """
    if text == "original":
        return Speed(text, None, 1.0)
    for pattern in (_RATE, _FACTOR):
        found = pattern.fullmatch(text)
        if found and 0 < (number := float(found[1])) <= FASTEST:
            return Speed(text, number, 1.0) if pattern is _RATE else Speed(text, None, number)
    raise ValueError(f"{text!r} is not a speed; write one {IN_WORDS}, up to {FASTEST:,.0f}")


class Pacer:
    """The times at which messages are due, on a clock of the caller in seconds."""

    def __init__(self, speed: Speed) -> None:
        self._speed = speed
        self._due: float | None = None
        self._latest: datetime | None = None

    def due(self, now: float, time: datetime | None) -> float:
        """Return when the message of the next event is due, in the past for one that is late.

        Args:
            now: the time on the caller's clock.
            time: the time at which the event was recorded; None where it cannot be read.
        """
        gap = self._gap(time)
        due = now if self._due is None else self._due + gap
        self._due = now if now - due > SLACK else due
        return self._due

    def _gap(self, time: datetime | None) -> float:
        """The seconds behind the message before. An event of a clock that ran back is due at once."""
        if self._speed.per_second is not None:
            return 1 / self._speed.per_second
        before, self._latest = self._latest, max(filter(None, (self._latest, time)), default=None)
        if before is None or self._latest is None:
            return 0.0
        return (self._latest - before).total_seconds() / self._speed.factor
