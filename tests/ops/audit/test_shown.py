"""Answers of the audit as people read them: the same facts at 80 and 120 columns, and hostile texts as texts."""

import re
from typing import Any

import pytest
from pydantic import TypeAdapter

from services.ops.audit import access, story
from services.ops.audit.text import exact_time, value
from shared.language import audit
from shared.language.audit_answers import AUDIT_RESULTS
from shared.language.questions import Question
from tests.ops.audit import answers
from tests.ops.audit.answers import HOSTILE
from tests.ops.audit.shown import PARTS, WIDTHS, golden, text_of, whole

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_verbs_show_the_golden_text(width: int) -> None:
    assert whole(width) == golden(width).read_text(), "python -m tests.ops.audit.shown writes it; look at it"


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_terminal_and_no_line_ends_with_blanks(width: int) -> None:
    lines = whole(width).splitlines()
    assert max(map(len, lines)) <= width
    assert [line for line in lines if line != line.rstrip()] == []


def test_the_fixed_answers_are_answers_of_the_language() -> None:
    answered: dict[type[Question], list[Any]] = {
        audit.Timeline: answers.TIMELINE,
        audit.Trace: answers.TRACE,
        audit.Refusals: answers.REFUSALS,
        audit.Access: answers.ACCESS,
        audit.AccessOf: answers.ACCESS_OF,
        audit.Changes: answers.CHANGES,
        audit.Bisect: [answers.BISECT, answers.NEVER],
        audit.Leavers: answers.LEAVERS,
        audit.About: answers.ABOUT,
        audit.Coverage: [answers.COVERAGE, answers.COMPLETE],
    }
    for question, items in answered.items():
        for item in items:
            TypeAdapter(AUDIT_RESULTS[question]).validate_python(item)


@pytest.mark.parametrize("verb", PARTS)
@pytest.mark.parametrize("width", WIDTHS)
def test_hostile_texts_are_shown_as_they_are(verb: str, width: int) -> None:
    make, items = PARTS[verb]
    text = text_of(make(hostile(items)), width)
    assert text.replace("\n", "").isprintable()
    assert "\\x1b[2J" in text or "never" in verb or "coverage" in verb


def hostile(item: Any) -> Any:
    """The same answer with hostile text wherever a text is, but in times and words that are chosen by us."""
    match item:
        case str() if not re.match(r"\d{4}-", item) and item not in {"refused", "accepted", "unchanged"}:
            return HOSTILE
        case list():
            return [hostile(one) for one in item]
        case dict():
            return {name: hostile(one) for name, one in item.items()}
    return item


@pytest.mark.parametrize("verb", PARTS)
def test_colours_only_repeat_what_the_text_says(verb: str) -> None:
    make, items = PARTS[verb]
    assert COLOUR.sub("", text_of(make(items), 120, colours=True)) == text_of(make(items), 120)


def test_an_empty_list_shows_no_table() -> None:
    assert [*access.of_place([]), *access.leavers([]), *story.refusals([])] == []


def test_times_are_shown_in_utc_as_exact_as_they_were_recorded() -> None:
    assert exact_time("2026-03-03T10:15:02.113456+01:00") == "2026-03-03 09:15:02.113456Z"
    assert exact_time("not a \x1b time") == "not a \\x1b time"


def test_long_values_are_cut_and_say_how_long_they_are() -> None:
    assert value("x" * 10_000).endswith("x… (10,000 characters)")
    assert value(["a", "b"]) == "a, b"
    assert value({"kind": "unassigned"}) == "New conversations wait unassigned."
    assert value({"kind": "by moon"}) == '{"kind": "by moon"}'
    assert value({"one": [1]}) == '{"one": [1]}'
    assert value([]) == value(None) == "-"
