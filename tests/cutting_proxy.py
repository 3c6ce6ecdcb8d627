"""Stands between a writer and PostgreSQL and cuts the connection at the worst moment, when told to: once, or often."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

Moment = Literal["before it is sent", "after it is sent", "after it is committed"]

SOCKET: Final = ".s.PGSQL.5432"
# What ends a train of messages of PostgreSQL's protocol: Sync from the client, ReadyForQuery from the server.
SYNC: Final = b"S\x00\x00\x00\x04"
READY: Final = b"Z\x00\x00\x00\x05"
# So many parameters has the one call that appends to the log, and no other statement; and what it answers.
APPEND_PARAMETERS: Final = 25
APPENDED: Final = b"done"


class CuttingProxy:
    """Forwards everything, until the request that bears the marker given to `cut`, or every n-th append after
    `cut_appends`. `cuts` counts those of `cut`, `lost` the answers of appends that were committed and never arrived.

    `url` is the database's, by way of this proxy, which listens in `folder`.
    """

    def __init__(self, url: str, folder: Path) -> None:
        there = conninfo_to_dict(url)
        self._server = str(Path(str(there["host"])) / SOCKET)
        self.url = make_conninfo(url, host=str(folder))
        self._marker: bytes | None = None
        self._moment: Moment = "before it is sent"
        self._every = 0
        self._appends = 0
        self.cuts = 0
        self.lost = 0
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / SOCKET))
        self._listening.listen()
        self._open: list[socket.socket] = [self._listening]
        self._start(self._accept)

    def cut(self, moment: Moment, marker: bytes) -> None:
        """Cuts the connection once, at the moment, for the next request that bears the marker."""
        self._moment, self._marker = moment, marker

    def cut_appends(self, every: int) -> None:
        """From now on the answer of every n-th append is lost, with its connection; 0: of none."""
        self._appends, self._every = 0, every

    def close(self) -> None:
        for one in self._open:
            _close(one)

    def _start(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._server)
            except OSError:
                _close(client)
                continue
            self._open += [client, server]
            link = _Link(self, client, server)
            self._start(link.pump_requests)
            self._start(link.pump_replies)

    def fires(self, request: bytes) -> Moment | None:
        """The moment of the cut, if it is this request's; after one by `cut` the proxy is harmless."""
        if self._every and is_append(request):
            self._appends += 1
            return "after it is committed" if self._appends % self._every == 0 else None
        if self._marker is None or self._marker not in request:
            return None
        self._marker = None
        self.cuts += 1
        return self._moment


class _Link:
    def __init__(self, proxy: CuttingProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._swallow = False

    def pump_requests(self) -> None:
        request, left = b"", 0
        try:
            while data := self._client.recv(1 << 20):
                if left:
                    # The middle of a message, such as rows of a COPY: its bytes mean nothing here.
                    self._server.sendall(data[:left])
                    data, left = data[left:], max(0, left - len(data))
                request += data
                # Before the session is set up there are other messages; nothing bears a marker then.
                if request[:1] in (b"P", b"B", b"C", b"D", b"E") and not request.endswith(SYNC):
                    continue
                end = end_of_messages(request)
                whole, request = request[:end], request[end:]
                moment = self._proxy.fires(whole)
                if moment == "before it is sent":
                    break
                self._swallow = moment == "after it is committed"
                self._server.sendall(whole)
                left = end - len(whole)
                if moment == "after it is sent":
                    break
        except OSError:
            pass  # the other side has gone, which ends this one too
        self._end()

    def pump_replies(self) -> None:
        reply = b""
        try:
            while data := self._server.recv(1 << 20):
                if not self._swallow:
                    self._client.sendall(data)
                    continue
                reply += data
                if reply[-6:-1] == READY:
                    self._proxy.lost += APPENDED in reply
                    break
        except OSError:
            pass  # the other side has gone, which ends this one too
        self._end()

    def _end(self) -> None:
        _close(self._client)
        _close(self._server)


def end_of_messages(request: bytes) -> int:
    """Where the last message ends whose length is known, beyond the bytes that came or before a part of a head.

    The messages that start a session have no kind, and come whole.
    """
    if request[:1] == b"\x00":
        return len(request)
    at = 0
    while at + 5 <= len(request):
        at += 1 + int.from_bytes(request[at + 1 : at + 5])
    return at


def is_append(request: bytes) -> bool:
    return any(parameters_of(body) == APPEND_PARAMETERS for kind, body in messages_of(request) if kind == b"B")


def messages_of(request: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each message of the protocol."""
    at = 0
    while at + 5 <= len(request):
        length = int.from_bytes(request[at + 1 : at + 5])
        yield request[at : at + 1], request[at + 5 : at + 1 + length]
        at += 1 + length


def parameters_of(bind: bytes) -> int:
    """How many values a Bind bears: behind two names and the formats of the parameters."""
    formats = bind.index(b"\0", bind.index(b"\0") + 1) + 1
    values = formats + 2 + 2 * int.from_bytes(bind[formats : formats + 2])
    return int.from_bytes(bind[values : values + 2])


def _close(one: socket.socket) -> None:
    with suppress(OSError):  # it was never connected, or no longer is
        one.shutdown(socket.SHUT_RDWR)
    one.close()
