"""Intervals of access: a user, what they could do, by which rule and through what, and the positions of its events.

Several rules may give the same access at once: each has an interval of its own, and goes on when another ends.
Intervals of one user, ability, rule and way do not overlap; those that adjoin are one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Final, Literal, NamedTuple

from services.audit.domain.facts import UserFacts
from services.audit.domain.places import Following, Place, Rule
from services.audit.domain.spans import Span, Spans, intersection, union

Can = Literal["read", "send", "administer"]


class Way(NamedTuple):
    """An ability, the rule that gives it, and the inbox, team or primary through which it does."""

    can: Can
    rule: Rule
    via: str | None


ADMINISTRATION: Final = Way("administer", "administrator", None)


class Interval(NamedTuple):
    """A user had access from the event at `start` on until the event at `end`; None while it lasts."""

    user: str
    way: Way
    start: int
    end: int | None

    def covers(self, position: int) -> bool:
        return Span(self.start, self.end).covers(position)

    def overlaps(self, first: int, last: int) -> bool:
        """Return whether it was there at any position from `first` to `last`."""
        return Span(self.start, self.end).overlaps(first, last)


def intervals(place: Place, user: UserFacts) -> list[Interval]:
    """Return the intervals in which the user had access to the place, oldest first."""
    found = [Interval(user.user, way, start, end) for way, spans in _ways(place, user).items() for start, end in spans]
    return sorted(found, key=lambda one: (one.start, one.way.can, one.way.rule, one.way.via or ""))


def account_intervals(user: UserFacts) -> list[Interval]:
    """Return the intervals in which the user administered the account."""
    return [Interval(user.user, ADMINISTRATION, start, end) for start, end in user.administers]


def _ways(place: Place, user: UserFacts) -> Mapping[Way, Spans]:
    parts: defaultdict[Way, list[Spans]] = defaultdict(list)
    for grant in (*place.named.get(user.user, ()), *place.everyone):
        able = user.personal if grant.rule == "owner" else user.active
        granted = reduce(intersection, grant.when, able)
        parts[Way("read", grant.rule, grant.via)].append(intersection(granted, grant.use.reading))
        parts[Way("send", grant.rule, grant.via)].append(intersection(granted, grant.use.sending))
    for following in place.following:
        for can, spans in _as_alias(following, user):
            parts[Way(can, "alias", following.primary)].append(spans)
    parts[ADMINISTRATION].append(intersection(place.there, user.administers))
    return {way: union(spans) for way, spans in parts.items()}


def _as_alias(following: Following, user: UserFacts) -> Iterable[tuple[Can, Spans]]:
    """Yield the access to a primary by any rule, in the time in which the alias followed it."""
    ways = _ways(following.place, user)
    for can in ("read", "send"):
        by_any_rule = union(spans for way, spans in ways.items() if way.can == can)
        yield can, intersection(by_any_rule, following.during)
