"""Writes the contract's examples, by letting the story happen to the real decisions:

python -m tests.contract.record
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from services.connections import parsing
from services.ops import contract
from services.ops.contract.examples import ACCOUNT
from shared.language.catalog import QUESTIONS
from shared.language.questions import ListQuestion
from shared.language.recorded import Recorded
from shared.wire import cloud_events
from tests.connections.given_when_then import World
from tests.contract.story import STORY, Asks, Gives

FILE: Final = Path(contract.__file__).with_name("examples.json")
# Stands in the story's first command, so that a reader sees how ids are handed through.
CORRELATION: Final = "signup-81"
# `next` of a page: what follows is another reader's business.
LAST_PAGE: Final = None


class Recording:
    """The story as it happens; ids count up, so that it is written the same each time."""

    def __init__(self) -> None:
        self._world = World()
        self._ids = 0
        self.commands: list[dict[str, Any]] = []
        self.questions: list[dict[str, Any]] = []
        self.events: dict[str, dict[str, Any]] = {}

    def an_id(self) -> str:
        self._ids += 1
        return f"0198c0de-0000-7000-8000-{self._ids:012x}"

    def give(self, step: Gives) -> None:
        body = body_of(step, self.an_id(), first=not self.commands)
        happened = len(self._world.happened)
        verdict = self._world.take(parsing.read(ACCOUNT, step.name, orjson.dumps(body), None))
        told = [self._named(recorded) for recorded in self._world.happened[happened:]]
        reply = self._reply(orjson.loads(verdict.reply()), told)
        came = reply.get("reason", reply["outcome"])
        assert came == step.comes, (step, reply)
        self.commands.append({"name": step.name, "body": body, "reply": reply})
        for recorded in told:
            self._keep(recorded)

    def _named(self, recorded: Recorded) -> Recorded:
        return recorded._replace(id=self.an_id())

    def _reply(self, reply: dict[str, Any], told: list[Recorded]) -> dict[str, Any]:
        if "position" in reply:
            reply["position"] = len(self._world.happened)
        if told:
            reply["events"] = [{"id": one.id, "type": type(one.event).__name__} for one in told]
        return reply

    def _keep(self, recorded: Recorded) -> None:
        """Of each type the one that says most."""
        _, headers, data = cloud_events.to_wire(recorded)
        found = {"headers": headers, "body": orjson.loads(data)}
        kept = self.events.get(recorded.event.stored_name())
        if kept is None or len(found["body"]) > len(kept["body"]):
            self.events[recorded.event.stored_name()] = found

    def ask(self, step: Asks) -> None:
        position = len(self._world.happened)
        body = {"actor": step.actor, **step.fields, "at_least": position}
        self.questions.append({"name": step.name, "body": body, "reply": answer_of(step, position)})


def body_of(step: Gives, command_id: str, *, first: bool = False) -> dict[str, Any]:
    """The command's body as it is given."""
    correlated = {"correlation_id": CORRELATION} if first else {}
    return {"command_id": command_id, "actor": step.actor, **correlated, **step.fields}


def answer_of(step: Asks, position: int) -> Mapping[str, Any]:
    if step.error:
        return {"error": step.result, **step.error}
    page = {"next": LAST_PAGE} if issubclass(QUESTIONS[step.name], ListQuestion) else {}
    return {"position": position, "result": step.result, **page}


def recorded() -> dict[str, Any]:
    recording = Recording()
    for step in STORY:
        if isinstance(step, Gives):
            recording.give(step)
        else:
            recording.ask(step)
    return {"commands": recording.commands, "questions": recording.questions, "events": recording.events}


def text() -> str:
    return json.dumps(recorded(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
