"""What is written down for ever: stored names with their fields, commands, reasons, subjects, and the forms in storage.

`golden.json` beside this file holds it. Something new is added with

    python -m tests.language.golden

which adds what is missing and changes nothing that is there. An entry that no longer fits is not to be edited: history
and other people's tools rely on it. Give the changed thing a new name or version beside the old one instead.

What is new must break nobody: a new field of a command, a question or an event is optional, or callers would be refused
and what is stored could not be read. Replies and answers may gain any field, and a choice in them
words; none may vanish or change its type.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import GenericAlias
from typing import Any, Final

import orjson
from pydantic import BaseModel, TypeAdapter

from services.connections import parsing
from services.connections.commands import PAGES
from services.connections.store.state_cache import set_of
from services.connections.store.unit_of_work import name_of
from shared.core.address import CANONICAL_FORM, canonical
from shared.language import answers, audit_answers, subjects
from shared.language.answers import Answer
from shared.language.audit import AUDIT_QUESTIONS
from shared.language.audit_answers import AUDIT_RESULTS
from shared.language.catalog import QUESTIONS, RESULTS
from shared.language.commands import COMMANDS
from shared.language.events import EVENTS
from shared.language.questions import ListQuestion, Question
from shared.language.reasons import CODES, QuestionError, Reason
from shared.language.recorded import STREAMS, Recorded, stream_id
from shared.process import stored_events
from tests.connections.anything import any_event, dice_of

GOLDEN: Final = Path(__file__).with_name("golden.json")

# Of what is asked or stored: a field, a field of a type within it, and what is said of either.
NEW_FIELD: Final = re.compile("/(commands|questions|events)/[^/]+/fields/[^/]+")
NEW_FIELD_WITHIN: Final = re.compile("/(commands|questions|events)/[^/]+/types/[^/]+/properties/[^/]+")
SAID_OF_ONE: Final = re.compile("/(commands|questions|events)/[^/]+/(fields|types)/[^/]+/.+")

# Anything of what is answered, and the words of a choice in it. A reader takes one that is new to it as it is.
ANSWERED: Final = re.compile("/(answers|results)/.+")
CHOICE_OF_AN_ANSWER: Final = re.compile("/(answers|results)/.+/enum")


def written() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    return found


def now() -> dict[str, Any]:
    """The same as this code has it."""
    return {
        "events": {name: fields_of(event) | {"aggregate": event.aggregate} for name, event in EVENTS.items()},
        "commands": {name: fields_of(command) for name, command in COMMANDS.items()},
        "questions": {name: fields_of(question) for name, question in QUESTIONS.items()},
        # Each class once, without those within it: they may grow, too.
        "answers": {name: {"fields": fields_of(answer)["fields"]} for name, answer in answer_classes().items()},
        "results": {name: result_of(question) for name, question in QUESTIONS.items()},
        "reasons": {str(reason): CODES[reason] for reason in Reason},
        "question errors": {str(error): CODES[error] for error in QuestionError},
        "subjects": spelled(subjects)
        | {
            "a command": subjects.command("acme", "ConnectTeam"),
            "a question": subjects.query("acme", "Address"),
            "an event": subjects.event("acme", "address", "TeamConnected"),
        },
        "headers": spelled(subjects.Ce),
        "canonical form": {str(CANONICAL_FORM): canonical(" Bob+X@MÜLLER.example").address},
        "stream ids": {"namespace": str(STREAMS)} | {kind: str(stream_id("acme", kind, "bob")) for kind in PAGES},
        "sets": sets(),
        "digests": {name: made(digest, name, body) for name, body in DIGESTED.items()},
        "states": {name: made(state_of, name) for name in EVENTS},
    }


class NotMade(str):
    """Stands where an example of something can no longer be made, and says why."""

    __slots__ = ()


def made(make: Callable[..., Any], *given: Any) -> Any:
    try:
        return make(*given)
    except Exception as error:  # noqa: BLE001  whatever a change broke is what is to be told
        return NotMade(f"can no longer be made of what was valid: {' '.join(str(error).split())}")


def fields_of(message: type[BaseModel]) -> dict[str, Any]:
    """Each field by its name on the wire, as a JSON Schema without prose."""
    schema = without_prose(message.model_json_schema(by_alias=True))
    required = schema.get("required", [])
    fields = {name: field | {"required": name in required} for name, field in schema["properties"].items()}
    return {"fields": fields, "types": schema.get("$defs", {})}


def answer_classes() -> dict[str, type[Answer]]:
    """The replies, the results of questions, and what stands in them."""
    every = vars(answers) | {name: one for name, one in vars(audit_answers).items() if name in of_the_audit()}
    found = {name: one for name, one in every.items() if isinstance(one, type) and issubclass(one, Answer)}
    return {name: one for name, one in found.items() if one is not Answer}


def of_the_audit() -> set[str]:
    """The classes in the answers of the audit to questions that may be asked."""
    schemas = [TypeAdapter(AUDIT_RESULTS[question]).json_schema() for question in AUDIT_QUESTIONS.values()]
    return {schema["title"] for schema in schemas} | {name for schema in schemas for name in schema.get("$defs", {})}


def result_of(question: type[Question]) -> dict[str, Any]:
    """What a question's result is made of, by name, and whether it is a page of such."""
    several: Any = GenericAlias(tuple, (RESULTS[question], ...))
    schema = TypeAdapter(several).json_schema()
    return {"of": without_prose(schema["items"]), "page": issubclass(question, ListQuestion)}


def without_prose(schema: Any) -> Any:
    if isinstance(schema, dict):
        # A field may itself be called title or description: prose is text, a field is an object.
        prose = {name for name in ("title", "description") if isinstance(schema.get(name), str)}
        return {name: without_prose(value) for name, value in schema.items() if name not in prose}
    return [without_prose(value) for value in schema] if isinstance(schema, list) else schema


def spelled(where: object) -> dict[str, str]:
    return {name: text for name, text in vars(where).items() if name.isupper() and isinstance(text, str)}


# The id of a set is kept with its members: what a state belongs to, by a history that leads there.
HISTORIES: Final[Mapping[str, list[tuple[str, dict[str, Any]]]]] = {
    "super admins": [("UserAdded", {"user": "bob", "name": "Bob", "permissions": ["super_admin"]})],
    "open inbox, name": [("InboxCreated", {"inbox": "x", "name": " Größe ", "access": "everyone"})],
    "owned, mailbox": [
        (
            "PersonalConnected",
            {
                "address": "a@b.example",
                "display": "a@b.example",
                "owner": "bob",
                "provider": "google",
                "provider_identity": "m",
                "canonical_form": 1,
            },
        )
    ],
    "in an inbox": [
        (
            "TeamConnected",
            {
                "address": "a@b.example",
                "display": "a@b.example",
                "inbox": "x",
                "connector": "bob",
                "visibility_acknowledged": True,
                "provider_identity": "m",
                "canonical_form": 1,
            },
        )
    ],
    "orphaned": [
        ("PersonalConnected", {"address": "a@b.example", "display": "a", "owner": "bob", "canonical_form": 1}),
        ("AddressOrphaned", {"address": "a@b.example", "owner": "bob"}),
    ],
    "aliases": [
        ("AliasAdded", {"address": "a@b.example", "display": "a", "primary": "p@b.example", "canonical_form": 1})
    ],
}


def sets() -> dict[str, dict[str, str]]:
    return {title: made(sets_after, history) for title, history in HISTORIES.items()}


def sets_after(history: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    events = [EVENTS[f"switchboard.{name}.v1"].model_validate(fields) for name, fields in history]
    page = PAGES[events[0].aggregate]
    state = page.initial
    for event in events:
        state = page.evolve(state, event, "2026-11-23T09:00:00.000Z")
    return {name: str(set_of("acme", name)) for name in sorted(page.constraint_sets(state))}


# The journal keeps a digest of each body, by which the same command is known for ever.
DIGESTED: Final[Mapping[str, dict[str, Any]]] = {
    "ConnectTeam": {"visibility_acknowledged": True, "inbox": "x", "address": "a@b.example", "actor": "ana"},
    "SetRouting": {"actor": "ana", "inbox": "x", "rule": {"kind": "users_and_teams", "users": ["b"], "teams": None}},
    "SetFromName": {"actor": "service:x", "address": "A@b.example", "from_name": "Größe \u2028 🂡"},
}


def digest(name: str, body: dict[str, Any]) -> str:
    found = parsing.read("acme", name, orjson.dumps(body), None).digest
    assert found is not None
    return found.hex()


def state_of(name: str) -> str:
    """One stored event of each name. What is in the file is never made again, only read."""
    thrown = (any_event(dice_of(seed), EVENTS[name]) for seed in range(10_000))
    event = next(event for event in thrown if None not in event.model_dump().values())
    recorded = Recorded(
        id="0198c0de-0000-7000-8000-00000000000a",
        account="acme",
        stream=stream_id("acme", event.aggregate, name_of(event, "acme")),
        version=1,
        position=1,
        actor="service:hr",
        command_id="0198c0de-0000-7000-8000-000000000001",
        correlation_id="c-1",
        traceparent=None,
        time="2026-11-23T09:00:00.000Z",
        event=event,
    )
    return stored_events.to_state(recorded).decode()


def differences(golden: Any, current: Any, path: str = "") -> tuple[list[str], list[str]]:
    """What no longer fits, and what is not written down yet, by path."""
    golden, current = by_name(golden, current, path)
    if not isinstance(golden, dict) or not isinstance(current, dict):
        if golden == current:
            return [], []
        told = f"{path}: {current}" if isinstance(current, NotMade) else f"{path}: written {golden!r}, now {current!r}"
        return [told], []
    changed = [f"{path}/{name}: is gone" for name in golden.keys() - current.keys()]
    added = []
    for name in current.keys() - golden.keys():
        if isinstance(current[name], NotMade):
            changed.append(f"{path}/{name}: {current[name]}")
        elif demands(f"{path}/{name}", current[name]):
            changed.append(f"{path}/{name}: is new and asks for more")
        else:
            added.append(f"{path}/{name}")
    for name in golden.keys() & current.keys():
        if path == "/states":
            continue  # stored events are read by a test of their own, not made again
        more_changed, more_added = differences(golden[name], current[name], f"{path}/{name}")
        changed += more_changed
        added += more_added
    return sorted(changed), sorted(added)


def demands(path: str, added: Any) -> bool:
    """Whether an addition asks for what nobody gave so far: a required field, or any rule for one that was there.

    Nor is let in what cannot be made.
    """
    if isinstance(added, NotMade):
        return True
    if NEW_FIELD.fullmatch(path):
        return bool(added["required"])
    said = SAID_OF_ONE.fullmatch(path) and not NEW_FIELD_WITHIN.fullmatch(path)
    return bool(said) and not path.endswith("/default")


def by_name(golden: Any, current: Any, path: str) -> tuple[Any, Any]:
    """Both as they are; lists of what is answered by what tells their items apart, so that these may be compared."""
    if not ANSWERED.fullmatch(path) or not isinstance(golden, list) or not isinstance(current, list):
        return golden, current
    if CHOICE_OF_AN_ANSWER.fullmatch(path):
        return {str(word): word for word in golden}, {str(word): word for word in current}
    if len(golden) != len(current):
        return golden, current
    return dict(enumerate(golden)), dict(enumerate(current))


def with_additions(golden: Any, current: Any, path: str = "") -> Any:
    if isinstance(golden, list):
        was, found = by_name(golden, current, path)
        return golden if was is golden else list(with_additions(was, found, path).values())
    if not isinstance(golden, dict) or not isinstance(current, dict):
        return golden
    kept = {
        name: with_additions(value, current[name], f"{path}/{name}") if name in current else value
        for name, value in golden.items()
    }
    new = {name: value for name, value in current.items() if name not in golden}
    return kept | {name: value for name, value in new.items() if not demands(f"{path}/{name}", value)}


def main() -> int:
    """Exit code 1: something does not fit."""
    golden, current = written(), now()
    changed, added = differences(golden, current)
    told = json.dumps(with_additions(golden, current), indent=1, sort_keys=True, ensure_ascii=False)
    GOLDEN.write_text(f"{told}\n")
    lines = [f"added {path}" for path in added] + [f"NOT TAKEN {path}" for path in changed]
    print(*(lines or ["nothing is new"]), sep="\n")
    if changed:
        print(
            "What is stored, or used by others, stays as it is: give the changed thing a new name or version beside it."
        )
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
