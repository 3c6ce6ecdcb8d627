"""Lean frames: many messages pass nats-py's connection as frames of the protocol, without its work on each.

For one message nats-py makes an object, a place in a queue and a step of a task, and parses headers line by line; of
the processor time of a command or an event, that was a third. This module cuts whole frames out of the bytes read and
passes them to their taker, and writes many frames as one piece. The rest stays nats-py's: connecting, reconnecting,
subscriptions, requests.

It uses internals of nats-py. A release that lacks one of them (`nats_internals.MISSING`) takes nats-py's own path.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import Header

from shared.wire.nats_internals import MISSING, warn

if TYPE_CHECKING or not MISSING:
    from shared.wire.frame_parser import FrameParser, Take

_HEADER = re.compile(r"([^\s:]+):[ \t]*([^\r\n]*?)[ \t]*\r\n")
_STATUS = re.compile(rb"NATS/1\.0 +([0-9]{3}) *([^\r\n]*)\r\n")
# Of uvloop's transport, and of nats-py's client while it has none.
_OF_A_BROKEN_CONNECTION = (
    "unable to perform operation on",
    "Client.connect must be called first",
    "'NoneType' object has no attribute",
)
_FIRST_LINE = b"NATS/1.0\r\n"

log = logging.getLogger(__name__)


def framed(client: Client) -> Client:
    """Make the client survive everything that it reads; best before its first subscription."""
    if MISSING:
        warn()
    else:
        _parser(client)
    return client


def _parser(client: Client) -> "FrameParser":
    if not isinstance(client._ps, FrameParser):
        read = bytes(client._ps.buf)
        client._ps = FrameParser(client)
        client._ps.buf += read
    return client._ps


async def subscribe(client: Client, subject: str, take: "Take", queue: str = "") -> Subscription:
    """Pass every message to `take` as soon as it is read; `take` must not wait."""

    async def before(message: Msg) -> None:
        """Messages between the subscription and the next line, and all of them on nats-py's own path."""
        headers = _received_block(message.headers) if message.headers else b""
        take(message.subject.encode(), message.reply.encode(), headers, message.data)

    framed(client)
    subscription = await client.subscribe(subject, queue=queue, cb=before)
    if not MISSING:
        _parser(client).takers[subscription._id] = take
    return subscription


def _forget(client: Client, subscription: Subscription) -> None:
    if not MISSING:
        _parser(client).takers.pop(subscription._id, None)


def _received_block(headers: Mapping[str, str]) -> bytes:
    """The block that nats-py read the headers from; it makes two of them of a status of the server."""
    if (code := headers.get(Header.STATUS)) is None:
        return block_of(headers)
    return b"NATS/1.0 %b %b\r\n\r\n" % (code.encode(), headers.get(Header.DESCRIPTION, "").encode())


class ConnectionBroke(nats.errors.Error):
    """The connection broke while something was done with it; what came of it is not known."""


@contextmanager
def breaking() -> Iterator[None]:
    """Around what nats-py does with a connection that may break in that moment.

    Raises:
        ConnectionBroke: in place of what the transport says then, uvloop's as a RuntimeError.
    """
    try:
        yield
    except (nats.errors.Error, TimeoutError):
        raise
    except OSError as error:
        raise ConnectionBroke(f"the connection broke: {error}") from error
    except (RuntimeError, AssertionError, AttributeError) as error:
        if not any(words in str(error) for words in _OF_A_BROKEN_CONNECTION):
            raise
        raise ConnectionBroke(f"the connection broke: {error}") from error


async def drain(client: Client, subscription: Subscription) -> None:
    """Takes no more, and returns when all that was routed here has been given to its taker.

    Raises:
        nats.errors.Error: the bus is away.
    """
    try:
        with breaking():
            await subscription.drain()  # type: ignore[no-untyped-call]
    finally:
        _forget(client, subscription)


async def unsubscribe(client: Client, subscription: Subscription) -> None:
    """Takes no more. A server that is away forgets the subscription with the connection."""
    try:
        with breaking():
            await subscription.unsubscribe()
    except nats.errors.Error as error:
        log.info("nats.left_uncleanly", extra={"error": str(error)})
    finally:
        _forget(client, subscription)


async def close(client: Client) -> None:
    """Ends the connection, as far as it is one."""
    try:
        with breaking():
            await client.close()
    except nats.errors.Error as error:
        log.info("nats.closed_uncleanly", extra={"error": str(error)})


def headers_of(block: bytes) -> dict[str, str]:
    """The headers by name; none for a block that has none."""
    try:
        return dict([line.split(": ", 1) for line in block.decode().split("\r\n")[1:-2]])
    except ValueError:
        # Written otherwise than we and most write them, or not in UTF-8; what cannot be read is replaced.
        return dict(_HEADER.findall(block.decode("utf-8", "replace")))


def status_of(block: bytes) -> tuple[str, str]:
    """The code that the server puts in place of a message, such as 404, and its words; empty for a message."""
    found = _STATUS.match(block)
    return (found[1].decode(), found[2].decode(errors="replace").strip()) if found else ("", "")


def frame(subject: str, body: bytes, headers: Mapping[str, str] | None = None, reply: str = "") -> bytes:
    """A message as it is sent. A line break in a header's value becomes a space.

    Bytes of a subject that are not UTF-8 are surrogates in the text (`surrogateescape`).
    """
    return frame_of(f"{subject} {reply}" if reply else subject, body, b"" if headers is None else block_of(headers))


def frame_of(to: str, body: bytes, block: bytes) -> bytes:
    """As `frame`, with the headers as the block that `block_of` makes of them; empty: none."""
    written = to.encode(errors="surrogateescape")
    if not block:
        return b"PUB %b %d\r\n%b\r\n" % (written, len(body), body)
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (written, len(block), len(block) + len(body), block, body)


def block_of(headers: Mapping[str, str]) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\r") + lines.count("\n") != 2 * len(headers):
        lines = "".join([f"{name}: {' '.join(value.splitlines())}\r\n" for name, value in headers.items()])
    return b"%b%b\r\n" % (_FIRST_LINE, lines.encode())


async def send(client: Client, frames: Iterable[bytes]) -> None:
    """Writes the frames as one piece. Each must fit the server's `client.max_payload`, or it ends the connection.

    Raises:
        nats.errors.Error: closed, or away and nothing more can be kept for later; nothing was sent.
    """
    piece = b"".join(frames)
    if not piece:
        return
    if MISSING:
        await _publish(client, piece)
        return
    if client.is_closed:
        raise nats.errors.ConnectionClosedError
    if client.is_draining_pubs:
        raise nats.errors.ConnectionDrainingError
    kept = client.pending_data_size + len(piece)
    if not client.is_connected and (client._max_pending_size <= 0 or kept > client._max_pending_size):
        raise nats.errors.OutboundBufferLimitError
    with breaking():
        await client._send_command(piece)
        await client._flush_pending()


async def _publish(client: Client, piece: bytes) -> None:
    """Publish each frame of the piece by nats-py's own path."""
    with breaking():
        while piece:
            subject, reply, block, body, piece = _first_frame(piece)
            await client.publish(subject, body, reply=reply, headers=headers_of(block) if block else None)


def _first_frame(piece: bytes) -> tuple[str, str, bytes, bytes, bytes]:
    """Subject, reply subject, headers, body of the first frame, and the rest of the piece."""
    line, _, rest = piece.partition(b"\r\n")
    verb, *to, size = line.split(b" ")
    head = int(to.pop()) if verb == b"HPUB" else 0
    subject, reply = (one.decode(errors="surrogateescape") for one in [*to, b""][:2])
    end = int(size)
    return subject, reply, rest[:head], rest[head:end], rest[end + 2 :]
