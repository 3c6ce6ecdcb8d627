"""Runs a load generator as a process of its own, so that what it costs is seen apart from what it measures."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.account import OWNER
from tests.real_servers import ROOT

PATIENCE_SECONDS = 1_800.0

# What a generator prints; see `tests.bench.load.summary`.
Told = dict[str, Any]


class WrongRepliesError(Exception):
    """Not every command of a load was accepted: its speed says nothing."""


def run_load(
    url: str,
    subject: str,
    *,
    commands: int,
    in_flight: int = 256,
    rate: float = 0.0,
    actor: str = OWNER,
    program: Path | None = None,
    busy: bool = False,
) -> Told:
    """What the generator tells of its run.

    With `busy`, commands may be refused as such: at a fixed rate that is the answer to too much. `program` is another
    generator with the same options (but `--rate`) that prints the same figures.

    Raises:
        WrongRepliesError: a reply was not `accepted`.
        subprocess.CalledProcessError: it failed; what it said is on standard error.
    """
    options = ["--url", url, "--subject", subject, "--actor", actor, "--commands", str(commands)]
    options += ["--in-flight", str(in_flight), *(["--rate", str(rate)] if rate else [])]
    told = told_by([str(program)] if program else ["-m", "tests.bench.load"], options)
    if told["not_accepted"] > (told["busy"] if busy else 0):
        raise WrongRepliesError(f"{told['not_accepted']} of {told['commands']}, the first: {told['first_wrong']}")
    return told


def told_by(script: Sequence[str], options: Sequence[str]) -> Told:
    """The last line that a Python program prints, as JSON; `client_cpu_us` is added when it does not say."""
    before = os.times()
    done = subprocess.run(
        [sys.executable, *script, *options],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        timeout=PATIENCE_SECONDS,
    )
    after = os.times()
    told: Told = json.loads(done.stdout.splitlines()[-1])
    # Its start included, if it does not measure itself.
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    told.setdefault("client_cpu_us", round(1e6 * spent / told["commands"], 1))
    return told
