"""The stored form of an event: an envelope and the event's body, as JSON."""

from uuid import UUID

import orjson
from pydantic import ValidationError

from shared.language.events import EVENTS, Event
from shared.language.recorded import Recorded

# Looked up once: reaching it through an instance costs as much as writing the event.
_SERIALIZERS = {message: message.__pydantic_serializer__ for message in EVENTS.values()}


def body_of(event: Event) -> bytes:
    """The event's own fields as JSON, without those that are not set."""
    return _SERIALIZERS[type(event)].to_json(event, by_alias=True, exclude_none=True)


class Undecodable(Exception):
    """An event of an unknown type or version, or with a body that its type does not allow."""


def why(error: Exception) -> str:
    """What is wrong, without the values: they are somebody's personal data, and this goes into logs."""
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)
    return f"{type(error).__name__}: {error}"


def to_state(recorded: Recorded) -> bytes:
    """The stored form: the envelope, then the body under `data`. Kept for ever; see the golden file."""
    head = orjson.dumps(
        {
            "id": recorded.id,
            "account": recorded.account,
            "actor": recorded.actor,
            "command_id": recorded.command_id,
            "correlation_id": recorded.correlation_id,
            "traceparent": recorded.traceparent,
            "time": recorded.time,
        }
    )
    body = body_of(recorded.event)
    return head[:-1] + b',"data":' + body + b"}"


def from_state(stream: UUID, version: int, topic: str, state: bytes, position: int) -> Recorded:
    """Reads the stored form.

    Raises:
        Undecodable: the topic is unknown here, or the state is not what it says.
    """
    try:
        envelope = orjson.loads(state)
        event = EVENTS[topic].model_validate(envelope["data"])
        return Recorded(
            id=envelope["id"],
            account=envelope["account"],
            stream=stream,
            version=version,
            position=position,
            actor=envelope["actor"],
            command_id=envelope["command_id"],
            correlation_id=envelope["correlation_id"],
            traceparent=envelope["traceparent"],
            time=envelope["time"],
            event=event,
        )
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise Undecodable(f"position {position}: {topic}: {why(error)}") from error


def id_in_state(state: bytes) -> str:
    """The event's id.

    Raises:
        Undecodable: the state is no stored form.
    """
    try:
        return str(orjson.loads(state)["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise Undecodable(repr(error)) from error


def time_in_state(state: bytes) -> str:
    """The time at which the event was recorded, as written in its envelope.

    Raises:
        Undecodable: the state is not a stored event.
    """
    try:
        return str(orjson.loads(state)["time"])
    except (ValueError, KeyError, TypeError) as error:
        raise Undecodable(repr(error)) from error
