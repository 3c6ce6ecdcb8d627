"""The lines of a bundle, which has a log for people elsewhere: an event as a structured CloudEvent, a journal entry.

A line has the stored row with each of its bytes, so its leaf can be made from it alone. Everything else in a line
follows from the row: `verify.py` of a bundle makes each line again, and compares.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

import orjson

from shared.language import subjects
from shared.language.subjects import Ce
from shared.process.journal_reader import JournalRow
from shared.process.log_reader import StoredEvent
from shared.transparency.errors import TransparencyError
from shared.transparency.fields import from_base64
from shared.wire.cloud_events import stored_to_wire
from shared.wire.event_body import Undecodable

# Texts that sort as the numbers do.
SEQUENCE_DIGITS: Final = 20

_PREFIX: Final = "ce-"
# Of the message on the bus, and not of the event.
_OF_THE_BUS: Final = {subjects.MESSAGE_ID}


class InvalidLineError(TransparencyError):
    """A line that is not of a bundle."""


def event_line(event: StoredEvent) -> bytes:
    """Return an event as a line: the attributes and the data that the bus has, `sequence`, `stream`, and `stored`.

    `stored` is the base64 of the stored bytes. An event whose stored bytes cannot be read has no data.
    """
    try:
        attributes, data = _readable(event)
    except Undecodable:
        attributes, data = _unreadable(event), None
    attributes["sequence"] = f"{event.position:0{SEQUENCE_DIGITS}d}"
    attributes["stream"] = str(event.stream)
    attributes["stored"] = base64.b64encode(event.state).decode("ascii")
    head = orjson.dumps(attributes)
    return head + b"\n" if data is None else b'%b,"data":%b}\n' % (head[:-1], data)


def parse_event_line(line: bytes) -> StoredEvent:
    """Return the row of an event from its line.

    Raises:
        InvalidLineError: it is not such a line.
    """
    try:
        found = orjson.loads(line)
        return StoredEvent(
            UUID(found["stream"]),
            int(found["streamversion"]),
            found["type"],
            from_base64(found["stored"]),
            int(found["position"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidLineError(f"not an event of a bundle: {error!r}") from error


def journal_line(row: JournalRow) -> bytes:
    """Return an entry of the command journal as a line.

    Bytes are a text where they are UTF-8, else an object with their base64; the digest is always base64.
    """
    return (
        orjson.dumps(
            {
                "ordinal": row.ordinal,
                "entry": row.entry,
                "account": row.account,
                "command_id": row.command_id,
                "recorded_once": row.recorded_once,
                "command": row.command,
                "actor": row.actor,
                "outcome": row.outcome,
                "reason": row.reason,
                "position": row.position,
                "log_position": row.log_position,
                "recorded_at": row.recorded_at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z",
                "digest": None if row.digest is None else base64.b64encode(row.digest).decode("ascii"),
                "body": _written(row.body),
                "reply": _written(row.reply),
            }
        )
        + b"\n"
    )


def parse_journal_line(line: bytes) -> JournalRow:
    """Return an entry of the command journal from its line.

    Raises:
        InvalidLineError: it is not such a line.
    """
    try:
        found = orjson.loads(line)
        reply = _read(found["reply"])
        if reply is None:
            raise InvalidLineError("an entry has a reply")
        return JournalRow(
            found["ordinal"],
            UUID(found["entry"]),
            found["account"],
            None if found["command_id"] is None else UUID(found["command_id"]),
            found["recorded_once"],
            found["command"],
            found["actor"],
            found["outcome"],
            found["reason"],
            found["position"],
            found["log_position"],
            None if found["digest"] is None else from_base64(found["digest"]),
            _read(found["body"]),
            reply,
            datetime.fromisoformat(found["recorded_at"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidLineError(f"not a journal entry of a bundle: {error!r}") from error


def _readable(event: StoredEvent) -> tuple[dict[str, str], bytes]:
    """
    Raises:
        Undecodable: the stored bytes are not an event, or would not stay in one line.
    """
    _, headers, data = stored_to_wire(*event)
    attributes = {_attribute(name): text for name, text in headers.items() if name not in _OF_THE_BUS}
    if b"\n" in data or set(map(type, attributes.values())) != {str}:
        raise Undecodable("not in one line of texts")
    return attributes, data


@cache
def _attribute(header: str) -> str:
    return header.removeprefix(_PREFIX)


def _unreadable(event: StoredEvent) -> dict[str, str]:
    return {
        Ce.SPECVERSION.removeprefix(_PREFIX): "1.0",
        Ce.ID.removeprefix(_PREFIX): f"position/{event.position}",
        Ce.SOURCE.removeprefix(_PREFIX): subjects.EVENT_SOURCE,
        Ce.TYPE.removeprefix(_PREFIX): event.topic,
        Ce.POSITION.removeprefix(_PREFIX): str(event.position),
        Ce.STREAM_VERSION.removeprefix(_PREFIX): str(event.version),
    }


def _written(value: bytes | None) -> str | Mapping[str, str] | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode("ascii")}


def _read(value: Any) -> bytes | None:
    if isinstance(value, dict):
        return from_base64(value["base64"])
    return None if value is None else str(value).encode()
