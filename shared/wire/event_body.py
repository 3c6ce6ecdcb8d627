"""The body of an event as JSON, the same in the store and on the bus."""

from pydantic import ValidationError

from shared.language.events import EVENTS, Event

# Looked up once: reaching it through an instance costs as much as writing the event.
_SERIALIZERS = {message: message.__pydantic_serializer__ for message in EVENTS.values()}


def body_of(event: Event) -> bytes:
    """The event's own fields as JSON, without those that are not set."""
    return _SERIALIZERS[type(event)].to_json(event, by_alias=True, exclude_none=True)


class Undecodable(Exception):
    """An event of an unknown type or version, or with a body that its type does not allow."""


def why(error: Exception) -> str:
    """The error without the values, which are personal data and must not enter logs."""
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)
    return f"{type(error).__name__}: {error}"
