"""What questions were answered while all breaks, against the log as of the position that each answer names.

The contract promises of every answer that it is the state as of its position, and that this is not before `at_least`. A
question as of a position is answered as of that one. The contract promises no more: without `at_least` an answer may be
as of before an earlier one, as when a former process of a view still answers for a moment after a switch. Such answers
are counted, and are no failures.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tests.faults import asking, claims
from tests.faults.history import How, Question
from tests.faults.linearizable import Timeline, Where
from tests.faults.people import AWAY
from tests.faults.verdict import Stored, Verdict, destination
from tests.journeys import directory
from tests.journeys.directory import Entry

UNANSWERED: Final[Sequence[How]] = ("VIEW_BEHIND", "HISTORY_BEHIND", "BUSY", "timeout", "bus error")


class AsOf:
    """Every address as it should be shown as of any position; a view may stand between two events of one command."""

    def __init__(self, log: Iterable[Stored]) -> None:
        self._timelines: dict[Where, Timeline] = {}
        self.end = 0
        for event in log:
            self.end = event.position
            if (key := claims.key_of_event(event.name, event.data)) is not None:
                timeline = self._timeline((event.account, key))
                timeline.states.append(claims.after(event.name, event.data, timeline.states[-1]))
                timeline.since.append(event.position)

    def shown(self, account: str, address: str, position: int) -> Entry:
        entry = self._at(account, address, position)
        primary = entry["primary"]
        known = {primary: self._at(account, primary, position)} if primary else {}
        return directory.shown(entry, known)

    def is_away(self, account: str, user: str, position: int) -> bool:
        return self._timeline((account, ("user", user))).at(position)["status"] in AWAY

    def _at(self, account: str, address: str, position: int) -> Entry:
        return self._timeline((account, ("address", address))).at(position)

    def _timeline(self, where: Where) -> Timeline:
        return self._timelines.setdefault(where, Timeline(states=[claims.beginning(where[1])]))


def of_the_questions(questions: Iterable[Question], log: Sequence[Stored]) -> Verdict:
    as_of = AsOf(log)
    wrong: dict[str, list[Any]] = {
        "questions answered in no form of the contract": [],
        "answers as of before what was asked for": [],
        "answers as of beyond the log": [],
        "answers as of another position than asked": [],
        "answers unlike the log as of their position": [],
    }
    for one in questions:
        if one.asked.how != "reply":
            continue
        if not in_form(one):
            wrong["questions answered in no form of the contract"].append((one.name, one.address, one.asked.answer))
        elif one.position < one.at_least:
            wrong["answers as of before what was asked for"].append((one.name, one.address, one.position, one.at_least))
        elif one.position > as_of.end:
            wrong["answers as of beyond the log"].append((one.name, one.address, one.position, as_of.end))
        elif one.as_of not in (None, one.position):
            wrong["answers as of another position than asked"].append((one.name, one.address, one.position, one.as_of))
        elif (told := told_by(one)) != (right := rightly(one, as_of)):
            wrong["answers unlike the log as of their position"].append(
                (one.account, one.name, one.address, one.position, told, right)
            )
    return wrong


def in_form(one: Question) -> bool:
    """Whether it is an answer; what was asked for exists, so nobody may be refused it."""
    assert one.asked.answer is not None, "it was answered"
    result = one.reply.get("result")
    return (
        one.asked.answer.error is None
        and isinstance(one.reply.get("position"), int)
        and (isinstance(result, dict) if one.name == "Address" else isinstance(result, list) and len(result) == 1)
        and "incomplete_since" not in one.reply
    )


def told_by(one: Question) -> Mapping[str, Any]:
    """Of the answer what follows from the log."""
    if one.name == "Address":
        names = (*directory.SHOWN, "primary", "tools", "state")
        return {name: one.reply["result"].get(name) for name in names}
    (led,) = one.reply["result"]
    return {name: led.get(name) for name in ("destination", "inbox", "owner")}


def rightly(one: Question, as_of: AsOf) -> Mapping[str, Any]:
    entry = as_of.shown(one.account, one.address, one.position)
    if one.name == "Address":
        return entry
    away = as_of.is_away(one.account, entry["owner"], one.position)
    return dict(zip(("destination", "inbox", "owner"), destination(entry, away=away), strict=True))


def counted(questions: Sequence[Question]) -> dict[str, int]:
    how = Counter(one.asked.how for one in questions)
    return {
        "questions": len(questions),
        "questions as of a position under load": sum(one.as_of is not None for one in questions),
        **{f"questions that ended in {one}": how[one] for one in UNANSWERED},
        "answers as of before an earlier one": gone_back(questions),
    }


def gone_back(questions: Iterable[Question]) -> int:
    """How often a client was told a position of a view before one that it had been told when it asked."""
    told: dict[tuple[int, str], list[Question]] = defaultdict(list)
    for one in questions:
        if one.as_of is None and one.asked.how == "reply" and isinstance(one.reply.get("position"), int):
            told[one.client, asking.VIEWS[one.name]].append(one)
    return sum(map(_gone_back, told.values()))


def _gone_back(answered: Sequence[Question]) -> int:
    ends, furthest = list[int](), [0]
    for one in sorted(answered, key=lambda one: one.asked.end):
        ends.append(one.asked.end)
        furthest.append(max(furthest[-1], one.position))
    return sum(one.position < furthest[bisect_right(ends, one.asked.begin)] for one in answered)
