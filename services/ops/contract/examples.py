"""An example of every message, from one recorded story of commands, events and questions.

`examples.json` holds it, written by `python -m tests.contract.record` from `tests/contract/story.py`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from services.ops.contract.meanings import MissingDescriptionError
from shared.language.dry_runs import DryRunBatch
from shared.language.events import Event

ACCOUNT: Final = "acme"

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Exchange:
    """A command with its reply, or a question with its answer."""

    name: str
    body: Body
    reply: Body


@dataclass(frozen=True)
class EventExample:
    headers: Mapping[str, str]
    body: Body


@cache
def _story() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(files(__package__).joinpath("examples.json").read_text())
    return found


def of_command(name: str) -> list[Exchange]:
    """The exchanges of a command, accepted ones first."""
    found = _exchanges("commands", name)
    return sorted(found, key=lambda one: one.reply["outcome"] != "accepted" or "dry_run" in one.body)


def of_question(name: str) -> list[Exchange]:
    return _exchanges("questions", name)


def _exchanges(group: str, name: str) -> list[Exchange]:
    """Raise `MissingDescriptionError` without an example."""
    found = [Exchange(**one) for one in _story()[group] if one["name"] == name]
    if not found:
        raise MissingDescriptionError(f"{name} has no example yet: tests/contract/story.py")
    return found


def of_dry_runs() -> Exchange:
    """The dry runs of the story as one batch."""
    exchanges = [Exchange(**one) for one in _story()["commands"] if "dry_run" in one["body"]]
    commands = [{"command": one.name, "body": one.body} for one in exchanges]
    reply = {"outcome": "decided", "outcomes": [one.reply for one in exchanges]}
    return Exchange(DryRunBatch.__name__, {"actor": "service:directory", "commands": commands}, reply)


def of_outcome(outcome: str) -> Iterator[Exchange]:
    """Commands with this outcome."""
    return (Exchange(**one) for one in _story()["commands"] if one["reply"]["outcome"] == outcome)


def not_answered() -> Exchange:
    """A question with an error."""
    return next(Exchange(**one) for one in _story()["questions"] if "error" in one["reply"])


def of_event(event: type[Event]) -> EventExample:
    found = _story()["events"].get(event.stored_name())
    if found is None:
        raise MissingDescriptionError(f"{event.__name__} has no example yet: tests/contract/story.py")
    return EventExample(**found)
