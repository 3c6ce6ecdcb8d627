"""What a soak is judged by: its first calm minutes against its last ones, and who was not answered in calm minutes."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.bench.load import percentile

if TYPE_CHECKING:
    from tests.faults.soak import Soak

WINDOW_SECONDS: Final = 600.0
MOST_GROWTH: Final = 0.05
# A rise by less than one of these is no growth, however little there was before.
TAKEN: Final = {"MB": "megabytes", "open files": "open_files", "sessions": "sessions"}
ALL: Final = "everything"

Within = Callable[[float], bool]


class Figure(NamedTuple):
    """The mean of the first calm minutes and of the last ones; the unit is a key of `TAKEN`, or `ms`."""

    name: str
    unit: str
    first: float
    last: float

    @property
    def grew(self) -> bool:
        least = 1.0 if self.unit in TAKEN else 0.0
        return self.last > self.first * (1 + MOST_GROWTH) and self.last - self.first >= least

    @property
    def told(self) -> str:
        return f"{self.name}, {self.unit}: {self.first:,.2f}, then {self.last:,.2f}"

    def __str__(self) -> str:
        change = f"{self.last / self.first - 1:+.1%}" if self.first else ""
        return f"{f'{self.name}, {self.unit}':44}{self.first:12,.2f}{self.last:12,.2f}{change:>10}"


def compared(run: "Soak") -> list[Figure]:
    """What is there all the time in both windows, and the latencies."""
    return [*_taken(run), *_latencies(run)]


def failures(run: "Soak", figures: Sequence[Figure]) -> list[str]:
    """Why the soak has not passed; what a shared machine may be to blame for says so."""
    fought = run.fought
    told = list(fought.missed)
    told += [f"{name}: {count}" for name, count in fought.differences.items() if count]
    told += [f"grew: {one.told}" for one in figures if one.unit != "ms" and one.grew]
    told += [f"latency, unless others used the machine: {one.told}" for one in figures if one.unit == "ms" and one.grew]
    if unanswered := [at for at, took in run.unanswered if run.calm(at) and run.calm(at + took)]:
        told.append(
            f"questions that were not answered in calm minutes: {len(unanswered)}, the first at {unanswered[0]:.0f} s"
        )
    return told


def page(figures: Sequence[Figure]) -> str:
    return "\n".join([f"{'':44}{'first':>12}{'last':>12}{'change':>10}", *map(str, figures)])


def windows(run: "Soak") -> tuple[Within, Within]:
    """From the end of the warm-up to the first storm, and the calm part of the last ten minutes."""
    begin, end = run.storms[0][0], run.fought.seconds
    span = min(WINDOW_SECONDS, (end - begin) / 2)
    return lambda at: run.warm <= at < begin, lambda at: end - span <= at and run.calm(at)


def _taken(run: "Soak") -> Iterator[Figure]:
    first, last = ([sample for sample in run.samples if within(sample.at)] for within in windows(run))
    for unit, of in TAKEN.items():
        begun, ended = ([_with_all(getattr(sample, of)) for sample in window] for window in (first, last))
        for role in sorted(set.intersection(*(set(one) for one in (*begun, *ended)))) if begun and ended else ():
            yield Figure(role, unit, *(statistics.fmean(one[role] for one in window) for window in (begun, ended)))


def _with_all(by_role: Mapping[str, float]) -> Mapping[str, float]:
    return {**by_role, ALL: sum(by_role.values())}


def _latencies(run: "Soak") -> Iterator[Figure]:
    for title, latencies in (("command", run.commands), ("question", run.questions)):
        begun, ended = (sorted(took for at, took in latencies if within(at)) for within in windows(run))
        for percent in (50, 99) if begun and ended else ():
            yield Figure(f"{title} p{percent}", "ms", percentile(begun, percent), percentile(ended, percent))
