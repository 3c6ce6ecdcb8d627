"""No reason for a refusal is forgotten: each is asserted in some given/when/then."""

import ast
from pathlib import Path

from services.connections.commands import TABLE
from shared.language.commands import COMMANDS
from shared.language.permissions import PERMISSIONS
from shared.language.reasons import CODES, Reason

HERE = Path(__file__).parent

# Of parsing and of the event store; tested there.
OF_THE_WAY_IN = {
    Reason.BUSY,
    Reason.INTERNAL_ERROR,
    Reason.COMMAND_INVALID,
    Reason.COMMAND_UNKNOWN,
    Reason.COMMAND_ID_REUSED,
    Reason.STREAM_NOT_UNDERSTOOD,
}


def asserted_reasons() -> set[str]:
    """X of every `.refused(Reason.X, …)`, and of every tuple of a parameter list in a module that says `.refused(`."""
    found = set()
    for page in HERE.glob("test_*.py"):
        text = page.read_text()
        if ".refused(" not in text or page.name == Path(__file__).name:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason":
                found.add(node.attr)
    return found


def test_every_reason_is_asserted_somewhere() -> None:
    forgotten = {reason.name for reason in Reason} - {reason.name for reason in OF_THE_WAY_IN} - asserted_reasons()
    assert not forgotten


def test_every_command_has_a_row_in_the_table() -> None:
    assert list(TABLE) == list(PERMISSIONS) == list(COMMANDS.values())


def test_every_reason_has_the_code_of_the_contract() -> None:
    assert {CODES[reason] for reason in Reason} == {400, 403, 404, 409, 422, 500, 501, 503}
    assert (CODES[Reason.COMMAND_INVALID], CODES[Reason.BUSY], CODES[Reason.ADDRESS_INVALID]) == (400, 503, 422)
