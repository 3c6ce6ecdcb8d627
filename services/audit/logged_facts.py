"""One fact of the log, of any type: what every event has, and the event itself where this release can read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from services.audit.domain import sentences
from shared.language.recorded import Recorded
from shared.language.subjects import Ce
from shared.process.log_reader import StoredEvent
from shared.process.stored_events import from_state
from shared.wire.cloud_events import stored_to_wire
from shared.wire.event_body import Undecodable


@dataclass(frozen=True, slots=True)
class LoggedFact:
    """`recorded` is None for an event that this release cannot read; `fields` are those of its body then.

    A row of the log that is not a stored event has no id, no account and no time.
    """

    position: int
    id: str | None
    account: str
    stored_name: str
    subject: str
    time: str | None
    actor: str | None
    command_id: str | None
    correlation_id: str | None
    recorded: Recorded | None
    fields: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the event, such as `TeamConnected`."""
        return type(self.recorded.event).__name__ if self.recorded else self.stored_name

    @property
    def sentence(self) -> str:
        if self.recorded is None:
            return sentences.of_unknown_event(self.stored_name, self.actor)
        return sentences.of_event(self.recorded.event, self.recorded.actor)

    def instant(self) -> datetime | None:
        """Return the time; None where there is none, or where it cannot be read."""
        try:
            return datetime.fromisoformat(self.time).astimezone(UTC) if self.time else None
        except ValueError:
            return None


def fact_of(stored: StoredEvent) -> LoggedFact:
    try:
        return _readable(from_state(*stored), stored.topic)
    except Undecodable:
        return _unreadable(stored)


def _readable(recorded: Recorded, stored_name: str) -> LoggedFact:
    return LoggedFact(
        position=recorded.position,
        id=recorded.id,
        account=recorded.account,
        stored_name=stored_name,
        subject=recorded.subject,
        time=recorded.time,
        actor=recorded.actor,
        command_id=recorded.command_id,
        correlation_id=recorded.correlation_id,
        recorded=recorded,
        fields={},
    )


def _unreadable(stored: StoredEvent) -> LoggedFact:
    try:
        _, headers, body = stored_to_wire(*stored)
        fields = orjson.loads(body)
    except (Undecodable, ValueError):
        headers, fields = {}, {}
    return LoggedFact(
        position=stored.position,
        id=headers.get(Ce.ID),
        account=headers.get(Ce.ACCOUNT, ""),
        stored_name=stored.topic,
        subject=headers.get(Ce.SUBJECT, f"stream/{stored.stream}"),
        time=headers.get(Ce.TIME),
        actor=headers.get(Ce.ACTOR),
        command_id=headers.get(Ce.CAUSATION_ID),
        correlation_id=headers.get(Ce.CORRELATION_ID),
        recorded=None,
        fields=fields if isinstance(fields, dict) else {},
    )
