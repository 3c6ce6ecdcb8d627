"""The question `Changes`: how things differ between two moments, in the order of their first changes in between."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from services.audit.bounds import bounds_of
from services.audit.changes.statements import EVENTS, first_changes, rows_as_of
from services.audit.domain.changed_things import ChangedThing, changed_thing
from services.audit.logged_facts import LoggedFact, fact_of
from shared.language.audit import Changes
from shared.language.events import Aggregate
from shared.process.log_reader import StoredEvent
from shared.projections.answers import Page, canonical_or_refused, cursor_key
from shared.projections.cooperative import cooperatively
from shared.projections.history.versions import CURRENT_AND_PAST
from shared.projections.snapshot import Snapshot

# Of the events that changed one thing; there may be thousands.
SENTENCES: Final = 100


class Found(NamedTuple):
    """A row that changed within the range, and the position of its first change there."""

    aggregate: Aggregate
    stream: UUID
    name: str
    position: int


class Row(NamedTuple):
    """A row as of a moment, after so many events; of a row that was not there yet, none."""

    version: int
    doc: Any


NOT_YET: Final = Row(0, None)


class Target(NamedTuple):
    """The rows that a question is about: of one name, or all of the account's."""

    aggregates: Sequence[Aggregate]
    name: str | None = None
    team: str | None = None


async def changes(snapshot: Snapshot, question: Changes) -> Page:
    """Return a page of things that differ between the two moments."""
    target, (first, last) = _target_of(snapshot, question), await bounds_of(snapshot, question)
    # Without a first moment, everything was added.
    reader = ChangesReader(snapshot, target, 0 if question.from_ is None else first, last)
    key = cursor_key(question)
    after = max(reader.first, int(key) if key.isdecimal() else 0)
    items: list[tuple[str, Any]] = []
    while len(items) <= question.limit and (found := await reader.changed_after(after, question.limit + 1)):
        items += [(str(one.position), answer) async for one, answer in reader.answers(found)]
        after = found[-1].position
    return Page(items[: question.limit], more=len(items) > question.limit)


def _target_of(snapshot: Snapshot, question: Changes) -> Target:
    if question.address is not None:
        target = Target(("address",), canonical_or_refused("address", question.address).address)
    elif question.inbox is not None:
        target = Target(("inbox",), question.inbox)
    elif question.user is not None:
        target = Target(("user",), question.user)
    elif question.team is not None:
        target = Target(("account",), snapshot.account, question.team)
    else:
        target = Target(tuple(CURRENT_AND_PAST))
    for aggregate in target.aggregates:
        snapshot.depends_on(aggregate, *([] if target.name is None else [target.name]))
    return target


class ChangesReader:
    """Reads the things that changed after `first` and up to `last`."""

    def __init__(self, snapshot: Snapshot, target: Target, first: int, last: int) -> None:
        self._snapshot = snapshot
        self._target = target
        self.first = first
        self._last = last
        self._changed_after = first_changes(target.aggregates, named=target.name is not None)

    async def changed_after(self, after: int, limit: int) -> list[Found]:
        """Return the next rows that changed, by their first change, which comes after a position."""
        params = {
            "name": self._target.name, "first": self.first, "after": after, "last": self._last, "limit": limit,
        }  # fmt: skip
        return [Found(*row) for row in await self._snapshot.select(self._changed_after, params)]

    async def answers(self, found: Sequence[Found]) -> AsyncIterator[tuple[Found, dict[str, Any]]]:
        """Yield those of these rows that differ, each with its answer."""
        before, after = await self._rows(found, self.first), await self._rows(found, self._last)
        differing: dict[Found, ChangedThing] = {}
        async for one in cooperatively(found):
            rows = before.get(one.stream, NOT_YET).doc, after.get(one.stream, NOT_YET).doc
            if thing := changed_thing(one.aggregate, *rows, self._target.team):
                differing[one] = thing
        facts = await self._facts([one.stream for one in differing], before, after)
        for one, thing in differing.items():
            yield one, self._to_answer(one, thing, facts[one.stream])

    async def _rows(self, found: Iterable[Found], position: int) -> dict[UUID, Row]:
        streams: defaultdict[Aggregate, list[UUID]] = defaultdict(list)
        for one in found:
            streams[one.aggregate].append(one.stream)
        rows: dict[UUID, Row] = {}
        for aggregate, listed in streams.items():
            query = rows_as_of(aggregate)
            for stream, version, doc in await self._snapshot.select(query, {"streams": listed, "position": position}):
                rows[stream] = Row(version, doc)
        return rows

    async def _facts(
        self, streams: Sequence[UUID], before: Mapping[UUID, Row], after: Mapping[UUID, Row]
    ) -> Mapping[UUID, list[LoggedFact]]:
        """Return the events in between, by stream."""
        params = {
            "streams": list(streams),
            "before": [before.get(stream, NOT_YET).version for stream in streams],
            "until": [after.get(stream, NOT_YET).version for stream in streams],
            "limit": SENTENCES,
        }
        facts: defaultdict[UUID, list[LoggedFact]] = defaultdict(list)
        async for row in cooperatively(await self._snapshot.select(EVENTS, params) if streams else ()):
            facts[row[0]].append(fact_of(StoredEvent(*row)))
        return facts

    def _to_answer(self, one: Found, thing: ChangedThing, facts: Iterable[LoggedFact]) -> dict[str, Any]:
        team = self._target.team
        told = [fact for fact in facts if team is None or _team_of(fact) == team]
        return {
            "aggregate": one.aggregate if team is None else "team",
            "name": one.name if team is None else team,
            "change": thing.change,
            "fields": [field._asdict() for field in thing.fields],
            "sentences": [fact.sentence for fact in told],
        }


def _team_of(fact: LoggedFact) -> str | None:
    return getattr(fact.recorded.event, "team", None) if fact.recorded else None
