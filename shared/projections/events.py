"""Events on their way into a view, in the order of their positions, each readable or with the reason why it is not."""

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
    """One event of the log. `event` is None when it cannot be read here, and `error` says why."""

    __slots__ = ("account", "aggregate", "error", "event", "position", "stream", "type")

    def __init__(self, position: int, stream: UUID, aggregate: str, account: str, type_: str) -> None:
        self.position = position
        self.stream = stream
        self.aggregate = aggregate
        self.account = account
        self.type = type_
        self.event: Recorded | None = None
        self.error = ""

    @abstractmethod
    def id(self) -> UUID | None:
        """The event's id; None when it bears none that is one."""

    @abstractmethod
    def evidence(self) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of the CloudEvent, as kept while parked."""


class DeliveredEvent(IncomingEvent):
    """An event as it came over the bus, or as it was parked."""

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
            self.event = from_wire(headers, body, self.stream)
        except Undecodable as error:
            self.error = str(error)

    def id(self) -> UUID | None:
        return _uuid(self._headers.get(Ce.ID, ""))

    def evidence(self) -> tuple[Mapping[str, str], bytes]:
        return self._headers, self._body


class LoggedEvent(IncomingEvent):
    """An event as it stands in the event log."""

    __slots__ = ("_stored",)

    def __init__(self, stored: StoredEvent) -> None:
        super().__init__(stored.position, stored.stream, "", "", stored.topic)
        self._stored = stored
        try:
            event = self.event = from_state(*stored)
            self.aggregate, self.account = event.event.aggregate, event.account
        except Undecodable as error:
            self.error = str(error)
            headers, _ = self.evidence()
            self.aggregate = headers.get(Ce.SUBJECT, "").partition("/")[0]
            self.account = headers.get(Ce.ACCOUNT, "")

    def id(self) -> UUID | None:
        try:
            return _uuid(id_in_state(self._stored.state))
        except Undecodable:
            return None

    def evidence(self) -> tuple[Mapping[str, str], bytes]:
        try:
            _, headers, body = stored_to_wire(*self._stored)
        except Undecodable:
            return {Ce.TYPE: self._stored.topic, Ce.POSITION: str(self.position)}, self._stored.state
        return headers, body


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def key_of(recorded: Recorded) -> str:
    """The aggregate's name within its account: an id, or a canonical address."""
    # An event bears the name of its aggregate in the field that is called like the aggregate's kind.
    kind = recorded.event.aggregate
    key: str = recorded.account if kind == "account" else getattr(recorded.event, kind)
    return key


def contiguous(entries: Iterable[IncomingEvent], position: int) -> list[IncomingEvent]:
    """The entries that follow the position one by one; known ones are left out, and those behind a gap."""
    run: list[IncomingEvent] = []
    for entry in entries:
        if entry.position == position + 1:
            run.append(entry)
            position += 1
        elif entry.position > position:
            break
    return run
