"""Writes `shared/client/calls.py`, one typed call per command and question, from the published language.

    python -m services.ops.contract.client_calls            write it
    python -m services.ops.contract.client_calls --check    exit code 1 when it is not current

The docstrings use the words of the published contract. Formatting needs ruff, which is a tool for development.
"""

import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

from pydantic import BaseModel

import shared
from services.ops.contract.decisions import refusals, who_may
from services.ops.contract.meanings import of_field
from services.ops.contract.parameters import Parameter, parameters
from services.ops.contract.question_rules import errors, rules_of_question
from shared.language import answers, audit_answers
from shared.language.catalog import QUESTIONS, RESULTS
from shared.language.commands import COMMANDS, Command
from shared.language.questions import ListQuestion, Question

FILE: Final = Path(shared.__file__).parent / "client" / "calls.py"
WIDTH: Final = 120

HEAD: Final = '''"""One typed call per command and question.

Written by `python -m services.ops.contract.client_calls` from the published language. Beside its own fields a command
takes `CommandOptions`, a question `QuestionOptions` and a list `ListOptions`. A field that is None is left out.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from shared.client.outcomes import Page, QueryResult
from shared.language.answers import {answers}
{audit}from shared.language.questions import State
from shared.language.rules import Rule
from shared.language.text import {texts}


class CommandOptions(TypedDict, total=False):
    """Fields that every command takes.

{command_options}
    """

    command_id: str
    correlation_id: str
    dry_run: bool


class QuestionOptions(TypedDict, total=False):
    """Fields that every question takes.

{question_options}
    """

    at_least: int
    wait_ms: int


class ListOptions(QuestionOptions, total=False):
    """Fields that every list takes.

{list_options}
    """

    limit: int
    after: str | None


class Calls(ABC):
    """One call per command and question, over `send`, `query` and `list`.

{always}
    """

    @abstractmethod
    async def send(self, command: str, fields: Mapping[str, Any]) -> Reply:
        """Send any command by its name."""

    @abstractmethod
    async def query(self, question: str, fields: Mapping[str, Any]) -> QueryResult[Any] | NotAnswered:
        """Ask any question that has one result, by its name."""

    @abstractmethod
    async def list(self, question: str, fields: Mapping[str, Any]) -> Page[Any] | NotAnswered:
        """Ask for one page of any question that has a list, by its name."""
'''

TEXTS: Final = ("Access", "Availability", "Kind", "Permission", "Plan", "Policy", "Provider", "Tool")
# The reasons of every command and the errors of every question, which are said once.
REFUSED_ALWAYS: Final = frozenset.intersection(*(frozenset(refusals(command)) for command in COMMANDS.values()))
FAILED_ALWAYS: Final = frozenset.intersection(*(frozenset(errors(question)) for question in QUESTIONS.values()))


class Call(NamedTuple):
    """One method: `verb` is the method that it calls, `options` the type of the further fields."""

    message: type[BaseModel]
    base: type[BaseModel]
    verb: str
    options: str
    returns: str
    codes: Sequence[str]
    who: str


def calls() -> Iterator[Call]:
    for command in COMMANDS.values():
        codes = [str(one) for one in refusals(command) if one not in REFUSED_ALWAYS]
        yield Call(command, Command, "send", "CommandOptions", "Reply", codes, who_may(command))
    for question in QUESTIONS.values():
        is_list = issubclass(question, ListQuestion)
        base, verb, options, container = (
            (ListQuestion, "list", "ListOptions", "Page")
            if is_list
            else (Question, "query", "QuestionOptions", "QueryResult")
        )
        returns = f"{container}[{type_name(RESULTS[question])}] | NotAnswered"
        codes = [str(one) for one in errors(question) if one not in FAILED_ALWAYS]
        yield Call(question, base, verb, options, returns, codes, rules_of_question(question).who)


def snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def method(call: Call) -> str:
    """One method: required fields come first and may be positional."""
    name, fields = call.message.__name__, list(parameters(call.message, call.base))
    required = [one for one in fields if one.default is None]
    optional = [one for one in fields if one.default is not None]
    keywords = ["*", *map(str, optional)] if optional else []
    signature = ", ".join(["self", *map(str, required), *keywords, f"**options: Unpack[{call.options}]"])
    pairs = ", ".join(f'"{one.name}": {one.python_name}' for one in (*required, *optional))
    values = f"{{{pairs}, **options}}" if pairs else "options"
    return f"""
    async def {snake(name)}({signature}) -> {call.returns}:
{docstring(call, [*required, *optional])}
        return await self.{call.verb}("{name}", {values})
"""


def docstring(call: Call, fields: Sequence[Parameter]) -> str:
    arguments = [entry(one.python_name, of_field(call.message.__name__, one.name)) for one in fields]
    failing = "Refused" if call.verb == "send" else "Errors"
    parts = [
        summary(call.message),
        f"Allowed: {call.who}.",
        "\n".join(["Args:", *arguments]) if arguments else "",
        f"{failing}: {', '.join(call.codes)}." if call.codes else "",
    ]
    body = "\n\n".join(indented(part, 8) for part in parts if part)
    return f'{" " * 8}"""{body.lstrip()}\n{" " * 8}"""'


def summary(message: type[BaseModel]) -> str:
    """The message's own description; else its name in words."""
    own = inspect.cleandoc(message.__dict__.get("__doc__") or "")
    return own or f"{snake(message.__name__).replace('_', ' ').capitalize()}."


def entry(name: str, meaning: str) -> str:
    return f"    {name}: {meaning}"


def indented(prose: str, indent: int) -> str:
    """The prose with each line wrapped; a continued line of an entry is indented once more."""
    return "\n".join(line for one in prose.splitlines() for line in _wrapped(one, indent))


def _wrapped(line: str, indent: int) -> list[str]:
    own = len(line) - len(line.lstrip())
    further = " " * (indent + own + (4 if own else 0))
    wrapped = textwrap.wrap(
        line.strip(), WIDTH, initial_indent=" " * (indent + own), subsequent_indent=further, break_long_words=False
    )
    return wrapped or [""]


def options_of(base: type[BaseModel], names: Iterable[str]) -> str:
    entries = [entry(name, of_field(base.__name__, name)) for name in names]
    return indented("\n".join(["Attributes:", *entries]), 4)


def listed(codes: Iterable[str]) -> str:
    return ", ".join(sorted(map(str, codes)))


def text() -> str:
    body = "".join(map(method, calls()))
    head = HEAD
    for place, value in {
        "answers": ", ".join(imported(answers, "NotAnswered", "Reply")),
        "audit": audit_imports(),
        "texts": ", ".join(TEXTS),
        "command_options": options_of(Command, ("command_id", "correlation_id", "dry_run")),
        "question_options": options_of(Question, ("at_least", "wait_ms")),
        "list_options": options_of(ListQuestion, ("limit", "after")),
        "always": indented(
            f"Every command may also be refused with {listed(REFUSED_ALWAYS)}.\n"
            f"Every question may also fail with {listed(FAILED_ALWAYS)}.",
            4,
        ),
    }.items():
        head = head.replace(f"{{{place}}}", value)
    return formatted(head + body)


def formatted(source: str) -> str:
    argv = (sys.executable, "-m", "ruff", "format", "--stdin-filename", str(FILE), "-")
    done = subprocess.run(argv, input=source, capture_output=True, text=True, check=True)  # noqa: S603  our own words
    return done.stdout


def imported(module: ModuleType, *besides: str) -> list[str]:
    """The classes of this module that the calls return, and those that are needed besides."""
    words = {word for call in calls() for word in re.findall(r"\w+", call.returns)}
    return sorted({word for word in words if hasattr(module, word) and word[0].isupper()}.union(besides))


def audit_imports() -> str:
    names = imported(audit_answers)
    return f"from shared.language.audit_answers import {', '.join(names)}\n" if names else ""


def type_name(kind: object) -> str:
    """The type of a result as it is spelled."""
    return (
        re.sub(r"[a-z_.]+\.(?=[A-Z])", "", str(kind))
        if not isinstance(kind, type) or "[" in str(kind)
        else kind.__name__
    )


def main(argv: Sequence[str]) -> int:
    if "--check" not in argv:
        FILE.write_text(text(), encoding="utf-8")
        return 0
    if FILE.read_text(encoding="utf-8") == text():
        return 0
    sys.stderr.write(f"{FILE} is not current. Run: python -m services.ops.contract.client_calls\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
