"""Lean frames: many messages pass nats-py's connection as frames of the protocol, without its work on each.

For one message nats-py makes an object, a place in a queue and a step of a task, and parses headers line by line; of
the processor time of a command or an event, that was a third. This module cuts whole frames out of the bytes read and
passes them to their taker, and writes many frames as one piece. The rest stays nats-py's: connecting, reconnecting,
subscriptions, requests.

Tied to the insides of nats-py 2.16: `Client._ps`, `_process_msg`, `_err`, `_error_cb`, `_send_command` and
`_flush_pending`.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ProtocolError
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

# Subject, reply subject (empty: none), headers as a block of bytes (empty: none), body.
Take = Callable[[bytes, bytes, bytes, bytes], None]

_PLAIN = re.compile(rb"MSG ([^ \t\r\n]+) ([0-9]+) (?:([^ \t\r\n]+) )?([0-9]+)\r\n")
_WITH_HEADERS = re.compile(rb"HMSG ([^ \t\r\n]+) ([0-9]+) (?:([^ \t\r\n]+) )?([0-9]+) ([0-9]+)\r\n")
_HEADER = re.compile(r"([^\s:]+):[ \t]*([^\r\n]*?)[ \t]*\r\n")
_STATUS = re.compile(rb"NATS/1\.0 +([0-9]{3}) *([^\r\n]*)\r\n")
_NOT_ALLOWED = re.compile(rb"-ERR +'(Permissions Violation[^\"]*)(\".*)'\r\n", re.IGNORECASE)
# Of uvloop's transport, and of nats-py's client while it has none.
_OF_A_BROKEN_CONNECTION = (
    "unable to perform operation on",
    "Client.connect must be called first",
    "'NoneType' object has no attribute",
)
_FIRST_LINE = b"NATS/1.0\r\n"
_END = b"\r\n"

log = logging.getLogger(__name__)


class FrameParser(Parser):
    """Reads a connection's bytes; messages of the subscriptions in `takers` go to them, everything else to nats-py.

    nats-py's reader ends for good on a subject that is not UTF-8 or on broken headers, and the connection stays deaf
    until its pings go unanswered. Here such a message is handed on with a subject that can be read, without headers.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.takers: dict[int, Take] = {}

    def reset(self) -> None:
        super().reset()
        # So many bytes make what is in the buffer whole, as far as it is known.
        self._whole = 0

    async def parse(self, data: bytes = b"") -> None:
        chunk = data
        if self.buf:
            # Looked at again with every piece, a body of 1 MB was copied a hundred times.
            self.buf += data
            if len(self.buf) < self._whole:
                return
            chunk = bytes(self.buf)
        self.buf, self._whole = bytearray(), 0
        at, rest = 0, b""
        while at < len(chunk) and not rest:
            at, rest = await self._next(chunk, at)
        self.buf += rest

    async def _next(self, chunk: bytes, at: int) -> tuple[int, bytes]:
        """Handles what begins there: where the next thing begins, and what is too little to be handled yet."""
        headed = chunk.startswith(b"H", at)
        found = (_WITH_HEADERS if headed else _PLAIN).match(chunk, at)
        if found is None:
            return await self._word(chunk, at)
        block = found.end()
        body = block + int(found[4]) if headed else block
        end = block + int(found[5 if headed else 4])
        if end + len(_END) > len(chunk):
            self._whole = end + len(_END) - at
            return at, chunk[at:]
        await self._message(int(found[2]), found[1], found[3] or b"", chunk[block:body], chunk[body:end])
        return end + len(_END), b""

    async def _word(self, chunk: bytes, at: int) -> tuple[int, bytes]:
        """A line of the protocol other than a message; nats-py knows them all, and rejects nonsense."""
        end = chunk.find(_END, at) + len(_END)
        if end < len(_END):
            return at, chunk[at:]
        if refused := _NOT_ALLOWED.fullmatch(chunk[at:end]):
            # nats-py gives it in small letters, in which no subject can be looked for in a configuration.
            told = f"nats: {refused[1].decode().lower()}{refused[2].decode(errors='replace')}"
            self.nc._err = nats.errors.Error(told)
            await self.nc._error_cb(self.nc._err)
            return end, b""
        await super().parse(chunk[at:end])
        if self.buf or self.state != AWAITING_CONTROL_LINE:
            raise ProtocolError("nats: a message that is written as no server writes it")
        return end, b""

    async def _message(self, sid: int, subject: bytes, reply: bytes, headers: bytes, body: bytes) -> None:
        take = self.takers.get(sid)
        try:
            if take is None:
                await self.nc._process_msg(sid, subject, reply, body, headers)
            else:
                take(subject, reply, headers, body)
        except Exception as error:
            log.exception("nats.unreadable_message", extra={"error": type(error).__name__, "bytes": len(body)})
            if take is None:
                await self.nc._process_msg(sid, _readable(subject), _readable(reply), body, b"")


def framed(client: Client) -> Client:
    """Make the client survive everything that it reads; best before its first subscription."""
    _parser(client)
    return client


def _parser(client: Client) -> FrameParser:
    if not isinstance(client._ps, FrameParser):
        read = bytes(client._ps.buf)
        client._ps = FrameParser(client)
        client._ps.buf += read
    return client._ps


async def subscribe(client: Client, subject: str, take: Take, queue: str = "") -> Subscription:
    """Every message goes to `take` as soon as it is read; `take` must not wait."""
    parser = _parser(client)

    async def before(message: Msg) -> None:
        """Between the subscription and the next line nats-py would have it."""
        headers = block_of(message.headers) if message.headers else b""
        take(message.subject.encode(), message.reply.encode(), headers, message.data)

    subscription = await client.subscribe(subject, queue=queue, cb=before)
    parser.takers[subscription._id] = take
    return subscription


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
        _parser(client).takers.pop(subscription._id, None)


async def unsubscribe(client: Client, subscription: Subscription) -> None:
    """Takes no more. A server that is away forgets the subscription with the connection."""
    try:
        with breaking():
            await subscription.unsubscribe()
    except nats.errors.Error as error:
        log.info("nats.left_uncleanly", extra={"error": str(error)})
    finally:
        _parser(client).takers.pop(subscription._id, None)


async def close(client: Client) -> None:
    """Ends the connection, as far as it is one."""
    try:
        with breaking():
            await client.close()
    except nats.errors.Error as error:
        log.info("nats.closed_uncleanly", extra={"error": str(error)})


def _readable(subject: bytes) -> bytes:
    return subject.decode(errors="backslashreplace").encode()


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
