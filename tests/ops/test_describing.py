"""What one may say to Switchboard is told in words, whatever is added to the language."""

import json

import pytest
from typer.testing import CliRunner

from services.ops.cli import app
from services.ops.describing import MESSAGES, fields_of
from shared.language.commands import COMMANDS
from shared.language.questions import QUESTIONS


def told(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["describe", *words], env={"COLUMNS": "200"})
    return found.exit_code, found.output


def test_all_commands_and_questions_are_listed_with_what_they_take() -> None:
    code, output = told()
    assert code == 0
    assert [name for name in (*COMMANDS, *QUESTIONS) if name not in output] == []
    assert "address, inbox, visibility_acknowledged?" in output
    assert json.loads(told("--json")[1]) == {"commands": list(COMMANDS), "questions": list(QUESTIONS)}


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_each_field_of_each_message_is_told_in_words(name: str) -> None:
    code, output = told(name)
    assert code == 0
    for field in fields_of(MESSAGES[name]):
        assert field["field"] in output
        assert not {"^", "\\", "$"} & set(field["takes"]), field
    assert "--actor ana" in output


def test_what_there_is_not_is_suggested() -> None:
    code, output = told("ConectTeam")
    assert (code, "ConnectTeam" in output) == (2, True)
