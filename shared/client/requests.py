"""Many requests at once over one connection: one subscription for all replies, one write for all requests of a step.

nats-py's own `request` costs about as much processor time as the service spends on a command. A client that sends
thousands of commands would wait for itself.
"""

import asyncio
from itertools import count
from typing import Final

import nats.errors
from nats.aio.client import Client

from shared.client.errors import MessageTooLarge, PermissionDenied
from shared.wire import frames
from shared.wire.connection import flush_confirmed
from shared.wire.permissions import Permissions

NO_RESPONDERS: Final = "503"
UNKNOWN_TOKEN: Final = ("", None)


class Requests:
    """Matches replies to requests by the last token of the reply subject."""

    def __init__(self, client: Client, permissions: Permissions | None = None) -> None:
        self._client = client
        self._permissions = permissions or Permissions()
        self._permissions.listeners.append(self._deny)
        self._inbox = client.new_inbox()
        self._tokens = count()
        self._waiting: dict[bytes, tuple[str, asyncio.Future[bytes]]] = {}
        self._unsent: list[tuple[bytes, asyncio.Future[bytes]]] = []
        self._sending: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._subscribed = False

    async def request(self, subject: str, data: bytes, seconds: float) -> bytes:
        """Return the body of the reply.

        Raises:
            nats.errors.NoRespondersError: no service subscribes to the subject.
            nats.errors.TimeoutError: no reply came within `seconds`.
            nats.errors.OutboundBufferLimitError: the client is disconnected.
            nats.errors.ConnectionClosedError: the client was closed.
            MessageTooLarge: the request is larger than one message.
            PermissionDenied: NATS does not let this user publish there, or receive replies.
        """
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        if not self._opening.done():
            await asyncio.shield(self._opening)
        if len(data) > self._client.max_payload:
            raise MessageTooLarge(f"{len(data):,} bytes are more than one message carries")
        loop, token = asyncio.get_running_loop(), b"%d" % next(self._tokens)
        reply: asyncio.Future[bytes] = loop.create_future()
        self._waiting[token] = subject, reply
        expiry = loop.call_later(seconds, _expire, reply)
        try:
            self._send(frames.frame_of(f"{subject} {self._inbox}.{token.decode()}", data, b""), reply)
            return await reply
        finally:
            expiry.cancel()
            self._waiting.pop(token, None)

    async def _open(self) -> None:
        """Subscribe to replies, and notice a missing permission before the first request is sent."""
        before = self._permissions.count
        try:
            if not self._subscribed:
                await frames.subscribe(self._client, f"{self._inbox}.*", self._receive)
                self._subscribed = True
            await flush_confirmed(self._client)
            if denied := self._permissions.since(before, self._inbox.lower()):
                self._subscribed = False
                raise denied
        except (nats.errors.Error, PermissionDenied):
            self._opening = None
            raise

    def _deny(self, denied: PermissionDenied) -> None:
        for subject, reply in self._waiting.values():
            if denied.concerns(subject) and not reply.done():
                reply.set_exception(denied)

    def _receive(self, subject: bytes, _reply: bytes, headers: bytes, body: bytes) -> None:
        _, reply = self._waiting.get(subject.rpartition(b".")[2], UNKNOWN_TOKEN)
        if reply is None or reply.done():
            return
        if headers and not body and frames.status_of(headers)[0] == NO_RESPONDERS:
            reply.set_exception(nats.errors.NoRespondersError())
        else:
            reply.set_result(body)

    def _send(self, frame: bytes, reply: "asyncio.Future[bytes]") -> None:
        """Send the frame together with all others of this step of the event loop."""
        self._unsent.append((frame, reply))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_unsent())

    async def _send_unsent(self) -> None:
        while self._unsent:
            unsent, self._unsent = self._unsent, []
            try:
                await frames.send(self._client, [frame for frame, _ in unsent])
            except nats.errors.Error as error:
                # Nothing of it was sent.
                for _, reply in unsent:
                    if not reply.done():
                        reply.set_exception(error)


def _expire(reply: "asyncio.Future[bytes]") -> None:
    if not reply.done():
        reply.set_exception(nats.errors.TimeoutError())
