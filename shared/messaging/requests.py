"""Requests and notices of one service to another."""

from collections.abc import Mapping
from typing import Any

import nats.errors
import orjson
import structlog
from nats.aio.client import Client

from shared.wire.frames import breaking

log = structlog.get_logger(__name__)


class NoReplyError(Exception):
    """No reply came: no service listens, it took too long, or the request was too large."""


async def request_json(client: Client, subject: str, body: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Send a request and return the reply's JSON object.

    Raises:
        NoReplyError: there is none.
    """
    try:
        with breaking():
            reply = await client.request(subject, orjson.dumps(body), timeout=seconds)
        found: dict[str, Any] = orjson.loads(reply.data)
    except (nats.errors.Error, TimeoutError, OSError, ValueError) as error:
        raise NoReplyError(type(error).__name__) from error
    return found


async def send_notice(client: Client, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Publish a message that nobody has to get; that it could not be sent is logged."""
    try:
        with breaking():
            await client.publish(subject, body, headers=dict(headers))
    except (nats.errors.Error, OSError) as error:
        log.warning("notice.not_sent", subject=subject, error=repr(error))
