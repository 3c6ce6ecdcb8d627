"""The form of an event on the bus: a CloudEvent with its attributes in NATS headers."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from shared.language import subjects
from shared.language.events import EVENTS
from shared.language.recorded import Recorded, stream_id
from shared.language.subjects import Ce
from shared.wire.event_body import Undecodable, body_of, why

# Headers that the relay sends for the server to check. An event without one of them is a copy by somebody else.
PUBLISHED_BY_RELAY = frozenset({subjects.EXPECTED_SEQUENCE, subjects.EXPECTED_MESSAGE_ID, "Nats-Batch-Id"})

_DATA = b',"data":'
_STORED_NAME = re.compile(r"switchboard\.([A-Za-z0-9_]+)\.v[0-9]+")


def to_wire(recorded: Recorded) -> tuple[str, dict[str, str], bytes]:
    """Subject, headers and body of the CloudEvent."""
    event = recorded.event
    headers = {
        subjects.MESSAGE_ID: recorded.id,
        Ce.SPECVERSION: "1.0",
        Ce.ID: recorded.id,
        Ce.SOURCE: subjects.EVENT_SOURCE,
        Ce.TYPE: event.stored_name(),
        Ce.CONTENT_TYPE: subjects.JSON,
        Ce.SCHEMA: subjects.event_schema(event.stored_name()),
        Ce.SUBJECT: recorded.subject,
        Ce.TIME: recorded.time,
        Ce.ACCOUNT: recorded.account,
        Ce.POSITION: str(recorded.position),
        Ce.STREAM_VERSION: str(recorded.version),
        Ce.ACTOR: recorded.actor,
        Ce.CAUSATION_ID: recorded.command_id,
    }
    if recorded.correlation_id:
        headers[Ce.CORRELATION_ID] = recorded.correlation_id
    if recorded.traceparent:
        headers[Ce.TRACEPARENT] = recorded.traceparent
    body = body_of(event)
    return subjects.event(recorded.account, event.aggregate, type(event).__name__), headers, body


def from_wire(headers: Mapping[str, str], body: bytes, stream: UUID) -> Recorded:
    """Read a CloudEvent; `stream` is the id of the stream that `ce-subject` names.

    Raises:
        Undecodable: the type is unknown here, a header is missing, or the body is not what the type says.
    """
    try:
        return Recorded(
            id=headers[Ce.ID],
            account=headers[Ce.ACCOUNT],
            stream=stream,
            version=int(headers[Ce.STREAM_VERSION]),
            position=int(headers[Ce.POSITION]),
            actor=headers[Ce.ACTOR],
            command_id=headers[Ce.CAUSATION_ID],
            correlation_id=headers.get(Ce.CORRELATION_ID),
            traceparent=headers.get(Ce.TRACEPARENT),
            time=headers[Ce.TIME],
            event=EVENTS[headers[Ce.TYPE]].model_validate_json(body),
        )
    except (ValidationError, ValueError, KeyError) as error:
        raise Undecodable(f"{headers.get(Ce.TYPE)} at {headers.get(Ce.POSITION)}: {why(error)}") from error


def stream_of_subject(account: str, aggregate: str, name: str) -> UUID:
    """The id of the stream that a `ce-subject` names; a text that names none has an id of its own."""
    if aggregate == "address":
        try:
            return UUID(name)
        except ValueError:
            return stream_id(account, aggregate, name)
    return stream_id(account, aggregate, name)


def stored_to_wire(
    stream: UUID, version: int, topic: str, state: bytes, position: int
) -> tuple[str, dict[str, str], bytes]:
    """Subject, headers and body of the CloudEvent, cut out of the stored form without validating the event.

    The same as `to_wire(from_state(...))` for a known event, and an answer too for one that this code does not know:
    its body goes out as it was stored.

    Raises:
        Undecodable: the state is not a stored event.
    """
    try:
        # The envelope comes first, and inside a JSON text a quotation mark never follows a comma unescaped.
        cut = state.index(_DATA)
        envelope, body = orjson.loads(state[:cut] + b"}"), state[cut + len(_DATA) : -1]
        data = orjson.loads(body)
        account = envelope["account"]
        name, known, schema = _named(topic)
        aggregate = known or _aggregate_of(stream, account, data)
        headers = {
            subjects.MESSAGE_ID: envelope["id"],
            Ce.SPECVERSION: "1.0",
            Ce.ID: envelope["id"],
            Ce.SOURCE: subjects.EVENT_SOURCE,
            Ce.TYPE: topic,
            Ce.CONTENT_TYPE: subjects.JSON,
            Ce.SCHEMA: schema,
            Ce.SUBJECT: f"{aggregate}/{_id_in(aggregate, stream, account, data)}",
            Ce.TIME: envelope["time"],
            Ce.ACCOUNT: account,
            Ce.POSITION: str(position),
            Ce.STREAM_VERSION: str(version),
            Ce.ACTOR: envelope["actor"],
            Ce.CAUSATION_ID: envelope["command_id"],
        }
        if correlation_id := envelope["correlation_id"]:
            headers[Ce.CORRELATION_ID] = correlation_id
        if traceparent := envelope["traceparent"]:
            headers[Ce.TRACEPARENT] = traceparent
    except (ValueError, KeyError, TypeError) as error:
        raise Undecodable(f"position {position}: {topic}: {error!r}") from error
    return subjects.event(account, aggregate, name), headers, body


@lru_cache(maxsize=1024)
def _named(topic: str) -> tuple[str, str | None, str]:
    """The event's name, its aggregate when it is known here, and the id of its schema."""
    if known := EVENTS.get(topic):
        return known.__name__, known.aggregate, subjects.event_schema(topic)
    found = _STORED_NAME.fullmatch(topic)
    if found is None:
        raise ValueError("not a stored name")
    return found.group(1), None, subjects.event_schema(topic)


def _id_in(aggregate: str, stream: UUID, account: str, data: Mapping[str, Any]) -> str:
    match aggregate:
        case "address":
            return str(stream)
        case "account":
            return account
        case _:
            return str(data[aggregate])


def _aggregate_of(stream: UUID, account: str, data: Mapping[str, Any]) -> str:
    """The kind of stream of an unknown event: the one whose name gives that id."""
    for aggregate, name in (("account", account), ("user", data.get("user")), ("inbox", data.get("inbox"))):
        if isinstance(name, str) and stream_id(account, aggregate, name) == stream:
            return aggregate
    return "address"
