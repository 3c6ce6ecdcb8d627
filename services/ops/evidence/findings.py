"""Findings of a verification, in runs: consecutive numbers with the same finding are one."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# A log may be wrong everywhere, in another way at each number. All are counted, so many runs are named.
MOST_RUNS: Final = 1_000


class Kind(StrEnum):
    """Kinds of findings; the values are those of the JSON."""

    CHANGED = "changed"
    MISSING = "missing"
    INSERTED = "inserted"
    MOVED = "moved"
    # The log ends before a checkpoint that was signed.
    ROLLED_BACK = "rolled_back"
    # A signed checkpoint that log and tiles do not lead to.
    CONTRADICTION = "contradiction"
    # A checkpoint without a valid signature of a trusted key.
    UNTRUSTED = "untrusted"
    # A file of the evidence that is missing or does not fit the others.
    DAMAGED_EVIDENCE = "damaged_evidence"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Args:
        first, last: positions or ordinals, as the tree counts; None where the finding has no place.
        to: for what has moved, where `first` is now.
        about: the file or the checkpoint, and why.
    """

    kind: Kind
    first: int | None = None
    last: int | None = None
    to: int | None = None
    about: str | None = None

    @property
    def count(self) -> int:
        """How many numbers it has; 1 for one without a place."""
        return 1 if self.first is None or self.last is None else self.last - self.first + 1


class Findings:
    """Collects findings; takes no more memory when a whole log is wrong."""

    def __init__(self) -> None:
        self._runs: list[Finding] = []
        # The last run of a kind and shift, by its place in the list.
        self._open: dict[tuple[Kind, int | None], int] = {}
        self._counts: Counter[Kind] = Counter()

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, finding: Finding) -> None:
        """Add a finding that stays on its own."""
        self._counts[finding.kind] += finding.count
        if len(self._runs) < MOST_RUNS:
            self._runs.append(finding)

    def at(self, kind: Kind, first: int, last: int | None = None, to: int | None = None) -> None:
        """Add numbers: to the last run of the same kind where they follow it."""
        last = first if last is None else last
        self._counts[kind] += last - first + 1
        key = (kind, None if to is None else to - first)
        place = self._open.get(key)
        if place is not None and self._runs[place].last == first - 1:
            run = self._runs[place]
            self._runs[place] = Finding(kind, run.first, last, run.to)
        elif len(self._runs) < MOST_RUNS:
            self._open[key] = len(self._runs)
            self._runs.append(Finding(kind, first, last, to))

    def counts(self) -> dict[Kind, int]:
        """Return how many numbers or files each kind has, those that are not named among them."""
        return dict(self._counts)

    def __iter__(self) -> Iterator[Finding]:
        return iter(in_order(self._runs))


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Those without a place first, the others by their numbers."""
    return sorted(findings, key=lambda one: (one.first is not None, one.first or 0, one.kind))
