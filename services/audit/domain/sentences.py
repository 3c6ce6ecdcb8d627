"""Facts and attempts as one plain sentence each, made from the event or from the command as it was given."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from services.audit.domain import wording as w
from services.audit.domain.command_sentences import COMMAND_PHRASES
from services.audit.domain.event_sentences import EVENT_PHRASES
from shared.language.commands import COMMANDS, Command
from shared.language.events import Event

_STORED_NAME: Final = re.compile(r"switchboard\.(\w+)\.v(\d+)")


def of_event(event: Event, actor: str) -> str:
    """Return what the actor did."""
    return f"{w.actor_of(actor)} {EVENT_PHRASES[type(event)](event, actor)}."


def of_unknown_event(stored_name: str, actor: str | None) -> str:
    """Return a sentence for an event that this release cannot read, such as one of a newer release."""
    match = _STORED_NAME.fullmatch(stored_name)
    name = f"{match[1]}, version {match[2]}" if match else w.quoted(stored_name)
    return f"{w.actor_of(actor)} caused the event {name}, which this release cannot read."


def of_attempt(
    command: str, body: Mapping[str, Any] | None, actor: str | None, outcome: str, message: str | None = None
) -> str:
    """Return what the actor tried to do, and why nothing came of it; the body is None where it is not on record."""
    intent = f"{w.actor_of(actor)} tried to {_intent(command, body)}"
    if outcome == "refused":
        return f"{intent}; refused: {w.first_sentence(message or 'no reason is on record')}."
    return f"{intent}; nothing had to change."


def _intent(command: str, body: Mapping[str, Any] | None) -> str:
    parsed = _parsed(command, body)
    if parsed is None:
        return f"give the command {command}"
    return COMMAND_PHRASES[type(parsed)](parsed, parsed.actor)


def _parsed(command: str, body: Mapping[str, Any] | None) -> Command | None:
    """Return the command; None where there is no body, or one of another release that this one cannot read."""
    if body is None or command not in COMMANDS:
        return None
    try:
        return COMMANDS[command].model_validate(body)
    except ValidationError:
        return None
