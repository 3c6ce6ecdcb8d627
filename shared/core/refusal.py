"""Refusals: a stable reason, a plain sentence, details, and legal next steps."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from shared.language.commands import COMMANDS, Command
from shared.language.permissions import PERMISSIONS
from shared.language.reasons import Reason

# The most names in a refusal's details, beside their number: an answer must fit into one message.
LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class NextAction:
    """A command that a user in one of the roles `by` may send next, and why it helps; it names no person."""

    command: str
    by: tuple[str, ...]
    why: str


def next_action(command: type[Command], why: str) -> NextAction:
    """The command with all roles that may send it; where fewer roles apply, name them instead."""
    return NextAction(command.__name__, PERMISSIONS[command].roles, why)


@dataclass
class Refused(Exception):
    """Raised inside a decision; the host turns it into the refused reply and the journal's entry."""

    reason: Reason
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    next_actions: Sequence[NextAction] = ()


@contextmanager
def leave_out(command: str, field: str) -> Iterator[None]:
    """Add the advice to repeat the command without the entry at fault, as the first one."""
    try:
        yield
    except Refused as refused:
        refused.details = {**refused.details, "field": field}
        without = next_action(COMMANDS[command], f"Leave this one out of {field}.")
        refused.next_actions = [without, *refused.next_actions]
        raise
