"""Errors that no handler expected: all are counted, and each kind is logged once, with its place in the code.

The log gets the type and the traceback, never the message of the error: it may quote what a caller sent.
"""

import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Literal, get_args

import structlog

from shared.process import metrics

Step = Literal["reading", "deciding", "deciding_group", "answering", "following"]
# A step, a type of error, and the line that raised it.
Kind = tuple[Step, str, str]

LONGEST_CHAIN: Final = 5

log = structlog.get_logger(__name__)


class UnexpectedErrors:
    """The errors of one process."""

    def __init__(self) -> None:
        # Present from the start, so that a rate includes the first one.
        self._counts: Counter[tuple[Step]] = Counter({(step,): 0 for step in get_args(Step)})
        self._logged: set[Kind] = set()

    def record(self, error: Exception, step: Step, **about: object) -> None:
        """Count it, and log it with `about` if it is the first of its kind. `about` must name no person."""
        self._counts[(step,)] += 1
        kind = step, type(error).__qualname__, _place_of(error)
        if kind not in self._logged:
            self._logged.add(kind)
            log.error("error.unexpected", step=step, error=kind[1], exception=traceback_of(error), **about)

    async def collect_metrics(self) -> Sequence[metrics.Metric]:
        return [
            metrics.counter(
                "switchboard_unexpected_errors_total",
                "Errors that no handler expected, by what was being done; each kind is logged once.",
                ("step",),
                self._counts,
            )
        ]


_errors: Final = UnexpectedErrors()
record: Final = _errors.record
collect_metrics: Final = _errors.collect_metrics


def traceback_of(error: BaseException) -> str:
    """Format the traceback of the error and of its causes, without their messages."""
    parts = [
        "".join(
            ["Traceback (most recent call last):\n", *traceback.format_tb(one.__traceback__), type(one).__qualname__]
        )
        for one in _chain(error)
    ]
    return "\n\nThe next error followed from this one:\n\n".join(reversed(parts))


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(LONGEST_CHAIN):
        if one is None:
            return
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _place_of(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
