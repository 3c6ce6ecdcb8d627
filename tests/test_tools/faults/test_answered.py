"""An answer is right when it shows the log as of the position that it names, and that is not before what was asked."""

import json
from typing import Any

import pytest

from tests.faults.answered import counted, of_the_questions
from tests.faults.history import Answer, How, Question, Try
from tests.faults.verdict import Stored

ADDRESS, ALIAS = "a@acme.example", "b@acme.example"


def stored(position: int, name: str, **data: Any) -> Stored:
    return Stored(position, "s", position, f"e{position}", "acme", "c", "", name, {"address": ADDRESS, **data})


LOG = [
    stored(1, "PersonalConnected", owner="bob"),
    stored(2, "AliasAdded", address=ALIAS, primary=ADDRESS),
    stored(3, "OwnershipTransferred", to="cleo"),
    stored(4, "AliasRemoved", address=ALIAS, primary=ADDRESS),
    stored(5, "Disconnected"),
]
FREE: dict[str, Any] = {
    "kind": None, "owner": None, "inbox": None, "primary": None, "from_name": None, "tools": [], "receiving": False,
    "sending": False, "connector": None, "state": "free",
}  # fmt: skip
BOBS = FREE | {"kind": "personal", "owner": "bob", "receiving": True, "sending": True, "state": "connected"}
CLEOS = BOBS | {"owner": "cleo"}
NOWHERE = {"destination": "none", "inbox": None, "owner": None}


def question(
    name: str,
    address: str,
    at_least: int,
    told: Any,
    *,
    begin: int = 1,
    how: How = "reply",
    as_of: int | None = None,
) -> Question:
    answer = Answer(json.dumps(told).encode()) if told is not None else None
    return Question(1, "acme", name, address, at_least, Try(begin, begin + 1, how, answer), as_of)


def address(position: int, entry: Any, of: str = ADDRESS, **more: Any) -> Question:
    return question("Address", of, 1, {"position": position, "result": entry}, **more)


def resolve(position: int, *led: Any, of: str = ADDRESS) -> Question:
    return question("Resolve", of, 1, {"position": position, "result": led})


def led_to(owner: str) -> dict[str, Any]:
    return NOWHERE | {"destination": "personal", "owner": owner, "candidates": []}


def found(*questions: Question) -> set[str]:
    return {name for name, members in of_the_questions(questions, LOG).items() if members}


@pytest.mark.parametrize(
    "one",
    [
        address(1, BOBS | {"since": "2026"}),
        address(2, BOBS),
        address(3, CLEOS),
        address(5, FREE),
        address(2, BOBS | {"primary": ADDRESS}, of=ALIAS),
        address(3, CLEOS | {"primary": ADDRESS}, of=ALIAS),
        address(4, FREE, of=ALIAS),
        resolve(2, led_to("bob")),
        resolve(3, led_to("cleo"), of=ALIAS),
        resolve(5, NOWHERE),
        question("Address", ADDRESS, 9, None, how="timeout"),
        question("Address", ADDRESS, 9, {"error": "VIEW_BEHIND"}, how="VIEW_BEHIND"),
        address(2, BOBS, as_of=2),
        question("Address", ADDRESS, 0, {"error": "HISTORY_BEHIND"}, how="HISTORY_BEHIND", as_of=3),
    ],
)
def test_the_state_as_of_its_position_is_right(one: Question) -> None:
    assert found(one) == set()


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (address(2, CLEOS), "answers unlike the log as of their position"),
        (address(3, BOBS), "answers unlike the log as of their position"),
        (address(3, BOBS | {"primary": ADDRESS}, of=ALIAS), "answers unlike the log as of their position"),
        (resolve(3, led_to("bob")), "answers unlike the log as of their position"),
        (address(0, FREE), "answers as of before what was asked for"),
        (address(6, FREE), "answers as of beyond the log"),
        (address(2, BOBS, as_of=1), "answers as of another position than asked"),
        (address(3, BOBS, as_of=3), "answers unlike the log as of their position"),
        (resolve(5), "questions answered in no form of the contract"),
        (question("Address", ADDRESS, 1, {"position": 5}), "questions answered in no form of the contract"),
        (question("Address", ADDRESS, 1, {"error": "QUERY_INVALID"}), "questions answered in no form of the contract"),
    ],
)
def test_what_is_not_as_promised_is_named(one: Question, name: str) -> None:
    assert found(one) == {name}


def test_an_answer_as_of_before_an_earlier_one_is_counted_and_right() -> None:
    first, meanwhile, after = address(3, CLEOS, begin=1), address(2, BOBS, begin=1), address(2, BOBS, begin=5)
    unknown = question("Address", ADDRESS, 1, None, begin=7, how="bus error")
    past = address(1, BOBS, begin=9, as_of=1)
    asked = [first, meanwhile, after, unknown, past]
    assert found(*asked) == set()
    assert counted(asked) == {
        "questions": 5, "questions as of a position under load": 1, "questions that ended in VIEW_BEHIND": 0,
        "questions that ended in HISTORY_BEHIND": 0, "questions that ended in BUSY": 0,
        "questions that ended in timeout": 0, "questions that ended in bus error": 1,
        "answers as of before an earlier one": 1,
    }  # fmt: skip
