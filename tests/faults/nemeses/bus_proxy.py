"""Stands between Switchboard and NATS: swallows acknowledgements, and doubles or swaps events on their way to a view.

What is meant for the relay, or for a follower of the stream, is never touched.
"""

import random
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

END = b"\r\n"
ACK = b" $JS.ACK.SWITCHBOARD_EVENTS."
# Its consumers are named so (`follower.py`).
FOLLOWER = ACK + b"follower-"


class BusProxy:
    """`url` is the way to NATS by this proxy, which passes everything on until it is told otherwise.

    `acks`, `doubled` and `swapped` count what was done.
    """

    def __init__(self, nats_url: str, chance: random.Random) -> None:
        there = urlsplit(nats_url)
        self._server = (str(there.hostname), int(there.port or 4222))
        self._chance = chance
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"nats://127.0.0.1:{self._listening.getsockname()[1]}"
        self._open: list[socket.socket] = [self._listening]
        self.swallows = False
        self.tampering = 0.0
        self.acks = self.doubled = self.swapped = 0
        self._start(self._accept)

    def close(self) -> None:
        for one in self._open:
            _close(one)

    def sent(self, frame: bytes) -> bytes:
        """What the server gets of it."""
        if self.swallows and frame.startswith(b"PUB $JS.ACK.") and frame.endswith(b"+ACK\r\n"):
            self.acks += 1
            return b""
        return frame

    def received(self, frames: Iterable[bytes]) -> Iterator[bytes]:
        """What the client gets of what was read together."""
        held = b""
        for frame in frames:
            if not (self.tampering and is_delivery(frame)):
                yield frame
            elif held:
                self.swapped += 1
                yield from (frame, held)
                held = b""
            elif self._chance.random() >= self.tampering:
                yield frame
            elif self._chance.random() < 0.5:
                self.doubled += 1
                yield from (frame, frame)
            else:
                held = frame
        # The last one must not wait for what may never come.
        if held:
            yield held

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:
                _close(client)
                continue
            self._open += [client, server]
            self._start(self._pump_sent, client, server)
            self._start(self._pump_received, server, client)

    def _pump_sent(self, client: socket.socket, server: socket.socket) -> None:
        frames = _Frames()
        with suppress(OSError):  # either side may go: that ends both
            while data := client.recv(1 << 16):
                server.sendall(b"".join(map(self.sent, frames.of(data))))
        _close(client)
        _close(server)

    def _pump_received(self, server: socket.socket, client: socket.socket) -> None:
        frames = _Frames()
        with suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(b"".join(self.received(frames.of(data))))
        _close(client)
        _close(server)


def is_delivery(frame: bytes) -> bool:
    """Whether it is an event on its way to a view."""
    line = frame[: frame.find(END)]
    return line.startswith(b"HMSG switchboard.event.") and ACK in line and FOLLOWER not in line


class _Frames:
    """Cuts a stream of bytes into whole frames of NATS's protocol, line and body together."""

    def __init__(self) -> None:
        self._rest = b""

    def of(self, data: bytes) -> Iterator[bytes]:
        buffer, at = self._rest + data, 0
        while (line_end := buffer.find(END, at)) >= 0:
            end = line_end + len(END)
            line = buffer[at:line_end]
            if line[:4].upper() in (b"PUB ", b"HPUB", b"MSG ", b"HMSG"):
                end += int(line.rsplit(b" ", 1)[1]) + len(END)
                if end > len(buffer):
                    break
            yield buffer[at:end]
            at = end
        self._rest = buffer[at:]


def _close(one: socket.socket) -> None:
    with suppress(OSError):  # it was never connected, or no longer is
        one.shutdown(socket.SHUT_RDWR)
    one.close()
