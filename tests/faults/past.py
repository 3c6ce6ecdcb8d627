"""Questions as of moments of the past, asked when all is over, against the model of addresses.

A moment is a position or a time: as of a time means as of the last position up to which no event is later.
"""

import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, NamedTuple

import orjson

from tests.faults import answered, asking, claims
from tests.faults.answered import AsOf
from tests.faults.history import Answer, Question, Try
from tests.faults.verdict import Stored, Verdict
from tests.journeys.wire import TRUSTED, Wire, body, question_subject

MANY = 300
WAIT_MS = 10_000


class PastQuestion(NamedTuple):
    """A question that was answered; `moment` is as it was asked, `position` where that is by the log."""

    question: Question
    moment: int | str
    position: int


class Choice(NamedTuple):
    account: str
    name: str
    address: str
    moment: int | str
    position: int


async def asked(
    wire: Wire, log: Sequence[Stored], accounts: Iterable[str], after: int, many: int = MANY
) -> list[PastQuestion]:
    """Ask about addresses of these accounts as of moments after that position; the log's length decides which."""
    chosen = list(choices(log, accounts, after, many))
    replies = await wire.flood(map(request, chosen), in_flight=32)
    return [as_answered(one, Answer(told.raw, told.error)) for one, told in zip(chosen, replies, strict=True)]


def request(one: Choice) -> tuple[str, bytes]:
    fields = asking.fields(one.name, one.address) | {"as_of": one.moment, "wait_ms": WAIT_MS}
    return question_subject(one.account, one.name), body(TRUSTED, fields)


def as_answered(one: Choice, answer: Answer) -> PastQuestion:
    question = Question(0, one.account, one.name, one.address, 0, Try(0, 0, "reply", answer))
    return PastQuestion(question, one.moment, one.position)


def choices(log: Sequence[Stored], accounts: Iterable[str], after: int, many: int) -> Iterator[Choice]:
    """Every other moment is the time of an event, where that is not in the future or before the accounts."""
    chance = random.Random(f"{after}/{len(log)}")  # noqa: S311  seeded
    ours, times, now = set(accounts), Times(log), datetime.now(UTC)  # noqa: TID251  what a clock on the wall says
    addresses = sorted({(one.account, name) for one in log if one.account in ours and (name := address_of(one))})
    for number in range(many if addresses else 0):
        account, address = chance.choice(addresses)
        position = chance.randint(after, log[-1].position)
        moment: int | str = position
        text = times.texts[position - 1]
        if number % 2 and times.position_at(text) >= after and datetime.fromisoformat(text) <= now:
            moment, position = text, times.position_at(text)
        yield Choice(account, chance.choice(list(asking.VIEWS)), address, moment, position)


def address_of(event: Stored) -> str | None:
    key = claims.key_of_event(event.name, event.data)
    return key[1] if key is not None and key[0] == "address" else None


class Times:
    """The times of a log whose clocks may have run back; `texts` are as they are written, by position."""

    def __init__(self, log: Iterable[Stored]) -> None:
        self.texts = [orjson.loads(one.state)["time"] for one in log]
        self._latest = list(accumulate(map(datetime.fromisoformat, self.texts), max))

    def position_at(self, text: str) -> int:
        return bisect_right(self._latest, datetime.fromisoformat(text))


def of_the_past(told: Iterable[PastQuestion], log: Sequence[Stored]) -> Verdict:
    as_of = AsOf(log)
    unanswered, elsewhere, unlike = list[Any](), list[Any](), list[Any]()
    for one in told:
        about = (one.question.account, one.question.name, one.question.address, one.moment)
        if not answered.in_form(one.question):
            unanswered.append((*about, one.question.asked.answer))
        elif one.question.position != one.position:
            elsewhere.append((*about, one.question.position, one.position))
        elif (seen := answered.told_by(one.question)) != (right := answered.rightly(one.question, as_of)):
            unlike.append((*about, seen, right))
    return {
        "questions as of a moment without an answer": unanswered,
        "answers as of another position than the moment's": elsewhere,
        "answers unlike the log as of the moment": unlike,
    }


def counted(told: Iterable[PastQuestion]) -> Mapping[str, int]:
    moments = [one.moment for one in told]
    return {
        "questions as of a position": sum(isinstance(one, int) for one in moments),
        "questions as of a time": sum(isinstance(one, str) for one in moments),
    }
