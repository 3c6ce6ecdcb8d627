"""A failpoint strikes one process once, at the time it was armed for, and nobody where nothing is armed."""

import multiprocessing
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shared.process import clock, failpoints


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm(None, "any")


def test_nothing_happens_where_nothing_is_armed(folder: Path) -> None:
    failpoints.reached("ledger.committed")
    failpoints.arm(folder, "connections")
    failpoints.reached("ledger.committed")


def test_it_strikes_at_its_time_and_only_once(folder: Path) -> None:
    failpoints.arm(folder, "relay")
    (folder / "relay.stored@relay").write_text("jump 3 86400")
    assert [jumped("relay.stored") for _ in range(7)] == [False, False, True, False, False, False, False]
    clock.jump(-86_400)


def test_another_point_and_another_process_are_left_alone(folder: Path) -> None:
    failpoints.arm(folder, "relay")
    (folder / "relay.stored@routing").write_text("kill")
    (folder / "relay.read@relay").write_text("kill")
    failpoints.reached("relay.stored")


def jumped(point: str) -> bool:
    """Whether this process is a day later after the point than before it."""
    before = datetime.fromisoformat(clock.now())
    failpoints.reached(point)
    return datetime.fromisoformat(clock.now()) - before > timedelta(hours=23)


def test_a_killed_process_leaves_its_number_and_spares_its_successor(folder: Path) -> None:
    token = folder / "view.folded@routing"
    token.write_text("kill 2")
    first, second = (multiprocessing.get_context("spawn").Process(target=passing, args=(folder,)) for _ in range(2))
    first.start()
    first.join()
    assert first.exitcode == -signal.SIGKILL
    assert token.with_name(f"{token.name}.struck").read_text() == str(first.pid)
    second.start()
    second.join()
    assert second.exitcode == 0


def passing(folder: Path) -> None:
    failpoints.arm(folder, "routing")
    for _ in range(4):
        failpoints.reached("view.folded")


def test_a_clock_jumps_and_jumps_back(folder: Path) -> None:
    failpoints.arm(folder, "connections")
    before = clock.now()
    for seconds in ("3600", "-3600"):
        (folder / "ledger.decided@connections").write_text(f"jump 1 {seconds}")
        failpoints.reached("ledger.decided")
        if seconds == "3600":
            assert clock.now()[:13] != before[:13]
    assert clock.now()[:13] >= before[:13]
