"""Texts from the log are data: no terminal acts on them, and nothing in them is hidden."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from services.ops import render
from services.ops.printable import printable, printable_json

HOSTILE = "[bold]x[/] \x1b[2J\x1b]0;title\x07\u202egpj.exe\x9b31m\r\u200b[/"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë 山田 👋", "Zoë 山田 👋"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb", "a\\nb"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("no\u00a0break", "no\\xa0break"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_acts_on_or_hides_becomes_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(f"{text}\n", "\n").endswith("\n")


@given(st.text())
def test_nothing_but_printable_characters_is_left(text: str) -> None:
    assert printable(text).isprintable()


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
def test_json_has_the_same_value_and_nothing_a_terminal_acts_on(value: object) -> None:
    written = printable_json(json.dumps(value, indent=2, ensure_ascii=False))
    assert json.loads(written) == value
    assert written.replace("\n", "").isprintable()


def test_hostile_texts_in_replies_and_answers_are_shown_as_they_are() -> None:
    refused = {
        "outcome": "refused",
        "reason": HOSTILE,
        "message": HOSTILE,
        "details": {HOSTILE: HOSTILE, "errors": [{"field": HOSTILE}]},
        "next_actions": [{"command": HOSTILE, "by": ["owner"], "why": HOSTILE}],
    }
    answer = {"result": [{HOSTILE: HOSTILE, "more": {HOSTILE: [HOSTILE]}}], "position": 1}
    console = Console(width=200, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(render.reply_of("X", refused), render.answer_of(answer))
    shown = captured.get()
    assert shown.replace("\n", "").isprintable()
    assert shown.count("[bold]x[/] \\x1b[2J") >= 9
