"""Spans of positions, and what several facts have in common: the algebra of who could do what, and when.

Spans of one fact are sorted, without gaps of no positions between them and without overlaps. All functions are linear.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")


class Version(NamedTuple, Generic[T]):
    """A row that was valid from `position` on and until before `until`; the newest one has no `until`."""

    row: T
    position: int
    until: int | None


class Span(NamedTuple):
    """The positions from `start` on and before `end`; without an end it lasts."""

    start: int
    end: int | None

    def covers(self, position: int) -> bool:
        return self.overlaps(position, position)

    def overlaps(self, first: int, last: int) -> bool:
        """Return whether it covers any position from `first` to `last`."""
        return self.start <= last and (self.end is None or self.end > first)


Spans: TypeAlias = tuple[Span, ...]
NEVER: Final[Spans] = ()


def spans_by_name(versions: Iterable[Version[T]], names: Callable[[T], Collection[str]]) -> Mapping[str, Spans]:
    """Return when each name was among the names of a row, from the row's versions in order."""
    began: dict[str, int] = {}
    found: defaultdict[str, list[Span]] = defaultdict(list)
    end: int | None = None
    for row, position, until in versions:
        current = set(names(row))
        for name in began.keys() - current:
            found[name].append(Span(began.pop(name), position))
        for name in current - began.keys():
            began[name] = position
        end = until
    for name, start in began.items():
        found[name].append(Span(start, end))
    return {name: tuple(spans) for name, spans in found.items()}


def spans_where(versions: Iterable[Version[T]], holds: Callable[[T], bool]) -> Spans:
    """Return when a condition of a row held."""
    return spans_by_name(versions, lambda row: ("holds",) if holds(row) else ()).get("holds", NEVER)


def intersection(one: Spans, other: Spans) -> Spans:
    """Return when both held."""
    found: list[Span] = []
    first, second = 0, 0
    while first < len(one) and second < len(other):
        a, b = one[first], other[second]
        start, end = max(a.start, b.start), earlier(a.end, b.end)
        if end is None or start < end:
            found.append(Span(start, end))
        if end == a.end:
            first += 1
        if end == b.end:
            second += 1
    return tuple(found)


def earlier(one: int | None, other: int | None) -> int | None:
    """Return the earlier of two ends, of which None is the latest."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def union(many: Iterable[Spans]) -> Spans:
    """Return when any of them held; spans that adjoin or overlap become one."""
    found: list[Span] = []
    for span in sorted((span for spans in many for span in spans), key=lambda span: span.start):
        last = found[-1] if found else None
        if last is None or (last.end is not None and last.end < span.start):
            found.append(span)
        elif last.end is not None:
            found[-1] = Span(last.start, None if span.end is None else max(last.end, span.end))
    return tuple(found)
