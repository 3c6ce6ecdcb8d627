"""Every schema is one, every example is valid by it, and it takes what the message's own class takes."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, TypeAdapter, ValidationError

from services.ops.contract import examples
from services.ops.contract.headers import cloud_event, error, replay_frame
from services.ops.contract.schemas import Message, answer_to, event_name, messages
from shared.language.answers import NotAnswered, Reply
from shared.language.catalog import QUESTIONS
from shared.language.commands import COMMANDS
from shared.language.events import EVENTS
from shared.language.reasons import CODES, QuestionError, Reason
from shared.language.replays import REPLAY_MESSAGES
from tests.connections.anything import any_command, any_event, dice_of
from tests.contract.asyncapi_rules import referred, resolved

MESSAGES = {(message.group, message.name): message for message in messages()}
ROOMS = {"commands": 41, "dry_runs": 1, "replies": 4, "questions": 24, "answers": 25, "events": 42, "replays": 2}
EVERY = [pytest.param(message, id=message.path) for message in MESSAGES.values()]


def wrong(room: str, name: str, body: Any) -> list[str]:
    """What the schema finds wrong with a body."""
    validator = Draft202012Validator(MESSAGES[room, name].schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [found.message for found in validator.iter_errors(body)]


def test_there_is_a_schema_of_every_message() -> None:
    assert {room: sum(1 for where, _ in MESSAGES if where == room) for room in ROOMS} == ROOMS
    assert len({message.schema["$id"] for message in MESSAGES.values()}) == len(MESSAGES)


@pytest.mark.parametrize("message", EVERY)
def test_it_is_a_schema_whose_references_lead_somewhere(message: Message) -> None:
    Draft202012Validator.check_schema(message.schema)
    targets = [target for _, target in referred(message.schema, "#")]
    assert all(resolved(message.schema, target) for target in targets)
    assert {target.removeprefix("#/$defs/") for target in targets} == set(message.schema.get("$defs", {}))


@pytest.mark.parametrize("message", EVERY)
def test_its_patterns_are_words_of_every_dialect(message: Message) -> None:
    assert r"\p" not in json.dumps(message.schema).replace("\\\\", "\\").lower()


@pytest.mark.parametrize("message", EVERY)
def test_every_field_says_what_it_means(message: Message) -> None:
    silent = [
        f"{owner['title']}.{name}"
        for owner in (message.schema, *message.schema.get("$defs", {}).values())
        for name, field in owner["properties"].items()
        if "$ref" not in field and not field.get("description")
    ]
    assert not silent


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_examples_are_valid(name: str) -> None:
    found = examples.of_command(name)
    assert found[0].reply["outcome"] == "accepted"
    for one in found:
        assert wrong("commands", name, one.body) == []
        assert wrong("replies", one.reply["outcome"].title(), one.reply) == []
        COMMANDS[name].model_validate(one.body)
        TypeAdapter(Reply).validate_python(one.reply)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_questions_examples_are_valid(name: str) -> None:
    for one in examples.of_question(name):
        assert wrong("questions", name, one.body) == []
        QUESTIONS[name].model_validate(one.body)
        if "error" in one.reply:
            assert wrong("answers", "NotAnswered", one.reply) == []
            NotAnswered.model_validate(one.reply)
        else:
            assert wrong("answers", name, one.reply) == []
            assert complete(answer_to(QUESTIONS[name]).model_validate(one.reply), one.reply)


def complete(model: BaseModel, body: Any) -> bool:
    """Whether the class knows every field of the example: nothing in it is ignored."""
    return bool(model.model_dump(mode="json", by_alias=True, exclude_unset=True) == body)


@pytest.mark.parametrize("name", EVENTS)
def test_an_events_example_is_valid_with_its_headers(name: str) -> None:
    event, told = EVENTS[name], examples.of_event(EVENTS[name])
    assert wrong("events", event_name(event), told.body) == []
    validator = Draft202012Validator(cloud_event(event), format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert [found.message for found in validator.iter_errors(told.headers)] == []
    assert event.model_validate(told.body).model_dump(mode="json", by_alias=True, exclude_none=True) == told.body


@pytest.mark.parametrize("name", REPLAY_MESSAGES)
def test_a_frame_of_a_replay_is_valid_with_its_headers(name: str) -> None:
    frame, told = REPLAY_MESSAGES[name], examples.of_replay(REPLAY_MESSAGES[name])
    assert wrong("replays", event_name(frame), told.body) == []
    validator = Draft202012Validator(replay_frame(frame), format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert [found.message for found in validator.iter_errors(told.headers)] == []
    assert frame.model_validate(told.body).model_dump(mode="json", by_alias=True, exclude_none=True) == told.body


def test_error_headers_know_every_reason() -> None:
    for names in (Reason, QuestionError):
        validator = Draft202012Validator(error(names))
        for name in names:
            assert validator.is_valid({"Nats-Service-Error": str(name), "Nats-Service-Error-Code": str(CODES[name])})
        assert not validator.is_valid({"Nats-Service-Error": "BUSY", "Nats-Service-Error-Code": 503})


# ---- the schema and the class


@given(st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_what_a_class_takes_its_schema_takes(seed: int) -> None:
    command = any_command(dice_of(seed))
    for body in (command.model_dump(mode="json"), command.model_dump(mode="json", exclude_none=True)):
        assert wrong("commands", type(command).__name__, body) == [], body


@pytest.mark.parametrize("name", EVENTS)
def test_what_is_told_is_valid_whatever_it_is(name: str) -> None:
    for seed in range(20):
        event = any_event(dice_of(seed), EVENTS[name])
        body = event.model_dump(mode="json", by_alias=True, exclude_none=True)
        assert wrong("events", event_name(type(event)), body) == [], body


def spoilt(room: str, name: str, body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Bodies that are wrong in one field."""
    schema = MESSAGES[room, name].schema
    yield "an unknown field", body | {"mood": "good"}
    for field in schema["required"]:
        yield f"without {field}", {other: value for other, value in body.items() if other != field}
        yield f"{field} is null", body | {field: None}
    for field, kind in schema["properties"].items():
        if not takes_any_object(kind):
            yield f"{field} is of no type", body | {field: {"n": 1.5}}
    for field, kind in schema["properties"].items():
        if "pattern" in kind:
            yield f"{field} has a control character", body | {field: "a\u0000b"}
            yield f"{field} has a control character that is no ASCII", body | {field: "a\u0085b"}
        if "maxLength" in kind:
            yield f"{field} is too long", body | {field: "a" * (kind["maxLength"] + 1)}


def takes_any_object(kind: Mapping[str, Any]) -> bool:
    """Whether the schema says nothing about the fields of an object, or nothing at all."""
    kinds = (kind, *kind.get("anyOf", ()))
    return {} in kinds or any(one.get("additionalProperties") is True for one in kinds)


@pytest.mark.parametrize("name", [*COMMANDS, *QUESTIONS])
def test_what_a_class_refuses_its_schema_refuses(name: str) -> None:
    room, classes, example = (
        ("commands", COMMANDS, examples.of_command)
        if name in COMMANDS
        else ("questions", QUESTIONS, examples.of_question)
    )
    for how, body in spoilt(room, name, dict(example(name)[0].body)):
        assert wrong(room, name, body), (name, how)
        with pytest.raises(ValidationError):
            classes[name].model_validate(body)


def test_readers_ignore_what_they_do_not_know() -> None:
    told = examples.of_event(EVENTS["switchboard.TeamConnected.v1"]).body
    assert wrong("events", "TeamConnected.v1", {**told, "mood": "good"}) == []
    answered = examples.of_question("Usage")[0].reply
    assert wrong("answers", "Usage", {**answered, "mood": "good"}) == []
    assert wrong("answers", "Usage", {"position": 3}), "and miss what must be there"
