"""Requests over one connection, many at once: one subscription for all replies, and what is asked together is sent so.

nats-py's own `request` costs about as much as the service spends on a command; whoever gives thousands of them would
wait for the client.
"""

import asyncio
from itertools import count
from typing import Final

import nats.errors
from nats.aio.client import Client

from shared.messaging import frames
from shared.messaging.bus import settled
from shared.messaging.permissions import NotAllowed, Permissions

NOBODY = "503"
NOBODY_WAITS: Final = ("", None)


class Unsendable(ValueError):
    """What was given cannot be a message: a name that no subject can bear, or a value that JSON has no text for."""


class TooLarge(Unsendable):
    """A message that is larger than NATS carries."""


class Requests:
    """Replies are told apart by the last token of their subject."""

    def __init__(self, client: Client, permissions: Permissions | None = None) -> None:
        self._client = client
        self._permissions = permissions or Permissions()
        self._permissions.told.append(self._refuse)
        self._inbox = client.new_inbox()
        self._tokens = count()
        self._waiting: dict[bytes, tuple[str, asyncio.Future[bytes]]] = {}
        self._unsent: list[tuple[bytes, asyncio.Future[bytes]]] = []
        self._sending: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._subscribed = False

    async def request(self, subject: str, data: bytes, seconds: float) -> bytes:
        """The reply's body.

        Raises:
            nats.errors.NoRespondersError: nobody listens there.
            nats.errors.TimeoutError: no reply within `seconds`.
            nats.errors.OutboundBufferLimitError: the server is away.
            nats.errors.ConnectionClosedError: the client was closed.
            TooLarge: it is larger than one message carries.
            NotAllowed: NATS does not let this user ask there, or hear answers.
        """
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        if not self._opening.done():
            await asyncio.shield(self._opening)
        if len(data) > self._client.max_payload:
            raise TooLarge(f"{len(data):,} bytes are more than one message carries")
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
        """Answers that cannot be heard are found out before anything is asked."""
        before = self._permissions.count
        try:
            if not self._subscribed:
                await frames.subscribe(self._client, f"{self._inbox}.*", self._hear)
                self._subscribed = True
            await settled(self._client)
            if refused := self._permissions.since(before, self._inbox.lower()):
                self._subscribed = False
                raise refused
        except (nats.errors.Error, NotAllowed):
            self._opening = None
            raise

    def _refuse(self, refused: NotAllowed) -> None:
        for subject, reply in self._waiting.values():
            if refused.keeps_from(subject) and not reply.done():
                reply.set_exception(refused)

    def _hear(self, subject: bytes, _reply: bytes, headers: bytes, body: bytes) -> None:
        _, reply = self._waiting.get(subject.rpartition(b".")[2], NOBODY_WAITS)
        if reply is None or reply.done():
            return
        if headers and not body and frames.status_of(headers)[0] == NOBODY:
            reply.set_exception(nats.errors.NoRespondersError())
        else:
            reply.set_result(body)

    def _send(self, frame: bytes, reply: "asyncio.Future[bytes]") -> None:
        """With all that is asked in the same step of the event loop."""
        self._unsent.append((frame, reply))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._sent())

    async def _sent(self) -> None:
        while self._unsent:
            unsent, self._unsent = self._unsent, []
            try:
                await frames.send(self._client, [frame for frame, _ in unsent])
            except nats.errors.Error as error:
                # Nothing of it went out.
                for _, reply in unsent:
                    if not reply.done():
                        reply.set_exception(error)


def _expire(reply: "asyncio.Future[bytes]") -> None:
    if not reply.done():
        reply.set_exception(nats.errors.TimeoutError())
