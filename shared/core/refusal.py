"""A refusal is an answer, not an accident: a stable reason, a plain sentence, what it is about, what to do next."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from shared.language.commands import COMMANDS, Command
from shared.language.permissions import PERMISSIONS
from shared.language.reasons import Reason

# So many names stand in a refusal's details at most, beside their number: an answer must fit into one message.
LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class NextAction:
    """A command that somebody in one of the roles `by` may give next, and why it helps; it names no person."""

    command: str
    by: tuple[str, ...]
    why: str


def next_action(command: type[Command], why: str) -> NextAction:
    """The command as everybody who may give it could; where less suffices or is known, say the roles."""
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
    """A list that names somebody or something at fault: the first advice is to give the command without it."""
    try:
        yield
    except Refused as refused:
        refused.details = {**refused.details, "field": field}
        without = next_action(COMMANDS[command], f"Leave this one out of {field}.")
        refused.next_actions = [without, *refused.next_actions]
        raise
