"""One request, sent until it is answered; the same bytes each time, so that asking again is safe."""

import asyncio
import math
import random
import time
from collections.abc import Collection, Mapping
from typing import Any, Final

import nats.errors
import orjson
from nats.aio.client import Client

from shared.client.requests import Requests, Unsendable
from shared.language import subjects
from shared.language.questions import DEFAULT_WAIT_MS, LONGEST_WAIT_MS
from shared.messaging.permissions import Permissions

PATIENCE_SECONDS: Final = 30.0
# An answer that has not come after so long may have been lost.
TRY_SECONDS: Final = 5.0
SHORTEST_TRY_SECONDS: Final = 0.05
AGAIN_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 2.0
# These are answers, and mean that it was not looked at, or not as of what was asked for.
NOT_LOOKED_AT: Final = frozenset(("BUSY",))
NOT_YET: Final = NOT_LOOKED_AT | {"VIEW_BEHIND"}
# With nothing kept to be sent later, the first is what a client without a connection says.
AWAY: Final = (nats.errors.OutboundBufferLimitError, nats.errors.ConnectionReconnectingError)
NOT_HEARD: Final = (nats.errors.NoRespondersError, nats.errors.TimeoutError, TimeoutError)


class Unanswered(Exception):
    """Nobody answered in time; of a command it is not known whether it took effect: give it again with its id.

    `command_id` is None for a question; `why` is what came of the last try.
    """

    def __init__(self, subject: str, seconds: float, command_id: str | None, why: str) -> None:
        given = f"; give it again with command_id {command_id}" if command_id else ""
        super().__init__(f"no answer to {subject} within {seconds:g} s ({why}){given}")
        self.subject = subject
        self.command_id = command_id
        self.why = why


class Asking:
    """Asks over one connection. `patience` in seconds."""

    def __init__(
        self, client: Client, patience: float = PATIENCE_SECONDS, permissions: Permissions | None = None
    ) -> None:
        self._requests = Requests(client, permissions)
        self._patience = patience

    async def ask(
        self, subject: str, fields: Mapping[str, Any], wait: float = 0.0, not_yet: Collection[str] = NOT_YET
    ) -> dict[str, Any]:
        """The reply's fields; one of `not_yet` only when the patience is over.

        `wait` is how many seconds the service itself may wait before it answers.

        Raises:
            Unanswered: nobody answered in time.
            TooLarge: it is larger than one message carries.
            Unsendable: the subject is none, or a field cannot be written as JSON.
            NotAllowed: NATS does not let this user ask there, or hear answers.
            nats.errors.ConnectionClosedError: the client was closed.
        """
        if not subjects.SUBJECT.fullmatch(subject):
            raise Unsendable(f"{subject!r} is no subject to ask at")
        until, data, tries = time.monotonic() + self._patience, written(fields), 0
        heard = ""
        while True:
            left = max(until - time.monotonic(), SHORTEST_TRY_SECONDS)
            reply, why = await self._try(subject, data, min(TRY_SECONDS + wait, left))
            if reply is not None and told_by(reply) not in not_yet:
                return reply
            pause = pause_before(reply, tries)
            if time.monotonic() + pause >= until:
                if reply is not None:
                    return reply
                # What was heard before says nothing of a try that has no answer.
                why += f"; told {heard} before" if heard else ""
                raise Unanswered(subject, self._patience, fields.get("command_id"), why)
            heard = (told_by(reply) if reply else None) or heard
            tries += 1
            await asyncio.sleep(pause)

    async def _try(self, subject: str, data: bytes, seconds: float) -> tuple[dict[str, Any] | None, str]:
        try:
            reply = orjson.loads(await self._requests.request(subject, data, seconds))
        except AWAY:
            return None, "the connection to NATS is lost"
        except NOT_HEARD as error:
            return None, str(error) or type(error).__name__
        except orjson.JSONDecodeError:
            return None, "the answer is not JSON"
        return (reply, "") if isinstance(reply, dict) else (None, "the answer is no JSON object")


def wait_of(fields: Mapping[str, Any]) -> float:
    """Seconds that a view may wait before it answers."""
    wait = fields.get("wait_ms")
    return min(max(wait if isinstance(wait, int) else DEFAULT_WAIT_MS, 0), LONGEST_WAIT_MS) / 1_000


def written(fields: Mapping[str, Any]) -> bytes:
    try:
        data = orjson.dumps(fields)
    except TypeError as error:
        raise Unsendable(f"it cannot be written as JSON: {error}") from error
    # NaN and infinities are written as null, which means that nothing was given.
    if b"null" in data and not is_finite(fields):
        raise Unsendable("it cannot be written as JSON: a number that is not finite")
    return data


def is_finite(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def told_by(reply: Mapping[str, Any]) -> str | None:
    """The reason of a refusal or the error of a question."""
    told: str | None = reply.get("reason") or reply.get("error")
    return told


def pause_before(reply: Mapping[str, Any] | None, tries: int) -> float:
    """Seconds until the next try: what the service says, else longer each time; not the same for all who wait."""
    hint = ((reply or {}).get("details") or {}).get("retry_after_ms")
    pause = hint / 1_000 if hint else min(AGAIN_SECONDS * 2 ** min(tries, 10), LONGEST_PAUSE_SECONDS)
    return float(pause * random.uniform(1.0, 1.5))  # noqa: S311  to scatter, not to hide
