"""Hostile clients of Switchboard, one kind a process: `python -m tests.faults.attackers KIND --url … --seconds 8`.

Each speaks the few verbs of NATS that it needs over bare sockets, so that what it costs itself is small. It prints a
line when it begins, and one of JSON in the end: how much it sent and what it heard.
"""

import argparse
import json
import os
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import count, cycle
from typing import Final
from urllib.parse import urlsplit

import orjson

from shared.process.clock import new_id

HELLO: Final = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"lang":"hostile"}\r\n'
AT_ONCE: Final = 64
HALF_OPEN: Final = 300
LARGE_BODY: Final = 10_000_000
LARGEST_PAYLOAD: Final = 1_000_000
OUTCOMES: Final = (
    b'"outcome":"accepted"', b'"outcome":"unchanged"', b"Nats-Service-Error: BUSY", b"Nats-Service-Error: ",
    b'"result"', b"-ERR",
)  # fmt: skip

# Subject and body of one message.
Message = tuple[str, bytes]


def commands(accounts: Sequence[str]) -> Iterator[Message]:
    """Valid ones, each on an address of its own."""
    tag = new_id()[-8:]
    for number, account in zip(count(), cycle(accounts)):
        fields = {"command_id": new_id(), "actor": "admin", "owner": "admin", "address": f"{tag}.{number}@bad.example"}
        yield f"switchboard.command.v1.{account}.ConnectPersonal", orjson.dumps(fields)


def garbage(accounts: Sequence[str]) -> Iterator[Message]:
    """What is no JSON, what is no command, and names that nobody knows."""
    bodies = (b"{" * 40, b'{"actor": 7, "address": []}', b"\xff\xfe\x00", b'{"actor":"admin","address":"nobody"}')
    names = ("ConnectPersonal", "Disconnect", "NoSuchCommand")
    for account, body, name in zip(cycle(accounts), cycle(bodies), cycle(names)):
        yield f"switchboard.command.v1.{account}.{name}", body


def strangers(_accounts: Sequence[str]) -> Iterator[Message]:
    """Valid commands, each on an account that is not there."""
    tag = new_id()[-8:]
    for number in count():
        fields = {"command_id": new_id(), "actor": "admin", "owner": "admin", "address": f"a{number}@bad.example"}
        yield f"switchboard.command.v1.{tag}-{number}.ConnectPersonal", orjson.dumps(fields)


def bodies(accounts: Sequence[str]) -> Iterator[Message]:
    """As large as NATS carries, which no command is."""
    body = b'{"command_id":"%b","note":"' % new_id().encode() + b"x" * LARGEST_PAYLOAD + b'"}'
    for account in cycle(accounts):
        yield f"switchboard.command.v1.{account}.Disconnect", body


def questions(accounts: Sequence[str]) -> Iterator[Message]:
    for account in cycle(accounts):
        yield f"switchboard.query.v1.{account}.Address", b'{"actor":"admin","address":"a@bad.example"}'


def lists(accounts: Sequence[str]) -> Iterator[Message]:
    """The dearest answers there are, some hundred kilobytes each."""
    for account in cycle(accounts):
        yield f"switchboard.query.v1.{account}.Addresses", b'{"actor":"admin","limit":1000}'


def waits(accounts: Sequence[str]) -> Iterator[Message]:
    """Questions for a position that is never reached."""
    body = b'{"actor":"admin","address":"a@bad.example","at_least":%d,"wait_ms":30000}' % 2**60
    for account in cycle(accounts):
        yield f"switchboard.query.v1.{account}.Address", body


FLOODS: Final[dict[str, Callable[[Sequence[str]], Iterator[Message]]]] = {
    flood.__name__: flood for flood in (commands, garbage, strangers, bodies, questions, lists, waits)
}


class Flood:
    """Sends at `rate` a second, or as fast as NATS takes it when that is 0; what it hears is counted, unless `deaf`."""

    def __init__(self, url: str, messages: Iterator[Message], rate: float, *, deaf: bool = False) -> None:
        self._address = address_of(url)
        self._messages = messages
        self._rate = rate
        self._deaf = deaf
        self.sent = 0
        self.connections = 0
        self.heard: Counter[str] = Counter()

    def run(self, seconds: float, least: int = 0) -> None:
        """Sends for so long, and at least so many. Connects again whenever it is cut off."""
        self._end, self._least = time.monotonic() + seconds, least
        while self._goes_on():
            with suppress(OSError), self._connected() as connection:
                self._flood(connection)

    def _goes_on(self) -> bool:
        return time.monotonic() < self._end or self.sent < self._least

    def _connected(self) -> socket.socket:
        self.connections += 1
        connection = socket.create_connection(self._address, timeout=1)
        self._inbox = f"_INBOX.{new_id()}"
        connection.sendall(HELLO + b"SUB %b 1\r\nPING\r\n" % self._inbox.encode())
        return connection

    def _flood(self, connection: socket.socket) -> None:
        began, sent = time.monotonic(), 0
        while self._goes_on():
            due = min(AT_ONCE, int((time.monotonic() - began) * self._rate) - sent) if self._rate else AT_ONCE
            if due > 0:
                connection.sendall(b"".join([self._frame() for _ in range(due)]))
                sent += due
                self.sent += due
            self._listen(connection, 0 if due > 0 else 0.001)

    def _frame(self) -> bytes:
        subject, body = next(self._messages)
        return f"PUB {subject} {self._inbox} {len(body)}\r\n".encode() + body + b"\r\n"

    def _listen(self, connection: socket.socket, seconds: float) -> None:
        if self._deaf:
            time.sleep(seconds)
            return
        while select.select([connection], [], [], seconds)[0]:
            came = connection.recv(1 << 20)
            if not came:
                raise ConnectionResetError
            if b"PING\r\n" in came:
                connection.sendall(b"PONG\r\n")
            for outcome in OUTCOMES:
                self.heard[outcome.decode()] += came.count(outcome)
            seconds = 0


def address_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 4222


def send_too_large(url: str, account: str, rate: float, seconds: float, least: int) -> dict[str, int]:
    """Bodies beyond what NATS takes: it cuts whoever sends one. At `rate` a second, 0 being without a pause."""
    began, tries, cut = time.monotonic(), 0, 0
    head = f"PUB switchboard.command.v1.{account}.Disconnect {LARGE_BODY}\r\n".encode()
    while (now := time.monotonic()) < began + seconds or tries < least:
        if rate and now < began + tries / rate:
            time.sleep(began + tries / rate - now)
        with socket.create_connection(address_of(url), timeout=2) as connection:
            tries += 1
            with suppress(TimeoutError):
                cut += was_cut(connection, HELLO + head + b"x" * LARGE_BODY + b"\r\n")
    return {"sent": tries, "cut_by_server": cut}


def was_cut(connection: socket.socket, message: bytes) -> bool:
    """Whether the server ends the connection over the message.

    Raises:
        TimeoutError: it does not.
    """
    try:
        connection.sendall(message)
        while connection.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    return True


def hold_half_open(url: str, seconds: float) -> dict[str, int]:
    """Connections that say nothing, and as many that greet and then say nothing; opened again when they are closed."""
    end, opened, closed = time.monotonic() + seconds, 0, 0
    with ExitStack() as stack:
        held: dict[socket.socket, bytes] = {}
        while time.monotonic() < end:
            while len(held) < 2 * HALF_OPEN:
                greeting = HELLO if opened % 2 else b""
                connection = stack.enter_context(socket.create_connection(address_of(url), timeout=2))
                connection.sendall(greeting)
                held[connection] = greeting
                opened += 1
            poll = select.poll()
            for connection in held:
                poll.register(connection, select.POLLIN)
            by_number = {connection.fileno(): connection for connection in held}
            for number, _ in poll.poll(100):
                with suppress(OSError):
                    if by_number[number].recv(1 << 16):
                        continue
                closed += 1
                del held[by_number[number]]
    return {"sent": opened, "closed_by_server": closed}


def attack(
    kind: str, url: str, accounts: Sequence[str], rate: float, seconds: float, least: int = 0
) -> dict[str, object]:
    """What it did and heard."""
    match kind:
        case "too_large":
            return dict(send_too_large(url, accounts[0], rate, seconds, least))
        case "half_open":
            return dict(hold_half_open(url, seconds))
    flood = Flood(url, FLOODS["lists" if kind == "deaf" else kind](accounts), rate, deaf=kind == "deaf")
    flood.run(seconds, least)
    return {"sent": flood.sent, "connections": flood.connections, "heard": dict(+flood.heard)}


KINDS: Final = (*FLOODS, "deaf", "too_large", "half_open")


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("kind", choices=KINDS)
    parse.add_argument("--url", required=True)
    parse.add_argument("--accounts", required=True, nargs="+")
    parse.add_argument("--rate", type=float, default=0.0, help="messages a second; 0: as fast as NATS takes them")
    parse.add_argument("--seconds", type=float, default=8.0)
    parse.add_argument("--least", type=int, default=0, help="messages to send, however long it takes")
    options = parse.parse_args()
    # As if on another machine: it takes what processor the services leave.
    os.nice(19)
    print("attacking", flush=True)
    print(json.dumps(attack(options.kind, options.url, options.accounts, options.rate, options.seconds, options.least)))


if __name__ == "__main__":
    main()
