"""Requests in, replies out, when they are ready: endpoints of a NATS micro service whose answers may come later.

`nats.micro` waits for a request's handler before it takes the next, which rules out answering in groups; so discovery
(`$SRV.PING`, `INFO`, `STATS`, ADR-32 of NATS) is spoken here, with statistics that count until the reply was sent.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import nats.errors
import orjson
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared import __version__
from shared.language import subjects
from shared.language.reasons import CODES, Reason
from shared.messaging.truncated_reply import truncated_reply
from shared.process import unexpected_errors
from shared.process.clock import new_id, now
from shared.process.histograms import DURATIONS, Histogram
from shared.wire import frames

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Request:
    """One request; answer it once, now or later, with `Endpoint.reply`."""

    subject: str
    data: bytes
    header_block: bytes
    reply_to: str
    began: int

    @property
    def headers(self) -> Mapping[str, str]:
        return frames.headers_of(self.header_block) if self.header_block else {}


@dataclass(slots=True)
class Reply:
    """`error` is the code and the name that go into the micro error headers; None for a success."""

    request: Request
    data: bytes
    error: tuple[int, str] | None = None


@dataclass
class Endpoint:
    """One subject, shared by the processes of its queue group.

    `refuse` gets the subject and the body as they arrived; it returns the body of a BUSY without capacity, else None.
    It must cost much less than an answer, or a flood keeps the requests behind it from being read. `handle` returns
    whether it takes the request, or silently leaves it to another service. When one of them raises, the reply is
    INTERNAL_ERROR; `failed` makes its body from the body of the request.
    """

    name: str
    subject: str
    queue: str
    handle: Callable[[Request], bool]
    refuse: Callable[[bytes, bytes], bytes | None] = lambda _subject, _data: None
    failed: Callable[[bytes], bytes] = lambda _data: b""
    requests: int = 0
    errors: int = 0
    busy: int = 0
    last_error: str = ""
    # Nanoseconds from a request's arrival to its reply.
    durations: Histogram = field(default_factory=lambda: Histogram(DURATIONS), repr=False)
    drain_seconds: float = 5.0
    _client: Client | None = field(default=None, repr=False)
    _subscription: Subscription | None = field(default=None, repr=False)
    _refusals: list[bytes] = field(default_factory=list, repr=False)
    _sending_refusals: "asyncio.Task[None] | None" = field(default=None, repr=False)

    async def open(self, client: Client) -> None:
        self._client = client
        self._subscription = await frames.subscribe(client, self.subject, self._take, self.queue)

    async def drain(self) -> None:
        """Take no more requests; return when all that arrived have gone through `handle`."""
        if self._subscription is None or self._client is None:
            return
        try:
            async with asyncio.timeout(self.drain_seconds):
                await frames.drain(self._client, self._subscription)
        except (nats.errors.Error, TimeoutError) as error:
            log.warning("endpoint.drained_partly", endpoint=self.name, error=repr(error))
        self._subscription = None
        await self.refusals_sent()

    async def reply(self, replies: Sequence[Reply]) -> None:
        """Send the replies; without a reply subject, or without a connection, only the reply is lost."""
        assert self._client is not None
        now, largest = time.perf_counter_ns(), self._client.max_payload
        self.durations.observe([now - reply.request.began for reply in replies])
        written: list[bytes] = []
        for reply in replies:
            if reply.error is not None:
                self._count_error(reply.error)
            if reply.request.reply_to:
                block = _block_of(reply.error) if reply.error else b""
                data = reply.data
                if len(block) + len(data) > largest:
                    data = truncated_reply(data, largest - len(block))
                    log.warning(
                        "reply.shortened", subject=reply.request.subject, bytes=len(reply.data), max_payload=largest
                    )
                written.append(frames.frame_of(reply.request.reply_to, data, block))
        await self._send(written)

    async def refusals_sent(self) -> None:
        """Return when all refused callers have their replies."""
        if self._sending_refusals is not None:
            await self._sending_refusals

    def _queue_refusal(self, reply: bytes, block: bytes, data: bytes) -> None:
        """Send it together with all refusals of the same step of the loop."""
        if reply:
            size = len(block)
            self._refusals.append(b"HPUB %b %d %d\r\n%b%b\r\n" % (reply, size, size + len(data), block, data))
        if self._sending_refusals is None or self._sending_refusals.done():
            self._sending_refusals = asyncio.create_task(self._send_refusals())

    async def _send_refusals(self) -> None:
        while self._refusals:
            refusals, self._refusals = self._refusals, []
            await self._send(refusals)

    async def _send(self, written: Sequence[bytes]) -> None:
        assert self._client is not None
        try:
            await frames.send(self._client, written)
        except nats.errors.Error as error:
            log.warning("reply.lost", endpoint=self.name, error=repr(error), replies=len(written))

    async def notify(self, subject: str) -> None:
        """Publish an empty message for current subscribers; no correctness depends on it."""
        assert self._client is not None
        try:
            with frames.breaking():
                await self._client.publish(subject)
        except nats.errors.Error as error:
            log.warning("hint.lost", subject=subject, error=repr(error))

    def _take(self, subject: bytes, reply: bytes, headers: bytes, data: bytes) -> None:
        try:
            refusal = self.refuse(subject, data)
            if refusal is not None:
                self.count_refused()
                self._queue_refusal(reply, _BUSY_BLOCK, refusal)
                return
            readable = subject.decode(errors="backslashreplace")
            request = Request(readable, data, headers, reply.decode(errors="surrogateescape"), time.perf_counter_ns())
            self.requests += self.handle(request)
        except Exception as error:  # noqa: BLE001  the caller gets INTERNAL_ERROR
            unexpected_errors.record(error, "reading", endpoint=self.name)
            self.requests += 1
            self._count_error(INTERNAL_ERROR)
            self._queue_refusal(reply, _INTERNAL_ERROR_BLOCK, self.failed(data))

    def count_refused(self) -> None:
        """Count a request that was refused for lack of capacity, here or at an endpoint that is counted here."""
        self.requests += 1
        self._count_error(_BUSY)

    def _count_error(self, error: tuple[int, str]) -> None:
        self.errors += 1
        self.busy += error == _BUSY
        self.last_error = f"{error[0]}:{error[1]}"

    def info(self) -> dict[str, Any]:
        return {"name": self.name, "subject": self.subject, "queue_group": self.queue, "metadata": {}}

    def stats(self) -> dict[str, Any]:
        """Times in nanoseconds, from the request's arrival to its reply; `data` has the number of BUSY."""
        spent = self.durations.sum
        return {
            "name": self.name,
            "subject": self.subject,
            "queue_group": self.queue,
            "num_requests": self.requests,
            "num_errors": self.errors,
            "last_error": self.last_error,
            "processing_time": spent,
            "average_processing_time": spent // max(self.requests, 1),
            "data": {"busy": self.busy},
        }


def error_headers(code: int, description: str) -> dict[str, str]:
    """Return the headers of the NATS micro protocol for a reply with an error, in one line each."""
    return {subjects.ERROR_CODE: str(code), subjects.ERROR: " ".join(description.split())}


_BUSY: Final = (CODES[Reason.BUSY], str(Reason.BUSY))
_BUSY_BLOCK: Final = frames.block_of(error_headers(*_BUSY))
INTERNAL_ERROR: Final = (CODES[Reason.INTERNAL_ERROR], str(Reason.INTERNAL_ERROR))
_INTERNAL_ERROR_BLOCK: Final = frames.block_of(error_headers(*INTERNAL_ERROR))


@lru_cache(maxsize=256)
def _block_of(error: tuple[int, str]) -> bytes:
    return frames.block_of(error_headers(*error))


@asynccontextmanager
async def discoverable(
    client: Client, name: str, description: str, endpoints: Sequence[Endpoint]
) -> AsyncIterator[None]:
    """Answer the discovery of the NATS micro protocol for these endpoints."""
    identity = {"name": name, "id": new_id().replace("-", ""), "version": __version__, "metadata": {}}
    started = now()

    def answer(verb: str) -> dict[str, Any]:
        kind = {"type": f"io.nats.micro.v1.{verb.lower()}_response"}
        match verb:
            case "INFO":
                return identity | kind | {"description": description, "endpoints": [e.info() for e in endpoints]}
            case "STATS":
                return identity | kind | {"started": started, "endpoints": [e.stats() for e in endpoints]}
            case _:
                return identity | kind

    async def respond(message: Msg) -> None:
        if message.reply:
            await message.respond(orjson.dumps(answer(message.subject.split(".")[1])))

    subscriptions = [
        await client.subscribe(f"$SRV.{verb}{to}", cb=respond)
        for verb in ("PING", "INFO", "STATS")
        for to in ("", f".{name}", f".{name}.{identity['id']}")
    ]
    try:
        yield
    finally:
        for subscription in subscriptions:
            await frames.unsubscribe(client, subscription)
