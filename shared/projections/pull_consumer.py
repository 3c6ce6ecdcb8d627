"""The messages of a durable pull consumer, as they come."""

import asyncio
import time
from contextlib import suppress
from typing import NamedTuple

import orjson
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from shared.wire import frames

BATCH = 1_000
HEARTBEAT_SECONDS = 1.0
SILENCE_SECONDS = 2.5
CHECK_CONNECTION_SECONDS = 0.1
REQUEST_SECONDS = 30.0
# The next leader of the consumer answers the next request.
LEADER_CHANGED = "leadership change"


class ConsumerLostError(Exception):
    """The consumer is gone, silent, or not at the position that the view needs."""


class PullRefusedError(ConsumerLostError):
    """The server refuses such a request to this consumer."""


class StreamMessage(NamedTuple):
    """A message of the stream; an acknowledgement goes to `reply`."""

    reply: str
    headers: dict[str, str]
    body: bytes


class PullConsumer:
    """The messages of a durable pull consumer, as they come.

    nats-py's `fetch` waits for a full batch or its timeout, and FastStream's batch subscriber drops what it has fetched
    when the rest of its time is under 0.1 ms (the server refuses the negative expiry), until it is redelivered out of
    order. Here one request waits at the server all the time, and messages are handed over as they arrive.
    """

    def __init__(self, client: Client, stream: str, consumer: str, batch: int = BATCH) -> None:
        self._client = client
        self._batch = batch
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._wanted = 0
        self._messages: list[StreamMessage] = []
        self._last_error = ""
        self._reconnects = client.stats["reconnects"]
        self._arrived = asyncio.Event()

    async def open(self) -> None:
        self._subscription = await frames.subscribe(self._client, self._inbox, self._on_message)

    async def close(self) -> None:
        if self._subscription is not None:
            await frames.unsubscribe(self._client, self._subscription)
        self._subscription = None

    async def receive(self, within: float = SILENCE_SECONDS) -> list[StreamMessage]:
        """Return the messages that have come; none on a heartbeat, or after a short `within`.

        Raises:
            ConsumerLostError: the consumer is gone, the server is silent, or the connection of the request was lost.
        """
        if self._wanted <= 0:
            await self._request()
        if not await self._wait_for_message(within):
            if within < SILENCE_SECONDS:
                return []
            raise ConsumerLostError(f"no sign of life for {within:g} s")
        self._arrived.clear()
        if self._last_error:
            raise PullRefusedError(self._last_error)
        messages, self._messages = self._messages, []
        return messages

    async def _wait_for_message(self, within: float) -> bool:
        """Return whether a message or status came in time."""
        until = time.monotonic() + within
        while not self._arrived.is_set():
            if self._client.stats["reconnects"] != self._reconnects:
                raise ConsumerLostError("the request was lost with its connection")
            left = until - time.monotonic()
            if left <= 0:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, CHECK_CONNECTION_SECONDS)):
                    await self._arrived.wait()
        return True

    async def _request(self) -> None:
        request = {
            "batch": self._batch,
            "expires": int(REQUEST_SECONDS * 1e9),
            "idle_heartbeat": int(HEARTBEAT_SECONDS * 1e9),
        }
        await self._client.publish(self._subject, orjson.dumps(request), reply=self._inbox)
        self._wanted = self._batch

    def _on_message(self, _subject: bytes, reply: bytes, headers: bytes, body: bytes) -> None:
        if reply:
            self._wanted -= 1
            self._messages.append(StreamMessage(reply.decode(), frames.headers_of(headers), body))
        else:
            self._on_status(*frames.status_of(headers))
        self._arrived.set()

    def _on_status(self, status: str, description: str) -> None:
        if status == "100":
            return
        # The request has ended: its time is over (408), or the server gives a reason.
        self._wanted = 0
        if status != "408" and description.lower() != LEADER_CHANGED:
            self._last_error = f"{status} {description or 'no such consumer'}"
