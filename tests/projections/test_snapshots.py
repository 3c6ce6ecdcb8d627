"""Questions of several accounts over one view: none has all of the snapshots, nor all of the event loop."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from services.inbox_views.app import INBOX_VIEWS
from services.inbox_views.projection import DEFINITION
from shared.messaging.admission import KnownTenants
from shared.messaging.endpoint import Endpoint, Request
from shared.process.clock import new_id
from shared.projections.cooperative import ROWS_AT_ONCE
from shared.projections.cpu_time import CpuTimed
from shared.projections.question_admission import PendingQuestion, QuestionAdmission
from shared.projections.snapshot import Asker, Snapshot
from shared.projections.snapshots import SharedSnapshots
from shared.projections.view import View
from tests.inbox_views.stories import Bus, eventually, on_bus, service_running
from tests.real_servers import RunningNats

ADMIN = "admin"
BAD, GOOD = "bad", "good"


def known() -> KnownTenants:
    accounts = KnownTenants()
    for account in (BAD, GOOD):
        accounts.add(account)
    return accounts


@pytest.fixture
async def view(database: str) -> AsyncIterator[View]:
    view = View(database, DEFINITION)
    await view.open()
    await view.prepare()
    yield view
    await view.close()


def keep_busy(seconds: float) -> None:
    """Of the processor's time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def light(_: Snapshot) -> str:
    return "answered"


async def test_another_accounts_question_does_not_wait_for_the_heavy_lists_of_one(view: View) -> None:
    snapshots, may_end = SharedSnapshots(view, known()), asyncio.Event()
    at_work = 0

    async def heavy(_: Snapshot) -> None:
        nonlocal at_work
        at_work += 1
        await may_end.wait()

    lists = [asyncio.create_task(snapshots.read(Asker(BAD, ADMIN), heavy)) for _ in range(40)]
    async with asyncio.timeout(10):
        for _ in range(20):
            assert await snapshots.read(Asker(GOOD, ADMIN), light) == "answered"
    assert not any(task.done() for task in lists)
    assert at_work <= view.readers // 2
    may_end.set()
    await asyncio.gather(*lists)
    assert at_work == len(lists)


async def test_one_account_alone_has_all_of_the_snapshots(view: View) -> None:
    snapshots, may_end = SharedSnapshots(view, known()), asyncio.Event()
    at_work = 0

    async def heavy(_: Snapshot) -> None:
        nonlocal at_work
        at_work += 1
        if at_work == view.readers:
            may_end.set()
        await may_end.wait()

    # More than fit into the groups of three.
    async with asyncio.timeout(10):
        await asyncio.gather(*(snapshots.read(Asker(BAD, ADMIN), heavy) for _ in range(4 * 64)))


async def test_an_account_that_keeps_the_event_loop_busy_rests_while_others_ask(view: View) -> None:
    snapshots = SharedSnapshots(view, known())
    through = 0

    async def heavy(_: Snapshot) -> None:
        nonlocal through
        keep_busy(0.015)  # what a list of a thousand takes of the loop
        through += 1

    lists = [asyncio.create_task(snapshots.read(Asker(BAD, ADMIN), heavy)) for _ in range(30)]
    for _ in range(20):
        await snapshots.read(Asker(GOOD, ADMIN), light)
    assert through < len(lists) / 2
    await asyncio.gather(*lists)
    assert through == len(lists)


async def test_a_long_list_lets_others_have_the_loop_while_it_is_read(view: View) -> None:
    passes = 0

    async def count() -> None:
        nonlocal passes
        while True:
            passes += 1
            await asyncio.sleep(0)

    async with view.snapshots([Asker(BAD, ADMIN)]) as (snapshot,):
        counting = asyncio.create_task(count())
        few = await snapshot.select("SELECT number FROM generate_series(1, 20) number")
        before = passes
        rows = await snapshot.select("SELECT number FROM generate_series(1, 1000) number")
        counting.cancel()
    assert [number for (number,) in few] == list(range(1, 21))
    assert [number for (number,) in rows] == list(range(1, 1_001))
    assert passes - before >= 1_000 // ROWS_AT_ONCE - 1


async def test_a_burst_of_questions_is_not_all_begun_before_those_of_others() -> None:
    begun: list[str] = []

    async def answer(pending: PendingQuestion) -> None:
        begun.append(pending.account)

    admission = QuestionAdmission(known(), answer, started_of_one=2)
    endpoint = Endpoint(
        "questions", "switchboard.query.v1.*.*", "q", lambda _: True, lambda *_: None, lambda data: data
    )
    for account in [*[BAD] * 500, GOOD]:
        subject = f"switchboard.query.v1.{account}.Address"
        admission.enter(account, "Address", endpoint, Request(subject, b"{}", b"", new_id(), 0))
    await admission.drain(10)
    assert begun.index(GOOD) <= 2
    assert begun.count(BAD) == 500


async def test_only_own_steps_are_counted_and_errors_pass() -> None:
    async def work(seconds: float, error: Exception | None = None) -> str:
        for _ in range(3):
            keep_busy(seconds)
            await asyncio.sleep(0)
        if error:
            raise error
        return "done"

    short, long = CpuTimed(work(0.001)), CpuTimed(work(0.02))

    async def awaited(one: CpuTimed[str]) -> str:
        return await one

    assert set(await asyncio.gather(awaited(short), awaited(long))) == {"done"}
    assert 0.003 <= short.seconds < long.seconds / 2
    with pytest.raises(KeyError):
        await CpuTimed(work(0, KeyError()))

    async def never() -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "told"

    waiting = asyncio.create_task(awaited(CpuTimed(never())))
    await asyncio.sleep(0)
    waiting.cancel()
    assert await waiting == "told"


async def test_questions_of_one_account_share_its_row_and_each_has_its_actors_own(view: View) -> None:
    rows = [
        ("accounts", BAD, BAD, '{"plan": "bad"}'), ("accounts", GOOD, GOOD, '{"plan": "good"}'),
        *(("users", account, user, f'{{"user": "{user}", "of": "{account}", "status": "active"}}')
          for account in (BAD, GOOD) for user in ("a", "b")),
    ]  # fmt: skip
    async with view.writing() as cursor:
        for table, account, key, doc in rows:
            await cursor.execute(
                sql.SQL("INSERT INTO {}.{} VALUES (gen_random_uuid(), %s, %s, %s, 1, 1)").format(
                    sql.Identifier(DEFINITION.name), sql.Identifier(table)
                ),
                (account, key, doc),
            )
    askers = [
        Asker(account, actor)
        for account, actor in ((BAD, "a"), (GOOD, "b"), (BAD, "b"), ("else", "a"), (GOOD, "a"), (BAD, "nobody"))
    ]
    async with view.snapshots(askers) as snapshots:
        found = [(one.account_doc, one.actor_doc) for one in snapshots]
    assert [(one and one["plan"], who and (who["of"], who["user"])) for one, who in found] == [
        ("bad", (BAD, "a")), ("good", (GOOD, "b")), ("bad", (BAD, "b")), (None, None), ("good", (GOOD, "a")),
        ("bad", None),
    ]  # fmt: skip
    assert found[0][0] is found[2][0] is found[5][0]


async def test_who_waited_too_long_hears_when_all_that_wait_will_have_been_served(
    private_nats: RunningNats, database: str
) -> None:
    """The table of the position is away for longer than a question waits for its turn."""
    longest = SharedSnapshots(View(database, DEFINITION), known()).max_wait_seconds
    async with on_bus(private_nats.url) as bus, service_running(INBOX_VIEWS, private_nats.url, database):
        await eventually(lambda: made(bus))
        async with await psycopg.AsyncConnection.connect(database) as connection:
            await connection.execute("LOCK TABLE inbox_views.view IN ACCESS EXCLUSIVE MODE")
            asking = [asyncio.create_task(bus.ask("Usage", actor="service:test")) for _ in range(400)]
            await asyncio.wait(asking, timeout=longest + 0.5)
        replies = await asyncio.gather(*asking)
    late = [one.body["details"] for one in replies if "too many are before it" in one.body["message"]]
    assert max(details["retry_after_ms"] for details in late) > 100


async def made(bus: Bus) -> bool:
    told = await bus.ask("Usage", actor="service:test")
    return told.error == (404, "ACCOUNT_NOT_FOUND")
