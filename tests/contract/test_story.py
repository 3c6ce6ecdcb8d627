"""The examples are true: written from real decisions, and answered so by a running Switchboard."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

from shared.language.audit import AUDIT_QUESTIONS
from shared.language.catalog import QUESTIONS
from shared.language.commands import COMMANDS
from shared.process.clock import new_id
from tests.contract import record
from tests.contract.story import STORY, Asks, Gives
from tests.journeys.wire import AUDITOR, Reply, Wire, connected
from tests.real_servers import RunningSwitchboard

# What differs from one telling of the story to the next.
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# The name of origins here, and that in the story.
NAMES = "switchboard.internal", "log.acme.example"
PLACES = (
    "position",
    "size",
    "at_least",
    "ce-position",
    "ordinal",
    "number",
    "behind",
    "seconds",
    "added",
    "first",
    "last",
)


def test_the_examples_are_those_of_the_story() -> None:
    assert record.FILE.read_text() == record.text(), "run: python -m tests.contract.record"


def test_every_command_and_question_is_told() -> None:
    assert {step.name for step in STORY if isinstance(step, Gives)} == set(COMMANDS)
    assert {step.name for step in STORY if isinstance(step, Asks)} == set(QUESTIONS)


async def test_a_running_switchboard_tells_the_same_story(running: RunningSwitchboard) -> None:
    account = f"contract-{new_id()[-12:]}"
    examples = json.loads(record.FILE.read_text())
    commands, questions, position = iter(examples["commands"]), iter(examples["questions"]), 0
    async with connected(running.nats_url) as wire:
        for step in STORY:
            if isinstance(step, Gives):
                body = record.body_of(step, new_id())
                body |= {"correlation_id": record.CORRELATION} if step.name == "RegisterAccount" else {}
                reply = await wire.ask(f"switchboard.command.v1.{account}.{step.name}", json.dumps(body).encode())
                position = max(position, reply.body.get("position", 0))
                expected = next(commands)
            else:
                if step.name in AUDIT_QUESTIONS:
                    await wire.audited(account, position)
                if step.name == "Coverage":
                    await signed(wire, account)
                body = {"actor": step.actor, **step.fields, "at_least": position, "wait_ms": 10_000}
                reply = await wire.ask(f"switchboard.query.v1.{account}.{step.name}", json.dumps(body).encode())
                expected = next(questions)
            assert alike(reply.body) == alike(expected["reply"]), step
            assert bears_its_headers(reply)
        facts = await wire.facts(position, f"switchboard.event.v1.{account}.>")
    told = [{"headers": own(fact.headers), "body": fact.body} for fact in facts]
    for name, event in examples["events"].items():
        assert alike(event) in [alike(one, account) for one in told], name


async def signed(wire: Wire, account: str) -> None:
    """Returns when checkpoints cover the whole log: they come on their own, like history and index."""
    async with asyncio.timeout(60):
        while any(tree["behind"] or tree["error"] for tree in await proof(wire, account)):
            await asyncio.sleep(0.05)


async def proof(wire: Wire, account: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await wire.question(account, "Coverage", AUDITOR)).result["proof"]
    return found


def own(headers: Mapping[str, str]) -> dict[str, str]:
    """Without those by which the relay and the stream agree."""
    return {name: value for name, value in headers.items() if name == "Nats-Msg-Id" or not name.startswith("Nats-")}


def bears_its_headers(reply: Reply) -> bool:
    return (reply.error is None) == ("reason" not in reply.body and "error" not in reply.body)


def alike(value: Any, account: str = "acme") -> Any:
    """The same but for times, ids, places in the log and the account's name."""
    if isinstance(value, dict):
        found = {name: "#" if name in PLACES else alike(one, account) for name, one in value.items()}
        return found | ({"after_ms": sorted(found["after_ms"])} if "after_ms" in found else {})
    if isinstance(value, list | tuple):
        return [alike(one, account) for one in value]
    if isinstance(value, str):
        return UUID.sub("<id>", TIME.sub("<time>", value.replace(account, "acme").replace(*NAMES)))
    return value
