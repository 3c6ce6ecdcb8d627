"""Every recorded body of the contract, and the variants of it that a tool must take or refuse.

The files alone are read, as another team has them: nothing here imports Switchboard.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

ROOT: Final = Path(__file__).parents[2]
CONTRACT: Final = ROOT / "deploy/contract"
SCHEMAS: Final = CONTRACT / "schemas"
EXAMPLES: Final = ROOT / "services/ops/contract/examples.json"
ASKED: Final = ("commands", "questions")

Body: TypeAlias = Mapping[str, Any]

# Null inside a rule equals absent, too; no recorded body has it.
RULES_WITH_NULL: Final = (
    {"kind": "users_and_teams", "users": None, "teams": ["helpers"]},
    {"kind": "contact_owner", "fallback": None},
    {"kind": "contact_owner", "fallback": {"kind": "users_and_teams", "users": ["bob"], "teams": None}},
)


@dataclass(frozen=True)
class Recorded:
    """One recorded body of the message whose schema is `room/name.json`."""

    room: str
    name: str
    body: Body

    @property
    def schema(self) -> Mapping[str, Any]:
        return schema(self.room, self.name)

    @property
    def title(self) -> str:
        return str(self.schema["title"])

    @property
    def optional(self) -> list[str]:
        return [field for field in self.schema["properties"] if field not in self.schema.get("required", [])]

    def valid(self) -> list[Body]:
        """The body itself; what is asked also with null for absent, what is told also with an unknown field."""
        if self.room not in ASKED:
            return [self.body, {**self.body, "mood": "good"}]
        required = {field: value for field, value in self.body.items() if field not in self.optional}
        nothing: Body = dict.fromkeys(self.optional)
        variants: list[Body] = [self.body, {**nothing, **self.body}, {**nothing, **required}]
        if self.name == "SetRouting":
            variants += [{**self.body, "rule": rule} for rule in RULES_WITH_NULL]
        return variants

    def invalid(self) -> list[Body]:
        """Without each required field; what is asked also with an unknown field."""
        shorter: list[Body] = [
            {name: value for name, value in self.body.items() if name != field}
            for field in self.schema.get("required", [])
        ]
        return [*shorter, {**self.body, "mood": "good"}] if self.room in ASKED else shorter


@cache
def schema(room: str, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((SCHEMAS / room / f"{name}.json").read_text())
    return found


def recorded() -> Iterator[Recorded]:
    """Commands, replies, questions, answers and events of the story that the examples tell."""
    story = json.loads(EXAMPLES.read_text())
    for one in story["commands"]:
        yield Recorded("commands", one["name"], one["body"])
        yield Recorded("replies", one["reply"]["outcome"].title(), one["reply"])
    for one in story["questions"]:
        yield Recorded("questions", one["name"], one["body"])
        yield Recorded("answers", "NotAnswered" if "error" in one["reply"] else one["name"], one["reply"])
    for name, one in story["events"].items():
        yield Recorded("events", name.removeprefix("switchboard."), one["body"])


def every_schema() -> list[Mapping[str, Any]]:
    return [schema(path.parent.name, path.name.removesuffix(".json")) for path in sorted(SCHEMAS.glob("*/*.json"))]


def for_node() -> str:
    """The same for programs of Node, as JSON."""
    found = [
        {
            "path": f"{one.room}/{one.name}.json",
            "title": one.title,
            "asked": one.room in ASKED,
            "schema": one.schema,
            "valid": one.valid(),
            "invalid": one.invalid(),
        }
        for one in recorded()
    ]
    return json.dumps(found)
