"""A load of commands over NATS whose client stays out of the way: each reply is checked, each wait is counted.

Closed loop: so many commands in flight, the next one starts when one is answered; latency from its sending.
Open loop: commands start when they are due at a fixed rate, whatever the answers do; latency from the moment each was
due, so a stall counts for all that should have started in it, the client's own lateness too.

One thread over one blocking socket speaks the few verbs of NATS that it needs: a client library costs more per command
than some of what is measured.
"""

import argparse
import json
import select
import socket
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import orjson

from shared.process.clock import new_id

PATIENCE_SECONDS: Final = 60.0
PROBE_SECONDS: Final = 2.0
# Where an axis of percentiles has its points: 9, 18, 27 … 90, 90.9, 91.8 … 99, 99.09 … per cent.
TAILS: Final = 5
STEPS_PER_TAIL: Final = 20


class LoadFailedError(Exception):
    """The server refused the connection or the answers stayed away."""


@dataclass(frozen=True)
class Plan:
    """What to send: `commands` of them, by `rate` a second (open loop) or, when it is 0, `in_flight` at a time.

    `patience` is how many seconds may pass without any answer.
    """

    url: str
    subject: str
    actor: str
    commands: int
    in_flight: int = 256
    rate: float = 0.0
    patience: float = PATIENCE_SECONDS


class Connection:
    """One connection to NATS: requests by number, answers with the number they belong to."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 4222), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._inbox = f"_INBOX.{new_id()}."
        self._unread = b""
        self._unsent: list[bytes] = []
        hello = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "lang": "bench"}
        self._socket.sendall(b"CONNECT %b\r\nSUB %b* 1\r\nPING\r\n" % (orjson.dumps(hello), self._inbox.encode()))

    def request(self, subject: bytes, number: int, body: bytes) -> None:
        """Goes out with the next `flush`."""
        reply = (self._inbox + str(number)).encode()
        self._unsent.append(b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(body), body))

    def flush(self) -> None:
        if self._unsent:
            self._socket.sendall(b"".join(self._unsent))
            self._unsent.clear()

    def receive(self, seconds: float, on_answer: Callable[[int, bytes], None]) -> None:
        """Waits at most that long for something to come, and hands over every answer that is whole."""
        # Unlike epoll, select knows parts of a millisecond.
        if not select.select([self._socket], [], [], max(0.0, seconds))[0]:
            return
        came = self._socket.recv(1 << 18)
        if not came:
            raise LoadFailedError("NATS closed the connection")
        self._unread = self._parse(self._unread + came, on_answer)

    def close(self) -> None:
        self._socket.close()

    def _parse(self, data: bytes, on_answer: Callable[[int, bytes], None]) -> bytes:
        at = 0
        while (end := data.find(b"\r\n", at)) >= 0:
            words = data[at:end].split()
            start = end + 2
            match words[0]:
                case b"MSG" | b"HMSG":
                    size = int(words[-1])
                    if len(data) < start + size + 2:
                        break
                    headers = int(words[-2]) if words[0] == b"HMSG" else 0
                    number = int(words[1].rpartition(b".")[2])
                    on_answer(number, data[start + headers : start + size])
                    start += size + 2
                case b"PING":
                    self._socket.sendall(b"PONG\r\n")
                case b"-ERR":
                    raise LoadFailedError(data[at:end].decode())
            at = start
        return data[at:]


class Load:
    """One run of a plan. `latencies` in seconds, by the number of the command; negative: not answered yet."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.latencies = array("d", [-1.0]) * plan.commands
        self.not_accepted: list[str] = []
        self.busy = 0
        self.position = 0
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self._from = array("d", [0.0]) * plan.commands
        self._sent = self._answered = 0
        self._heard = 0.0
        self._tag = new_id()[-8:]
        self._subject = plan.subject.encode()
        self._connection = Connection(plan.url)

    def run(self) -> None:
        """Raises LoadFailedError when the answers stay away for longer than the plan's patience."""
        cpu, began = time.process_time(), time.perf_counter()
        self._heard = began
        drive = self._at_rate if self.plan.rate else self._in_flight
        try:
            drive(began)
        finally:
            self._connection.close()
        self.seconds = time.perf_counter() - began
        self.cpu_seconds = time.process_time() - cpu

    def _in_flight(self, _began: float) -> None:
        for _ in range(min(self.plan.in_flight, self.plan.commands)):
            self._send(time.perf_counter())
        while self._answered < self.plan.commands:
            self._connection.flush()
            self._wait(self.plan.patience)
            while self._sent < self.plan.commands and self._sent - self._answered < self.plan.in_flight:
                self._send(time.perf_counter())

    def _at_rate(self, began: float) -> None:
        while self._answered < self.plan.commands:
            due = began + self._sent / self.plan.rate
            while self._sent < self.plan.commands and due <= time.perf_counter():
                self._send(due)
                due = began + self._sent / self.plan.rate
            self._connection.flush()
            more = self._sent < self.plan.commands
            self._wait(due - time.perf_counter() if more else self.plan.patience)

    def _send(self, counted_from: float) -> None:
        number = self._sent
        self._sent += 1
        self._from[number] = counted_from
        body = {
            "command_id": new_id(),
            "actor": self.plan.actor,
            "owner": self.plan.actor,
            "address": f"{self._tag}.{number}@load.example",
        }
        self._connection.request(self._subject, number, orjson.dumps(body))

    def _wait(self, seconds: float) -> None:
        self._connection.receive(seconds, self._take)
        if self._sent > self._answered and time.perf_counter() - self._heard > self.plan.patience:
            raise LoadFailedError(
                f"{self._sent - self._answered} commands are not answered in {self.plan.patience:g} s"
            )

    def _take(self, number: int, body: bytes) -> None:
        self._heard = time.perf_counter()
        self.latencies[number] = self._heard - self._from[number]
        self._answered += 1
        reply = orjson.loads(body) if body else {}
        if reply.get("outcome") != "accepted":
            self.busy += reply.get("reason") == "BUSY"
            self.not_accepted.append(body.decode(errors="replace")[:200])
        self.position = max(self.position, reply.get("position", 0))


def answers(url: str, subject: str) -> bool:
    """Whether a command is accepted there, now."""
    probe = Load(Plan(url, subject, "owner1", commands=1, in_flight=1, patience=PROBE_SECONDS))
    try:
        probe.run()
    except LoadFailedError:
        return False
    return not probe.not_accepted


def summary(load: Load) -> dict[str, object]:
    """The figures of a run: times in milliseconds; `percentiles` as pairs (per cent, ms); `client_cpu` in cores."""
    times = sorted(load.latencies)
    return {
        "commands": len(times),
        "not_accepted": len(load.not_accepted),
        "busy": load.busy,
        "first_wrong": load.not_accepted[:1],
        "in_flight": 0 if load.plan.rate else load.plan.in_flight,
        "rate": load.plan.rate,
        "seconds": round(load.seconds, 3),
        "per_second": round(len(times) / load.seconds, 1),
        "p50_ms": percentile(times, 50),
        "p99_ms": percentile(times, 99),
        "p999_ms": percentile(times, 99.9),
        "max_ms": percentile(times, 100),
        "percentiles": [(point, percentile(times, point)) for point in points(len(times))],
        "position": load.position,
        "client_cpu": round(load.cpu_seconds / load.seconds, 3),
        "client_cpu_us": round(1e6 * load.cpu_seconds / len(times), 1),
    }


def percentile(times: Sequence[float], point: float) -> float:
    """Milliseconds that `point` per cent of the sorted times (in seconds) do not exceed."""
    return round(1000 * times[min(len(times) - 1, int(len(times) * point / 100))], 3)


def points(count: int) -> list[float]:
    """Percentiles that lie ever closer to 100, as far as so many samples can tell them apart."""
    found = [
        100 - 10.0 ** (2 - tail) * (1 - 0.9 * step / STEPS_PER_TAIL)
        for tail in range(TAILS)
        for step in range(STEPS_PER_TAIL)
    ]
    return [round(point, 6) for point in found if count * (100 - point) / 100 >= 1] + [100.0]


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--url", required=True)
    parse.add_argument("--subject", required=True)
    parse.add_argument("--actor", default="owner1")
    parse.add_argument("--commands", type=int, default=20_000)
    parse.add_argument("--in-flight", type=int, default=256)
    parse.add_argument("--rate", type=float, default=0.0, help="commands a second, open loop; 0: closed loop")
    load = Load(Plan(**vars(parse.parse_args())))
    load.run()
    print(json.dumps(summary(load)))


if __name__ == "__main__":
    main()
