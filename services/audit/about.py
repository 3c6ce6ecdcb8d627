"""The question `About`: facts and attempts that concern a person or that they gave, and questions about them."""

from typing import Any, Final, LiteralString

from services.audit.domain.things import Thing
from services.audit.index.pages import Place, places_of
from services.audit.ranges import LogRange
from services.audit.timeline import require_on_record
from services.audit.timeline_entries import entries_at
from shared.language.audit import About
from shared.language.audit_answers import AboutEntry, RecordedQuestion
from shared.messaging.json_body import parse_body, problem
from shared.process import clock
from shared.projections.answers import Page, cursor_key, invalid
from shared.projections.snapshot import Snapshot

QUESTIONS: Final[LiteralString] = """
SELECT q.id, q.question, q.body, q.actor, q.recorded_at, q.position, q.outcome
FROM audit.concerned c JOIN audit.questions q ON q.id = c.question
WHERE c.account = %(account)s AND c.name = %(name)s AND c.question > %(after)s
ORDER BY c.question LIMIT %(limit)s
"""
# Fields that every question takes, and that say nothing about the person.
COMMON: Final = frozenset({"actor", "at_least", "wait_ms", "limit", "after"})
QUESTION: Final = "q"


async def about(snapshot: Snapshot, question: About) -> Page:
    """Return a page: facts and attempts in the order of the log, then the questions in the order of their answers."""
    key = cursor_key(question)
    items: list[tuple[str, Any]] = []
    if not key.startswith(QUESTION):
        items = await _entries(snapshot, question.user, _place(key), question.limit + 1)
    if not items and not key:
        await require_on_record(snapshot, Thing("user", question.user))
    if len(items) <= question.limit:
        after = _number(key) if key.startswith(QUESTION) else 0
        items += await _questions(snapshot, question.user, after, question.limit + 1 - len(items))
    return Page(items[: question.limit], more=len(items) > question.limit)


def _place(key: str) -> Place:
    position, _, ordinal = key.partition(".")
    return Place(_number(position), _number(ordinal)) if key else Place(-1, -1)


def _number(text: str) -> int:
    digits = text.removeprefix(QUESTION)
    if not digits.isdecimal():
        raise invalid([problem("after", "this is not a cursor of an earlier page")])
    return int(digits)


async def _entries(snapshot: Snapshot, user: str, after: Place, limit: int) -> list[tuple[str, Any]]:
    everything = LogRange(0, snapshot.position)
    places: set[Place] = set()
    for thing in (Thing("user", user), Thing("actor", user)):
        places.update(await places_of(snapshot, thing, everything, after, limit, unchanged=True))
    listed = sorted(places)[:limit]
    entries = await entries_at(snapshot, listed)
    return [
        (place.key, AboutEntry(entry=entry, question=None).model_dump(mode="json"))
        for place, entry in zip(listed, entries, strict=True)
    ]


async def _questions(snapshot: Snapshot, user: str, after: int, limit: int) -> list[tuple[str, Any]]:
    rows = await snapshot.select(QUESTIONS, {"name": user, "after": after, "limit": limit})
    found: list[tuple[str, Any]] = []
    for id_, name, body, actor, recorded_at, position, outcome in rows:
        fields, _ = parse_body(body)
        recorded = RecordedQuestion(
            number=id_,
            question=name,
            fields={field: value for field, value in fields.items() if field not in COMMON},
            actor=actor,
            time=clock.written(recorded_at),
            position=position,
            outcome=outcome,
        )
        item = AboutEntry(entry=None, question=recorded).model_dump(mode="json")
        found.append((f"{QUESTION}{id_}", item))
    return found
