"""Beside every kind of hostile client a well-behaved one gets all of its answers; nothing of ours ends or swells."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.faults.attackers import KINDS
from tests.faults.hostile import RATED, RATES, UNRATED, Client, attacker_of, furnish, least_sent, megabytes
from tests.real_servers import ROOT, RunningSwitchboard, running_switchboard

SECONDS, ATTACK_SECONDS = 1.0, 1.5
# Modest: how fast a flood is served is for `python -m tests.faults.hostile` to say.
RATE = 2_000.0
MOST_MORE_MEGABYTES = 300


@pytest.fixture(scope="module")
def furnished() -> Iterator[RunningSwitchboard]:
    with running_switchboard() as made:
        furnish(made.nats_url)
        yield made


@contextmanager
def under_attack(url: str, kind: str) -> Iterator[None]:
    """Returns when the attacker is at work; asserts in the end that it was."""
    least = least_sent(kind, ATTACK_SECONDS) * (1 if kind in UNRATED or kind in RATES else RATE / RATED)
    argv = [*attacker_of(kind, url, RATES.get(kind, RATE), ATTACK_SECONDS), "--least", str(round(least))]
    attacker = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert attacker.stdout is not None
        attacker.stdout.readline()
        yield
        told = json.loads(attacker.communicate(timeout=60)[0])
    finally:
        attacker.kill()
        attacker.wait()
    assert told["sent"] >= least
    assert told.get("cut_by_server", told["sent"]) == told["sent"]


@pytest.mark.parametrize("kind", ["crowd", *KINDS])
def test_the_others_are_answered_beside(kind: str, furnished: RunningSwitchboard) -> None:
    before, pids = megabytes(furnished), {process.pid for process in ours(furnished)}
    with under_attack(furnished.nats_url, kind):
        row = Client(furnished.nats_url).run(kind, SECONDS)
    assert set(row.outcomes) == {"as wished"}, row.outcomes
    assert {process.pid for process in ours(furnished)} == pids
    assert megabytes(furnished) - before < MOST_MORE_MEGABYTES
    assert furnished.output().count('"level":"error"') == 0


def ours(furnished: RunningSwitchboard) -> list[psutil.Process]:
    """Our services' processes."""
    return [p for p in furnished.processes() if p.name() != "postgres" and "nats" not in p.name()]
