"""A refusal is an answer, not an accident: a stable reason, a plain sentence, what it is about, what to do next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shared.language.reasons import Reason

# So many names stand in a refusal's details at most, beside their number: an answer must fit into one message.
LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class NextAction:
    """A command that somebody in one of the roles `by` may give next, and why it helps; it names no person."""

    command: str
    by: tuple[str, ...]
    why: str


@dataclass
class Refused(Exception):
    """Raised inside a decision; the host turns it into the refused reply and the journal's entry."""

    reason: Reason
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    next_actions: Sequence[NextAction] = ()
