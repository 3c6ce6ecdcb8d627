"""Facts and attempts as entries of an answer, from their places in the log."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

import orjson

from services.audit.domain import sentences
from services.audit.domain.differences import FieldChange
from services.audit.field_changes import changes_of
from services.audit.index.pages import Place
from services.audit.logged_facts import LoggedFact, fact_of
from shared.language.audit_answers import Change, EventNamed, TimelineEntry
from shared.process import clock
from shared.process.journal_reader import CommandJournal, JournalRow
from shared.process.log_reader import EventLog
from shared.projections.cooperative import cooperatively
from shared.projections.snapshot import Snapshot

DEAD: Final[LiteralString] = """
SELECT position FROM parked WHERE position = ANY(%(positions)s)
UNION SELECT position FROM given_up WHERE position = ANY(%(positions)s)
"""


async def entries_at(snapshot: Snapshot, places: Sequence[Place]) -> list[TimelineEntry]:
    """Return the entries at these places, in their order."""
    facts = await facts_at(snapshot, [place.position for place in places if not place.ordinal])
    journal = CommandJournal(snapshot.rows)
    attempts = await journal.entries_at([place.ordinal for place in places if place.ordinal])
    commands = await commands_of(snapshot, facts)
    changes, dead = await changes_of(snapshot, facts), await _dead_letters(snapshot, facts)
    found: dict[Place, TimelineEntry] = {}
    async for fact in cooperatively(facts):
        command = commands.get(fact.command_id or "")
        of_fact = changes.get(fact.position, ())
        found[Place(fact.position, 0)] = entry_of_fact(fact, command, of_fact, dead_letter=fact.position in dead)
    async for row in cooperatively(attempts):
        found[Place(row.log_position, row.ordinal)] = entry_of_attempt(row)
    return [found[place] for place in places if place in found]


async def facts_at(snapshot: Snapshot, positions: Sequence[int]) -> list[LoggedFact]:
    """Return the facts at these positions, in the order of the log."""
    events = await EventLog(snapshot.rows).events_at(positions) if positions else []
    return [fact_of(event) async for event in cooperatively(events)]


async def commands_of(snapshot: Snapshot, facts: Sequence[LoggedFact]) -> Mapping[str, JournalRow]:
    """Return the journal entries of the commands that caused these facts, by command id."""
    ids = list({fact.command_id for fact in facts if fact.command_id})
    rows = await CommandJournal(snapshot.rows).of_commands(snapshot.account, ids) if ids else []
    return {str(row.command_id): row for row in rows}


async def _dead_letters(snapshot: Snapshot, facts: Sequence[LoggedFact]) -> set[int]:
    positions = [fact.position for fact in facts]
    return {position for (position,) in await snapshot.select(DEAD, {"positions": positions})} if positions else set()


def entry_of_fact(
    fact: LoggedFact, command: JournalRow | None, changes: Sequence[FieldChange], *, dead_letter: bool
) -> TimelineEntry:
    return TimelineEntry(
        position=fact.position,
        ordinal=command and command.ordinal,
        time=fact.time or "",
        outcome="accepted",
        actor=fact.actor,
        command=command and command.command,
        command_id=fact.command_id,
        correlation_id=fact.correlation_id,
        event=EventNamed(id=fact.id, type=fact.name, subject=fact.subject),
        reason=None,
        message=None,
        sentence=fact.sentence,
        changes=tuple(Change(field=one.field, before=one.before, after=one.after) for one in changes),
        dead_letter=dead_letter,
    )


def entry_of_attempt(row: JournalRow) -> TimelineEntry:
    body, message = body_of(row), message_of(row)
    return TimelineEntry(
        position=row.log_position,
        ordinal=row.ordinal,
        time=clock.written(row.recorded_at),
        outcome=row.outcome,
        actor=row.actor,
        command=row.command,
        command_id=row.command_id and str(row.command_id),
        correlation_id=body and body.get("correlation_id"),
        event=None,
        reason=row.reason,
        message=message,
        sentence=sentences.of_attempt(row.command, body, row.actor, row.outcome, message),
        changes=(),
        dead_letter=False,
    )


def body_of(row: JournalRow) -> dict[str, Any] | None:
    """Return the body of a command as it was given; None where it is not on record."""
    found: dict[str, Any] | None = orjson.loads(row.body) if row.body is not None else None
    return found


def message_of(row: JournalRow) -> str | None:
    message = orjson.loads(row.reply).get("message")
    return None if message is None else str(message)
