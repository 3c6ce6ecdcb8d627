"""The words in which the tables of cases are written: who does what and what comes of it, who sees what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.journeys.wire import TRUSTED, Account, differences


@dataclass(frozen=True)
class Does:
    """Somebody gives a command; `expected` is what must stand in the reply."""

    actor: str
    command: str
    fields: dict[str, Any]
    expected: dict[str, Any]

    async def happen(self, account: Account) -> None:
        reply = await account.attempt(self.command, self.actor, **self.fields)
        wrong = differences(self.expected, reply.body)
        assert not wrong, f"{self}\n{wrong}\n{reply.body}"
        assert reply.typed(), reply


@dataclass(frozen=True)
class Sees:
    """Somebody asks a question; `expected` is what must stand in the result."""

    actor: str
    question: str
    fields: dict[str, Any]
    expected: Any

    async def happen(self, account: Account) -> None:
        reply = await account.ask(self.question, self.actor, **self.fields)
        assert reply.typed(), reply
        wrong = differences(self.expected, reply.body.get("result", reply.body))
        assert not wrong, f"{self}\n{wrong}\n{reply.body}"


Step = Does | Sees


@dataclass(frozen=True)
class Case:
    """One case of a table: where it comes from, what it says, and what happens step by step."""

    id: str
    says: str
    steps: Sequence[Step] = field(repr=False)

    async def happen(self, account: Account) -> None:
        for step in self.steps:
            await step.happen(account)


def does(actor: str, command: str, expected: Mapping[str, Any] | None = None, /, **fields: Any) -> Does:
    return Does(actor, command, fields, dict(expected or ACCEPTED))


def sees(actor: str, question: str, expected: Any, /, **fields: Any) -> Sees:
    return Sees(actor, question, fields, expected)


ACCEPTED = {"outcome": "accepted"}
UNCHANGED = {"outcome": "unchanged"}
NOT_ALLOWED = {"error": "PERMISSION_MISSING"}


def accepted(*types: str, **more: Any) -> dict[str, Any]:
    """Accepted, with exactly these events."""
    return {**ACCEPTED, "events": [{"type": name} for name in types], "event_count": len(types), **more}


def refused(reason: str, /, next_action: str | None = None, **details: Any) -> dict[str, Any]:
    """Refused for this reason, with these details, naming that command among what may be done next."""
    expected: dict[str, Any] = {"outcome": "refused", "reason": reason, "details": details}
    if next_action is not None:
        expected["next_actions"] = lambda actions: next_action in [action["command"] for action in actions]
    return expected


__all__ = [
    "ACCEPTED", "NOT_ALLOWED", "TRUSTED", "UNCHANGED", "Case", "Does", "Sees", "Step",
    "accepted", "does", "refused", "sees",
]  # fmt: skip
