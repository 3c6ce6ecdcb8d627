"""The questions of auditors: what each must and must not name."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.language import audit as a
from shared.language.audit_answers import AUDIT_RESULTS
from shared.language.questions import ListQuestion, Question

NOON = "2026-03-03T12:00:00+01:00"


def read(message: type[Question], **fields: Any) -> Any:
    return message.model_validate({"actor": "service:audit.eve", **fields})


def test_a_range_has_moments_as_positions_or_times() -> None:
    timeline = read(a.Timeline, **{"from": 3, "to": NOON})
    assert (timeline.from_, timeline.to) == (3, NOON)
    assert read(a.Timeline).from_ is None


@pytest.mark.parametrize("moment", [True, 2**63, "2026-03-03", "2026-03-03T12:00:00", "noon", 1.5])
def test_a_moment_is_a_position_or_a_time_with_an_offset(moment: Any) -> None:
    with pytest.raises(ValidationError):
        read(a.Timeline, to=moment)


@pytest.mark.parametrize("message", [a.Timeline, a.Changes])
def test_a_question_is_about_at_most_one_thing(message: type[Question]) -> None:
    read(message)
    read(message, inbox="support")
    with pytest.raises(ValidationError, match="at most one of address, inbox, user and team"):
        read(message, inbox="support", user="bob")


@pytest.mark.parametrize(
    ("message", "wrong", "names"),
    [
        (a.Trace, {}, "exactly one of command_id, correlation_id and event_id"),
        (a.Trace, {"command_id": "0198c0de-0000-7000-8000-000000000001", "correlation_id": "x"}, "exactly one"),
        (a.Access, {}, "exactly one of address and inbox"),
        (a.Access, {"address": "a@b.example", "inbox": "support"}, "exactly one of address and inbox"),
        (a.Access, {"inbox": "support", "at": 3, "from": 1}, "at goes without from and to"),
        (a.AccessOf, {"user": "bob", "at": NOON, "to": NOON}, "at goes without from and to"),
        (a.Refusals, {"reason": "NOT_A_REASON"}, "reason"),
        (a.Timeline, {"from_": 3}, "from_"),
    ],
)
def test_fields_that_exclude_each_other_are_refused(message: type[Question], wrong: dict[str, Any], names: str) -> None:
    with pytest.raises(ValidationError, match=names):
        read(message, **wrong)


def test_an_absent_value_of_a_bisection_is_null() -> None:
    assert read(a.Bisect, question="Address", fields={"address": "a@b.example"}, path="/owner").value is None


def test_every_question_has_a_type_of_answer() -> None:
    questions = {one for one in vars(a).values() if isinstance(one, type) and issubclass(one, Question)}
    abstract = {Question, ListQuestion, a.Range, a.OneThing, a.AtOrBetween}
    assert questions - abstract == set(AUDIT_RESULTS)
