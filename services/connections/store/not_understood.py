"""Streams with an event that this release cannot read: nothing is decided on them until the newer release runs."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from shared.language.events import Aggregate

# So many are remembered, each with a line in the log; a whole log of a newer release must not fill memory or disk.
REMEMBERED: Final = 1_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """Stands in place of a stream's state; `position` and `stored_name` are those of the first such event."""

    aggregate: Aggregate
    position: int
    stored_name: str


class StreamNotUnderstood(Exception):
    """A decision has looked at such a stream."""

    def __init__(self, event: NotUnderstood) -> None:
        super().__init__(f"{event.aggregate}: {event.stored_name} at position {event.position}")
        self.event = event


class StreamsNotUnderstood:
    """Those met since the start; written in the thread that decides, read anywhere."""

    def __init__(self) -> None:
        self._met: dict[UUID, NotUnderstood] = {}

    def meet(self, stream: UUID, event: NotUnderstood, why: str) -> None:
        if stream in self._met or len(self._met) >= REMEMBERED:
            return
        self._met[stream] = event
        log.warning(
            "stream.not_understood",
            aggregate=event.aggregate,
            stream=str(stream),
            position=event.position,
            stored_name=event.stored_name,
            error=why,
        )

    def trouble(self) -> str | None:
        """The first of them and how many there are, for readiness: no address, it is not for everybody's eyes."""
        met = list(self._met.values())
        if not met:
            return None
        first, others = met[0], f" ({len(met) - 1} more such streams)" if len(met) > 1 else ""
        return (
            f"{first.aggregate} stream with {first.stored_name} at position {first.position}, which this release"
            f" cannot read: run the newer release; commands on it are refused STREAM_NOT_UNDERSTOOD{others}"
        )
