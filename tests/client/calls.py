"""Writes `shared/client/calls.py`, one typed call per command and question, from the published language:

python -m tests.client.calls
"""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

from pydantic import BaseModel

from shared import client
from shared.language import answers, commands, questions
from shared.language.answers import RESULTS
from shared.language.commands import COMMANDS
from shared.language.questions import QUESTIONS, ListQuestion

FILE: Final = Path(client.__file__).with_name("calls.py")

HEAD: Final = '''"""One typed call per command and question.

Written by `python -m tests.client.calls` from the published language. Optional fields are left out when None. Beside
its own fields a command takes `command_id` (made when absent, kept through retries), `correlation_id` and `dry_run`; a
question takes `at_least` and `wait_ms`, and a list `limit` and `after`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from shared.client.outcomes import Found, Page
from shared.language.answers import {answers}
from shared.language.questions import State
from shared.language.rules import Rule
from shared.language.text import {texts}


class Giving(TypedDict, total=False):
    command_id: str
    correlation_id: str
    dry_run: bool


class Asking(TypedDict, total=False):
    at_least: int
    wait_ms: int


class Listing(Asking, total=False):
    limit: int
    after: str | None


class Calls(ABC):
    """The calls; whoever has `give`, `find` and `list` has them all."""

    @abstractmethod
    async def give(self, command: str, fields: Mapping[str, Any]) -> Reply:
        """Any command by its name."""

    @abstractmethod
    async def find(self, question: str, fields: Mapping[str, Any]) -> Found[Any] | NotAnswered:
        """Any question that has one result."""

    @abstractmethod
    async def list(self, question: str, fields: Mapping[str, Any]) -> Page[Any] | NotAnswered:
        """A page of any question that has a list."""
'''

# What a caller may hand over for what a message holds.
WIDER: Final = {"Ids": "Sequence[str]", "AddressTexts": "Sequence[str]", "Permissions": "Sequence[Permission]"}
TEXTS: Final = ("Access", "Availability", "Kind", "Permission", "Plan", "Policy", "Provider", "Tool")
# These are text with a pattern or a length, which the service looks at.
PLAIN: Final = {
    "Id": "str",
    "NewId": "str", "Name": "str", "PersonName": "str", "AddressText": "str", "Cause": "str", "Font": "str",
    "FontSize": "int", "FromName": "str", "Note": "str", "ProviderIdentity": "str", "Signature": "str",
}  # fmt: skip


class Parameter(NamedTuple):
    name: str
    type: str
    default: str | None

    def __str__(self) -> str:
        return f"{self.name}: {self.type}" + ("" if self.default is None else f" = {self.default}")


def parameters(module: ModuleType, message: type[BaseModel], base: type[BaseModel]) -> Iterator[Parameter]:
    """The message's own fields, as they are spelled in its class."""
    tree = ast.parse(inspect.getsource(module))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for ancestor in reversed(message.__mro__):
        if issubclass(ancestor, BaseModel) and ancestor is not BaseModel and not issubclass(base, ancestor):
            for node in classes[ancestor.__name__].body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    yield Parameter(node.target.id, wide(ast.unparse(node.annotation)), default(node))


def wide(annotation: str) -> str:
    if annotation.startswith("Annotated["):
        annotation = re.sub(r"Annotated\[(\w+),.*\]", r"\1", annotation)
    return re.sub(r"\w+", lambda word: (WIDER | PLAIN).get(word[0], word[0]), annotation)


def default(node: ast.AnnAssign) -> str | None:
    return None if node.value is None else ast.unparse(node.value)


def snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def call(name: str, found: list[Parameter], how: str, verb: str, result: str) -> str:
    """One method: what is required stands first, and may be given by position."""
    needed = [one for one in found if one.default is None]
    rest = [one for one in found if one.default is not None]
    named = ["*", *map(str, rest)] if rest else []
    signature = ", ".join(["self", *map(str, needed), *named, f"**how: Unpack[{how}]"])
    fields = ", ".join(f'"{one.name}": {one.name}' for one in (*needed, *rest))
    told = f"{{{fields}, **how}}" if fields else "how"
    return f"""
    async def {snake(name)}({signature}) -> {result}:
        return await self.{verb}("{name}", {told})
"""


def text() -> str:
    parts = []
    for name, command in COMMANDS.items():
        parts.append(call(name, list(parameters(commands, command, commands.Command)), "Giving", "give", "Reply"))
    for name, question in QUESTIONS.items():
        a_list = issubclass(question, ListQuestion)
        base = questions.ListQuestion if a_list else questions.Question
        found = list(parameters(questions, question, base))
        container = "Page" if a_list else "Found"
        result = f"{container}[{named(RESULTS[question])}] | NotAnswered"
        parts.append(call(name, found, "Listing" if a_list else "Asking", "list" if a_list else "find", result))
    body = "".join(parts)
    used = sorted(name for name in vars(answers) if re.search(rf"\b{name}\b", body) and name[0].isupper())
    texts = [name for name in TEXTS if re.search(rf"\b{name}\b", body)]
    head = HEAD.replace("{answers}", ", ".join(names_of_answers(used))).replace("{texts}", ", ".join(texts))
    return formatted(head + body)


def formatted(source: str) -> str:
    argv = (sys.executable, "-m", "ruff", "format", "--stdin-filename", str(FILE), "-")
    return subprocess.run(argv, input=source, capture_output=True, text=True, check=True).stdout


def names_of_answers(used: list[str]) -> list[str]:
    own = {name for name, thing in vars(answers).items() if getattr(thing, "__module__", "") == answers.__name__}
    return sorted({name for name in used if name in own} | {"NotAnswered", "Reply"})


def named(kind: object) -> str:
    """A result's type as it is spelled."""
    return (
        str(kind).replace(f"{answers.__name__}.", "")
        if not isinstance(kind, type) or "[" in str(kind)
        else kind.__name__
    )


if __name__ == "__main__":
    FILE.write_text(text())
