"""The parser of lean frames: it takes the place of nats-py's own on a connection."""

import logging
import re
from collections.abc import Callable

import nats.errors
from nats.aio.client import Client
from nats.errors import ProtocolError
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

# Subject, reply subject (empty: none), headers as a block of bytes (empty: none), body.
Take = Callable[[bytes, bytes, bytes, bytes], None]

_PLAIN = re.compile(rb"MSG ([^ \t\r\n]+) ([0-9]+) (?:([^ \t\r\n]+) )?([0-9]+)\r\n")
_WITH_HEADERS = re.compile(rb"HMSG ([^ \t\r\n]+) ([0-9]+) (?:([^ \t\r\n]+) )?([0-9]+) ([0-9]+)\r\n")
_NOT_ALLOWED = re.compile(rb"-ERR +'(Permissions Violation[^\"]*)(\".*)'\r\n", re.IGNORECASE)
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
            text = f"nats: {refused[1].decode().lower()}{refused[2].decode(errors='replace')}"
            self.nc._err = nats.errors.Error(text)
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


def _readable(subject: bytes) -> bytes:
    return subject.decode(errors="backslashreplace").encode()
