"""`switchboard describe`: the commands and questions, their fields, permissions, outcomes and reasons.

The texts are those of the published contract.
"""

import inspect
import json
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer
from pydantic import BaseModel
from rich.text import Text

from services.ops.contract.decisions import refusals, rules_of_command, who_may
from services.ops.contract.examples import ACCOUNT, of_command, of_question
from services.ops.contract.meanings import REASONS, of_field
from services.ops.contract.question_rules import errors, rules_of_question
from services.ops.render import plain_table
from services.ops.send import suggestion
from services.ops.terminal import USAGE, Json, fail, out, print_json
from shared.language.catalog import QUESTIONS
from shared.language.commands import COMMANDS, Command
from shared.language.questions import Question
from shared.language.text import IN_WORDS

MESSAGES: Final[Mapping[str, type[BaseModel]]] = {**COMMANDS, **QUESTIONS}


def _names(incomplete: str) -> list[str]:
    return [name for name in (*MESSAGES, *REASONS) if name.lower().startswith(incomplete.lower())]


Name = Annotated[
    str | None, typer.Argument(help="A command, a question or a reason. Default: a list.", autocompletion=_names)
]


def describe(name: Name = None, as_json: Json = False) -> None:
    """List the commands and questions, or describe one: its fields, permissions and reasons for refusal.

    Example: switchboard describe ConnectTeam
    """
    if name is None:
        _show_all(as_json=as_json)
    elif name in MESSAGES:
        _show_one(name, as_json=as_json)
    elif name in REASONS:
        _show_reason(name, as_json=as_json)
    else:
        known = [*MESSAGES, *REASONS]
        fail(f"Unknown command, question or reason {name}. {suggestion(name, known)}", USAGE)


def _show_all(*, as_json: bool) -> None:
    if as_json:
        print_json({"commands": list(COMMANDS), "questions": list(QUESTIONS)})
        return
    for title, messages, base in (("Command", COMMANDS, Command), ("Question", QUESTIONS, Question)):
        table = plain_table(title, "Fields (? is optional)")
        for name, message in messages.items():
            table.add_row(Text(name, style="cyan"), ", ".join(_field(one) for one in fields_of(message, base)))
        out.print(table)
        out.print()
    out.print("Every command also takes actor, and optionally command_id, correlation_id and dry_run.")
    out.print("Every question also takes actor, and optionally at_least and wait_ms.")
    out.print("For details of one, or of a reason: switchboard describe NAME")


def _field(described: Mapping[str, Any]) -> str:
    return str(described["field"]) + ("" if described["needed"] else "?")


def _show_one(name: str, *, as_json: bool) -> None:
    message = MESSAGES[name]
    found = fields_of(message)
    facts = facts_of(name)
    if as_json:
        print_json({"name": name, "about": own_docstring(message), "fields": found, **facts})
        return
    if prose := own_docstring(message):
        out.print(Text(prose))
        out.print()
    table = plain_table("Field", "Required", "Value")
    for described in found:
        takes = Text.assemble(described["takes"], (f"\n{described['means']}", "dim"))
        table.add_row(Text(described["field"], style="cyan"), "yes" if described["needed"] else "no", takes)
    out.print(table)
    out.print()
    table = plain_table("", "")
    table.show_header = False
    for title, value in facts.items():
        table.add_row(
            Text(title.replace("_", " "), style="bold"), Text(value if isinstance(value, str) else ", ".join(value))
        )
    out.print(table)
    out.print()
    out.print(Text(f"$ {example_of(name)}", style="dim"))


def _show_reason(name: str, *, as_json: bool) -> None:
    refused = [command for command, kind in COMMANDS.items() if name in map(str, refusals(kind))]
    failed = [question for question, kind in QUESTIONS.items() if name in map(str, errors(kind))]
    if as_json:
        print_json({"name": name, "about": _plain(REASONS[name]), "commands": refused, "questions": failed})
        return
    out.print(Text(_plain(REASONS[name])))
    for title, names, all_ in (("Commands", refused, COMMANDS), ("Questions", failed, QUESTIONS)):
        if names:
            out.print(Text(f"{title}: {'all' if len(names) == len(all_) else ', '.join(names)}"))


def facts_of(name: str) -> dict[str, Any]:
    """Permissions, events, refusals and errors of a message, by their labels."""
    if name in QUESTIONS:
        question = QUESTIONS[name]
        return {"who_may": _plain(rules_of_question(question).who), "errors": [str(one) for one in errors(question)]}
    command = COMMANDS[name]
    described = rules_of_command(command)
    return {
        "who_may": _plain(who_may(command)),
        "events": [one.__name__ for one in described.events],
        **({"unchanged": f"when {_plain(described.unchanged)}"} if described.unchanged else {}),
        "refused": [str(one) for one in refusals(command)],
    }


def _plain(prose: str) -> str:
    return prose.replace("`", "")


def example_of(name: str) -> str:
    """A command line that was accepted or rules_of_question in the story of the contract."""
    verb, examples = ("command", of_command(name)) if name in COMMANDS else ("query", of_question(name))
    given = {field: value for field, value in examples[0].body.items() if field != "command_id"}
    words = [
        f"{field}={value}"
        if isinstance(value, str) and value.isprintable()
        else f"{field}:={json.dumps(value, ensure_ascii=False)}"
        for field, value in given.items()
    ]
    return shlex.join(["switchboard", verb, ACCOUNT, name, *words])


def own_docstring(message: type[BaseModel]) -> str:
    """The docstring of the class itself, without inherited ones."""
    return inspect.cleandoc(message.__dict__.get("__doc__") or "")


def fields_of(message: type[BaseModel], without: type[BaseModel] = BaseModel) -> list[dict[str, Any]]:
    """The fields of a message, its own first, without those of the class `without`."""
    schema = message.model_json_schema()
    inherited = set(without.model_fields)
    common = set((Command if issubclass(message, Command) else Question).model_fields)
    names = [name for name in schema["properties"] if name not in inherited]
    return [
        {
            "field": name,
            "needed": name in schema.get("required", ()),
            "takes": words(schema["properties"][name], schema.get("$defs", {})),
            "means": _plain(of_field(message.__name__, name)),
        }
        for name in sorted(names, key=lambda name: name in common)
    ]


def words(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A JSON Schema in a few words."""
    match schema:
        case {"$ref": str(reference)}:
            return words(definitions[reference.rsplit("/", 1)[1]], definitions)
        case {"anyOf": list(kinds)} | {"oneOf": list(kinds)}:
            return " or ".join(words(kind, definitions) for kind in kinds if kind.get("type") != "null")
        case {"const": value}:
            return f"{value!r}"
        case {"enum": list(values)}:
            return f"one of {', '.join(map(str, values))}"
        case {"type": "array", "items": Mapping() as items}:
            return f"a list: {words(items, definitions)}"
        case {"type": "object", "properties": Mapping() as properties}:
            inner = ", ".join(f"{name}: {words(one, definitions)}" for name, one in properties.items())
            return f"{{{inner}}}"
        case {"type": "object"}:
            return "an object"
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "integer", **limits}:
            ends = [f"from {limits['minimum']}"] if "minimum" in limits else []
            ends += [f"to {limits['maximum']}"] if limits.get("maximum", 2**53) < 2**53 else []
            return " ".join(["a number", *ends])
        case {"type": "string", "maxLength": int(most)}:
            return f"text of at most {most:,} characters"
        case {"type": "string", "pattern": str(pattern)}:
            return IN_WORDS[pattern]
    return "text" if schema.get("type") == "string" else "any JSON value"
