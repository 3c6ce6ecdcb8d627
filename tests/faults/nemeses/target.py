"""What a nemesis strikes, what it says afterwards, and how long Switchboard took to be itself again."""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import nats.errors
import psutil
import psycopg

from shared.process.cancellation import cancellation_requested
from shared.process.clock import new_id
from tests.cutting_proxy import CuttingProxy
from tests.faults.nemeses.bus_proxy import BusProxy
from tests.journeys.wire import STREAM, Wire, body, command_subject, connected
from tests.real_servers import RunningSwitchboard

RECOVERY_SECONDS = 60.0
ASK_SECONDS = 1.0
ASK_AGAIN_SECONDS = 0.05
LOOK_AGAIN_SECONDS = 0.15
# So many in a row, and in none of them anything amiss, make it for good.
GOOD_LOOKS = 3
# How far the stream may be behind the log.
TELLING_SECONDS = 0.5
# Where each view keeps its rows.
SCHEMAS: Final = {"inbox-views": "inbox_views", "routing": "routing"}
LOG_END = "SELECT coalesce(max(notification_id), 0) FROM connections.events"
# An answer that took longer was held up by the fault.
PROMPT_SECONDS = 0.5
# Refused as ACCOUNT_NOT_FOUND: a durable entry of the journal, and no event.
PROBE = command_subject("nemesis-probe", "AssignSeat")


@dataclass
class Fired:
    """Evidence that the fault happened: in words, in counts, and what it left that a checker has to know.

    `over_ns` is when its cause was over (monotonic): from then on recovery counts. `positions` are events that the
    nemesis wrote anew after they had been told, `accounts` those that only it uses.
    """

    detail: str
    over_ns: int
    counts: Mapping[str, int] = field(default_factory=dict)
    positions: Sequence[int] = ()
    accounts: Sequence[str] = ()


@dataclass(frozen=True)
class Struck:
    """One strike. Times are monotonic; the seconds count from the moment when the cause of the fault was over.

    `ready_seconds` until every part was ready for good, `answered_seconds` until commands were answered for good,
    `told_seconds` until the stream kept up with the log.
    """

    nemesis: str
    detail: str
    began_ns: int
    ended_ns: int
    ready_seconds: float
    answered_seconds: float
    told_seconds: float
    counts: Mapping[str, int] = field(default_factory=dict)
    positions: Sequence[int] = ()
    accounts: Sequence[str] = ()


@dataclass
class Target:
    """A Switchboard at work. `points` is the folder that its SWITCHBOARD_FAILPOINTS names; the proxies stand between it
    and its servers, if there are any; `disks` are small file systems on which servers keep their data, by server.
    """

    running: RunningSwitchboard
    chance: random.Random
    points: Path
    postgres_proxy: CuttingProxy | None = None
    bus_proxy: BusProxy | None = None
    disks: Mapping[str, Path] = field(default_factory=dict)

    @property
    def nats_url(self) -> str:
        return self.running.nats_url

    @property
    def evidence(self) -> Path:
        """The folder of the audit's trees and checkpoints."""
        return self.running.data_dir / "data" / "evidence"

    def log(self, server: str) -> str:
        """What `postgres` or `nats` has written."""
        path = self.running.data_dir / "data" / "logs" / f"{server}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def sql(self, query: str, *params: Any) -> list[Any]:
        """Rows of a statement, on a session of its own."""
        with psycopg.connect(self.running.postgres_url, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), params or None)
            return cursor.fetchall() if cursor.description else []

    def backends(self, application: str, query: str = "%") -> list[int]:
        """The processes of PostgreSQL that serve sessions called so, whose last statement is like that."""
        found = self.sql(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND query LIKE %s"
            " AND datname = current_database() AND pid <> pg_backend_pid()",
            application,
            query,
        )
        return [pid for (pid,) in found]

    async def log_grows(self, events: int, seconds: float = 30.0) -> None:
        """Returns when so many more events are stored."""
        await self._grows(LOG_END, events, seconds, f"{events} more events in the log")

    async def view_grows(self, schema: str, events: int, seconds: float = 30.0) -> None:
        """Returns when so many more events have come to a view."""
        await self._grows(f"SELECT position FROM {schema}.view", events, seconds, f"{events} more events in {schema}")

    async def _grows(self, query: str, events: int, seconds: float, what: str) -> None:
        goal = (await asyncio.to_thread(self.sql, query))[0][0] + events
        await until(lambda: self.sql(query)[0][0] >= goal, seconds, what)


class Nemesis(ABC):
    """Something that goes wrong. `strike` does it, makes sure that it happened, and waits until all is well again."""

    name: str

    async def strike(self, target: Target) -> Struck:
        """
        Raises:
            AssertionError: the fault did not fire, or Switchboard did not recover in time.
        """
        began = time.monotonic_ns()
        async with _watched(target) as watch:
            fired = await self.act(target)
            seconds = await watch.well_again(fired.over_ns)
        ended = time.monotonic_ns()
        return Struck(
            self.name, fired.detail, began, ended, *seconds, fired.counts, fired.positions, fired.accounts
        )  # fmt: skip

    @abstractmethod
    async def act(self, target: Target) -> Fired:
        """Does the harm, ends its cause, and asserts that it happened."""


# ---- how long it takes


@dataclass
class Signal:
    """Whether something holds, looked at again and again: since when without a break (monotonic), 0 when it does not,
    and when the looks of now began that said so, one after the other.
    """

    since_ns: int = 0
    good_ns: list[int] = field(default_factory=list)

    def seen(self, *, holds: bool, asked_ns: int, held_up: bool = False) -> None:
        if not holds or held_up:
            self.since_ns, self.good_ns = 0, []
        if holds:
            self.since_ns = self.since_ns or time.monotonic_ns()
            self.good_ns = [*self.good_ns, asked_ns][-GOOD_LOOKS:]

    def for_good(self, now_ns: int) -> bool:
        """Whether as many looks as it takes, all begun since then, were good."""
        return len(self.good_ns) == GOOD_LOOKS and self.good_ns[0] >= now_ns


class Watch:
    def __init__(self) -> None:
        self.ready = Signal()
        self.answered = Signal()
        self.told = Signal()

    async def well_again(self, over_ns: int) -> tuple[float, float, float]:
        """When looks that began after now say that all hold, and go on holding: for how long they did not, until the
        first of the looks since when each was good all the time.
        """
        now, until_s = time.monotonic_ns(), time.monotonic() + RECOVERY_SECONDS
        signals = (self.ready, self.answered, self.told)
        while not all(signal.for_good(now) for signal in signals):
            assert time.monotonic() < until_s, f"not well again within {RECOVERY_SECONDS:g} s: {signals}"
            await asyncio.sleep(0.01)
        ready, answered, told = (round(max(0, signal.since_ns - over_ns) / 1e9, 3) for signal in signals)
        return ready, answered, told


@asynccontextmanager
async def _watched(target: Target) -> AsyncIterator[Watch]:
    watch = Watch()
    async with bus(target) as wire:
        looks = (_ask(wire, watch.answered), _look(target, watch.ready), _compare(target, wire, watch.told))
        looking = [asyncio.create_task(look) for look in looks]
        try:
            yield watch
        finally:
            for task in looking:
                task.cancel()
            await asyncio.wait(looking)


async def _ask(wire: Wire, signal: Signal) -> None:
    """Gives commands that leave no event, each again under its id until it is answered."""
    command_id = new_id()
    while not cancellation_requested():
        asked = time.monotonic_ns()
        try:
            fields = {"user": "nobody", "command_id": command_id}
            reply = await wire.ask(PROBE, body("service:nemesis", fields), seconds=ASK_SECONDS)
            answered = reply.reason != "BUSY"
        except (nats.errors.Error, OSError):
            answered = False
        signal.seen(
            holds=answered, asked_ns=asked, held_up=time.monotonic_ns() - asked > PROMPT_SECONDS * 1_000_000_000
        )
        command_id = new_id() if answered else command_id
        await asyncio.sleep(ASK_AGAIN_SECONDS)


async def _look(target: Target, signal: Signal) -> None:
    while not cancellation_requested():
        asked = time.monotonic_ns()
        signal.seen(holds=await asyncio.to_thread(target.running.ready), asked_ns=asked)
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def _compare(target: Target, wire: Wire, signal: Signal) -> None:
    while not cancellation_requested():
        asked = time.monotonic_ns()
        try:
            end = (await asyncio.to_thread(target.sql, LOG_END))[0][0]
            holds = await _told(wire, end)
        except (psycopg.Error, nats.errors.Error, OSError):
            holds = False
        signal.seen(holds=holds, asked_ns=asked)
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def _told(wire: Wire, position: int) -> bool:
    """Whether the stream gets so far within a moment."""
    stream, until_s = wire.client.jetstream(timeout=1), time.monotonic() + TELLING_SECONDS
    while time.monotonic() < until_s and not cancellation_requested():
        last = (await stream.stream_info(STREAM)).state.last_seq
        message = await stream.get_msg(STREAM, last) if last else None
        if message is not None and int((message.headers or {}).get("ce-position", "0")) >= position:
            return True
        await asyncio.sleep(0.05)
    return False


# ---- what nemeses have in common


@asynccontextmanager
async def bus(target: Target) -> AsyncIterator[Wire]:
    """A connection that survives the bus.

    Raises:
        TimeoutError: there is no bus to connect to.
    """

    async def silent(_error: Exception) -> None:
        """The bus goes away: that is what this is about."""

    connecting = connected(
        target.nats_url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=silent, allow_reconnect=True
    )
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(RECOVERY_SECONDS):
            wire = await stack.enter_async_context(connecting)
        yield wire


async def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Returns as soon as the condition, asked in a thread, holds; a server that is away counts as no."""
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(_holds, condition):
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        await asyncio.sleep(0.02)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except (psycopg.OperationalError, psutil.NoSuchProcess):
        return False


async def last_sequence(wire: Wire) -> int:
    """Where the stream ends."""
    return int((await wire.client.jetstream().stream_info(STREAM)).state.last_seq)


async def the_stream_grows(wire: Wire, messages: int, seconds: float = 30.0) -> None:
    goal, end = await last_sequence(wire) + messages, time.monotonic() + seconds
    while await last_sequence(wire) < goal:
        assert time.monotonic() < end, f"the stream has not grown by {messages} messages in {seconds:g} s"
        await asyncio.sleep(0.05)
