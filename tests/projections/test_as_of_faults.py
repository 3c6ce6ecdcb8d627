"""As-of questions while all changes around them: the answer is the one from before, or an error that says to ask again.

Live questions do not wait for those of the past.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
import psycopg
import pytest

from services.inbox_views.app import INBOX_VIEWS
from services.routing.app import ROUTING
from shared.language import events as e
from shared.messaging.service import Service
from shared.projections.history.service import READERS
from shared.projections.projection_service import ProjectionService, ServiceLimits
from shared.projections.rebuild.cutover import cutover, rollback
from shared.projections.rebuild.rebuild import build
from tests.audit.random_histories import Chance
from tests.command_line import run
from tests.inbox_views.stories import Bus, Story, beginning, eventually, is_ready, on_bus, personal, service_running
from tests.projections.running_views import write_log
from tests.projections.test_as_of import BOB, NOT_NOW, SERVICE, Answer, answers, both_views, publish, replies
from tests.projections.test_cutover import NEXT, NEXT_SERVICE
from tests.real_servers import RunningNats, RunningPostgres

POSITIONS = (7, 16, 25, 34, 40)
Before = Mapping[int, list[Answer]]
AnsweredAgain = Callable[[], Awaitable[None]]


def told() -> Story:
    return Chance(6).story(POSITIONS[-1])


async def answers_of(bus: Bus) -> Before:
    return {position: await answers(bus, position, SERVICE, {"as_of": position}) for position in POSITIONS}


@asynccontextmanager
async def asked_meanwhile(bus: Bus, before: Before) -> AsyncIterator[AnsweredAgain]:
    """Ask on and on while the block runs, and compare every answer with the one from before.

    The block gets a function that returns when all of these questions were answered once more.
    """
    rounds, over = 0, asyncio.Event()

    async def ask() -> None:
        nonlocal rounds
        while not over.is_set():
            rounds += await _all_answered(bus, before)

    async def answered_again() -> None:
        # A round that is under way has begun before this call.
        goal = rounds + 2
        await eventually(lambda: _is(rounds >= goal))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask())
        yield answered_again
        over.set()


async def _all_answered(bus: Bus, before: Before) -> bool:
    """Ask all of them once; return whether each was answered."""
    complete = True
    for position, expected in before.items():
        for one, right in zip(await replies(bus, position, SERVICE, {"as_of": position}), expected, strict=True):
            if one[-1] in NOT_NOW:
                complete = False
            else:
                assert one == right, position
    return complete


async def _is(holds: bool) -> bool:
    return holds


async def go_on(bus: Bus, database: str, story: Story) -> None:
    """One more event, which the views get as soon as they can."""
    number = story.end
    story.tell(personal(f"more-{number}@acme.example", "ana"))
    await publish(bus, database, story, len(story.recorded) - 1)
    await eventually(lambda: _answered_as_of(bus, story.end))


async def _answered_as_of(bus: Bus, position: int) -> bool:
    told = await answers(bus, position, SERVICE, {"as_of": position})
    return all(body is None or body["position"] == position for *_, body, _ in told)


# ---- rows that are made again, and exchanged


@pytest.mark.parametrize("view", ["inbox-views", "routing"])
async def test_while_a_history_is_rebuilt_and_exchanged(view: str, private_nats: RunningNats, database: str) -> None:
    story, environment = told(), {"SWITCHBOARD_POSTGRES_URL": database}
    async with both_views(private_nats, database) as bus:
        await publish(bus, database, story)
        before = await answers_of(bus)
        async with asked_meanwhile(bus, before) as answered_again:
            for verb in ("rebuild", "switch", "back"):
                done = await run("views", verb, view, "--history", environment=environment)
                assert done.code == 0, done.errors
                await answered_again()
                await go_on(bus, database, story)


async def test_while_a_view_is_cut_over_and_rolled_back(private_nats: RunningNats, database: str) -> None:
    """Another process answers after each step, from a history of its own version."""
    story = told()
    async with both_views(private_nats, database) as bus:
        await publish(bus, database, story)
        before = await answers_of(bus)
        # Beside staged rows of its version a process waits.
        await build(database, NEXT)
        async with (
            service_running(NEXT_SERVICE, private_nats.url, database),
            asked_meanwhile(bus, before) as answered_again,
        ):
            await answered_again()
            await cutover(database, NEXT)
            await answered_again()
            await go_on(bus, database, story)
            await eventually(lambda: _version_is(database, NEXT.version))
            await rollback(database, INBOX_VIEWS.definition)
            await answered_again()
            await go_on(bus, database, story)
            await eventually(lambda: _version_is(database, INBOX_VIEWS.definition.version))
            await answered_again()


async def _version_is(database: str, version: int) -> bool:
    """Whether the history of the inbox views is of this version."""
    try:
        async with await psycopg.AsyncConnection.connect(database) as connection:
            rows = await connection.execute("SELECT design FROM inbox_views_history.view")
            return await rows.fetchall() == [(version,)]
    except psycopg.errors.UndefinedTable:
        return False


# ---- servers and processes that go away


@pytest.mark.parametrize("how", ["killed", "restarted"])
async def test_while_postgresql_restarts(
    how: str, private_nats: RunningNats, private_postgres: RunningPostgres
) -> None:
    story, database = told(), private_postgres.new_database()
    async with both_views(private_nats, database) as bus:
        await publish(bus, database, story)
        before = await answers_of(bus)
        async with asked_meanwhile(bus, before) as answered_again:
            await asyncio.to_thread(private_postgres.kill if how == "killed" else private_postgres.stop)
            await eventually(lambda: _is_refused(bus))
            await asyncio.to_thread(private_postgres.start)
            await answered_again()
            await go_on(bus, database, story)


async def _is_refused(bus: Bus) -> bool:
    told = await replies(bus, POSITIONS[0], SERVICE, {"as_of": POSITIONS[0]})
    return {error for *_, error in told} == {"BUSY"}


@pytest.mark.parametrize("stopped", [0, 1], ids=["the first", "the second"])
async def test_while_one_of_two_processes_stops(stopped: int, private_nats: RunningNats, database: str) -> None:
    """The first one follows with the histories."""
    story = told()
    async with on_bus(private_nats.url) as bus, AsyncExitStack() as one, AsyncExitStack() as other:
        await processes(one, private_nats, database)
        await publish(bus, database, story)
        before = await answers_of(bus)
        for service in await processes(other, private_nats, database):
            await eventually(lambda service=service: is_ready(service))  # type: ignore[misc]
        async with asked_meanwhile(bus, before) as answered_again:
            await answered_again()
            await (one, other)[stopped].aclose()
            await answered_again()
            await go_on(bus, database, story)


async def processes(stack: AsyncExitStack, nats: RunningNats, database: str) -> list[Service]:
    """Start one process of each view."""
    views = (INBOX_VIEWS, ROUTING)
    return [await stack.enter_async_context(service_running(view, nats.url, database)) for view in views]


# ---- the present beside the past

# More than the readers of a history take at once.
SLOW = 200
LIVE = 5
# So that none of them gives up while they wait for the lock.
PATIENT = ServiceLimits(answer_seconds=120.0)


LED = {"recipients": [BOB], "sender": "jo@client.example"}


@pytest.mark.parametrize(
    ("view", "question", "fields"),
    [(INBOX_VIEWS, "Address", {"address": BOB}), (ROUTING, "Resolve", LED)],
    ids=["inbox-views", "routing"],
)
async def test_live_questions_are_answered_while_those_of_the_past_wait(
    view: ProjectionService, question: str, fields: dict[str, Any], private_nats: RunningNats, database: str
) -> None:
    story, name = beginning().tell(personal(BOB, "bob")), view.definition.name
    patient = replace(view, limits=PATIENT)
    async with on_bus(private_nats.url) as bus, service_running(patient, private_nats.url, database):

        async def ask(**moment: Any) -> Any:
            return await bus.ask(question, actor=SERVICE, wait_ms=10_000, **fields, **moment)

        await write_log(database, story.recorded)
        await bus.publish(story.recorded)
        then = story.end
        before = (await eventually(lambda: _answer(ask(as_of=then)))).result
        # The lock ends first.
        async with asyncio.TaskGroup() as tasks, locked(database, f"{name}_history.users_past"):
            body = orjson.dumps({"actor": SERVICE, "as_of": then, **fields})
            slow = [tasks.create_task(bus.send(question, body, seconds=PATIENT.answer_seconds)) for _ in range(SLOW)]
            await eventually(lambda: snapshots_wait(database, name))
            story.tell(e.OwnershipTransferred(address=BOB, from_="bob", to="cleo"))
            await write_log(database, story.recorded[-1:])
            await bus.publish(story.recorded[-1:])
            for _ in range(LIVE):
                told = await eventually(lambda: _answer(ask(at_least=story.end)))
                assert owner_in(told.result) == "cleo"
            assert not any(one.done() for one in slow)
        late = [one.result() for one in slow]
        assert {one.error for one in late} <= {None, (503, "BUSY")}
        assert all(one.result == before for one in late if one.error is None)
        assert (await eventually(lambda: _answer(ask(as_of=then)))).result == before


async def _answer(asked: Awaitable[Any]) -> Any:
    """The reply, where it is an answer."""
    told = await asked
    return told if told.error is None else None


def owner_in(result: Any) -> str:
    owner: str = (result[0] if isinstance(result, list) else result)["owner"]
    return owner


@asynccontextmanager
async def locked(database: str, table: str) -> AsyncIterator[None]:
    """Nobody can read the table while the block runs."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


async def snapshots_wait(database: str, view: str) -> bool:
    """Whether every reader of a history waits for a lock."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        rows = await connection.execute(WAITING, (f"{view}_history-questions%",))
        ((waiting,),) = await rows.fetchall()
    return bool(waiting >= READERS)


WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE %s AND wait_event_type = 'Lock'
"""
