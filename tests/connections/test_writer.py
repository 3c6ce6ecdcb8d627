"""The writer's thread: everybody hears in time, also while PostgreSQL is away, and nothing is lost or doubled."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import orjson
import psycopg
import pytest

from services.connections.commands import PAGES
from services.connections.decider import Decider
from services.connections.envelope import CommandEnvelope
from services.connections.limits import LIMITS, WriterLimits
from services.connections.outcome import Outcome
from services.connections.store.event_store import EventStore
from services.connections.writer import Writer
from shared.language import commands as c
from shared.language.reasons import Reason
from shared.process.clock import new_id
from tests.connections.conftest import Store, settle
from tests.connections.given_when_then import ADA, BOB, COMPANY, read
from tests.real_servers import RunningPostgres

ALREADY = len(COMPANY) + 2


class Caller:
    """Hands commands to a writer and hears the answers."""

    def __init__(self, url: str, limits: WriterLimits = LIMITS) -> None:
        self._heard: dict[str, asyncio.Future[Outcome]] = {}
        self.writer = Writer(lambda: Decider(EventStore(url, PAGES)), self._tell, self._failed, limits)
        self.told_twice = 0

    def _failed(self) -> None:
        raise AssertionError("the writer has failed")

    def _tell(self, answers: Sequence[tuple[CommandEnvelope, Outcome]]) -> None:
        for pending, answer in answers:
            heard = self._heard[pending.entry]
            if heard.done():
                self.told_twice += 1
            else:
                heard.set_result(answer)

    def ask(self, command: c.Command, command_id: str) -> asyncio.Future[Outcome]:
        pending = read(command, command_id=command_id)
        heard = self._heard[pending.entry] = asyncio.get_running_loop().create_future()
        assert self.writer.submit(pending)
        return heard

    async def insist(self, command: c.Command, busy: list[Outcome]) -> Outcome:
        """Asks with the same id until it was decided; `busy` gets each BUSY that came."""
        command_id = new_id()
        while True:
            async with asyncio.timeout(30):
                answer = await self.ask(command, command_id)
            if answer.reason != Reason.BUSY:
                return answer
            told = orjson.loads(answer.reply())
            assert (told["command_id"], told["details"]["retry_after_ms"] > 0) == (command_id, True)
            busy.append(answer)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def at_work(url: str, limits: WriterLimits = LIMITS) -> AsyncIterator[Caller]:
    caller = Caller(url, limits)
    caller.writer.start()
    try:
        yield caller
    finally:
        await caller.writer.drain(5)
    assert caller.told_twice == 0


def connect(n: int) -> c.ConnectPersonal:
    return c.ConnectPersonal(actor=BOB, address=f"b{n}@acme.example", owner=BOB)


def make_company(url: str) -> None:
    decider = Decider(EventStore(url, PAGES))
    settle(decider, *map(read, COMPANY))
    decider.store.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_everything_taken_is_answered_before_the_writer_stops(database: str) -> None:
    make_company(database)
    # However slow the machine is: none may expire.
    async with at_work(database, LIMITS._replace(patience_seconds=60.0)) as caller:
        heard = [caller.ask(connect(n), new_id()) for n in range(2_000)]
    assert {answer.result().kind for answer in heard} == {"accepted"}
    assert len({orjson.loads(answer.result().reply())["position"] for answer in heard}) == 2_000
    assert not caller.writer.submit(read(connect(0)))
    assert Store(database).positions() == list(range(1, ALREADY + 2_001))


async def test_the_writer_says_whether_commands_are_being_decided(database: str) -> None:
    caller = Caller(database)
    assert caller.writer.last_error
    caller.writer.start()
    await until(lambda: caller.writer.last_error is None)
    await caller.writer.drain(5)


@pytest.mark.parametrize("cleanly", [True, False], ids=["stopped", "killed"])
async def test_postgres_may_go_and_come_back(private_postgres: RunningPostgres, cleanly: bool) -> None:
    url, busy = private_postgres.url, list[Outcome]()
    await asyncio.to_thread(make_company, url)
    async with at_work(url) as caller:
        asked: list[asyncio.Task[Outcome]] = []

        async def keep_asking() -> None:
            while True:
                asked.append(asyncio.create_task(caller.insist(connect(len(asked)), busy)))
                await asyncio.sleep(0.01)

        asking = asyncio.create_task(keep_asking())
        await until(lambda: len(asked) > 50)
        await asyncio.to_thread(private_postgres.stop if cleanly else private_postgres.kill)
        await until(lambda: len(busy) > 20)
        assert caller.writer.last_error
        await asyncio.to_thread(private_postgres.start)
        await until(lambda: caller.writer.last_error is None)
        enough = len(asked) + 50
        await until(lambda: len(asked) > enough)
        asking.cancel()
        answers = await asyncio.gather(*asked)
    assert {answer.kind for answer in answers} == {"accepted"}
    store = Store(url)
    assert store.positions() == list(range(1, ALREADY + len(answers) + 1))
    streams = store.rows("SELECT count(DISTINCT originator_id) FROM connections.events WHERE topic LIKE '%Personal%'")
    assert streams == [(len(answers),)]


async def test_a_store_that_hangs_keeps_nobody_waiting_who_was_not_sent(database: str) -> None:
    make_company(database)
    async with at_work(database) as caller:
        assert (await caller.ask(connect(0), new_id())).kind == "accepted"
        with psycopg.connect(database, autocommit=True) as other:
            other.execute("SELECT pg_advisory_lock(5824113001)")
            heard = [caller.ask(connect(n), new_id()) for n in range(1, 4)]
            # The lock is held until the block ends: an answer is not to wait for it.
            async with asyncio.timeout(15 * LIMITS.patience_seconds):
                answers = await asyncio.gather(*heard)
        assert {answer.reason for answer in answers} == {Reason.BUSY}
        assert (await caller.ask(connect(4), new_id())).kind == "accepted"


async def test_one_command_that_cannot_be_decided_does_not_keep_the_others_from_their_answers(database: str) -> None:
    make_company(database)
    store = Store(database)
    store.run(f"ALTER TABLE connections.journal ADD CONSTRAINT off CHECK (actor <> '{BOB}') NOT VALID")
    async with at_work(database) as caller:
        on_bob, on_others = (
            caller.ask(connect(1), new_id()),
            [caller.ask(c.AssignSeat(actor=ADA, user=user), new_id()) for user in ("cleo", "dan")],
        )
        async with asyncio.timeout(10):
            assert [(await one).kind for one in on_others] == ["accepted", "accepted"]
            assert (await on_bob).reason == Reason.INTERNAL_ERROR
    assert store.positions() == list(range(1, ALREADY + 3))


async def test_a_database_that_is_read_only_for_a_while_is_busy_and_said_to_be_so(database: str) -> None:
    make_company(database)
    store = Store(database)
    name = store.rows("SELECT current_database()")[0][0]
    async with at_work(database) as caller:
        await until(lambda: caller.writer.last_error is None)
        # As after a switch to a standby that is not promoted yet; only new sessions see it.
        store.run(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        end_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        store.rows(f"{end_others} AND pid <> pg_backend_pid()")
        async with asyncio.timeout(15 * LIMITS.patience_seconds):
            assert (await caller.ask(connect(1), new_id())).reason == Reason.BUSY
        assert "read-only" in (caller.writer.last_error or "")
        with psycopg.connect(database, autocommit=True, options="-c default_transaction_read_only=off") as connection:
            connection.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'.encode())
        store.rows(f"{end_others} AND pid <> pg_backend_pid()")
        assert (await caller.insist(connect(2), [])).kind == "accepted"


async def test_who_asks_before_postgres_ever_answered_hears_busy_in_time(private_postgres: RunningPostgres) -> None:
    await asyncio.to_thread(private_postgres.stop)
    async with at_work(private_postgres.url) as caller:
        async with asyncio.timeout(15 * LIMITS.patience_seconds):
            answer = await caller.ask(connect(0), new_id())
        assert answer.reason == Reason.BUSY


async def test_the_writer_notices_that_postgres_went_and_came_though_nobody_asks(
    private_postgres: RunningPostgres,
) -> None:
    async with at_work(private_postgres.url) as caller:
        await until(lambda: caller.writer.last_error is None)
        await asyncio.to_thread(private_postgres.stop)
        await until(lambda: caller.writer.last_error is not None)
        await asyncio.to_thread(private_postgres.start)
        await until(lambda: caller.writer.last_error is None)


async def test_whenever_one_asks_while_postgres_is_away_busy_comes_when_patience_ends(
    private_postgres: RunningPostgres,
) -> None:
    async with at_work(private_postgres.url) as caller:
        await until(lambda: caller.writer.last_error is None)
        private_postgres.stop()
        # Its connection is known to be gone: nothing is sent that might have been stored.
        await until(lambda: caller.writer.last_error is not None)
        heard = []
        for n in range(30):
            heard.append(asyncio.create_task(hears_busy(caller, n)))
            await asyncio.sleep(0.1)
        # PostgreSQL stays away: an answer is not to wait for it.
        async with asyncio.timeout(15 * LIMITS.patience_seconds):
            await asyncio.gather(*heard)


async def hears_busy(caller: Caller, n: int) -> None:
    assert (await caller.ask(connect(n), new_id())).reason == Reason.BUSY
