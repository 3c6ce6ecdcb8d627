"""A JSON Schema (2020-12) of every message on the wire, made from the classes of the published language.

A class is read in one of three ways. A **request** may have null for absent, and no unknown fields. An **event** never
has null. A **reply** has null where the class says so. Readers of events and replies ignore unknown fields. Except for
`$defs`, the schemas use only keywords of JSON Schema draft 7.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from inspect import cleandoc
from typing import Any, Final, TypeAlias

from pydantic import BaseModel, TypeAdapter, create_model

from services.ops.contract import meanings, titles
from shared.language import subjects
from shared.language.answers import Accepted, Answer, DryRunOutcomes, NotAnswered, Refused, Unchanged
from shared.language.catalog import QUESTIONS, RESULTS
from shared.language.commands import COMMANDS
from shared.language.dry_runs import DryRunBatch
from shared.language.events import EVENTS, Event
from shared.language.questions import ListQuestion, Question
from shared.language.replays import REPLAY_MESSAGES, ReplayMessage
from shared.language.text import LINES, LINES_NOT_BLANK, NOT_BLANK, POINTER

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
REPLIES: Final = (Accepted, Unchanged, Refused, DryRunOutcomes)

Schema: TypeAlias = dict[str, Any]

# Fields with a time, in every message.
TIMES: Final = frozenset(("since", "claimed_at", "time", "published", "first_time", "last_time"))

_LINE: Final = r"[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]"
# The same patterns in every dialect of regular expressions: \p{Cc} is U+0000-001F and U+007F-009F.
PORTABLE: Final = {
    NOT_BLANK: r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$",
    POINTER: r"^(/[^/\u0000-\u001f\u007f-\u009f]*)*$",
    LINES: rf"^(?:\r\n|{_LINE})*$",
    LINES_NOT_BLANK: rf"^(?:\r\n|{_LINE})*[^\u0000-\u001f\u007f-\u009f\s](?:\r\n|{_LINE})*$",
}


class Direction(Enum):
    REQUEST = auto()
    EVENT = auto()
    REPLY = auto()


@dataclass(frozen=True)
class Message:
    """`name` is unique in its group; `schema` is self-contained."""

    group: str
    name: str
    schema: Schema

    @property
    def path(self) -> str:
        return f"{self.group}/{self.name}.json"


def messages() -> Iterator[Message]:
    """Every message of the contract, in the order of declaration."""
    for command in COMMANDS.values():
        yield _message("commands", command.__name__, command, Direction.REQUEST)
    yield _message("dry_runs", DryRunBatch.__name__, DryRunBatch, Direction.REQUEST)
    for reply in REPLIES:
        yield _message("replies", reply.__name__, reply, Direction.REPLY)
    for question in QUESTIONS.values():
        yield _message("questions", question.__name__, question, Direction.REQUEST)
    for question in QUESTIONS.values():
        yield _message("answers", question.__name__, answer_to(question), Direction.REPLY)
    yield _message("answers", NotAnswered.__name__, NotAnswered, Direction.REPLY)
    for event in EVENTS.values():
        yield _message("events", event_name(event), event, Direction.EVENT)
    for frame in REPLAY_MESSAGES.values():
        yield _message("replays", event_name(frame), frame, Direction.EVENT)


def event_name(event: type[Event | ReplayMessage]) -> str:
    """The stored name without the common prefix."""
    return f"{event.__name__}.v{event.version}"


def answer_to(question: type[Question]) -> type[BaseModel]:
    """The whole answer to a question: position and result."""
    result: Any = RESULTS[question]
    fields: dict[str, Any] = {"position": (int, ...), "result": (result, ...), "incomplete_since": (int | None, None)}
    if issubclass(question, ListQuestion):
        fields |= {"result": (tuple[result, ...], ...), "next": (str | None, ...)}
    description = f"The answer to the question {question.__name__}, as of `position`."
    return create_model(f"{question.__name__}Answer", __base__=Answer, __doc__=description, **fields)


def _message(group: str, name: str, message: type[BaseModel], direction: Direction) -> Message:
    head = {"$schema": DIALECT, "$id": f"{subjects.SCHEMA_ID}:{group}:{name}"}
    return Message(group, name, head | schema_of(message, direction))


def schema_of(message: type[BaseModel], direction: Direction) -> Schema:
    """The schema of one class, with the schemas it refers to in `$defs`."""
    return _SchemaReader(direction).whole(TypeAdapter(message).json_schema())


class _SchemaReader:
    def __init__(self, direction: Direction) -> None:
        self._direction = direction

    def whole(self, raw: Schema) -> Schema:
        defs = {name: self._object(one) for name, one in raw.pop("$defs", {}).items()}
        return self._object(raw) | ({"$defs": defs} if defs else {})

    def _object(self, raw: Schema) -> Schema:
        """A message, or an object in one."""
        name, required = raw["title"], raw.get("required", [])
        fields = {
            field: self._field(name, field, one, required=field in required)
            for field, one in raw.get("properties", {}).items()
        }
        always = [field for field, one in fields.items() if field in required or is_constant(one)]
        found: Schema = {"title": titles.title_of_rule(name) if self._direction is Direction.EVENT else name}
        if "description" in raw:
            found["description"] = cleandoc(raw["description"])
        found |= {"type": "object", "properties": fields}
        if always:
            found["required"] = always
        if self._direction is Direction.REQUEST:
            found["additionalProperties"] = False
        return found

    def _field(self, message: str, name: str, raw: Schema, *, required: bool) -> Schema:
        found = self._value(raw, message, name)
        default = found.pop("default", None)
        if name in TIMES:
            found["format"] = "date-time"
        if not required and not is_constant(found):
            if self._direction is Direction.REQUEST:
                found = nullable(found)
            elif self._direction is Direction.EVENT:
                found = without_null(found)
            if default not in (None, [], {}):
                found["default"] = default
        # Draft 7 ignores keywords beside a $ref.
        return found if "$ref" in found else {"description": meanings.of_field(message, name)} | found

    def _value(self, raw: Schema, message: str, field: str) -> Schema:
        found = {word: value for word, value in raw.items() if word not in ("title", "discriminator")}
        for word in ("anyOf", "oneOf"):
            if word in found:
                found[word] = [self._value(one, message, field) for one in found[word]]
        if isinstance(found.get("items"), dict):
            items = self._value(found["items"], message, field)
            # Generators that make a class of a pattern name it after the list, and number a taken name.
            found["items"] = {"title": titles.title_of_item(message, field)} | items if "pattern" in items else items
        if "const" in found:
            # All generators support a choice of one; not all support a constant.
            value = found.pop("const")
            found = {"title": titles.title_of_constant(value, field), "enum": [value]} | found
        elif "enum" in found:
            found = {"title": titles.title_of_choice(found["enum"])} | found
        if "pattern" in found:
            found["pattern"] = PORTABLE.get(found["pattern"], found["pattern"])
        return _folded(found)


def _folded(schema: Schema) -> Schema:
    """`X | None` in one object instead of two alternatives."""
    alternatives = schema.get("anyOf", [])
    if len(alternatives) == 2 and {"type": "null"} in alternatives:  # noqa: PLR2004  something, or null
        (other,) = (one for one in alternatives if one != {"type": "null"})
        return {word: value for word, value in schema.items() if word != "anyOf"} | nullable(other)
    return schema


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    if isinstance(schema.get("type"), list) or {"type": "null"} in schema.get("anyOf", []):
        return schema
    # A choice keeps its own title and words: generators make a word of a null among them, and lose that a list or an
    # object may be null.
    if schema.get("type") in (None, "array", "object") or "enum" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return schema | {"type": [schema["type"], "null"]}


def is_constant(schema: Schema) -> bool:
    return len(schema.get("enum", ())) == 1


def without_null(schema: Schema) -> Schema:
    """The same, and never null."""
    found = dict(schema)
    if isinstance(found.get("type"), list):
        (found["type"],) = (one for one in found["type"] if one != "null")
    if "anyOf" in found:
        found["anyOf"] = [one for one in found["anyOf"] if one != {"type": "null"}]
        if len(found["anyOf"]) == 1:
            (only,) = found.pop("anyOf")
            found |= only
    return found
