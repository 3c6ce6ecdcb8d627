"""Requests that are sent again until a reply comes: each attempt sends the same bytes, so that retrying is safe."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import nats.errors
import orjson
from nats.aio.client import Client

from shared.client.errors import ConnectionClosed, InvalidRequest, RequestTimeout
from shared.client.requests import Requests
from shared.language import subjects
from shared.language.questions import ANSWER_SECONDS, DEFAULT_WAIT_MS, LONGEST_WAIT_MS
from shared.wire.backoff import Backoff
from shared.wire.permissions import Permissions

REQUEST_TIMEOUT_SECONDS: Final = 30.0
# A reply that has not come after so long may have been lost.
ATTEMPT_SECONDS: Final = 5.0
# The way of a request and of its reply.
ROUND_TRIP_SECONDS: Final = 1.0
SHORTEST_ATTEMPT_SECONDS: Final = 0.05
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 2.0
# With such a reply the service did not look at the request, or has not reached the position asked for.
NOT_PROCESSED: Final = frozenset(("BUSY",))
RETRIED: Final = NOT_PROCESSED | {"VIEW_BEHIND", "HISTORY_BEHIND"}
# A client that buffers nothing raises the first one while it has no connection.
DISCONNECTED: Final = (nats.errors.OutboundBufferLimitError, nats.errors.ConnectionReconnectingError)
NO_REPLY: Final = (nats.errors.NoRespondersError, nats.errors.TimeoutError, TimeoutError)
# Is called with the subject, and with what happened, each time that a request is sent again because no reply came.
OnNoReply = Callable[[str, str], None]


class RetryingRequests:
    """Requests over one connection, each sent again for at most `timeout` seconds."""

    def __init__(
        self,
        client: Client,
        timeout: float = REQUEST_TIMEOUT_SECONDS,
        permissions: Permissions | None = None,
        on_no_reply: OnNoReply | None = None,
    ) -> None:
        self._requests = Requests(client, permissions)
        self._timeout = timeout
        self._on_no_reply = on_no_reply

    async def request(
        self, subject: str, fields: Mapping[str, Any], wait: float = 0.0, retried: Collection[str] = RETRIED
    ) -> dict[str, Any]:
        """Return the fields of the reply.

        A reply with a reason or error in `retried` is returned only when the time is over. `wait` is how many seconds
        the service itself may take: a question is not asked again while it is answered.

        Raises:
            RequestTimeout: no reply came in time.
            MessageTooLarge: the request is larger than one message.
            InvalidRequest: the subject is not valid, or a field cannot be written as JSON.
            PermissionDenied: NATS does not let this user publish there, or receive replies.
            ConnectionClosed: the client was closed.
        """
        if not subjects.SUBJECT.fullmatch(subject):
            raise InvalidRequest(f"{subject!r} is not a subject of a request")
        deadline, data = time.monotonic() + self._timeout, encode(fields)
        backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        last_code = ""
        while True:
            left = max(deadline - time.monotonic(), SHORTEST_ATTEMPT_SECONDS)
            reply, cause = await self._attempt(
                subject, data, min(max(ATTEMPT_SECONDS, wait + ROUND_TRIP_SECONDS), left)
            )
            if reply is not None and code_of(reply) not in retried:
                return reply
            pause = pause_before_retry(reply, backoff)
            if time.monotonic() + pause >= deadline:
                if reply is not None:
                    return reply
                # An earlier reply says nothing about an attempt without one.
                cause += f"; replied {last_code} before" if last_code else ""
                raise RequestTimeout(subject, self._timeout, fields.get("command_id"), cause)
            last_code = (code_of(reply) if reply else None) or last_code
            if reply is None and self._on_no_reply is not None:
                self._on_no_reply(subject, cause)
            await asyncio.sleep(pause)

    async def _attempt(self, subject: str, data: bytes, seconds: float) -> tuple[dict[str, Any] | None, str]:
        try:
            reply = orjson.loads(await self._requests.request(subject, data, seconds))
        except nats.errors.ConnectionClosedError as error:
            raise ConnectionClosed from error
        except DISCONNECTED:
            return None, "the connection to NATS is lost"
        except NO_REPLY as error:
            return None, str(error) or type(error).__name__
        except orjson.JSONDecodeError:
            return None, "the reply is not JSON"
        return (reply, "") if isinstance(reply, dict) else (None, "the reply is not a JSON object")


def wait_seconds(fields: Mapping[str, Any]) -> float:
    """How many seconds a service may wait and work before it replies to a question with these fields."""
    wait = fields.get("wait_ms")
    return min(max(wait if isinstance(wait, int) else DEFAULT_WAIT_MS, 0), LONGEST_WAIT_MS) / 1_000 + ANSWER_SECONDS


def encode(fields: Mapping[str, Any]) -> bytes:
    try:
        data = orjson.dumps(fields)
    except TypeError as error:
        raise InvalidRequest(f"it cannot be written as JSON: {error}") from error
    # orjson writes NaN and infinities as null, which would mean that the field is absent.
    if b"null" in data and not is_finite(fields):
        raise InvalidRequest("it cannot be written as JSON: a number that is not finite")
    return data


def is_finite(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def code_of(reply: Mapping[str, Any]) -> str | None:
    """The reason of a refusal or the error of a question."""
    code: str | None = reply.get("reason") or reply.get("error")
    return code


def pause_before_retry(reply: Mapping[str, Any] | None, backoff: Backoff) -> float:
    """Seconds until the next attempt: from the service's advice, else longer each time; scattered among clients."""
    advice = ((reply or {}).get("details") or {}).get("retry_after_ms")
    longer = backoff.next()
    pause = advice / 1_000 if advice else longer
    return float(pause * random.uniform(1.0, 1.5))  # noqa: S311  to scatter, not to hide
