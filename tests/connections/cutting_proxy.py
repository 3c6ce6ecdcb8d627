"""Stands between a writer and PostgreSQL and cuts the connection at the worst moment, once, when told to."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

Moment = Literal["before it is sent", "after it is sent", "after it is committed"]

SOCKET: Final = ".s.PGSQL.5432"
# What ends a train of messages of PostgreSQL's protocol: Sync from the client, ReadyForQuery from the server.
SYNC: Final = b"S\x00\x00\x00\x04"
READY: Final = b"Z\x00\x00\x00\x05"


class CuttingProxy:
    """Forwards everything, until the request that bears the marker given to `cut`.

    `url` is the database's, by way of this proxy, which listens in `folder`.
    """

    def __init__(self, url: str, folder: Path) -> None:
        there = conninfo_to_dict(url)
        self._server = str(Path(str(there["host"])) / SOCKET)
        self.url = make_conninfo(url, host=str(folder))
        self._marker: bytes | None = None
        self._moment: Moment = "before it is sent"
        self.cuts = 0
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / SOCKET))
        self._listening.listen()
        self._open: list[socket.socket] = [self._listening]
        self._start(self._accept)

    def cut(self, moment: Moment, marker: bytes) -> None:
        """Cuts the connection once, at the moment, for the next request that bears the marker."""
        self._moment, self._marker = moment, marker

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
            server.connect(self._server)
            self._open += [client, server]
            link = _Link(self, client, server)
            self._start(link.pump_requests)
            self._start(link.pump_replies)

    def fires(self, request: bytes) -> Moment | None:
        """The moment of the cut, if it is this request's; the proxy is harmless afterwards."""
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
        request = b""
        try:
            while data := self._client.recv(1 << 20):
                request += data
                # Before the session is set up there are other messages; nothing bears a marker then.
                if request[:1] in (b"P", b"B", b"C", b"D", b"E") and not request.endswith(SYNC):
                    continue
                moment, whole, request = self._proxy.fires(request), request, b""
                if moment == "before it is sent":
                    break
                self._swallow = moment == "after it is committed"
                self._server.sendall(whole)
                if moment == "after it is sent":
                    break
        except OSError:
            pass  # the other side has gone, which ends this one too
        self._end()

    def pump_replies(self) -> None:
        try:
            while data := self._server.recv(1 << 20):
                if not self._swallow:
                    self._client.sendall(data)
                elif data[-6:-1] == READY:
                    break
        except OSError:
            pass  # the other side has gone, which ends this one too
        self._end()

    def _end(self) -> None:
        _close(self._client)
        _close(self._server)


def _close(one: socket.socket) -> None:
    with suppress(OSError):  # it was never connected, or no longer is
        one.shutdown(socket.SHUT_RDWR)
    one.close()
