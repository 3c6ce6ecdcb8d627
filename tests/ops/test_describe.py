"""What one may say to Switchboard is told in words, whatever is added to the language."""

import json
import shlex

import pytest
from typer.testing import CliRunner

from services.ops.cli import app
from services.ops.contract.meanings import REASONS
from services.ops.describe import MESSAGES, fields_of
from services.ops.send import body_of
from shared.language.catalog import QUESTIONS
from shared.language.commands import COMMANDS
from shared.language.reasons import QuestionError, Reason


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
        assert field["means"].split()[0] in output
    body = json.loads(told(name, "--json")[1])
    assert [field["field"] for field in body["fields"]] == [field["field"] for field in fields_of(MESSAGES[name])]
    assert body["who_may"] in output


def test_a_field_that_is_no_text_is_not_called_one() -> None:
    takes = {field["field"]: field["takes"] for field in fields_of(MESSAGES["Bisect"])}
    assert (takes["fields"], takes["value"]) == ("an object", "any JSON value")


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_the_example_of_each_message_is_a_line_that_can_be_given_as_it_stands(name: str) -> None:
    *_, line = told(name)[1].splitlines()
    prompt, program, _verb, account, asked, *fields = shlex.split(line)
    assert (prompt, program, account, asked) == ("$", "switchboard", "acme", name)
    MESSAGES[name].model_validate_json(json.dumps(body_of(fields, None)))


def test_what_each_reason_means_and_who_hears_it_is_told() -> None:
    for reason in (*Reason, *QuestionError):
        code, output = told(reason)
        assert (code, REASONS[reason].replace("`", "") in output) == (0, True)
    assert "Commands: ConnectTeam, ConvertConnection\n" in told("TEAM_VISIBILITY_NOT_ACKNOWLEDGED")[1]
    assert json.loads(told("VIEW_BEHIND", "--json")[1])["questions"] == list(QUESTIONS)


def test_what_there_is_not_is_suggested() -> None:
    code, output = told("ConectTeam")
    assert (code, "ConnectTeam" in output) == (2, True)
