"""What is done beside one NATS and one PostgreSQL: the demo, what dies while people work, a wiped bus, the views."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.faults.workload import Workload, ignored
from tests.journeys import cast
from tests.journeys.wire import Wire, connected
from tests.neighbours.servers import Neighbour, TooOldPostgres, Version
from tests.real_servers import ROOT, RunningSwitchboard, new_folder, wait_until
from tests.scale.fleet import SERVICES, Fleet
from tests.scale.judging import judged

VIEWS: Final = ("inbox-views", "routing")
COMMANDS_BETWEEN: Final = 100
# Longer than a server takes to come back and the services to notice, on a busy machine.
ANSWERED_WITHIN_SECONDS: Final = 60.0
TOLD_WITHIN_SECONDS: Final = 60.0
ACCOUNTS: Final = 3
PACE_SECONDS: Final = 0.03


@dataclass(frozen=True)
class Row:
    """One step beside one server and its verdict; `why` is empty when it went well."""

    server: str
    version: str
    step: str
    seconds: float
    why: str

    @property
    def verdict(self) -> str:
        return "ok" if not self.why else "FAILED"


class Table:
    """The rows so far, each printed as soon as it is known."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    @contextmanager
    def step(self, versions: Sequence[Version], name: str) -> Iterator[None]:
        """What is done in the block is one step; what it raises is its verdict, and goes on to whoever called."""
        began, why = time.monotonic(), ""
        try:
            yield
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise
        finally:
            server, version = " + ".join(one.server for one in versions), " + ".join(one.number for one in versions)
            self.rows.append(Row(server, version, name, time.monotonic() - began, why))
            print(line_of(self.rows[-1]), flush=True)


def line_of(row: Row) -> str:
    return f"{row.server:<18} {row.version:<15} {row.step:<44} {row.verdict:<7} {row.seconds:6.1f} s"


# ---- the steps


async def beside(table: Table, nats: Version, postgres: Version) -> None:
    """Does all of it; what follows a step that failed is not tried."""
    both = (nats, postgres)
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder())
        with table.step(both, "everything starts and is ready"):
            bus, store = Neighbour(nats, folder), Neighbour(postgres, folder)
            stack.callback(store.stop)
            stack.callback(bus.kill)
            members = Fleet(folder, bus.url, store.url)
            stack.callback(members.close)
            await asyncio.to_thread(members.grow, 1)
        with table.step(both, "the demo tells its story"):
            await done("demo", SWITCHBOARD_NATS_URL=bus.url)
        async with at_work(bus.url) as (wire, work):
            for service in SERVICES:
                with table.step(both, f"kill -9 of {service} at work"):
                    members.kill(service)
                    await asyncio.to_thread(members.begin(service).wait_until_ready)
                    await work.progress(COMMANDS_BETWEEN, ANSWERED_WITHIN_SECONDS)
            for server, harm, name in (
                (store, Neighbour.kill, "kill -9 of PostgreSQL at work"),
                (bus, Neighbour.kill, "kill -9 of NATS at work"),
                (bus, Neighbour.wipe, "JetStream's files are lost at work"),
            ):
                with table.step(both, name):
                    await asyncio.to_thread(harm, server)
                    await asyncio.to_thread(server.start)
                    await all_ready(members)
                    await work.progress(COMMANDS_BETWEEN, ANSWERED_WITHIN_SECONDS)
            for view in VIEWS:
                with table.step(both, f"views of {view}: each verb, at work"):
                    await every_verb(view, store.url)
                    await work.progress(COMMANDS_BETWEEN, ANSWERED_WITHIN_SECONDS)
        with table.step(both, "nothing is lost, doubled or shown wrong"):
            async with on_bus(bus.url) as wire:
                assert await judged(members, wire, work, {}, " + ".join(map(str, both))), "see the sets above"


async def too_old(table: Table, postgres: Version) -> None:
    """Switchboard says that this PostgreSQL is too old, and which it needs."""
    with table.step([postgres], "is said to be too old"), new_folder() as folder, ExitStack() as stack:
        store = TooOldPostgres(postgres, folder / "old")
        stack.callback(store.stop)
        made = RunningSwitchboard(folder, {"SWITCHBOARD_POSTGRES_URL": store.url})
        stack.callback(made.close)
        made.launch()

        def told() -> bool:
            said = made.output() + json.dumps(made.health()[1])
            return "too old" in said and f"PostgreSQL {postgres.major}" in said

        await asyncio.to_thread(wait_until, told, TOLD_WITHIN_SECONDS, "it to be told that this PostgreSQL is too old")
        assert not made.ready(), "it says that it is ready"


# ---- what they are made of


@asynccontextmanager
async def on_bus(url: str) -> AsyncIterator[Wire]:
    """A connection that survives what happens to the bus."""
    async with connected(url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=ignored) as wire:
        yield wire


@asynccontextmanager
async def at_work(url: str) -> AsyncIterator[tuple[Wire, Workload]]:
    """People at work within the block; at its end all of their commands have answers."""
    async with on_bus(url) as wire:
        accounts = [(await cast.furnished(wire)).name for _ in range(ACCOUNTS)]
        work = Workload(accounts, seed=12, pace=PACE_SECONDS)
        running = asyncio.create_task(work.run(wire))
        try:
            await work.progress(COMMANDS_BETWEEN)
            yield wire, work
            work.end()
            async with asyncio.timeout(ANSWERED_WITHIN_SECONDS):
                await running
        finally:
            running.cancel()
            await asyncio.wait({running})


async def all_ready(members: Fleet) -> None:
    for service in SERVICES:
        for member in members.members[service]:
            await asyncio.to_thread(member.wait_until_ready)


async def every_verb(view: str, postgres_url: str) -> None:
    """show, rebuild, compare, switch, back, drop, in this order; the rows are the same all the time."""

    async def verb(*words: str) -> Any:
        return json.loads(await done("views", *words, "--url", postgres_url, "--json"))

    assert {one["view"].replace("_", "-") for one in await verb("show") if not one["temporal"]} == set(VIEWS)
    await verb("rebuild", view)
    assert (await verb("compare", view))["same"], "the rows that were made anew are not the same"
    await verb("switch", view)
    await verb("back", view)
    assert (await verb("drop", view))["dropped"], "nothing was dropped"


async def done(*words: str, **settings: str) -> str:
    """What `switchboard` prints, given these words.

    Raises:
        AssertionError: its exit code is not 0.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.ops.cli", *words,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "NO_COLOR": "1", **settings},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, told = await process.communicate()
    assert process.returncode == 0, (
        f"switchboard {' '.join(words)} ended with {process.returncode}: {output!r} {told!r}"
    )
    return output.decode()
