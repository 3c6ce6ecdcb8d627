"""What hostile clients do to the others: `python -m tests.faults.hostile` prints a table.

A well-behaved client gives 200 commands and asks 50 questions a second; each wait counts from the moment it was due.
First alone ("usual"), then beside each attacker in turn. The target: its p99 stays within twice its usual.

The attacker is a process of its own at the lowest priority (nice 19): on another machine it would take nothing of the
processors that serve. It is measured once at a rate that one client may well reach (3,000 messages a second) and once
as fast as NATS takes them, where what is served for it (PostgreSQL, both views, the relay) fills the machine all the
same: with everything on two cores the second row tells how fair the queues are, not how fast the services.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson
import psutil

from shared.runtime.clock import new_id
from tests.bench.load import Connection, LoadFailed, percentile
from tests.faults.attackers import KINDS
from tests.real_servers import ROOT, RunningSwitchboard, new_folder

COMMANDS_A_SECOND: Final = 200
QUESTIONS_A_SECOND: Final = 50
EVERY: Final = 1 / (COMMANDS_A_SECOND + QUESTIONS_A_SECOND)
# The n-th request is a question if this divides n.
QUESTION_EACH: Final = (COMMANDS_A_SECOND + QUESTIONS_A_SECOND) // QUESTIONS_A_SECOND
GOOD, BAD, CROWD = "good", "bad", 1_000
LISTED: Final = 3_000
RATED: Final = 3_000.0
# Messages a second where 3,000 would mean something else: gigabytes, or more answers than can be made.
RATES: Final = {"bodies": 20.0, "lists": 30.0, "deaf": 30.0, "waits": 1_000.0}
UNRATED: Final = ("too_large", "half_open")
PATIENCE_SECONDS: Final = 15.0
CALM_SECONDS: Final = 2.0


class Row(NamedTuple):
    """One measurement: the client's waits in seconds, sorted; its answers by outcome; what the attacker says."""

    attack: str
    commands: Sequence[float]
    questions: Sequence[float]
    outcomes: Counter[str]
    attacker: str = ""
    megabytes: float = 0.0


class Client:
    """The well-behaved one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._tag = new_id()[-8:]
        self._number = 0

    def run(self, attack: str, seconds: float) -> Row:
        """What stays away is counted as `no answer`, and is in no percentile."""
        self._due: dict[int, float] = {}
        self._waits: tuple[list[float], list[float]] = ([], [])
        self._outcomes: Counter[str] = Counter()
        connection = Connection(self._url)
        try:
            self._drive(connection, seconds)
        finally:
            connection.close()
        return Row(attack, sorted(self._waits[0]), sorted(self._waits[1]), self._outcomes)

    def _drive(self, connection: Connection, seconds: float) -> None:
        began = time.perf_counter()
        due, end = began, began + seconds
        while due < end or self._due:
            while due < end and due <= time.perf_counter():
                self._send(connection, due)
                due += EVERY
            connection.flush()
            connection.receive((due if due < end else end + PATIENCE_SECONDS) - time.perf_counter(), self._take)
            if time.perf_counter() > end + PATIENCE_SECONDS:
                self._outcomes["no answer"] = len(self._due)
                return

    def _send(self, connection: Connection, due: float) -> None:
        self._number += 1
        self._due[self._number] = due
        address = f"{self._tag}.{self._number}@good.example"
        if self._number % QUESTION_EACH:
            body = {"command_id": new_id(), "actor": "admin", "owner": "admin", "address": address}
            subject = f"switchboard.command.v1.{GOOD}.ConnectPersonal"
        else:
            body, subject = {"actor": "admin", "address": address}, f"switchboard.query.v1.{GOOD}.Address"
        connection.request(subject.encode(), self._number, orjson.dumps(body))

    def _take(self, number: int, data: bytes) -> None:
        wait = time.perf_counter() - self._due.pop(number)
        told = orjson.loads(data) if data else {}
        self._waits[number % QUESTION_EACH == 0].append(wait)
        wished = told.get("outcome") == "accepted" or "result" in told
        self._outcomes["as wished" if wished else str(told.get("reason") or told.get("error") or "nobody there")] += 1


def furnish(url: str) -> None:
    """The accounts: the good one, the bad one with some thousand addresses to list, and a crowd."""
    accounts = [GOOD, BAD, *(f"crowd{number}" for number in range(CROWD))]
    give(
        url,
        [
            (account, "RegisterAccount", {"actor": "service:x", "plan": "free", "admin": "admin"})
            for account in accounts
        ],
    )
    addresses = [{"actor": "admin", "owner": "admin", "address": f"l{number}@bad.example"} for number in range(LISTED)]
    give(url, [(BAD, "ConnectPersonal", fields) for fields in addresses])


def give(url: str, commands: Sequence[tuple[str, str, dict[str, str]]], in_flight: int = 256) -> None:
    """Gives commands that must be accepted.

    Raises:
        LoadFailed: one was not.
    """
    connection, answered, sent = Connection(url), 0, 0

    def take(_number: int, data: bytes) -> None:
        nonlocal answered
        if not data or orjson.loads(data).get("outcome") != "accepted":
            raise LoadFailed(data.decode())
        answered += 1

    while answered < len(commands):
        for account, name, fields in commands[sent : answered + in_flight]:
            connection.request(f"switchboard.command.v1.{account}.{name}".encode(), sent, orjson.dumps(fields))
            sent += 1
        connection.flush()
        connection.receive(PATIENCE_SECONDS, take)
    connection.close()


def beside(switchboard: RunningSwitchboard, client: Client, kind: str, rate: float, seconds: float) -> Row:
    """The client beside an attacker, which begins before it and ends after it."""
    argv = attacker_of(kind, switchboard.nats_url, rate, seconds + 2)
    attacker = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert attacker.stdout is not None
        attacker.stdout.readline()
        time.sleep(0.5)  # its flood is there
        row = client.run(name_of(kind, rate), seconds)
        told = attacker.communicate(timeout=PATIENCE_SECONDS + 30)[0]
    finally:
        attacker.kill()
        attacker.wait()
    return row._replace(attacker=told.strip(), megabytes=megabytes(switchboard))


def attacker_of(kind: str, url: str, rate: float, seconds: float) -> list[str]:
    """Its command line; the crowd gives commands, one account after the other."""
    crowd = kind == "crowd"
    accounts = [f"crowd{number}" for number in range(CROWD)] if crowd else [BAD]
    argv = [sys.executable, "-m", "tests.faults.attackers", "commands" if crowd else kind, "--url", url]
    return [*argv, "--seconds", str(seconds), "--rate", str(rate), "--accounts", *accounts]


def name_of(kind: str, rate: float) -> str:
    if kind in UNRATED:
        return kind
    return f"{kind} {f'{rate:g}/s' if rate else 'unlimited'}"


def megabytes(switchboard: RunningSwitchboard) -> float:
    """Resident memory of our own services together."""
    found = 0.0
    for process in switchboard.processes():
        try:
            words = process.cmdline()
            if any(word.startswith("services.") for word in words) and "services.ops.cli" not in words:
                found += process.memory_info().rss / 1e6
        except psutil.NoSuchProcess:
            continue
    return found


def line(row: Row, usual: Row) -> str:
    commands = [percentile(row.commands, point) for point in (50, 99)]
    questions = [percentile(row.questions, point) for point in (50, 99)]
    ratios = ratio(row, usual)
    other = {name: count for name, count in row.outcomes.items() if name != "as wished"}
    return (
        f"{row.attack:24}{commands[0]:8.1f}{commands[1]:8.1f}{ratios[0]:7.1f}"
        f"{questions[0]:9.1f}{questions[1]:8.1f}{ratios[1]:7.1f}{row.megabytes:8.0f}"
        f"  {json.dumps(other) if other else '-'}  {row.attacker}"
    )


def ratio(row: Row, usual: Row) -> tuple[float, float]:
    """Of the p99 of commands, and of questions."""
    return (
        percentile(row.commands, 99) / percentile(usual.commands, 99),
        percentile(row.questions, 99) / percentile(usual.questions, 99),
    )


HEAD: Final = (
    f"{'beside':24}{'cmd p50':>8}{'p99 ms':>8}{'ratio':>7}{'ask p50':>9}{'p99 ms':>8}{'ratio':>7}{'MB':>8}"
    "  not as wished; what the attacker says"
)


def attacks(kinds: Sequence[str]) -> list[tuple[str, float]]:
    """Each kind at its rate and without."""
    return [(kind, rate) for kind in kinds for rate in ([0.0] if kind in UNRATED else [RATES.get(kind, RATED), 0.0])]


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--seconds", type=float, default=8.0)
    parse.add_argument("--kinds", nargs="+", default=["crowd", *KINDS], choices=["crowd", *KINDS])
    options = parse.parse_args()
    with new_folder() as folder:
        switchboard = RunningSwitchboard(folder)
        try:
            switchboard.start()
            furnish(switchboard.nats_url)
            client = Client(switchboard.nats_url)
            client.run("warm-up", 3.0)
            usual = client.run("usual", options.seconds)._replace(megabytes=megabytes(switchboard))
            print(HEAD, line(usual, usual), sep="\n", flush=True)
            rows = []
            for kind, rate in attacks(options.kinds):
                rows.append(beside(switchboard, client, kind, rate, options.seconds))
                print(line(rows[-1], usual), flush=True)
                time.sleep(CALM_SECONDS)  # the views catch up
            again = client.run("usual, afterwards", options.seconds)._replace(megabytes=megabytes(switchboard))
            print(line(again, usual))
        finally:
            switchboard.close()
    for name, number in (("commands", 0), ("questions", 1)):
        ratios = [ratio(row, usual)[number] for row in rows]
        print(f"ratio of the p99 of {name}: median {statistics.median(ratios):.1f}, worst {max(ratios):.1f}")


if __name__ == "__main__":
    main()
