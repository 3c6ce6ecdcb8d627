"""Writers share the partitions evenly, and at no moment is one of them without a taker."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.connections.partitions import Partitions, Shares
from shared.language import subjects
from shared.language.subjects import PARTITIONS
from shared.messaging.endpoint import Endpoint, Reply, Request
from shared.process.clock import new_id
from shared.wire.connection import connect_to_nats, flush_confirmed
from tests.real_servers import ROOT, RunningNats, new_folder


class Writer:
    """Answers whatever comes through its share of the partitions with its own name."""

    def __init__(self, name: str, prefix: str, client: Client, postgres_url: str, count: int = PARTITIONS) -> None:
        self.name = name
        self._prefix = prefix
        self._answering = Endpoint(name, f"{prefix}.unused.{name}", "q", lambda _: True)
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()
        self.partitions = Partitions(postgres_url, client, count, self._endpoint)

    async def start(self) -> None:
        await self._answering.open(self._client)
        self.partitions.start()

    async def close(self) -> None:
        """Its connection to NATS."""
        await self._client.close()

    def _endpoint(self, partition: int) -> Endpoint:
        return Endpoint(self.name, f"{self._prefix}.{partition}", "q", self._take)

    def _take(self, request: Request) -> bool:
        task = asyncio.create_task(self._answering.reply([Reply(request, self.name.encode())]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True


@asynccontextmanager
async def writers(nats: RunningNats, database: str, *names: str) -> AsyncIterator[tuple[str, Client, list[Writer]]]:
    """Not started; each on a connection of its own, as in processes of their own."""
    prefix = f"partition-test-{new_id()[-12:]}"
    clients = [await connect_to_nats(nats.url, name) for name in ("caller", *names)]
    made = [Writer(name, prefix, client, database) for name, client in zip(names, clients[1:], strict=True)]
    try:
        yield prefix, clients[0], made
    finally:
        for writer in made:
            await writer.partitions.drain()
        for client in clients:
            await client.close()


async def until(condition: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.02)
    assert condition(), what


def shared_evenly(*share: Writer) -> Callable[[], bool]:
    def holds() -> bool:
        served = [writer.partitions.served for writer in share]
        sizes = sorted(map(len, served))
        return sum(sizes) == PARTITIONS == len(set().union(*served)) and sizes[-1] - sizes[0] <= 1

    return holds


@pytest.mark.parametrize("writers_there", range(1, 40))
def test_the_shares_of_all_writers_together_are_all_partitions(writers_there: int) -> None:
    pids = list(range(100, 100 + writers_there))
    quotas = [Shares(pid, pids, {}).quota(PARTITIONS) for pid in pids]
    assert sum(quotas) == PARTITIONS
    assert max(quotas) - min(quotas) <= 1
    assert Shares(1, pids, {}).quota(PARTITIONS) == 0


async def test_writers_that_come_and_go_share_evenly_and_every_request_is_answered(
    nats: RunningNats, database: str
) -> None:
    async with writers(nats, database, "a", "b", "c") as (prefix, caller, (a, b, c)):
        await a.start()
        await until(shared_evenly(a), "a serves all")
        asked = asyncio.create_task(asking(caller, prefix, done := asyncio.Event()))
        await b.start()
        await until(shared_evenly(a, b), "two share")
        await c.start()
        await until(shared_evenly(a, b, c), "three share")
        await a.partitions.drain()
        await until(shared_evenly(b, c), "the two others share")
        await b.partitions.drain()
        await until(shared_evenly(c), "c serves all")
        done.set()
        answers = await asked
        print(f"{sum(answers.values())} requests, by who answered: {answers}")
        assert set(answers) == {"a", "b", "c"}


async def asking(caller: Client, prefix: str, done: asyncio.Event) -> Counter[str]:
    """Asks all partitions in turn; an unanswered request raises."""
    answers: Counter[str] = Counter()
    while not answers or not done.is_set():
        for partition in range(PARTITIONS):
            reply = await caller.request(f"{prefix}.{partition}", b"", timeout=5)
            answers[reply.data.decode()] += 1
    return answers


async def test_a_writer_that_hears_nothing_leaves_its_partitions_to_others(nats: RunningNats, database: str) -> None:
    async with writers(nats, database, "a", "b") as (prefix, caller, (a, b)):
        await a.start()
        await b.start()
        await until(shared_evenly(a, b), "two share")
        await a.close()
        await until(shared_evenly(b), "the one that hears serves all")
        assert await a.partitions.ready() is not None
        done = asyncio.Event()
        asked = asyncio.create_task(asking(caller, prefix, done))
        done.set()
        assert set(await asked) == {"b"}


async def test_the_partitions_of_a_writer_whose_session_is_lost_are_soon_anothers(
    nats: RunningNats, database: str
) -> None:
    """As of one that hangs: its session is ended by the server; when it comes back, it finds what is its share now."""
    import psycopg

    async with writers(nats, database, "a", "b") as (_, _, (a, b)):
        await a.start()
        await b.start()
        await until(shared_evenly(a, b), "two share")
        with psycopg.connect(database, autocommit=True) as connection:
            ended = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'partitions'"
                " AND datname = current_database()"
            ).fetchone()
        assert ended == (2,)
        await until(lambda: a.partitions.last_error is not None or b.partitions.last_error is not None, "it is noticed")
        await until(lambda: a.partitions.last_error is None and b.partitions.last_error is None, "it is mended")
        await until(shared_evenly(a, b), "two share again")


def test_the_configuration_of_nats_knows_as_many_partitions_as_the_writers() -> None:
    text = (ROOT / "deploy/nats/spread.conf").read_text()
    assert f'"{subjects.COMMANDS}": ' in text
    assert f"{{{{partition({PARTITIONS},1)}}}}" in text


PERMITTED = """
authorization { users: [
  { user: writer, password: secret }
  { user: acme, password: secret, permissions: { publish: "switchboard.command.v1.acme.>", subscribe: "_INBOX.>" } }
] }
no_auth_user: writer
"""


async def test_a_caller_needs_no_more_permission_than_for_the_commands_of_its_account() -> None:
    with new_folder() as folder:
        server = RunningNats(folder, (ROOT / "deploy/nats/spread.conf").read_text() + PERMITTED)
        refused: list[str] = []

        async def note(error: Exception) -> None:
            refused.append(str(error))

        writer = await connect_to_nats(server.url, "writer")
        caller = await connect_to_nats(server.url, "caller", user="acme", password="secret", error_cb=note)  # noqa: S106

        async def answer(message: Msg) -> None:
            await message.respond(message.subject.encode())

        try:
            await writer.subscribe(subjects.commands_of(), queue="q", cb=answer)
            await flush_confirmed(writer)
            heard = await caller.request(subjects.command("acme", "RenameInbox"), b"{}", timeout=5)
            *public, partition = heard.data.decode().split(".")
            assert ".".join(public) == subjects.command("acme", "RenameInbox")
            assert int(partition) in range(PARTITIONS)
            await caller.publish(subjects.command("other", "RenameInbox"), b"{}")
            await until(lambda: bool(refused), "what is another account's is refused")
            assert "permissions violation" in refused[0].lower()
        finally:
            await caller.close()
            await writer.close()
            server.kill()
