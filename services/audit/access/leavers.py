"""The question `Leavers`: the people who left, and what became of their access. Those over the limit come first."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from services.audit.access.answers import Found, to_answer
from services.audit.access.edges import Edge, read_edges
from services.audit.access.of_user import UserPlaces, places_of
from services.audit.access.rows import AccessRows, Holder, Orphaned
from services.audit.bounds import Bounds, events_within
from services.audit.domain.leaving import Leaving, leavings
from shared.language.audit import Leavers
from shared.process import clock
from shared.projections.answers import Page, cursor_key
from shared.projections.cooperative import cooperatively
from shared.projections.snapshot import Snapshot

REMAINING: Final = 100
USERS_AT_ONCE: Final = 100


class LastAccess(NamedTuple):
    """The position at which the last access ended; while some lasts, the first of its intervals."""

    ended: int | None
    remaining: tuple[Found, ...] = ()


async def leavers(snapshot: Snapshot, question: Leavers) -> Page:
    """Return a page of people."""
    rows, bounds = AccessRows(snapshot), await events_within(snapshot, question)
    listed = await _all_leavings(rows, bounds)
    report = Report(rows, bounds, question.hours)
    # Only people who came back can be over the limit: nobody has access while they are not active.
    late = await report.late([one for one in listed if one.returned])
    ordered = sorted((_key(one, late), one) for one in listed)
    after = cursor_key(question)
    page = [one for key, one in ordered if key > after]
    answers = await report.of(page[: question.limit])
    return Page(
        [(_key(one, late), answer) for one, answer in zip(page, answers, strict=False)], more=len(page) > question.limit
    )


async def _all_leavings(rows: AccessRows, bounds: Bounds) -> list[Leaving]:
    names = await rows.inactive_within(*bounds)
    found: list[Leaving] = []
    for start in range(0, len(names), USERS_AT_ONCE):
        async for user, versions in cooperatively(await rows.users_with_versions(names[start : start + USERS_AT_ONCE])):
            found += leavings(user, versions, *bounds)
    return found


def _key(one: Leaving, late: set[int]) -> str:
    return f"{0 if one.left in late else 1}/{one.left:020d}"


class Report:
    """The answers about people who left."""

    def __init__(self, rows: AccessRows, bounds: Bounds, limit_hours: int) -> None:
        self._rows = rows
        self._bounds = bounds
        self._limit = limit_hours

    async def late(self, returned: Sequence[Leaving]) -> set[int]:
        """Return the positions at which those left whose access ended after the limit, or lasts for longer."""
        found: set[int] = set()
        for start in range(0, len(returned), USERS_AT_ONCE):
            some = returned[start : start + USERS_AT_ONCE]
            for one, answer in zip(some, await self.of(some), strict=True):
                if answer["over_limit"]:
                    found.add(one.left)
        return found

    async def of(self, listed: Sequence[Leaving]) -> list[dict[str, Any]]:
        places = await places_of(self._rows, [one.user for one in listed])
        last = [await self._last_access(*one) for one in zip(listed, places, strict=True)]
        orphaned = await self._orphaned(listed)
        holders = await self._rows.holders(
            (one.address, one.span.end) for many in orphaned for one in many if one.span.end is not None
        )
        edges = await read_edges(self._rows.log, _positions(listed, last, orphaned))
        return [self._to_answer(*one, holders, edges) for one in zip(listed, last, orphaned, strict=True)]

    async def _last_access(self, one: Leaving, places: UserPlaces) -> LastAccess:
        """Find when the access ended: mostly with the first interval, since all end when the person is not active."""
        target, latest = one.last_active, None
        if target is None and (remaining := await self._remaining(one, places)):
            return LastAccess(None, remaining)
        async for found in places.own_places():
            interval = found.interval
            if one.has(interval.start) and interval.end is not None:
                latest = max(latest or 0, interval.end)
                if latest == target:
                    break
        return LastAccess(latest)

    async def _remaining(self, one: Leaving, places: UserPlaces) -> tuple[Found, ...]:
        """Return the first intervals that last."""
        remaining: list[Found] = []
        async for found in places.own_places(now=True):
            if found.interval.end is None and one.has(found.interval.start):
                remaining.append(found)
                if len(remaining) == REMAINING:
                    break
        return tuple(remaining)

    async def _orphaned(self, listed: Sequence[Leaving]) -> list[list[Orphaned]]:
        """Return the addresses that each person left without an owner."""
        found = await self._rows.orphaned([one.user.user for one in listed]) if listed else {}
        return [
            [each for each in found.get(one.user.user, ()) if each.span.start > one.left and one.has(each.span.start)]
            for one in listed
        ]

    def _to_answer(
        self,
        one: Leaving,
        last: LastAccess,
        orphaned: Iterable[Orphaned],
        holders: Mapping[tuple[str, int], Holder],
        edges: Mapping[int, Edge],
    ) -> dict[str, Any]:
        left, ended = edges[one.left], None if last.ended is None else edges[last.ended]
        lasting = hours_between(left, None) if last.remaining else None
        hours = None if last.remaining else hours_between(left, ended) if ended else 0.0
        return {
            "user": one.user.user,
            "name": one.life.name,
            "added": one.life.added,
            "left": left,
            "removed": None if one.removed is None else edges[one.removed],
            "last_access": ended,
            "hours": hours,
            "over_limit": max(hours or 0.0, lasting or 0.0) > self._limit,
            "remaining": [to_answer(found, edges, self._bounds) for found in last.remaining],
            "orphaned": [_orphan(each, holders, edges) for each in orphaned],
        }


def _orphan(one: Orphaned, holders: Mapping[tuple[str, int], Holder], edges: Mapping[int, Edge]) -> dict[str, Any]:
    end = one.span.end
    holder = holders.get((one.address, end), Holder(None, None)) if end is not None else Holder(None, None)
    return {
        "address": one.address,
        "from": edges[one.span.start],
        "to": None if end is None else edges[end],
        "owner": holder.owner,
        "inbox": holder.inbox,
    }


def _positions(
    listed: Iterable[Leaving], last: Iterable[LastAccess], orphaned: Iterable[Iterable[Orphaned]]
) -> set[int | None]:
    found: set[int | None] = {position for one in listed for position in (one.left, one.removed)}
    for access in last:
        found |= {access.ended, *(one.interval.start for one in access.remaining)}
    return found | {position for many in orphaned for one in many for position in one.span}


def hours_between(left: Edge, ended: Edge | None) -> float:
    """Return the hours from one event to another, or to now; 0 where a clock ran back or a time cannot be read."""
    until = clock.now() if ended is None else ended["time"]
    if not left["time"] or not until:
        return 0.0
    passed = datetime.fromisoformat(until) - datetime.fromisoformat(left["time"])
    return round(max(0.0, passed.total_seconds() / 3_600), 2)
