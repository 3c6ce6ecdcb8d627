"""The stored form of an event: an envelope and the event's body, as JSON."""

from uuid import UUID

import orjson
from pydantic import ValidationError

from shared.language.events import EVENTS
from shared.language.recorded import Recorded
from shared.wire.event_body import Undecodable, body_of, why


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
