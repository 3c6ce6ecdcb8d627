"""The question `Bisect`: the first position at which a value in the answer to another question became as given."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from services.audit.access.rows import AccessRows
from services.audit.bisect.dependencies import dependencies_of
from services.audit.bisect.search import Found, Search
from services.audit.bisect.statements import positions_of
from services.audit.bounds import bounds_of
from services.audit.domain.json_pointer import value_at
from services.audit.logged_facts import fact_of
from services.audit.peers import Peers
from shared.language.audit import Bisect
from shared.language.questions import ROUTING_QUESTIONS, VIEW_QUESTIONS, Question
from shared.language.reasons import QuestionError
from shared.messaging.json_body import problem
from shared.projections.answers import QuestionRefusedError, busy, invalid
from shared.projections.question_parsing import parse_question
from shared.projections.snapshot import Snapshot

# Asks a view: the account, the name of the question and its body in, the body of the reply out.
AskView = Callable[[str, str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]

QUESTIONS: Final[dict[str, type[Question]]] = {**VIEW_QUESTIONS, **ROUTING_QUESTIONS}
ACTOR: Final = "service:audit"
OWN_FIELDS: Final = ("actor", "as_of", "at_least", "wait_ms")
# Things that are not there yet have no values.
NOT_THERE: Final = frozenset(
    {QuestionError.ACCOUNT_NOT_FOUND, QuestionError.USER_NOT_FOUND, QuestionError.INBOX_NOT_FOUND}
)


async def bisect_with(snapshot: Snapshot, question: Bisect, peers: Peers) -> dict[str, Any]:
    return await bisect(snapshot, question, peers.ask)


async def bisect(snapshot: Snapshot, question: Bisect, ask: AskView) -> dict[str, Any]:
    """Return the event, or the range that was looked at.

    Raises:
        QuestionRefusedError: QUERY_INVALID, there is no such question of the views; or the error that it got.
    """
    asked = _parse(snapshot.account, question)
    first, last = await bounds_of(snapshot, question)
    rows = AccessRows(snapshot)
    dependencies = await dependencies_of(rows, asked)
    for aggregate, names, _ in dependencies:
        snapshot.depends_on(aggregate, *(names or ()))
    statement, params = positions_of(dependencies)

    async def positions_after(position: int, limit: int) -> Sequence[int]:
        limits = {"after": position, "last": last, "limit": limit}
        return [found for (found,) in await snapshot.select(statement, {**params, **limits})]

    async def value_as_of(position: int) -> Any:
        body = {**question.fields, "actor": ACTOR, "as_of": position}
        return value_at(_result(await ask(snapshot.account, question.question, body)), question.path)

    found = await Search(value_as_of, positions_after, question.value).run(first, last)
    return await _to_answer(rows, found, first)


def _parse(account: str, question: Bisect) -> Question:
    """Return the inner question, as the view will read it."""
    if question.question not in QUESTIONS:
        raise invalid([problem("question", f"name one of {', '.join(sorted(QUESTIONS))}")])
    if own := [name for name in OWN_FIELDS if name in question.fields]:
        raise invalid([problem(f"fields.{name}", "leave it out: it is set for each position") for name in own])
    body = orjson.dumps({**question.fields, "actor": ACTOR})
    try:
        return parse_question(QUESTIONS, account, question.question, body)
    except QuestionRefusedError as error:
        problems = error.details.get("errors", ())
        raise invalid([{**one, "field": f"fields.{one['field']}"} for one in problems]) from None


def _result(reply: Mapping[str, Any]) -> Any:
    """Return the result of a reply; None where the thing was not there yet."""
    if (error := reply.get("error")) is None:
        return reply["result"]
    if error in NOT_THERE:
        return None
    if error not in list(QuestionError):
        raise busy(f"the view failed: {error}")
    raise QuestionRefusedError(QuestionError(error), str(reply.get("message")), reply.get("details") or {})


async def _to_answer(rows: AccessRows, found: Found, first: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "position": found.position,
        "time": None,
        "event": None,
        "sentence": None,
        "before": found.before if found.position is not None else None,
        "after": found.after,
        "first": first,
        "last": found.last,
        "complete": found.complete,
    }
    # As of the first moment it was so already: an event before may have done it.
    if found.position is None or found.position == first:
        return answer
    ((fact,)) = [fact_of(event) for event in await rows.log.events_at([found.position])]
    event = {"id": fact.id, "type": fact.name, "subject": fact.subject}
    return answer | {"time": fact.time, "event": event, "sentence": fact.sentence}
