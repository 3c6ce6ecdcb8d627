"""The question `Trace`: the way of commands, from how they were given to the views that applied their events."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

import orjson

from services.audit.domain.things import Thing
from services.audit.index.pages import Place, place_after, places_of
from services.audit.logged_facts import LoggedFact
from services.audit.peers import PUBLISHED, VIEWS, EventTimes, Peers
from services.audit.ranges import LogRange
from services.audit.timeline_entries import body_of, commands_of, facts_at
from shared.language.audit import Trace
from shared.language.audit_answers import TracedCommand, TracedEvent
from shared.language.moments import instant
from shared.process import clock
from shared.process.journal_reader import CommandJournal, JournalRow
from shared.projections.answers import Page
from shared.projections.snapshot import Snapshot

# Of one command; a cascade may have thousands.
LISTED_EVENTS: Final = 100

OF_EVENT: Final[LiteralString] = "SELECT position FROM audit_index.events WHERE id = %(id)s AND position <= %(last)s"


async def trace(snapshot: Snapshot, question: Trace, peers: Peers) -> Page:
    """Return a page of commands, in the order of the log."""
    after = place_after(question)
    if question.correlation_id is not None:
        found, more = await _under_correlation(snapshot, question.correlation_id, after, question.limit)
    else:
        every = [(_place_of(row), row) for row in await _commands(snapshot, question)]
        later = [one for one in every if one[0] > after]
        found, more = later[: question.limit], len(later) > question.limit
    events = {row.ordinal: await _events_of(snapshot, row) for _, row in found}
    times = await peers.times_of([(fact.position, fact.id) for facts in events.values() for fact in facts])
    items = [(place.key, _traced(row, events[row.ordinal], times)) for place, row in found]
    return Page(items, more=more)


def _place_of(row: JournalRow) -> Place:
    return Place(row.log_position, 0 if row.outcome == "accepted" else row.ordinal)


async def _commands(snapshot: Snapshot, question: Trace) -> list[JournalRow]:
    """Return the journal entries under a command id, also the one that caused an event."""
    command_id = question.command_id
    if question.event_id is not None:
        command_id = await _cause_of(snapshot, question.event_id)
    rows = await CommandJournal(snapshot.rows).of_command(snapshot.account, command_id) if command_id else []
    return [row for row in rows if row.log_position <= snapshot.position]


async def _cause_of(snapshot: Snapshot, event_id: str) -> str | None:
    rows = await snapshot.select(OF_EVENT, {"id": event_id, "last": snapshot.position})
    facts = await facts_at(snapshot, [position for (position,) in rows])
    return next((fact.command_id for fact in facts if fact.account == snapshot.account), None)


async def _under_correlation(
    snapshot: Snapshot, correlation_id: str, after: Place, limit: int
) -> tuple[list[tuple[Place, JournalRow]], bool]:
    """Return the next commands under a correlation id, and whether more follow.

    The events of a command follow one another, so the command has the place of its last one.
    """
    thing, everything = Thing("correlation", correlation_id), LogRange(0, snapshot.position)
    places = await places_of(snapshot, thing, everything, after, limit + 1, unchanged=True)
    listed = places[:limit]
    facts = await facts_at(snapshot, [place.position for place in listed if not place.ordinal])
    attempts = await CommandJournal(snapshot.rows).entries_at([place.ordinal for place in listed if place.ordinal])
    rows = [*(await commands_of(snapshot, facts)).values(), *attempts]
    return sorted(((_place_of(row), row) for row in rows), key=lambda one: one[0]), len(places) > limit


async def _events_of(snapshot: Snapshot, row: JournalRow) -> Sequence[LoggedFact]:
    """Return the first events of a command, which are one commit."""
    if row.outcome != "accepted" or row.position is None:
        return ()
    count = _event_count(row)
    first = row.position - count + 1
    return await facts_at(snapshot, range(first, first + min(count, LISTED_EVENTS)))


def _event_count(row: JournalRow) -> int:
    return int(orjson.loads(row.reply).get("event_count", 0))


# ---- the answer


def _traced(row: JournalRow, facts: Sequence[LoggedFact], times: Mapping[int, EventTimes]) -> dict[str, Any]:
    reply = orjson.loads(row.reply)
    if row.position is not None:
        reply["position"] = row.position
    body = body_of(row)
    return TracedCommand(
        command=row.command,
        command_id=row.command_id and str(row.command_id),
        correlation_id=body and body.get("correlation_id"),
        actor=row.actor,
        ordinal=row.ordinal,
        position=row.position,
        time=clock.written(row.recorded_at),
        body=body,
        outcome=row.outcome,
        reason=row.reason,
        reply=reply,
        events=tuple(_traced_event(fact, times[fact.position], row.recorded_at) for fact in facts),
        event_count=_event_count(row),
    ).model_dump(mode="json")


def _traced_event(fact: LoggedFact, times: EventTimes, since: datetime) -> TracedEvent:
    return TracedEvent(
        id=fact.id,
        type=fact.name,
        position=fact.position,
        time=fact.time or "",
        sentence=fact.sentence,
        published=times.times.get(PUBLISHED),
        applied={view: times.times.get(view) for view in VIEWS},
        after_ms={name: _milliseconds(since, time) for name, time in times.times.items()},
        missing=times.missing,
    )


def _milliseconds(since: datetime, time: str) -> float:
    return round((instant(time) - since).total_seconds() * 1_000, 3)
