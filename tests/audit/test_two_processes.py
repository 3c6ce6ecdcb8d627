"""Two processes of the audit: the one that writes history and index is killed under load, and the other goes on.

Every answer meanwhile is right, or says to ask again. Afterwards history and index equal a plain recomputation.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import nats.errors
import pytest

from tests.audit.past import Past, past_in, rows
from tests.audit.plain_index import Row, indexed_rows, plain_index
from tests.conftest import MakeSwitchboard
from tests.connections.anything import INBOXES, USERS
from tests.faults import replayed, verdict
from tests.inbox_views.stories import Bus, eventually, on_bus
from tests.real_servers import RunningNats, RunningSwitchboard

HISTORY, INDEX = "audit_history", "audit_index"
NOT_NOW = {"BUSY", "VIEW_BEHIND", "HISTORY_BEHIND"}
AUDITOR = "service:audit.zoe"
ASKERS = 4
# At the places where a write may be cut; "" stands for any place.
POINTS = ("", "history.written", "history.committed", "index.written", "index.committed")


class Timeline(NamedTuple):
    """An answer about a user: its position, and the places of its entries."""

    user: str
    position: int
    places: list[tuple[int, int]]


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        made.begin()
        made.live(1, 100, ("acme",))
        yield made


@pytest.mark.parametrize("point", POINTS)
async def test_the_one_that_writes_is_killed_and_the_other_goes_on(
    point: str, past: Past, private_nats: RunningNats, make_switchboard: MakeSwitchboard, folder: Path
) -> None:
    settings = {
        "SWITCHBOARD_POSTGRES_URL": past.url,
        "SWITCHBOARD_NATS_URL": private_nats.url,
        "SWITCHBOARD_FAILPOINTS": str(folder),
    }
    first, second = (make_switchboard(settings, (sys.executable, "-m", "services.audit.app")) for _ in range(2))
    await asyncio.to_thread(first.start)
    await eventually(lambda: writes_both(first))
    await asyncio.to_thread(second.start)
    async with (
        on_bus(private_nats.url) as bus,
        commands_given(past),
        asked_meanwhile(bus, past) as (told, answered_again),
    ):
        await answered_again()
        await kill(first, folder, point)
        await answered_again()
        await eventually(lambda: writes_both(second))
        await answered_again()
    await eventually(lambda: caught_up(past))
    require_equal(past)
    require_right(past, told)


async def writes_both(process: RunningSwitchboard) -> bool:
    """Whether the process has the leases of history and index."""
    page = await asyncio.to_thread(process.metrics)
    lines = [f'switchboard_history_following{{service="audit",view="{view}"}} 1.0' for view in ("audit", INDEX)]
    return all(line in page for line in lines)


async def kill(process: RunningSwitchboard, folder: Path, point: str) -> None:
    """Kill -9, at once or where it gets to the point."""
    if point:
        (folder / f"{point}@audit").write_text("kill 2")
    else:
        process.process.kill()
    assert await asyncio.to_thread(process.process.wait, 60) == -signal.SIGKILL


# ---- meanwhile


@asynccontextmanager
async def commands_given(past: Past) -> AsyncIterator[None]:
    """Commands without end, in groups, while the block runs."""
    over = asyncio.Event()

    async def give() -> None:
        for seed in count(100):
            if over.is_set():
                return
            await asyncio.to_thread(past.live, seed, 10, ("acme",))
            await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(give())
        yield
        over.set()


AnsweredAgain = Callable[[], Awaitable[None]]


@asynccontextmanager
async def asked_meanwhile(bus: Bus, past: Past) -> AsyncIterator[tuple[list[Timeline], AnsweredAgain]]:
    """Ask about users now and about an inbox then, while the block runs.

    The block gets the timelines, and a function that returns when all who ask were answered once more.
    """
    told, over = list[Timeline](), asyncio.Event()
    answered, silent = [0] * ASKERS, [0] * ASKERS
    ((then,),) = rows(past.url, "SELECT max(notification_id) FROM connections.events")
    before = await eventually(lambda: access_then(bus, then))

    async def ask(number: int) -> None:
        while not over.is_set():
            try:
                answer, access = await timeline(bus, USERS[number]), await access_then(bus, then)
            except (TimeoutError, nats.errors.Error):
                silent[number] += 1
                continue
            assert access in (None, before)
            if answer is not None:
                told.append(answer)
            answered[number] += bool(answer and access)
            await asyncio.sleep(0.02)

    async def answered_again() -> None:
        # What is under way was asked before this call.
        goals = [done + 2 for done in answered]
        await eventually(lambda: _is(all(done >= goal for done, goal in zip(answered, goals, strict=True))))

    async with asyncio.TaskGroup() as tasks:
        for number in range(ASKERS):
            tasks.create_task(ask(number))
        yield told, answered_again
        over.set()
    # The killed process took with it what it had just begun to answer.
    assert max(silent) <= 1


async def timeline(bus: Bus, user: str) -> Timeline | None:
    """The answer; None where the service says to ask again."""
    told = await bus.ask("Timeline", actor=AUDITOR, user=user, unchanged=True, limit=1_000)
    if told.error is not None:
        assert told.error[1] in NOT_NOW, told.body
        return None
    assert told.body["next"] is None
    places = [(one["position"], 0 if one["event"] else one["ordinal"]) for one in told.result]
    return Timeline(user, told.body["position"], places)


async def access_then(bus: Bus, position: int) -> Any:
    """The intervals at a position; None where the service says to ask again."""
    told = await bus.ask("Access", actor=AUDITOR, inbox=INBOXES[0], at=position)
    if told.error is not None:
        assert told.error[1] in NOT_NOW, told.body
        return None
    # An interval may end later, by an event that was not there before.
    return [{name: one[name] for name in one if name not in ("to", "goes_on_after")} for one in told.result]


async def _is(holds: bool) -> bool:
    return holds


# ---- afterwards


async def caught_up(past: Past) -> bool:
    ((end, ordinal, *reached),) = rows(
        past.url,
        "SELECT (SELECT max(notification_id) FROM connections.events), (SELECT max(ordinal) FROM connections.journal),"
        f" (SELECT position FROM {HISTORY}.view), position, ordinal FROM {INDEX}.checkpoint",
    )
    return reached == [end, end, ordinal]


def require_equal(past: Past) -> None:
    """History and index are what a plain recomputation makes of log and journal, and nothing is there twice."""
    log, seen = verdict.stored_events(past.url), indexed_rows(past.url, INDEX)
    found = replayed.of_the_rows(log, {HISTORY: replayed.live(past.url, HISTORY, log[-1].position)})
    assert {name: members for name, members in found.items() if members} == {}
    assert len(seen) == len(set(seen))
    assert set(seen) == plain_index(past.url)


def require_right(past: Past, told: list[Timeline]) -> None:
    """Each timeline has exactly the events up to its position, and the attempts before it."""
    right = plain_index(past.url)
    for one in told:
        places = places_of(right, one.user)
        assert one.places == sorted(one.places)
        assert {place for place in places if place < (one.position, 1)} <= set(one.places), one
        assert set(one.places) <= {place for place in places if place[0] <= one.position}, one
    assert len({one.position for one in told}) > 1


def places_of(index: set[Row], user: str) -> set[tuple[int, int]]:
    of_user = ("acme", "user", user)
    return {(position, ordinal) for *thing, position, ordinal in index if tuple(thing) == of_user}
