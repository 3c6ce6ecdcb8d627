"""Fixtures over real servers. Two runs side by side do not meet: every folder and port is new."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.real_servers import ROOT, RunningNats, RunningPostgres, RunningSwitchboard, new_folder, running_switchboard

# What a developer has set for a Switchboard of theirs is not for the tests.
for _name in [name for name in os.environ if name.startswith("SWITCHBOARD_")]:
    del os.environ[_name]

# Nor is the width of the terminal, which pytest-xdist hands on to its workers.
os.environ.pop("COLUMNS", None)

# Hundreds of programs are started: compiled once, each starts in half the time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell has what it starts in the background ignore Ctrl-C, and whatever that starts: a test would send it in vain.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """More workers than cores: a test of servers often waits for them."""
    return 2 * (os.cpu_count() or 1)


# Their tests take longest: begun last, they would keep one worker busy while the others have nothing left to do.
LONGEST = (
    "test_tools", "ops", "deploy", "journeys", "messaging", "faults", "scale", "projections", "client", "relay",
    "inbox_views",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the files for the workers of pytest-xdist."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        places = {name: place for place, name in enumerate(LONGEST)}
        items.sort(key=lambda item: places.get(item.path.relative_to(ROOT / "tests").parts[0], len(places)))


def pytest_collection_finish() -> None:
    """What was collected stays: looks at all of it for garbage would stop the event loops of tests for a while."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres() -> Iterator[RunningPostgres]:
    """One PostgreSQL for the session; ask it for a `new_database()`."""
    with new_folder() as folder:
        server = RunningPostgres(folder)
        yield server
        server.stop()


@pytest.fixture
def database(postgres: RunningPostgres) -> Iterator[str]:
    """The URL of an empty database."""
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(scope="session")
def nats() -> Iterator[RunningNats]:
    """One NATS with JetStream for the session: streams and subjects are shared by its tests."""
    with new_folder() as folder:
        server = RunningNats(folder)
        yield server
        server.stop()


@pytest.fixture
def private_postgres() -> Iterator[RunningPostgres]:
    """A PostgreSQL to stop, kill, pause and wipe."""
    with new_folder() as folder:
        server = RunningPostgres(folder)
        yield server
        server.kill()


@pytest.fixture
def private_nats() -> Iterator[RunningNats]:
    """A NATS to stop, kill, pause and wipe, with streams of its own."""
    with new_folder() as folder:
        server = RunningNats(folder)
        yield server
        server.kill()


@pytest.fixture(scope="session")
def running() -> Iterator[RunningSwitchboard]:
    """One whole Switchboard for the session, with servers of its own: take an account that nobody else has."""
    with running_switchboard() as made:
        yield made


@pytest.fixture
def folder() -> Iterator[Path]:
    """A new folder under a short path."""
    with new_folder() as path:
        yield path


MakeSwitchboard = Callable[..., RunningSwitchboard]


@pytest.fixture
def make_switchboard() -> Iterator[MakeSwitchboard]:
    """Makes Switchboards that are not started yet, and closes them after the test."""
    with ExitStack() as stack:

        def make(environment: Mapping[str, str] | None = None, argv: Sequence[str] | None = None) -> RunningSwitchboard:
            made = RunningSwitchboard(stack.enter_context(new_folder()), environment, argv)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def switchboard(make_switchboard: MakeSwitchboard) -> RunningSwitchboard:
    """A whole Switchboard that is ready, with servers of its own."""
    made = make_switchboard()
    made.start()
    return made
