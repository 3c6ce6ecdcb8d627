"""Events and attempts in the order in which they happened, and the rows that the index gets from them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from services.audit.domain.holdings import Holdings, Relation, concerned_by, relations_of, relations_read
from services.audit.domain.things import Thing, named_by
from services.audit.logged_facts import LoggedFact, fact_of
from shared.process.journal_reader import JournalRow
from shared.process.log_reader import StoredEvent

ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"


class Attempt(NamedTuple):
    """A journal entry that caused no event, with the body of its command as an object."""

    row: JournalRow
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """The next events and journal entries; of entries with events only the last one counts, as the end of the batch."""

    facts: Sequence[LoggedFact]
    attempts: Sequence[Attempt]
    last_entry: JournalRow | None

    def in_order(self) -> Iterator[LoggedFact | Attempt]:
        """Yield facts and attempts in order: an attempt comes after the event at its place in the log."""
        attempts = iter(self.attempts)
        waiting = next(attempts, None)
        for fact in self.facts:
            while waiting is not None and waiting.row.log_position < fact.position:
                yield waiting
                waiting = next(attempts, None)
            yield fact
        while waiting is not None:
            yield waiting
            waiting = next(attempts, None)

    def relations(self) -> dict[str, set[Relation]]:
        """Return the relations that the batch reads, by account."""
        found: dict[str, set[Relation]] = {}
        for fact in self.facts:
            if fact.recorded is not None:
                found.setdefault(fact.account, set()).update(relations_read(fact.recorded.event))
        for attempt in self.attempts:
            found.setdefault(attempt.row.account, set()).update(relations_of(set(named_by(attempt.body))))
        return found


def batch_of(events: Sequence[StoredEvent], entries: Sequence[JournalRow], limit: int, position: int) -> Batch:
    """Return as much as can be put in order of what was read after a position: the events first, then the entries.

    Where one of the two was cut at the limit, the other ends at the same place in the log.
    """
    if len(entries) == limit:
        last = entries[-1].log_position
        events = [event for event in events if event.position <= last]
    end = events[-1].position if events else position
    taken = [entry for entry in entries if entry.log_position <= end]
    attempts = [Attempt(row, orjson.loads(row.body or b"{}")) for row in taken if row.outcome != ACCEPTED]
    return Batch([fact_of(event) for event in events], attempts, taken[-1] if taken else None)


class Concern(NamedTuple):
    """An event (ordinal 0) or an attempt concerns a thing of an account."""

    account: str
    thing: Thing
    position: int
    ordinal: int


@dataclass(slots=True)
class Concerns:
    """The rows of one batch: what facts and refused attempts concern, and what attempts without need do."""

    entries: list[Concern] = field(default_factory=list)
    unchanged: list[Concern] = field(default_factory=list)


def concerns_of(batch: Batch, holdings: Mapping[str, Holdings]) -> Concerns:
    """Return what each event and attempt concerns, and apply the events to the relations of their accounts."""
    found = Concerns()
    for one in batch.in_order():
        if isinstance(one, LoggedFact):
            things = _things_of_fact(one, holdings.get(one.account))
            found.entries += _rows(one.account, things, one.position, 0)
        else:
            row = one.row
            things = holdings[row.account].with_holders(set(named_by(one.body)))
            things |= _given_by(row.account, row.actor, one.body.get("correlation_id"))
            rows = found.entries if row.outcome == REFUSED else found.unchanged
            rows += _rows(row.account, things, row.log_position, row.ordinal)
    return found


def _things_of_fact(fact: LoggedFact, holdings: Holdings | None) -> set[Thing]:
    given_by = _given_by(fact.account, fact.actor, fact.correlation_id)
    if fact.recorded is not None and holdings is not None:
        return concerned_by(fact.recorded.event, holdings) | given_by
    return set(named_by(fact.fields)) | given_by


def _given_by(account: str, actor: str | None, correlation_id: str | None) -> set[Thing]:
    found = {Thing("account", account)}
    if actor is not None:
        found.add(Thing("actor", actor))
    if correlation_id is not None:
        found.add(Thing("correlation", correlation_id))
    return found


def _rows(account: str, things: Iterable[Thing], position: int, ordinal: int) -> list[Concern]:
    return [Concern(account, thing, position, ordinal) for thing in things]
