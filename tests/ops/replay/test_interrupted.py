"""A replay that is killed, paused or cut off anywhere is resumed without a gap and without a repeat, by one process."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from services.ops.replay.verbs import PROCESS
from services.ops.terminal import DONE, INTERRUPTED, REFUSED
from shared.language import subjects
from shared.wire.connection import connect_to_nats
from tests.ops.replay.replaying import Log, Servers, positions, stored, taken_apart
from tests.real_servers import ROOT, RunningNats, RunningPostgres
from tests.relay.test_relay import until

FAST = ("--speed", "100000/s")
# The first message goes out at once, the second in half an hour.
SLOW = ("--speed", "0.0005/s")


@asynccontextmanager
async def publishing(servers: Servers, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that publishes a replay slowly; it is ended with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.ops.cli", "audit", "replay", *words, *SLOW,
        cwd=ROOT, env={"PATH": "", "NO_COLOR": "1", **servers.environment}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def count_is(servers: Servers, name: str, count: int) -> None:
    async def published() -> bool:
        return len(await servers.published(name)) >= count

    await until(published, what=f"{count} messages")


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def complete(servers: Servers, name: str, count: int) -> None:
    seen = taken_apart(await servers.published(name))
    assert positions(seen.events) == list(range(1, count + 1))
    assert [one.headers["ce-id"] for one in seen.events] == servers.log.ids()[:count]
    assert seen.ended["complete"] is True


# ---- killed


@pytest.mark.parametrize(
    "point",
    [
        "replay.begun",
        "replay.read",
        "replay.read 2",
        "replay.stored",
        "replay.stored 4",
        "replay.stored 5",
        "replay.partly_sent",
        "replay.partly_sent 3",
        "replay.published",
    ],
)
async def test_after_a_kill_anywhere_the_rest_follows_without_a_gap_or_a_repeat(
    point: str, servers: Servers, folder: Path
) -> None:
    servers.log.append_new(300)
    name, _, times = point.partition(" ")
    (folder / f"{name}@{PROCESS}").write_text(f"kill {times or 1}")
    killed = await servers.replay("start", "hist", *FAST, SWITCHBOARD_FAILPOINTS=str(folder))
    assert killed.code == -signal.SIGKILL
    assert (await servers.fields("show", "hist"))["status"] == "paused"
    resumed = await servers.replay("resume", "hist", *FAST)
    assert resumed.code == DONE, resumed
    await complete(servers, "hist", 300)


async def test_after_several_kills_too_with_forced_ids(servers: Servers, folder: Path) -> None:
    servers.log.append_new(300)
    for verb in (("start", "hist", "--forced", *FAST), *[("resume", "hist", *FAST)] * 3):
        (folder / f"replay.stored@{PROCESS}").write_text("kill")
        assert (await servers.replay(*verb, SWITCHBOARD_FAILPOINTS=str(folder))).code == -signal.SIGKILL
    assert (await servers.replay("resume", "hist", *FAST)).code == DONE
    seen = taken_apart(await servers.published("hist"))
    assert [one.headers["ce-replayof"] for one in seen.events] == servers.log.ids()
    assert len({one.headers["ce-id"] for one in seen.events}) == 300


async def test_a_kill_after_the_last_message_leaves_a_finished_replay(servers: Servers, folder: Path) -> None:
    servers.log.append_new(2)
    (folder / f"replay.ended@{PROCESS}").write_text("kill")
    assert (await servers.replay("start", "hist", SWITCHBOARD_FAILPOINTS=str(folder))).code == -signal.SIGKILL
    assert (await servers.fields("show", "hist"))["status"] == "finished"
    await complete(servers, "hist", 2)


# ---- paused and stopped


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_pauses_it_and_says_how_to_resume_it(number: int, servers: Servers) -> None:
    servers.log.append_new(3)
    async with publishing(servers, "start", "hist") as process:
        await count_is(servers, "hist", 2)
        # Not part of the replay: the log ended before them when it started.
        servers.log.append_new(2)
        process.send_signal(number)
        code, output = await ended(process)
    assert code == INTERRUPTED, output
    assert "Paused at position 1 of 3, 1 message. Resume it: switchboard audit replay resume hist" in output
    assert "The next event, position 2, is due in 0:33:20, at " in output
    assert "Traceback" not in output
    assert (await servers.replay("resume", "hist", *FAST)).code == DONE
    await complete(servers, "hist", 3)


async def test_the_verb_pauses_it_from_elsewhere(servers: Servers) -> None:
    servers.log.append_new(3)
    async with publishing(servers, "start", "hist") as process:
        await count_is(servers, "hist", 2)
        running = await servers.fields("show", "hist")
        assert (running["status"], str(process.pid) in running["process"]) == ("running", True)
        paused = await servers.replay("pause", "hist")
        assert (paused.code, "Paused at position 1 of 3" in paused.output) == (DONE, True), paused
        code, _ = await ended(process)
    assert code == INTERRUPTED
    assert "Paused at position 1" in await servers.done("pause", "hist")
    assert (await servers.replay("resume", "hist", *FAST)).code == DONE
    await complete(servers, "hist", 3)


@pytest.mark.parametrize("running", [True, False])
async def test_a_stopped_one_ends_with_a_message_that_says_that_it_is_not_complete(
    running: bool, servers: Servers
) -> None:
    servers.log.append_new(3)
    async with publishing(servers, "start", "hist") as process:
        await count_is(servers, "hist", 2)
        if not running:
            process.kill()
            await process.wait()
        stopped = await servers.replay("stop", "hist", "--yes")
        assert (stopped.code, "Stopped at position 1, not complete: 1 message." in stopped.output) == (DONE, True)
        code, output = await ended(process)
    assert code == (REFUSED if running else -signal.SIGKILL), output
    seen = taken_apart(await servers.published("hist"))
    assert (positions(seen.events), seen.ended["complete"], seen.ended["position"]) == ([1], False, 1)
    assert (await servers.fields("show", "hist"))["status"] == "stopped"
    assert (await servers.replay("resume", "hist")).code == REFUSED


# ---- two at once


async def test_a_second_process_is_refused_while_one_publishes_it(servers: Servers) -> None:
    servers.log.append_new(3)
    async with publishing(servers, "start", "hist") as process:
        await count_is(servers, "hist", 2)
        second = await servers.replay("resume", "hist", *FAST)
        assert (second.code, f"process {process.pid} on " in second.errors) == (REFUSED, True), second
        removed = await servers.replay("remove", "hist", "--yes")
        assert (removed.code, "stop it first" in removed.errors) == (REFUSED, True), removed
        assert len(await servers.published("hist")) == 2


async def test_a_process_that_does_not_answer_is_not_overtaken(servers: Servers) -> None:
    servers.log.append_new(3)
    async with publishing(servers, "start", "hist") as process:
        await count_is(servers, "hist", 2)
        process.send_signal(signal.SIGSTOP)
        refused = await servers.replay("resume", "hist", *FAST)
        process.send_signal(signal.SIGCONT)
    assert (refused.code, "publishes hist does not answer" in refused.errors) == (REFUSED, True), refused
    assert len(await servers.published("hist")) == 2


async def test_a_replay_that_was_removed_under_way_ends(servers: Servers) -> None:
    servers.log.append_new(3)
    async with publishing(servers, "start", "hist") as process:
        await count_is(servers, "hist", 2)
        client = await connect_to_nats(servers.nats, "test")
        await client.jetstream().purge_stream(subjects.REPLAY_STREAM)
        await client.close()
        stopped = await servers.replay("stop", "hist", "--yes")
        code, output = await ended(process)
    assert (code, "was removed" in output) == (REFUSED, True), (output, stopped)


# ---- servers away


async def test_it_goes_on_when_nats_and_postgresql_are_back(
    private_nats: RunningNats, private_postgres: RunningPostgres
) -> None:
    servers = Servers(private_nats.url, Log(private_postgres.url))
    servers.log.append_new(1_200)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.ops.cli", "audit", "replay", "start", "hist", "--speed", "200/s",
        cwd=ROOT, env={"PATH": "", **servers.environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    for server in (private_nats, private_postgres):
        before = len(await servers.published("hist"))
        await count_is(servers, "hist", min(before + 50, 1_202))
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    code, output = await ended(process)
    assert code == DONE, output
    await complete(servers, "hist", 1_200)


async def test_another_log_or_a_restored_one_is_refused(servers: Servers, postgres: RunningPostgres) -> None:
    servers.log.append_new(3)
    async with publishing(servers, "start", "hist") as process:
        await count_is(servers, "hist", 2)
        process.send_signal(signal.SIGINT)
        await ended(process)
    url = postgres.new_database()
    Log(url).append_new(3)
    refused = await servers.replay("resume", "hist", "--postgres", url)
    postgres.drop_database(url)
    assert (refused.code, "another log" in refused.errors) == (REFUSED, True), refused
    servers.log.forget_after(0)
    servers.log.append(*(stored(f"n{number}") for number in range(3)))
    refused = await servers.replay("resume", "hist")
    assert (refused.code, "restored from a backup" in refused.errors) == (REFUSED, True), refused


async def test_a_hole_in_the_log_ends_it_and_is_named(servers: Servers) -> None:
    servers.log.append_new(5)
    with psycopg.connect(servers.log.url) as connection:
        connection.execute("DELETE FROM connections.events WHERE notification_id = 3")
    found = await servers.replay("start", "hist", *FAST, "--json")
    assert found.code == REFUSED
    assert "lacks an event" in json.loads(found.output)["refused"]
