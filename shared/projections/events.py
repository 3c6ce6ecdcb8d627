"""Events on their way into a view, by position: each is decoded, or has the reason why it cannot be read."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from uuid import UUID

from shared.language.recorded import Recorded
from shared.language.subjects import Ce
from shared.process.log_reader import StoredEvent
from shared.process.stored_events import from_state, id_in_state
from shared.wire.cloud_events import from_wire, stored_to_wire, stream_of_subject
from shared.wire.event_body import Undecodable


class IncomingEvent(ABC):
    """One event of the log. `recorded` is None when this code cannot read it; `error` says why."""

    __slots__ = ("account", "aggregate", "error", "position", "recorded", "stream", "type")

    def __init__(self, position: int, stream: UUID, aggregate: str, account: str, type_: str) -> None:
        self.position = position
        self.stream = stream
        self.aggregate = aggregate
        self.account = account
        self.type = type_
        self.recorded: Recorded | None = None
        self.error = ""

    @abstractmethod
    def id(self) -> UUID | None:
        """Return the event's id; None when there is no valid one."""

    @abstractmethod
    def as_cloud_event(self) -> tuple[Mapping[str, str], bytes]:
        """Return headers and body of the CloudEvent, as they are kept while the event is parked."""


class DeliveredEvent(IncomingEvent):
    """An event as the stream delivered it, or as it was parked."""

    __slots__ = ("_body", "_headers")

    def __init__(self, position: int, headers: Mapping[str, str], body: bytes) -> None:
        account, subject = headers.get(Ce.ACCOUNT, ""), headers.get(Ce.SUBJECT, "")
        aggregate, _, name = subject.partition("/")
        super().__init__(
            position, stream_of_subject(account, aggregate, name), aggregate, account, headers.get(Ce.TYPE, "")
        )
        self._headers = headers
        self._body = body
        try:
            self.recorded = from_wire(headers, body, self.stream)
        except Undecodable as error:
            self.error = str(error)

    def id(self) -> UUID | None:
        return _uuid_or_none(self._headers.get(Ce.ID, ""))

    def as_cloud_event(self) -> tuple[Mapping[str, str], bytes]:
        return self._headers, self._body


class LoggedEvent(IncomingEvent):
    """An event as the event log has it."""

    __slots__ = ("_stored",)

    def __init__(self, stored: StoredEvent) -> None:
        super().__init__(stored.position, stored.stream, "", "", stored.topic)
        self._stored = stored
        try:
            recorded = self.recorded = from_state(*stored)
            self.aggregate, self.account = recorded.event.aggregate, recorded.account
        except Undecodable as error:
            self.error = str(error)
            headers, _ = self.as_cloud_event()
            self.aggregate = headers.get(Ce.SUBJECT, "").partition("/")[0]
            self.account = headers.get(Ce.ACCOUNT, "")

    def id(self) -> UUID | None:
        try:
            return _uuid_or_none(id_in_state(self._stored.state))
        except Undecodable:
            return None

    def as_cloud_event(self) -> tuple[Mapping[str, str], bytes]:
        try:
            _, headers, body = stored_to_wire(*self._stored)
        except Undecodable:
            return {Ce.TYPE: self._stored.topic, Ce.POSITION: str(self.position)}, self._stored.state
        return headers, body


def _uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def key_of(recorded: Recorded) -> str:
    """Return the aggregate's name within its account: an id, or a canonical address."""
    # The field with the aggregate's name is called like the aggregate's kind.
    kind = recorded.event.aggregate
    key: str = recorded.account if kind == "account" else getattr(recorded.event, kind)
    return key


def contiguous(events: Iterable[IncomingEvent], position: int) -> list[IncomingEvent]:
    """Return the events that follow the position without a gap; earlier ones and those behind a gap are left out."""
    run: list[IncomingEvent] = []
    for event in events:
        if event.position == position + 1:
            run.append(event)
            position += 1
        elif event.position > position:
            break
    return run
