"""The AsyncAPI document is one, agrees with itself, and says what the services do."""

import json
import shutil
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from services.inbox_views.app import INBOX_VIEWS
from services.ops.contract.asyncapi import document
from services.routing.app import ROUTING
from shared.language import subjects
from shared.language.audit import AUDIT_QUESTIONS
from shared.language.catalog import QUESTIONS
from shared.language.commands import COMMANDS
from shared.language.events import EVENTS
from shared.language.questions import ROUTING_QUESTIONS
from tests.contract.asyncapi_rules import problems

PARSE = Path(__file__).with_name("parse.cjs")
NOT_THERE = 3


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return document()


@pytest.fixture
def contract(made: dict[str, Any]) -> dict[str, Any]:
    """One's own, to break."""
    return deepcopy(made)


def test_the_document_keeps_the_rules_of_asyncapi(contract: dict[str, Any]) -> None:
    assert problems(contract) == []


def test_every_command_question_and_event_has_its_channel_and_its_operation(contract: dict[str, Any]) -> None:
    names = {
        *(f"commands.{name}" for name in COMMANDS),
        "dry_runs.DryRunBatch",
        *(f"questions.{name}" for name in QUESTIONS),
        *(f"events.{event.__name__}.v{event.version}" for event in EVENTS.values()),
        *(f"replays.{name}" for name in ("ReplayStarted.v1", "ReplayEnded.v1", "events")),
    }
    assert set(contract["operations"]) == names
    assert set(contract["channels"]) == {*names, "replies", "answers"}
    assert contract["channels"]["commands.ConnectTeam"]["address"] == "switchboard.command.v1.{account}.ConnectTeam"
    assert contract["channels"]["questions.Address"]["address"] == "switchboard.query.v1.{account}.Address"
    told = contract["channels"]["events.TeamConnected.v1"]["address"]
    assert told == "switchboard.event.v1.{account}.address.TeamConnected"
    again = contract["channels"]["replays.events"]
    assert again["address"] == "switchboard.replay.v1.{replay}.{account}.{aggregate}.{event}"
    assert set(again["messages"]) == {name for name in names if name.startswith("events.")}


def test_the_queue_groups_are_those_of_the_services(contract: dict[str, Any]) -> None:
    assert (INBOX_VIEWS.definition.name, ROUTING.definition.name) == (
        subjects.INBOX_VIEWS_QUEUE,
        subjects.ROUTING_QUEUE,
    )
    for name in QUESTIONS:
        room = ROUTING if name in ROUTING_QUESTIONS else INBOX_VIEWS
        queue = subjects.AUDIT_QUEUE if name in AUDIT_QUESTIONS else room.definition.name
        assert contract["operations"][f"questions.{name}"]["bindings"]["nats"]["queue"] == queue


def test_its_schemas_are_schemas_for_tools_that_know_draft_7_only(contract: dict[str, Any]) -> None:
    whole = {"definitions": contract["components"]["schemas"]}
    Draft7Validator.check_schema(whole)
    for name, message in contract["components"]["messages"].items():
        schema = {"$ref": message["payload"]["$ref"]} | {"components": contract["components"]}
        for example in message["examples"]:
            wrong = [error.message for error in Draft7Validator(schema).iter_errors(example["payload"])]
            wrong += [
                error.message
                for error in Draft7Validator(message.get("headers", {})).iter_errors(example.get("headers", {}))
            ]
            assert not wrong, (name, wrong)


# What somebody might break, and the words by which it is told.
BREAKS: list[tuple[str, str, Any, str]] = [
    ("asyncapi", "", "2.6.0", "is not 3.0.0"),
    ("info", "version", None, "has no version"),
    ("info", "mood", "good", "mood, which is not known"),
    ("channels/commands.Pause", "address", "x.{acc}", "its parameters are others"),
    ("channels/commands.Pause", "address", "switchboard.command.v1.{account}.Resume", "has the address of"),
    ("channels", "empty", {"address": "x", "messages": {}}, "has no message"),
    ("channels/replies/messages/replies.Accepted", "$ref", "#/components/messages/nobody", "there is no"),
    ("operations/commands.Pause", "action", "publish", "neither sends nor receives"),
    ("operations/commands.Pause", "channel", {"$ref": "#/channels/commands.Resume"}, "is none of"),
    ("operations/commands.Pause/reply", "channel", {"$ref": "#/channels/answers"}, "is none of"),
    ("operations/commands.Pause/bindings/nats", "group", "x", "group, which is not known"),
    ("operations/commands.Pause/bindings/nats", "queue", "q" * 256, "too long"),
    ("components/messages/commands.Pause/payload", "$ref", "#/components/schemas/nobody", "there is no"),
    ("components/messages", "commands.Nobody", {"name": "Nobody"}, "is in no channel"),
    ("components/correlationIds/command", "location", "$message.payload#/nothing", "leads nowhere"),
    ("components/messages", "two words", {}, "is no key"),
]


@pytest.mark.parametrize(("where", "name", "value", "told"), BREAKS)
def test_what_is_broken_in_it_is_told(where: str, name: str, value: Any, told: str, contract: dict[str, Any]) -> None:
    target = contract
    *path, last = [*where.split("/"), name] if name else where.split("/")
    for part in path:
        target = target[part]
    if value is None:
        del target[last]
    else:
        target[last] = value
    assert any(told in problem for problem in problems(contract)), problems(contract)


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node on this machine")
def test_the_parser_of_asyncapi_finds_nothing_wrong(contract: dict[str, Any], folder: Path) -> None:
    file = folder / "asyncapi.json"
    file.write_text(json.dumps(contract))
    ran = subprocess.run(["node", str(PARSE), str(file)], capture_output=True, text=True, check=False, timeout=120)
    if ran.returncode == NOT_THERE:
        pytest.skip("Node is here, @asyncapi/parser is not: make test-tools has it")
    assert ran.returncode == 0, ran.stdout + ran.stderr
