"""Every exception that the client raises; `SwitchboardError` is the root of all of them."""

import nats.errors

from shared.language.answers import NotAnswered, Refused
from shared.wire.errors import SwitchboardError
from shared.wire.permissions import PermissionDenied

__all__ = [
    "AuthenticationFailed",
    "CommandRefused",
    "ConnectionClosed",
    "ConnectionFailed",
    "InvalidReply",
    "InvalidRequest",
    "InvalidSettings",
    "LogChanged",
    "MessageTooLarge",
    "PermissionDenied",
    "QuestionFailed",
    "ReplayIncomplete",
    "RequestTimeout",
    "SwitchboardError",
]


class ConnectionFailed(SwitchboardError):
    """The client could not connect to NATS within the time given."""


class AuthenticationFailed(ConnectionFailed):
    """NATS rejected the credentials of the client."""


class InvalidSettings(SwitchboardError, ValueError):
    """A SWITCHBOARD_ environment variable or secret file has a value that is not valid."""


class ConnectionClosed(SwitchboardError, nats.errors.ConnectionClosedError):
    """The client was closed while it was in use."""

    def __str__(self) -> str:
        return "the connection to NATS is closed"


class RequestTimeout(SwitchboardError, TimeoutError):
    """No reply came in time. A command may have taken effect: send it again with the same `command_id`.

    Attributes:
        subject: the subject of the request.
        command_id: the id to send the command again with; None for a question.
        cause: what happened at the last attempt.
    """

    def __init__(self, subject: str, seconds: float, command_id: str | None, cause: str) -> None:
        advice = f"; send it again with command_id {command_id}" if command_id else ""
        super().__init__(f"no reply to {subject} within {seconds:g} s ({cause}){advice}")
        self.subject = subject
        self.command_id = command_id
        self.cause = cause


class InvalidRequest(SwitchboardError, ValueError):
    """The request cannot be sent: a name does not fit in a subject, or a value cannot be written as JSON."""


class MessageTooLarge(InvalidRequest):
    """The request is larger than one message of NATS."""


class InvalidReply(SwitchboardError):
    """The reply to a request is not a reply of Switchboard that this release can read."""


class CommandRefused(SwitchboardError):
    """A command was refused; `refusal` has the reason, the details and the next actions."""

    def __init__(self, refusal: Refused) -> None:
        super().__init__(f"{refusal.reason}: {refusal.message}")
        self.refusal = refusal


class QuestionFailed(SwitchboardError):
    """A question has no result; `failure` has the error and the details."""

    def __init__(self, failure: NotAnswered) -> None:
        super().__init__(f"{failure.error}: {failure.message}")
        self.failure = failure


class LogChanged(SwitchboardError):
    """The event log was restored from an older backup and holds other events than those read before.

    Attributes:
        position: the first position whose event differs.
        expected: the id of the event that was read at `position`.
        found: the id of the event at `position` now; None when it is not known.
        same_until: the last position at which both logs are known to agree; None when there is none.
    """

    def __init__(self, position: int, expected: str, found: str | None, same_until: int | None) -> None:
        advice = (
            "Discard everything derived from events and read again from the start, with after=0."
            if same_until is None
            else f"Discard everything derived from events after position {same_until}; read on with after={same_until}."
        )
        super().__init__(
            f"Position {position} of the log no longer holds the event {expected}: the log was restored from an older "
            f"backup. {advice}"
        )
        self.position = position
        self.expected = expected
        self.found = found
        self.same_until = same_until


class ReplayIncomplete(SwitchboardError):
    """Events of a replay are missing or were changed, or an operator stopped it before its end.

    Attributes:
        replay: the name of the replay.
        count: how many of its events were read before, all of them as they were published.
    """

    def __init__(self, replay: str, count: int, why: str) -> None:
        super().__init__(f"the replay {replay} is not complete after {count} events: {why}")
        self.replay = replay
        self.count = count
