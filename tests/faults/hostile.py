"""What hostile clients do to the others: `python -m tests.faults.hostile` prints a table, in about six minutes.

    python -m tests.faults.hostile [--kinds questions lists] [--seconds 10] [--rated] [--results FOLDER]

A well-behaved client gives 200 commands and asks 100 questions a second; each wait counts from the moment it was due.
First alone ("usual"), then beside each attacker in turn, and alone again between them: what is usual is all of that
together, since a machine changes within minutes. The target: its p99 stays within twice its usual.

The attacker is a process of its own at the lowest priority (nice 19): on another machine it would take nothing of the
processors that serve. It is measured once at a rate that one client may well reach (3,000 messages a second), which is
judged: the program fails by name. And once as fast as NATS takes them, which is told: what is served for it
(PostgreSQL, both views, the relay) fills the machine all the same, so that with everything on two cores such a row
tells how fair the queues are, not how fast the services. A row whose attacker hardly sent anything is a failure.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson
import psutil

from shared.process.clock import new_id
from tests.bench.load import Connection, LoadFailedError
from tests.faults import hostile_figures as figures
from tests.faults.attackers import HALF_OPEN, KINDS
from tests.faults.hostile_figures import LEAST_SENT, Row
from tests.faults.scene import circumstances
from tests.real_servers import ROOT, RunningSwitchboard, new_folder

COMMANDS_A_SECOND: Final = 200
QUESTIONS_A_SECOND: Final = 100
EVERY: Final = 1 / (COMMANDS_A_SECOND + QUESTIONS_A_SECOND)
# The n-th request is a question if this divides n.
QUESTION_EACH: Final = (COMMANDS_A_SECOND + QUESTIONS_A_SECOND) // QUESTIONS_A_SECOND
GOOD, BAD, CROWD = "good", "bad", 1_000
LISTED: Final = 3_000
RATED: Final = 3_000.0
# Messages a second where 3,000 would mean something else: gigabytes, or more answers than can be made.
RATES: Final = {"bodies": 20.0, "lists": 30.0, "deaf": 30.0, "waits": 1_000.0, "too_large": 20.0}
# What this one at least does, however long it is at it.
UNRATED: Final = {"half_open": 2 * HALF_OPEN}
PATIENCE_SECONDS: Final = 10.0
# The views catch up; then what is usual is measured.
CALM_SECONDS, USUAL_SECONDS = 2.0, 3.0
# Enough for rows that are not judged.
UNLIMITED_SECONDS: Final = 4.0
# An attacker is there before the client and after it.
LONGER_SECONDS: Final = 2.0
LAST_WORDS: Final = 4_000


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
        LoadFailedError: one was not.
    """
    connection, answered, sent = Connection(url), 0, 0

    def take(_number: int, data: bytes) -> None:
        nonlocal answered
        if not data or orjson.loads(data).get("outcome") != "accepted":
            raise LoadFailedError(data.decode())
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
    argv = attacker_of(kind, switchboard.nats_url, rate, seconds + LONGER_SECONDS)
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
    return row._replace(
        told=json.loads(told),
        least=least_sent(kind, seconds + LONGER_SECONDS),
        judged=kind in UNRATED or rate > 0,
        megabytes=megabytes(switchboard),
    )


def least_sent(kind: str, seconds: float) -> int:
    """An attacker that sent less attacked nobody; whoever has no limit sends at least as much as with one."""
    return UNRATED.get(kind) or int(LEAST_SENT * RATES.get(kind, RATED) * seconds)


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


def rate_of(kind: str) -> float:
    return 0.0 if kind in UNRATED else RATES.get(kind, RATED)


class Measured:
    """All that is measured on one Switchboard, told as it comes."""

    def __init__(self, switchboard: RunningSwitchboard, seconds: float) -> None:
        self._switchboard = switchboard
        self._client = Client(switchboard.nats_url)
        self._seconds = seconds
        self._calm: list[Row] = []
        self.rows: list[Row] = []

    @property
    def usual(self) -> Row:
        return figures.together(self._calm)

    def begin(self) -> None:
        self._client.run("warm-up", 3.0)
        self._be_calm(self._seconds)
        print(figures.HEAD, figures.line(self.usual, self.usual), sep="\n", flush=True)

    def rated(self, kind: str) -> None:
        self._beside(kind, rate_of(kind), self._seconds)
        self._be_calm(USUAL_SECONDS)

    def unlimited(self, kind: str) -> None:
        self._beside(kind, 0.0, UNLIMITED_SECONDS)
        time.sleep(CALM_SECONDS)

    def _beside(self, kind: str, rate: float, seconds: float) -> None:
        self.rows.append(beside(self._switchboard, self._client, kind, rate, seconds))
        print(figures.line(self.rows[-1], self.usual), flush=True)

    def _be_calm(self, seconds: float) -> None:
        time.sleep(CALM_SECONDS)
        row = self._client.run("usual", seconds)
        self._calm.append(row._replace(megabytes=megabytes(self._switchboard)))


def measured(options: argparse.Namespace) -> Measured:
    """The rated attacks first: what is usual is not to be measured after floods without limit."""
    with new_folder() as folder:
        switchboard = RunningSwitchboard(folder)
        try:
            switchboard.start()
            furnish(switchboard.nats_url)
            found = Measured(switchboard, options.seconds)
            found.begin()
            for kind in options.kinds:
                found.rated(kind)
            for kind in options.kinds:
                if kind not in UNRATED and not options.rated:
                    found.unlimited(kind)
        except LoadFailedError:
            # Why the client was cut off is in what the services and NATS say.
            for told in (switchboard.output(), *(log.read_text() for log in folder.rglob("nats.log"))):
                print(told[-LAST_WORDS:], file=sys.stderr)
            raise
        finally:
            switchboard.close()
    return found


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--seconds", type=float, default=10.0)
    parse.add_argument("--kinds", nargs="+", default=["crowd", *KINDS], choices=["crowd", *KINDS])
    parse.add_argument("--rated", action="store_true", help="only what is judged")
    parse.add_argument("--results", type=Path, help="folder for HOSTILE.md and hostile.json")
    options = parse.parse_args()
    began = time.monotonic()
    found = measured(options)
    rows, usual = found.rows, found.usual
    print("", figures.line(usual, usual), *(figures.line(row, usual) for row in rows), sep="\n")
    if options.results:
        about = {name: told for name, told in circumstances(seed=0).items() if name != "seed"} | {
            "command": " ".join(["python -m tests.faults.hostile", *sys.argv[1:]]),
            "minutes": (time.monotonic() - began) / 60,
        }
        figures.write(rows, usual, about, options.results)
        print(f"The figures are in {options.results}.")
    if failures := figures.failures(rows, usual):
        sys.exit("FAILED\n  " + "\n  ".join(failures))


if __name__ == "__main__":
    main()
