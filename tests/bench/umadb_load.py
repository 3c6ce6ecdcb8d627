"""The same command on UmaDB: read what is known of the address, decide, append if nothing came between.

One process with many threads, as its synchronous Python client is used. A command comes as JSON and its reply goes as
JSON, validated by pydantic, as in a service; there is no bus. Eight threads share a client: that is faster than one
each, and a single one lost its connection at full speed (too many resets of HTTP/2 streams).
"""

import argparse
import json
import threading
import time
from collections.abc import Iterator
from uuid import UUID

import orjson
import umadb
from pydantic import BaseModel

from shared.process.clock import new_id
from tests.bench.load import percentile

THREADS_PER_CLIENT = 8


class ConnectPersonal(BaseModel):
    command_id: UUID
    actor: str
    address: str
    owner: str


class Reply(BaseModel):
    outcome: str
    command_id: UUID
    reason: str | None = None


def connect(client: umadb.Client, body: bytes) -> bytes:
    """The reply to one command, once its event is durable."""
    command = ConnectPersonal.model_validate_json(body)
    boundary = umadb.Query([umadb.QueryItem(tags=[f"address:{command.address}"])])
    known, head = client.read(boundary).collect_with_head()
    if any(event.event.event_type == "PersonalConnected" for event in known):
        return _reply(command, "refused", "ADDRESS_ALREADY_PERSONAL")
    event = umadb.Event(
        "PersonalConnected",
        orjson.dumps({"address": command.address, "owner": command.owner, "actor": command.actor}),
        [f"address:{command.address}"],
        command.command_id,
    )
    client.append([event], umadb.AppendCondition(boundary, head))
    return _reply(command, "accepted")


def _reply(command: ConnectPersonal, outcome: str, reason: str | None = None) -> bytes:
    return Reply(outcome=outcome, command_id=command.command_id, reason=reason).model_dump_json().encode()


class Load:
    def __init__(self, url: str, commands: int, threads: int) -> None:
        self.latencies: list[float] = []
        self.wrong: list[str] = []
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        clients = [umadb.Client(url) for _ in range(max(1, threads // THREADS_PER_CLIENT))]
        self._threads = [threading.Thread(target=self._call, args=(clients[n % len(clients)],)) for n in range(threads)]
        self._tag = new_id()[-8:]
        self._numbers: Iterator[int] = iter(range(commands))

    def run(self) -> None:
        cpu, began = time.process_time(), time.perf_counter()
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()
        self.seconds, self.cpu_seconds = time.perf_counter() - began, time.process_time() - cpu

    def _call(self, client: umadb.Client) -> None:
        # Taking the next of an iterator over a range is one step for the interpreter: no lock needed.
        for number in self._numbers:
            body = {
                "command_id": new_id(),
                "actor": "owner1",
                "owner": "owner1",
                "address": f"{self._tag}.{number}@load.example",
            }
            text = orjson.dumps(body)
            began = time.perf_counter()
            try:
                reply = connect(client, text)
            except Exception as error:  # noqa: BLE001  the library raises bare exceptions; each is a command that failed
                self.wrong.append(repr(error))
                continue
            self.latencies.append(time.perf_counter() - began)
            if orjson.loads(reply)["outcome"] != "accepted":
                self.wrong.append(reply.decode())


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--url", required=True)
    parse.add_argument("--commands", type=int, default=20_000)
    parse.add_argument("--threads", type=int, default=64)
    options = parse.parse_args()
    load = Load(options.url, options.commands, options.threads)
    load.run()
    times = sorted(load.latencies)
    print(
        json.dumps(
            {
                "commands": len(times),
                "not_accepted": len(load.wrong),
                "first_wrong": load.wrong[:1],
                "per_second": round(len(times) / load.seconds, 1),
                "p50_ms": percentile(times, 50),
                "p99_ms": percentile(times, 99),
                "client_cpu": round(load.cpu_seconds / load.seconds, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
