"""The answer of JetStream to a published message, and what it means for the relay."""

from nats.js.errors import APIError

from services.relay.errors import IdsInDuplicateWindow, StreamFull, StreamStuck, UnexpectedLastSequence
from shared.messaging import event_stream


def require_stored(answer: dict[str, object], sequence: int) -> None:
    """Check that the message is stored at the sequence.

    Raises:
        UnexpectedLastSequence: the stream ends elsewhere.
        IdsInDuplicateWindow: the stream refuses the id, which it does not have any more.
        StreamStuck: NATS has no space.
        StreamFull: the stream has reached its configured size.
        nats.js.errors.APIError: another error of JetStream.
    """
    error = answer.get("error")
    if isinstance(error, dict):
        if error.get("err_code") in (event_stream.WRONG_LAST_SEQUENCE, event_stream.WRONG_LAST_MESSAGE_ID):
            raise UnexpectedLastSequence(str(error.get("description")))
        if error.get("err_code") in event_stream.NO_SPACE:
            raise StreamStuck(
                f"NATS has no space within the limits of its store ({error.get('description')}): raise them, or free "
                "space and restart NATS. Without configured limits NATS derives them from the free space when it starts"
            )
        if error.get("err_code") == event_stream.STREAM_FULL:
            raise StreamFull(
                "the stream has as many bytes as it may: raise SWITCHBOARD_STREAM_MAX_BYTES, for all services, and "
                "restart the relay"
            )
        raise APIError.from_error(error)
    if answer.get("duplicate"):
        raise IdsInDuplicateWindow("the stream refuses an id that it does not hold, until its duplicate window is over")
    if answer.get("seq") != sequence:
        raise UnexpectedLastSequence(f"stored at sequence {answer.get('seq')}, not at {sequence}")
