"""Errors of questions in words of the command line, and the answers that stay as they are."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.ops.audit.options import TOGETHER, option, typed
from services.ops.question_errors import in_words_of_options
from shared.language import audit
from shared.language.questions import Question

BEHIND = {"position": 1_200, "as_of": 1_300, "log_end": 1_400, "retry_after_ms": 500}


def test_a_history_that_is_behind_says_which_moments_there_are() -> None:
    answer = {"error": "HISTORY_BEHIND", "message": "wire", "details": BEHIND}
    shown = in_words_of_options(answer, ["--from", "--to"], typed)
    assert "at position 1,200 of 1,400." in shown["message"]
    assert shown["message"].endswith("give --from and --to a moment up to position 1,200.")
    assert shown["details"] == {}


def test_errors_are_those_of_options_or_of_the_whole_question() -> None:
    errors = [{"field": "from", "message": "no time"}, {"field": "", "message": "at goes without from and to"}]
    answer = {"error": "QUERY_INVALID", "message": "see details.errors", "details": {"errors": errors}}
    shown = in_words_of_options(answer, [], typed)
    assert shown["message"] == "The question cannot be read: give --at, or --from and --to."
    assert shown["details"] == {"--from": "no time"}


@pytest.mark.parametrize(
    "answer",
    [
        {"position": 3, "result": []},
        {"error": "AS_OF_TOO_EARLY", "message": "there is no event yet.", "details": {"first": None, "last": None}},
        {"error": "AS_OF_TOO_EARLY", "message": "of a later release"},
        {"error": "HISTORY_BEHIND", "message": "of a later release", "details": {}},
        {"error": "BUSY", "message": "later", "details": {"retry_after_ms": 5}},
        {"error": "QUERY_INVALID", "message": "of a later release"},
    ],
)
def test_other_answers_stay_as_they_are(answer: dict[str, Any]) -> None:
    assert in_words_of_options(answer, ["--at"], typed) == answer


@pytest.mark.parametrize(
    ("field", "typed_as"),
    [
        ("from", "--from"),
        ("command_id", "--command-id"),
        ("question", "QUESTION"),
        ("fields.address", "address=…"),
        ("", ""),
    ],
)
def test_a_field_is_named_as_it_is_typed(field: str, typed_as: str) -> None:
    assert option(field) == typed_as


def test_errors_about_several_fields_are_those_of_the_language() -> None:
    wrong: dict[type[Question], dict[str, Any]] = {
        audit.Timeline: {"user": "bob", "team": "x"},
        audit.Access: {},
        audit.Trace: {},
        audit.AccessOf: {"user": "bob", "at": 1, "to": 2},
    }
    found = set()
    for question, fields in wrong.items():
        with pytest.raises(ValidationError) as refused:
            question.model_validate({"actor": "service:audit.zoe", **fields})
        found |= {one["msg"].removeprefix("Value error, ") for one in refused.value.errors()}
    assert found == TOGETHER.keys()
