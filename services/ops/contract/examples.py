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
from services.ops.replay.messages import Progress, ended_message, started_message
from shared.language.dry_runs import DryRunBatch
from shared.language.events import Event
from shared.language.replays import ReplayMessage, ReplayStarted

ACCOUNT: Final = "acme"
TIME: Final = "2026-11-01T09:00:00.000Z"

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


def of_replay(frame: type[ReplayMessage]) -> EventExample:
    """The first or the last message of a replay of two events."""
    started = ReplayStarted(
        replay="crm-2026",
        replay_id="0198c0de-0000-7000-8000-00000000beef",
        log="0198c0de-0000-4000-8000-0000000000ff",
        from_=1,
        to=2,
        account=ACCOUNT,
        speed="500/s",
        forced=False,
        reason="a new consumer",
        started_by="service:audit.ana",
    )
    progress = Progress(0)
    for position in (1, 2):
        progress = progress.after(str(position), position, b"{}", unknown=False, unreadable=False)
    if frame is ReplayStarted:
        _, headers, body = started_message(started, TIME)
    else:
        _, headers, body = ended_message(started, progress, TIME, complete=True)
    return EventExample(headers, json.loads(body))
