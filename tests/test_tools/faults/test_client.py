"""A client does the same for the same seed, ends when it is asked to, and says what it does not know."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.faults import history
from tests.faults.history import Command
from tests.real_servers import ROOT, RunningNats, wait_until

COMMANDS = 100


def start(url: str, number: int, out: Path) -> "subprocess.Popen[bytes]":
    options = {"--url": url, "--accounts": "a,b", "--seed": "5", "--number": str(number), "--out": str(out)}
    rest = {"--pace": "0", "--give-up": "0.01"}
    words = [word for pair in (options | rest).items() for word in pair]
    return subprocess.Popen([sys.executable, "-m", "tests.faults.client", *words], cwd=ROOT)


def work(url: str, number: int, out: Path) -> list[Command]:
    """What a client has given when it ended by itself, nobody being there to answer."""
    client = start(url, number, out)
    try:
        wait_until(lambda: out.exists() and len(history.read([out])) >= COMMANDS, 20, "commands")
        client.send_signal(signal.SIGTERM)
        assert client.wait(20) == 0
    finally:
        client.kill()
        client.wait()
    return history.read([out])


def given(commands: list[Command]) -> dict[str, tuple[str, str, str, str]]:
    return {one.id: (one.account, one.name, one.actor, str(one.fields)) for one in commands[:COMMANDS]}


def test_seed_and_number_say_what_it_gives(private_nats: RunningNats, folder: Path) -> None:
    first = given(work(private_nats.url, 1, folder / "first"))
    again = given(work(private_nats.url, 1, folder / "again"))
    other = given(work(private_nats.url, 2, folder / "other"))
    both = first.keys() & again.keys()
    # Its workers take turns as the machine has it, so the last ones differ.
    assert len(both) > COMMANDS // 2
    assert all(first[id_] == again[id_] for id_ in both)
    assert first.keys().isdisjoint(other)


def test_what_nobody_answers_is_unknown_and_nothing_stays_open(private_nats: RunningNats, folder: Path) -> None:
    commands = work(private_nats.url, 1, folder / "1")
    assert {one.outcome for one in commands} == {"unknown"}
    assert all(one.ended is not None for one in commands)
    assert {one_try.how for one in commands for one_try in one.tries} == {"bus error"}


def test_clients_of_one_seed_race_for_the_same_addresses(private_nats: RunningNats, folder: Path) -> None:
    clients = [start(private_nats.url, number, folder / str(number)) for number in range(2)]
    try:
        wait_until(lambda: len(raced(folder / "0") & raced(folder / "1")) > 20, 20, "races")
    finally:
        for client in clients:
            client.kill()
            client.wait()
    owners = [
        {one.fields["owner"] for one in history.read([folder / str(n)]) if (one.address or "").startswith("raced-")}
        for n in range(2)
    ]
    assert owners[0].isdisjoint(owners[1])


def raced(path: Path) -> set[str]:
    commands = history.read([path]) if path.exists() else []
    return {one.address or "" for one in commands if one.name == "ConnectPersonal"} - {
        f"address-{number:02}@acme.example" for number in range(24)
    }
