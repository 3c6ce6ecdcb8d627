"""A follower that is killed anywhere leaves an index that the next one goes on with."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.follow_index import NAME
from tests.audit.past import Past, past_in, rows
from tests.audit.plain_index import plain_index
from tests.audit.test_index import indexed


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        made.begin()
        made.live(11, 120, ("acme",))
        yield made


def follow(url: str, folder: Path) -> int:
    """The exit code of a follower that stops once it has all that is there now."""
    ((ordinal,),) = rows(url, "SELECT max(ordinal) FROM connections.journal")
    environment = {**os.environ, "SWITCHBOARD_FAILPOINTS": str(folder)}
    argv = [sys.executable, "-m", "tests.audit.follow_index", url, str(ordinal)]
    return subprocess.run(argv, env=environment, capture_output=True, check=False, timeout=60).returncode


@pytest.mark.parametrize(
    "point", ["index.written 1", "index.written 5", "index.committed 1", "index.committed 7", "index.built"]
)
def test_it_is_whole_after_a_kill_while_it_is_built(past: Past, folder: Path, point: str) -> None:
    name, _, times = point.partition(" ")
    (folder / f"{name}@{NAME}").write_text(f"kill {times}")
    assert follow(past.url, folder) == -signal.SIGKILL
    assert follow(past.url, folder) == 0
    assert indexed(past.url) == plain_index(past.url)


def test_it_is_whole_after_a_kill_while_it_follows(past: Past, folder: Path) -> None:
    assert follow(past.url, folder) == 0
    for seed, point in enumerate(("index.written", "index.committed")):
        past.live(20 + seed, 60, ("acme",))
        (folder / f"{point}@{NAME}").write_text("kill 2")
        assert follow(past.url, folder) == -signal.SIGKILL
    assert follow(past.url, folder) == 0
    assert indexed(past.url) == plain_index(past.url)
