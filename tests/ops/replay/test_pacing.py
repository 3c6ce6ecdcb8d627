"""The messages go out when they are due, on a clock of the test; long waits are announced, and end when asked."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from services.ops.replay import control
from services.ops.replay.run import PATIENCE_SECONDS, Clock, ReplayRun, ServersAwayError, Status
from services.ops.replay.speed import speed_of
from services.ops.terminal import DONE
from shared.language.replays import ReplayStarted
from shared.messaging.replay_stream import ReplayStream, replay_stream
from shared.process.clock import new_id
from shared.process.log_reader import LogReader
from tests.ops.replay.replaying import Servers, at_time, positions, stored, taken_apart
from tests.real_servers import RunningNats

DAYS = [1, 2, 2, 1, 5]


class SkippingClock(Clock):
    """A wait takes no time, and the clock shows that it has passed; `on_wait` may do something in the middle of one."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waits: list[float] = []
        self.run: ReplayRun | None = None
        self.leave_at = 0

    def now(self) -> float:
        return self.seconds

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        self.waits.append(seconds)
        if self.run is not None and len(self.waits) == self.leave_at:
            self.run.ask(Status.PAUSED)
            return
        self.seconds += seconds


class Connected(NamedTuple):
    stream: ReplayStream
    log: LogReader
    started: ReplayStarted


@pytest.fixture
async def connected(servers: Servers) -> AsyncIterator[Connected]:
    servers.log.append(*(at_time(stored(f"a{n}"), f"2026-01-0{day}T00:00:00Z") for n, day in enumerate(DAYS)))
    async with replay_stream(servers.nats) as stream, LogReader(servers.log.url) as log:
        log_id = await log.identity()
        started = ReplayStarted(
            replay="hist", replay_id=new_id(), log=log_id or "", from_=1, to=len(DAYS), speed="original",
            forced=False, started_by="service:audit.zoe",
        )  # fmt: skip
        await control.begin(stream, started)
        yield Connected(stream, log, started)


async def run(connected: Connected, speed: str, clock: SkippingClock) -> tuple[Status, list[tuple[int, float]]]:
    announced: list[tuple[int, float]] = []
    made = ReplayRun(*connected, speed_of(speed), lambda *wait: announced.append(wait), clock)
    clock.run = made
    return await made.run(), announced


async def test_the_original_spacing_is_kept_by_factor_and_long_waits_are_announced(
    connected: Connected, servers: Servers
) -> None:
    clock = SkippingClock()
    status, announced = await run(connected, "24x", clock)
    assert status is Status.FINISHED
    assert clock.waits == [3_600.0, 10_800.0]
    assert announced == [(2, 3_600.0), (5, 10_800.0)]
    assert positions(taken_apart(await servers.published("hist")).events) == [1, 2, 3, 4, 5]


async def test_a_rate_spaces_them_evenly_and_short_waits_are_not_announced(connected: Connected) -> None:
    clock = SkippingClock()
    _, announced = await run(connected, "2/s", clock)
    assert (clock.waits, announced) == ([0.5] * 4, [])


async def test_a_wait_ends_when_it_is_asked_to_pause_and_the_message_is_not_published(
    connected: Connected, servers: Servers
) -> None:
    clock = SkippingClock()
    clock.leave_at = 2
    status, _ = await run(connected, "24x", clock)
    assert status is Status.PAUSED
    assert positions((await servers.published("hist"))[1:]) == [1, 2, 3, 4]
    status, _ = await run(connected, "24x", SkippingClock())
    assert status is Status.FINISHED
    assert positions(taken_apart(await servers.published("hist")).events) == [1, 2, 3, 4, 5]


async def test_it_leaves_when_a_server_is_away_for_long_and_can_be_resumed(
    connected: Connected, servers: Servers, private_nats: RunningNats
) -> None:
    await asyncio.to_thread(private_nats.kill)
    clock = SkippingClock()
    with pytest.raises(ServersAwayError, match="JetStream does not answer"):
        await run(connected, "100000/s", clock)
    assert clock.seconds > PATIENCE_SECONDS
    await asyncio.to_thread(private_nats.start)
    assert (await servers.replay("resume", "hist", "--speed", "100000/s")).code == DONE
    assert positions(taken_apart(await servers.published("hist")).events) == [1, 2, 3, 4, 5]


async def test_two_replays_at_once_are_both_whole_whatever_comes_between_their_messages(
    servers: Servers,
) -> None:
    servers.log.append_new(400)
    names = ("one", "two", "three")
    ended = await asyncio.gather(*(servers.replay("start", name, "--speed", "100000/s") for name in names))
    assert [one.code for one in ended] == [DONE] * 3, ended
    for name in names:
        assert positions(taken_apart(await servers.published(name)).events) == list(range(1, 401))


async def test_two_processes_that_publish_the_same_replay_at_once_store_each_message_once(
    connected: Connected, servers: Servers
) -> None:
    """As after a cut in the network, when neither hears the other."""

    async def one() -> object:
        async with replay_stream(servers.nats) as stream, LogReader(servers.log.url) as log:
            started = connected.started
            return await ReplayRun(stream, log, started, speed_of("100000/s")).run()

    outcomes = await asyncio.gather(*(one() for _ in range(3)), return_exceptions=True)
    assert outcomes.count(Status.FINISHED) == 1
    losers = [outcome for outcome in outcomes if outcome is not Status.FINISHED]
    assert all("meanwhile" in str(loser) or "has ended already" in str(loser) for loser in losers), losers
    assert positions(taken_apart(await servers.published("hist")).events) == [1, 2, 3, 4, 5]
