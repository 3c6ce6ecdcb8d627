"""`switchboard describe`: the commands and questions there are, and what each takes."""

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer
from pydantic import BaseModel
from rich.text import Text

from services.ops.asking import suggestion
from services.ops.showing import plain_table
from services.ops.terminal import USAGE, Json, fail, out, print_json
from shared.language import text
from shared.language.commands import COMMANDS, Command
from shared.language.questions import QUESTIONS, Question

MESSAGES: Final[Mapping[str, type[BaseModel]]] = {**COMMANDS, **QUESTIONS}


def _pattern(kind: Any) -> str:
    return str(kind.__metadata__[0].pattern)


# The patterns of the language, for people.
LIKE: Final = {
    _pattern(text.Id): "an id, 1 to 32 of A-Z a-z 0-9 _ -",
    _pattern(text.Actor): "a user's id, or service:<name>",
    _pattern(text.CommandId): "a UUID, made when left out",
    _pattern(text.CorrelationId): "1 to 128 of A-Z a-z 0-9 . _ : -",
}


def _names(incomplete: str) -> list[str]:
    return [name for name in MESSAGES if name.lower().startswith(incomplete.lower())]


Name = Annotated[str | None, typer.Argument(help="A command or a question; all when left out.", autocompletion=_names)]


def describe(name: Name = None, as_json: Json = False) -> None:
    """Tell which commands and questions there are, or what one of them takes.

    Example: switchboard describe ConnectTeam
    """
    if name is None:
        _show_all(as_json=as_json)
    elif name in MESSAGES:
        _show_one(name, as_json=as_json)
    else:
        fail(f"There is no command and no question {name}. {suggestion(name, MESSAGES)}", USAGE)


def _show_all(*, as_json: bool) -> None:
    if as_json:
        print_json({"commands": list(COMMANDS), "questions": list(QUESTIONS)})
        return
    for title, messages, base in (("Command", COMMANDS, Command), ("Question", QUESTIONS, Question)):
        table = plain_table(title, "Takes (? may be left out)")
        for name, message in messages.items():
            table.add_row(Text(name, style="cyan"), ", ".join(_field(one) for one in fields_of(message, base)))
        out.print(table)
        out.print()
    out.print("Every command takes actor, and optionally command_id, correlation_id and dry_run; every question takes")
    out.print("actor, and optionally at_least and wait_ms. What one takes in full: switchboard describe NAME")


def _field(told: Mapping[str, Any]) -> str:
    return str(told["field"]) + ("" if told["needed"] else "?")


def _show_one(name: str, *, as_json: bool) -> None:
    message = MESSAGES[name]
    found = fields_of(message)
    if as_json:
        print_json(found)
        return
    verb = "command" if name in COMMANDS else "query"
    if prose := own_docstring(message):
        out.print(Text(prose))
    table = plain_table("Field", "Needed", "Takes")
    for told in found:
        table.add_row(Text(told["field"], style="cyan"), "yes" if told["needed"] else "no", Text(told["takes"]))
    out.print(table)
    needed = " ".join(f"{told['field']}=…" for told in found if told["needed"] and told["field"] != "actor")
    out.print(Text(f"$ switchboard {verb} ACCOUNT {name} --actor ana {needed}".rstrip(), style="dim"))


def own_docstring(message: type[BaseModel]) -> str:
    """Not the one that is inherited."""
    return inspect.cleandoc(message.__dict__.get("__doc__") or "")


def fields_of(message: type[BaseModel], without: type[BaseModel] = BaseModel) -> list[dict[str, Any]]:
    """Its own fields first; those of `without` are left out."""
    schema = message.model_json_schema()
    inherited = set(without.model_fields)
    common = set((Command if issubclass(message, Command) else Question).model_fields)
    names = [name for name in schema["properties"] if name not in inherited]
    return [
        {
            "field": name,
            "needed": name in schema.get("required", ()),
            "takes": words(schema["properties"][name], schema.get("$defs", {})),
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
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "integer", **limits}:
            ends = [f"from {limits['minimum']}"] if "minimum" in limits else []
            ends += [f"to {limits['maximum']}"] if limits.get("maximum", 2**53) < 2**53 else []
            return " ".join(["a number", *ends])
        case {"type": "string", "maxLength": int(most)}:
            return f"text of at most {most:,} characters"
        case {"type": "string", "pattern": str(pattern)}:
            return LIKE.get(pattern, f"text like {pattern}")
    return "text"
