"""What clients ask of the views after some of their commands: read what I wrote, and what was so before."""

import time
from collections.abc import Mapping
from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from tests.faults.history import Answer, How, Try
from tests.journeys.wire import TRUSTED, body, question_subject

# The view waits 2 s for a position when it is not told otherwise.
ANSWER_SECONDS: Final = 3.0
# By question, the view that answers it.
VIEWS: Final = {"Address": "inbox-views", "Resolve": "routing"}
# An answer by one of these is none: the question may be asked again.
NOT_NOW: Final[Mapping[str, How]] = {
    "BUSY": "BUSY", "VIEW_BEHIND": "VIEW_BEHIND", "HISTORY_BEHIND": "HISTORY_BEHIND",
}  # fmt: skip


def fields(question: str, address: str) -> dict[str, Any]:
    if question == "Resolve":
        return {"recipients": [address], "sender": "jo@client.example"}
    return {"address": address}


async def asked(
    client: Client, account: str, question: str, address: str, at_least: int, as_of: int | None = None
) -> Try:
    """One question about the present, or about a position of the past, asked once."""
    begin = time.monotonic_ns()
    asked_for = fields(question, address) | {"at_least": at_least}
    if as_of is not None:
        asked_for["as_of"] = as_of
    how, answer = await _asked(client, question_subject(account, question), asked_for)
    return Try(begin, time.monotonic_ns(), how, answer)


async def _asked(client: Client, subject: str, asked_for: Mapping[str, Any]) -> tuple[How, Answer | None]:
    # nats-py would keep what is published now and send it at some later time.
    if not client.is_connected:
        return "bus error", None
    try:
        message = await client.request(subject, body(TRUSTED, asked_for), timeout=ANSWER_SECONDS)
    except TimeoutError:
        return "timeout", None
    except (nats.errors.Error, OSError):
        return "bus error", None
    headers = message.headers or {}
    code = headers.get("Nats-Service-Error-Code")
    error = (int(code), headers["Nats-Service-Error"]) if code is not None else None
    return NOT_NOW.get(error[1], "reply") if error else "reply", Answer(message.data, error)
