"""Comparison of the stream of events with the log, message by message, for the range that the stream has."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.ops.evidence.findings import Finding, Findings, Kind
from services.ops.evidence.tree_process import NotReadError
from shared.language.subjects import Ce
from shared.messaging.stream_messages import StreamMessage, read_stream
from shared.messaging.stream_report import NatsUnavailableError, StreamMissingError
from shared.process.log_reader import LogReader, StoredEvent
from shared.process.postgres import PostgresError, reason_of
from shared.wire.cloud_events import PUBLISHED_BY_RELAY, stored_to_wire
from shared.wire.event_body import Undecodable

AT_ONCE: Final = 1_024


@dataclass(frozen=True)
class StreamReport:
    """
    Args:
        messages: those of the relay that were compared.
        foreign: messages that no relay published, which no view takes for events.
        first, last: the positions that the stream has; 0 for an empty one.
        unpublished: events of the log after them.
        findings: MISSING in the stream, INSERTED where the log does not have the event, CHANGED where they differ.
    """

    messages: int
    foreign: int
    first: int
    last: int
    unpublished: int
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        findings = [
            {"kind": one.kind, "first": one.first, "last": one.last, "about": one.about} for one in self.findings
        ]
        counts = {name: getattr(self, name) for name in ("messages", "foreign", "first", "last", "unpublished")}
        return {**counts, "findings": findings}


async def check_stream(nats_url: str, postgres_url: str, on_step: Callable[[int, int], None]) -> StreamReport:
    """Compare each message of the stream with its event.

    Raises:
        NotReadError: the stream or the log could not be read.
    """
    try:
        async with LogReader(postgres_url) as log:
            check = _StreamCheck(log)
            async for content in read_stream(nats_url):
                log_id = await log.identity()
                if content.log_id not in (None, log_id):
                    check.findings.add(Finding(Kind.CHANGED, about=f"the stream is of the log {content.log_id}"))
                async for batch in content.batches:
                    for message in batch:
                        await check.add(message)
                    on_step(check.messages, content.messages)
            return await check.report()
    except (StreamMissingError, NatsUnavailableError) as error:
        raise NotReadError(f"{error}.") from error
    except PostgresError as error:
        raise NotReadError(f"PostgreSQL: {reason_of(error)}") from error


class _StreamCheck:
    """Merges messages and events, both in the order of positions."""

    def __init__(self, log: LogReader) -> None:
        self.findings = Findings()
        self.messages = self.foreign = 0
        self._log = log
        self._first = self._last = 0
        self._events: AsyncIterator[StoredEvent] | None = None
        self._next: StoredEvent | None = None

    async def add(self, message: StreamMessage) -> None:
        position = message.headers.get(Ce.POSITION, "")
        if PUBLISHED_BY_RELAY.isdisjoint(message.headers) or not position.isdecimal():
            self.foreign += 1
            return
        self.messages += 1
        at = int(position)
        if self._events is None:
            self._first = at
            self._events = self._from(at - 1)
            self._next = await anext(self._events, None)
        elif at <= self._last:
            self.findings.at(Kind.INSERTED, at)
            return
        await self._skip_to(at)
        self._last = at
        if self._next is None or self._next.position != at:
            self.findings.at(Kind.INSERTED, at)
        else:
            if not _same(message, self._next):
                self.findings.at(Kind.CHANGED, at)
            self._next = await anext(self._events, None)

    async def report(self) -> StreamReport:
        unpublished = max(await self._log.end() - self._last, 0)
        found = tuple(self.findings)
        return StreamReport(self.messages, self.foreign, self._first, self._last, unpublished, found)

    async def _skip_to(self, position: int) -> None:
        """Name the events before a position: the stream has later ones."""
        assert self._events is not None, "there was a message"
        while self._next is not None and self._next.position < position:
            self.findings.at(Kind.MISSING, self._next.position)
            self._next = await anext(self._events, None)

    async def _from(self, after: int) -> AsyncIterator[StoredEvent]:
        while events := await self._log.read(after, AT_ONCE):
            for event in events:
                yield event
            after = events[-1].position


def _same(message: StreamMessage, event: StoredEvent) -> bool:
    try:
        subject, headers, body = stored_to_wire(*event)
    except Undecodable:
        return False
    return (message.subject, message.body) == (subject, body) and _has(message.headers, headers)


def _has(found: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    """Return whether the message has all these headers, and no other attribute of an event."""
    attributes = {name: value for name, value in found.items() if name.lower().startswith("ce-")}
    return all(found.get(name) == value for name, value in headers.items()) and attributes.keys() <= headers.keys()
