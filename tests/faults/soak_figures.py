"""What a soak is judged by: its first calm spells against its last ones, and who was not answered in calm minutes.

A spell is the time between two storms; each figure is the median of five. A storm may leave a trace in the spell that
follows it, as a server's memory after a stream was read anew: that says nothing of an hour, unless it stays.
"""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.bench.load import percentile

if TYPE_CHECKING:
    from tests.faults.soak import Soak

SPELLS: Final = 5
MOST_GROWTH: Final = 0.05
# After a storm, before a minute counts as calm.
SETTLE_SECONDS: Final = 30.0
# A rise by less than one of these is no growth, however little there was before.
TAKEN: Final = {"MB": "megabytes", "open files": "open_files", "sessions": "sessions"}
ALL: Final = "everything"


class Spell(NamedTuple):
    """Calm from `begin` until `end`, in seconds after the beginning."""

    begin: float
    end: float

    def has(self, at: float) -> bool:
        return self.begin <= at < self.end


class Figure(NamedTuple):
    """In the median of the first calm spells and of the last ones; the unit is a key of `TAKEN`, or `ms`."""

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


def spells(run: "Soak") -> tuple[Sequence[Spell], Sequence[Spell]]:
    """The first ones after the warm-up, and as many last ones."""
    ends = [*(begin for begin, _ in run.storms), run.fought.seconds]
    begins = [0.0, *(end + SETTLE_SECONDS for _, end in run.storms)]
    calm = [Spell(begin, end) for begin, end in zip(begins, ends, strict=True) if run.warm <= begin < end]
    number = min(SPELLS, len(calm) // 2)
    return calm[:number], calm[-number:] if number else []


def _taken(run: "Soak") -> Iterator[Figure]:
    first, last = spells(run)
    for unit, of in TAKEN.items():
        begun, ended = (
            [[_with_all(getattr(sample, of)) for sample in run.samples if spell.has(sample.at)] for spell in window]
            for window in (first, last)
        )
        every = [one for spell in (*begun, *ended) for one in spell]
        for role in sorted(set.intersection(*map(set, every))) if every else ():
            yield Figure(
                role, unit, *(_median([one[role] for one in spell] for spell in window) for window in (begun, ended))
            )


def _median(spells: Iterable[Sequence[float]]) -> float:
    """Of their means."""
    return statistics.median(statistics.fmean(spell) for spell in spells if spell)


def _with_all(by_role: Mapping[str, float]) -> Mapping[str, float]:
    return {**by_role, ALL: sum(by_role.values())}


def _latencies(run: "Soak") -> Iterator[Figure]:
    windows = spells(run)
    for title, latencies in (("command", run.commands), ("question", run.questions)):
        begun, ended = (
            [taken for spell in window if (taken := sorted(took for at, took in latencies if spell.has(at)))]
            for window in windows
        )
        for percent in (50, 99) if begun and ended else ():
            yield Figure(
                f"{title} p{percent}",
                "ms",
                *(statistics.median(percentile(spell, percent) for spell in window) for window in (begun, ended)),
            )
