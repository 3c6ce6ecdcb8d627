"""Whatever is killed under load: nothing acknowledged is lost, nothing is doubled, and everybody sees the same.

Each fault strikes a Switchboard at work and says itself that it struck. Then what was acknowledged, stored, told on the
stream and seen in the views is compared as sets (`verdict.py`).
"""

import asyncio
import signal
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import psutil
import pytest

from shared.runtime.children import Child, Program
from tests.faults import verdict
from tests.faults.workload import Workload
from tests.journeys import cast
from tests.journeys.wire import STREAM, Wire, connected
from tests.real_servers import ROOT, RunningSwitchboard, free_port, new_folder, still_run, wait_until

MODULES = {
    "connections": "services.connections.app",
    "relay": "services.relay.app",
    "inbox-views": "services.inbox_views.app",
    "routing": "services.routing.app",
}
COMMANDS_BETWEEN = 60


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSwitchboard]:
    """A Switchboard that is ready again after every fault."""
    with new_folder() as folder:
        made = RunningSwitchboard(folder)
        try:
            made.start()
            yield made
        finally:
            made.close()


IS_SERVER: dict[str, Callable[[list[str]], bool]] = {
    "nats": lambda argv: argv[0].endswith("nats-server"),
    "postgres": lambda argv: argv[0].endswith("postgres"),
}


def part(running: RunningSwitchboard, name: str) -> psutil.Process:
    """The process of one part; of PostgreSQL, the one that started the others.

    Raises:
        psutil.NoSuchProcess: it is not running now.
    """
    for process in psutil.Process(running.process.pid).children():
        argv = process.cmdline()
        if argv and (MODULES.get(name) in argv or (name in IS_SERVER and IS_SERVER[name](argv))):
            return process
    raise psutil.NoSuchProcess(0, name)


def is_another(running: RunningSwitchboard, name: str, before: psutil.Process) -> bool:
    try:
        return bool(part(running, name).pid != before.pid)
    except psutil.NoSuchProcess:
        return False


def struck(running: RunningSwitchboard, name: str, strike: Callable[[psutil.Process], None]) -> None:
    """Strikes a part; returns when it had ended, another process has its place, and all of Switchboard is ready."""
    before = part(running, name)
    deaths = running.output().count("part.died")
    strike(before)
    wait_until(lambda: not still_run([before]), 20, f"{name} to end")
    wait_until(lambda: running.output().count("part.died") > deaths, 20, "the end to be noticed")
    wait_until(lambda: is_another(running, name, before), 20, f"{name} to be started again")
    running.wait_until_ready(40)


Fault = Callable[[RunningSwitchboard, Workload], Awaitable[None]]


def killed(name: str, times: int = 1) -> Fault:
    async def strike(running: RunningSwitchboard, work: Workload) -> None:
        for _ in range(times):
            await asyncio.to_thread(struck, running, name, psutil.Process.kill)
            await work.progress(COMMANDS_BETWEEN)

    return strike


def hung(name: str) -> Fault:
    """A process stops in the middle of its work, another one takes over, and it wakes up with old things to do."""

    async def strike(running: RunningSwitchboard, work: Workload) -> None:
        async with another(running, name) as second:
            await work.progress(COMMANDS_BETWEEN)
            first = part(running, name)
            first.suspend()
            try:
                wait_until(lambda: bool(first.status() == psutil.STATUS_STOPPED), 5, f"{name} to stand still")
                await work.progress(COMMANDS_BETWEEN)
                if name == "relay":
                    await the_stream_grows(running, 100)
            finally:
                first.resume()
            await work.progress(COMMANDS_BETWEEN)
            await asyncio.to_thread(running.wait_until_ready, 40)
            assert second.poll() is None

    return strike


async def the_stream_grows(running: RunningSwitchboard, messages: int) -> None:
    async with connected(running.nats_url) as wire:
        js = wire.client.jetstream()
        end = (await js.stream_info(STREAM)).state.last_seq
        goal, until = end + messages, time.monotonic() + 30
        while end < goal:
            assert time.monotonic() < until, f"the stream ends at {end}, not {goal}\n{running.health()}"
            await asyncio.sleep(0.05)
            end = (await js.stream_info(STREAM)).state.last_seq


@asynccontextmanager
async def another(running: RunningSwitchboard, name: str) -> AsyncIterator[Child]:
    """A second process of a service, beside the launcher's, that is ready."""
    port = free_port()
    environment = {
        "PYTHONPATH": str(ROOT),
        "SWITCHBOARD_NATS_URL": running.nats_url,
        "SWITCHBOARD_POSTGRES_URL": running.postgres_url,
        "SWITCHBOARD_HTTP_PORT": str(port),
    }
    argv = (sys.executable, "-m", MODULES[name])
    log = running.data_dir / f"{name}-2.log"
    child = Child(Program(f"{name}-2", argv, environment=environment, cwd=ROOT, log=log))
    try:
        await asyncio.to_thread(wait_until, lambda: answers_ready(port), 20, f"a second {name} to be ready")
        yield child
    finally:
        await asyncio.to_thread(child.stop)


def answers_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


async def postgres_restarted(running: RunningSwitchboard, _: Workload) -> None:
    """As by `pg_ctl restart -m immediate`: no session ends cleanly, the database recovers from its log."""
    await asyncio.to_thread(struck, running, "postgres", lambda process: process.send_signal(signal.SIGQUIT))
    log = (running.data_dir / "data/logs/postgres.log").read_text()
    assert "database system was not properly shut down" in log


async def jetstream_wiped(running: RunningSwitchboard, _: Workload) -> None:
    """NATS comes back and has never heard of any stream."""
    folder = running.data_dir / "data/nats/jetstream"
    assert list((folder / "$G/streams" / STREAM / "msgs").iterdir())

    def strike(process: psutil.Process) -> None:
        folder.rename(folder.with_name(f"lost-{time.monotonic_ns()}"))
        process.kill()

    await asyncio.to_thread(struck, running, "nats", strike)


async def everything_killed(running: RunningSwitchboard, _: Workload) -> None:
    """As by the power cord, but for the disk."""

    def strike() -> None:
        processes = running.processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # PostgreSQL's sessions come and go
                process.kill()
        running.process.wait()
        wait_until(lambda: not still_run(processes), 20, "everything to end")
        running.start()

    await asyncio.to_thread(strike)


async def stopped_and_started(running: RunningSwitchboard, _: Workload) -> None:
    """A clean stop under load leaves no process."""

    def strike() -> None:
        processes = running.processes()
        assert len(processes) > len(MODULES) + 2
        assert running.stop() == 0
        assert still_run(processes) == []
        running.start()

    await asyncio.to_thread(strike)


FAULTS: dict[str, Fault] = {
    "connections is killed": killed("connections", 3),
    "the relay is killed": killed("relay", 2),
    "inbox views are killed": killed("inbox-views", 2),
    "routing is killed": killed("routing"),
    "NATS is killed": killed("nats", 2),
    "JetStream is wiped": jetstream_wiped,
    "PostgreSQL is restarted at once": postgres_restarted,
    "a writer hangs": hung("connections"),
    "the relay hangs": hung("relay"),
    "a view hangs": hung("inbox-views"),
    "everything is killed": everything_killed,
    "everything is stopped and started": stopped_and_started,
}
# Callers notice these, and ask again.
NOTICED = ("connections is killed", "a writer hangs", "everything is killed")


@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_is_lost_doubled_or_seen_otherwise_when(fault: str, running: RunningSwitchboard) -> None:
    async with connected(
        running.nats_url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=ignored
    ) as wire:
        accounts = [(await cast.furnished(wire)).name for _ in range(2)]
        work = Workload(accounts, seed=list(FAULTS).index(fault))
        working = asyncio.create_task(work.run(wire))
        await work.progress(COMMANDS_BETWEEN)
        created = await stream_created(wire)
        await FAULTS[fault](running, work)
        await work.progress(COMMANDS_BETWEEN)
        work.end()
        await working
        await judged(running, wire, work, fault)
        assert (await stream_created(wire) != created) == (fault == "JetStream is wiped")
        if fault in NOTICED:
            assert any(one.tries > 1 for one in work.given.values())


async def ignored(_error: Exception) -> None:
    """The bus goes away: that is what this is about."""


async def stream_created(wire: Wire) -> str:
    info = await wire.client.jetstream().stream_info(STREAM)
    return str(info.created)


async def judged(running: RunningSwitchboard, wire: Wire, work: Workload, title: str) -> None:
    given = list(work.given.values())
    stored = await asyncio.to_thread(verdict.stored_events, running.postgres_url)
    facts = await wire.facts(stored[-1].position, seconds=30)
    counts = {
        "commands": len(given),
        "asked more than once": sum(one.tries > 1 for one in given),
        "accepted": sum(one.reply is not None and one.reply.outcome == "accepted" for one in given),
        "stored": len(stored),
        "told": len(facts),
    }
    print(f"\n{title}")
    assert verdict.passed(
        counts,
        verdict.of_commands(given, stored),
        verdict.of_the_stream(stored, facts),
        await verdict.of_the_views(wire, work.accounts, facts),
        await verdict.of_the_answers(wire, given),
    )
    after = await asyncio.to_thread(verdict.stored_events, running.postgres_url)
    assert after == stored, "asking again wrote something"


# ---- a rolling restart


async def test_a_rolling_restart_of_the_write_side_loses_no_request(running: RunningSwitchboard) -> None:
    async with connected(running.nats_url) as wire:
        work = Workload([(await cast.furnished(wire)).name], seed=99)
        working = asyncio.create_task(work.run(wire))
        for _ in range(3):
            async with another(running, "connections") as second:
                await until_there_are(wire, 2)
                await work.progress(COMMANDS_BETWEEN)
                await asyncio.to_thread(struck, running, "connections", psutil.Process.terminate)
                await until_there_are(wire, 2)
                await work.progress(COMMANDS_BETWEEN)
                second.ask_to_end()
                await asyncio.to_thread(wait_until, lambda: second.poll() is not None, 20, "the second to end")
                assert second.poll() == 0
        await work.progress(COMMANDS_BETWEEN)
        work.end()
        await working
        again = [one for one in work.given.values() if one.tries != 1]
        print(f"{len(work.given)} commands through six restarts, {len(again)} asked more than once")
        assert not again
        await judged(running, wire, work, "rolling restart")


async def until_there_are(wire: Wire, processes: int) -> None:
    """Returns when so many processes of the write side answer, and no more."""
    async with asyncio.timeout(20):
        while await counted(wire) != processes:
            pass


async def counted(wire: Wire) -> int:
    inbox = wire.client.new_inbox()
    subscription = await wire.client.subscribe(inbox)
    await wire.client.publish("$SRV.PING.switchboard-connections", reply=inbox)
    found = 0
    try:
        while True:
            await subscription.next_msg(timeout=0.2)
            found += 1
    except TimeoutError:
        return found
    finally:
        await subscription.unsubscribe()
