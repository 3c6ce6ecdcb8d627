"""The follower of a history loses and repeats no version: killed anywhere, next to another one, on a restored log."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from services.inbox_views.projection import DEFINITION
from shared.language.recorded import Recorded
from shared.process.log_reader import LogReader
from shared.projections import schemas
from shared.projections.commit_strategies import PositionMovedError
from shared.projections.definition import Document, ProjectionDefinition
from shared.projections.history.follower import HistoryFollower
from shared.projections.history.following import FollowerLimits
from shared.projections.history.log_growth import LogGrowth
from shared.projections.rebuild.cutover import rollback
from shared.projections.rebuild.limits import LIMITS
from shared.projections.rebuild.rebuild import build, rebuild
from shared.projections.rebuild.replay import Replay, resume_replay
from shared.projections.view import View
from tests.inbox_views.stories import eventually
from tests.projections.follow_history import NAME
from tests.projections.histories import HISTORY, Log, parked_in, plain, position_of, random_log, text, versions_of
from tests.projections.running_views import schemas_of, write_log
from tests.real_servers import ROOT, RunningPostgres, new_folder

FOLLOWER_LIMITS = FollowerLimits(batch=7, batches=2, poll_seconds=0.02, check_seconds=0.1, rest_times=0.0)


def marked(doc: Any, recorded: Recorded) -> Document:
    return {**DEFINITION.fold(doc, recorded), "marked": True}


NEXT: ProjectionDefinition = replace(DEFINITION, version=DEFINITION.version + 1, fold=marked)


@asynccontextmanager
async def following(
    url: str,
    definition: ProjectionDefinition = DEFINITION,
    *,
    live: bool = False,
    limits: FollowerLimits = FOLLOWER_LIMITS,
) -> AsyncIterator[HistoryFollower]:
    follower = HistoryFollower(url, definition.history(), definition if live else None, limits)
    task = asyncio.create_task(follower.run())
    try:
        yield follower
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait({task})


async def followed_to(url: str, position: int) -> None:
    async def there() -> bool:
        try:
            return await position_of(url) == position
        except psycopg.Error:
            return False

    await eventually(there)


async def require_equal(url: str, log: Log, definition: ProjectionDefinition = DEFINITION) -> None:
    """The history is what the plain fold makes of the log: no version is missing, and none is there twice."""
    expected = plain(log, definition.fold)
    assert await versions_of(url) == {text(version) for version in expected.versions}
    assert await parked_in(url) == expected.parked
    assert await position_of(url) == len(log.recorded)


async def write(url: str, log: Log, first: int, last: int) -> None:
    await write_log(url, log.recorded[first - 1 : last], log.topics)


# ---- following


async def test_events_are_followed_as_they_come(database: str) -> None:
    log = random_log(1, 200)
    await write(database, log, 1, 50)
    async with following(database):
        await followed_to(database, 50)
        for first in range(51, 201, 10):
            await write(database, log, first, first + 9)
        await followed_to(database, 200)
    await require_equal(database, log)


async def test_an_empty_log_has_an_empty_history(database: str) -> None:
    async with following(database) as follower:
        await followed_to(database, 0)
        assert follower.follows
    assert await versions_of(database) == set()


async def test_two_followers_write_each_version_once(database: str) -> None:
    log = random_log(2, 300)
    async with following(database) as one, following(database) as other:
        for first in range(1, 301, 20):
            await write(database, log, first, first + 19)
            await asyncio.sleep(0.01)
        await followed_to(database, 300)
        # Between two holders of the lease neither follows.
        await eventually(lambda: _one_follows(one, other))
    await require_equal(database, log)


async def test_a_writer_that_does_not_know_of_another_is_fenced(database: str) -> None:
    log = random_log(3, 100)
    await write(database, log, 1, 50)
    await rebuild(database, View(database, HISTORY))
    await write(database, log, 51, 100)
    async with writer(database) as one, writer(database) as other:
        assert await other.run(55) == 55
        assert await one.run(60) == 60
        with pytest.raises(PositionMovedError):
            await other.run(100)
        async with one.connection.transaction():
            await one.connection.execute(f"UPDATE {HISTORY.name}.view SET edition = gen_random_uuid()".encode())
        with pytest.raises(PositionMovedError):
            await one.run(100)
    async with writer(database) as successor:
        await successor.run()
    await require_equal(database, log)


@asynccontextmanager
async def writer(url: str) -> AsyncIterator[Replay]:
    async with schemas.rebuild_connection(url) as connection, LogReader(url) as log:
        yield await resume_replay(connection, log, HISTORY, HISTORY.name, LIMITS)


async def _one_follows(*followers: HistoryFollower) -> bool:
    return [one.follows for one in followers].count(True) == 1


@pytest.mark.parametrize(
    "point",
    [
        "history.unprepared 1",
        "history.written 1",
        "history.written 9",
        "history.written 30",
        "history.committed 1",
        "history.committed 3",
        "switch.filled 1",
        "switch.exchanged 1",
        "switch.committed 1",
    ],
)
async def test_a_follower_killed_at_any_step_loses_and_repeats_nothing(point: str, database: str) -> None:
    log = random_log(4, 200)
    await write(database, log, 1, 100)
    name, times = point.split()
    with new_folder() as folder:
        (folder / f"{name}@{NAME}").write_text(f"kill {times}")
        process = _process(database, 200, folder)
        await _followed_or_killed(database, 100, process)
        await write(database, log, 101, 200)
        assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL
        assert (folder / f"{name}@{NAME}.struck").exists()
        successor = _process(database, 200, folder)
        assert await asyncio.to_thread(successor.wait, 60) == 0
    await require_equal(database, log)
    assert await schemas_of(database, HISTORY.name) == {HISTORY.name}


async def _followed_or_killed(url: str, position: int, process: "subprocess.Popen[bytes]") -> None:
    async def there() -> bool:
        try:
            return process.poll() is not None or await position_of(url) == position
        except psycopg.Error:
            return False

    await eventually(there)


def _process(url: str, position: int, failpoints: Path) -> "subprocess.Popen[bytes]":
    argv = [sys.executable, "-m", "tests.projections.follow_history", url, str(position)]
    return subprocess.Popen(argv, cwd=ROOT, env={**os.environ, "SWITCHBOARD_FAILPOINTS": str(failpoints)})


async def test_a_restart_of_postgresql_is_survived(private_postgres: RunningPostgres) -> None:
    url, log = private_postgres.new_database(), random_log(5, 200)
    await write(url, log, 1, 100)
    async with following(url):
        await followed_to(url, 100)
        private_postgres.kill()
        private_postgres.start()
        await write(url, log, 101, 200)
        await followed_to(url, 200)
    await require_equal(url, log)


# ---- rebuilding


async def test_a_history_is_rebuilt_under_load_and_equal(database: str) -> None:
    log = random_log(6, 400)
    await write(database, log, 1, 100)
    async with following(database):
        await followed_to(database, 100)
        before = await _epoch(database)
        rebuilding = asyncio.create_task(rebuild(database, View(database, HISTORY)))
        for first in range(101, 401, 20):
            await write(database, log, first, first + 19)
            await asyncio.sleep(0.01)
        await rebuilding
        await followed_to(database, 400)
    assert await _epoch(database) != before
    await require_equal(database, log)


async def _epoch(url: str) -> Any:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await connection.execute(f"SELECT edition FROM {HISTORY.name}.view".encode())
        return await rows.fetchall()


async def test_a_history_of_a_restored_log_is_made_again(database: str) -> None:
    log, other = random_log(7, 100), random_log(8, 120)
    await write(database, log, 1, 100)
    with capture_logs() as logs:
        async with following(database):
            await followed_to(database, 100)
            async with await psycopg.AsyncConnection.connect(database) as connection:
                await connection.execute("TRUNCATE connections.events")
            await write(database, other, 1, 120)
            await followed_to(database, 120)
            await eventually(lambda: _equal(database, other))
    assert [line["schema"] for line in logs if line["event"] == "history.discarded"] == [HISTORY.name]


async def test_a_follower_killed_after_it_dropped_a_lost_history_is_succeeded(database: str) -> None:
    log, other = random_log(12, 60), random_log(13, 80)
    await write(database, log, 1, 60)
    async with following(database):
        await followed_to(database, 60)
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute("TRUNCATE connections.events")
    await write(database, other, 1, 80)
    with new_folder() as folder:
        (folder / f"history.discarded@{NAME}").write_text("kill")
        for code in (-signal.SIGKILL, 0):
            process = _process(database, 80, folder)
            assert await asyncio.to_thread(process.wait, 60) == code
    await require_equal(database, other)


async def _equal(url: str, log: Log) -> bool:
    try:
        return await versions_of(url) == {text(version) for version in plain(log).versions}
    except psycopg.Error:
        return False


# ---- versions


async def live_rows(url: str, definition: ProjectionDefinition) -> None:
    """Live rows of this version, as a rebuild leaves them."""
    await rebuild(url, View(url, definition))


async def test_a_history_waits_until_the_live_rows_are_of_its_version(database: str) -> None:
    log = random_log(9, 60)
    await write(database, log, 1, 60)
    async with following(database, live=True) as follower:
        await eventually(lambda: _says(follower, "there are no rows of inbox_views yet"))
        await live_rows(database, DEFINITION)
        await followed_to(database, 60)
        async with following(database, NEXT, live=True) as next_one:
            await eventually(lambda: _says(next_one, "the live rows are of version"))
            await require_equal(database, log)
            await live_rows(database, NEXT)
            await eventually(lambda: _version_is(database, NEXT.version))
            await require_equal(database, log, NEXT)
            await eventually(lambda: _says(follower, "the live rows are of version"))
    assert await schemas_of(database, HISTORY.name) == {HISTORY.name, schemas.retired(HISTORY.name)}


async def _says(follower: HistoryFollower, words: str) -> bool:
    return words in (follower.last_error or "")


async def _version_is(url: str, version: int) -> bool:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await connection.execute(f"SELECT design FROM {HISTORY.name}.view".encode())
        return await rows.fetchall() == [(version,)]


async def test_a_staged_history_is_used_when_the_live_rows_are_of_its_version(database: str) -> None:
    log = random_log(10, 80)
    await write(database, log, 1, 60)
    await live_rows(database, DEFINITION)
    async with following(database, live=True):
        await followed_to(database, 60)
    await build(database, NEXT.history())
    await write(database, log, 61, 80)
    await live_rows(database, NEXT)
    with capture_logs() as logs:
        async with following(database, NEXT, live=True):
            await eventually(lambda: _version_is(database, NEXT.version))
            await followed_to(database, 80)
    assert "view.rebuilt" not in [line["event"] for line in logs]
    await require_equal(database, log, NEXT)


async def test_a_history_goes_back_with_the_live_rows(database: str) -> None:
    log = random_log(11, 60)
    await write(database, log, 1, 60)
    for definition in (DEFINITION, NEXT):
        await live_rows(database, definition)
        async with following(database, definition, live=True):
            await eventually(lambda definition=definition: _is_of(database, definition))  # type: ignore[misc]
    await rollback(database, DEFINITION, force=True)
    with capture_logs() as logs:
        async with following(database, live=True):
            await eventually(lambda: _is_of(database, DEFINITION))
    assert "view.rebuilt" not in [line["event"] for line in logs]
    await require_equal(database, log)


async def _is_of(url: str, definition: ProjectionDefinition) -> bool:
    try:
        return await _version_is(url, definition.version)
    except psycopg.Error:
        return False


# ---- limits


def test_a_log_grows_fast_until_there_is_a_measure() -> None:
    growth = LogGrowth()
    assert growth.is_fast
    growth.observe(10)
    assert growth.is_fast


async def test_growth_is_measured_over_the_last_second() -> None:
    growth = LogGrowth(fast=100.0, seconds=0.1)
    growth.observe(0)
    await asyncio.sleep(0.02)
    growth.observe(1_000)
    assert growth.is_fast
    await asyncio.sleep(0.12)
    growth.observe(1_001)
    await asyncio.sleep(0.05)
    growth.observe(1_001)
    assert not growth.is_fast
