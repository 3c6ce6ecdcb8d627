"""More than can be served: a prompt, typed BUSY for whoever asks too much, answers for the others, and no harm done."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from services.connections import parsing
from services.connections.limits import LIMITS
from services.connections.outcome import refusal_members
from services.connections.writer import Writer
from services.inbox_views.projection import DEFINITION
from shared.core.refusal import Refused
from shared.language.reasons import Reason
from shared.messaging.admission import KnownTenants
from shared.process.clock import new_id
from shared.projections.projection_service import ServiceLimits
from shared.projections.snapshot import Asker, Snapshot
from shared.projections.snapshots import OverloadedError, SharedSnapshots
from shared.projections.view import View
from tests.journeys.wire import Reply, Wire, body, command_subject, connected, question_subject
from tests.real_servers import RunningSwitchboard, running_switchboard

WRITERS_LOCK = 5824113001
FLOOD = 5_000
ADMIN = "admin"
Asked = dict[str, "asyncio.Task[Reply]"]


# ---- at the writer's door, nothing being decided


@pytest.fixture
async def writer() -> Writer:
    """One that has not begun, so that whatever it takes goes on waiting."""

    def never() -> Any:
        raise AssertionError

    tenants = KnownTenants()
    for account in ("bad", "good"):
        tenants.add(account)
    return Writer(never, lambda _: None, never, LIMITS._replace(retry_when_unavailable_ms=0), tenants)


def command(account: str, size: int = 0) -> bytes:
    fields = {"command_id": new_id(), "address": "a@acme.example", "note": "x" * size}
    return body(ADMIN, fields)


def fill(writer: Writer, account: str, size: int = 0, most: int = 2 * LIMITS.waiting) -> int:
    """Submits until there is no room: how many were taken."""
    data = command(account, size)
    for number in range(most):
        if not writer.admits(account, len(data)):
            return number
        assert writer.submit(parsing.read(account, "Disconnect", data, None), len(data))
    raise AssertionError("there was always room")


async def test_a_flood_leaves_room_for_others(writer: Writer) -> None:
    assert fill(writer, "bad") == LIMITS.waiting // 2
    assert not writer.admits("bad", 100)
    assert writer.admits("good", 100)


async def test_large_bodies_are_bounded_by_their_size(writer: Writer) -> None:
    size = 250_000
    assert fill(writer, "bad", size) * size < 20e6
    assert writer.admits("bad", 100) or writer.retry_after_ms() > 0


async def test_the_hint_says_how_long_the_queue_takes(writer: Writer) -> None:
    before = writer.retry_after_ms()
    waiting = fill(writer, "bad")
    assert before < writer.retry_after_ms() == pytest.approx(waiting, rel=0.1)


@pytest.mark.parametrize("dry_run", [False, True])
def test_busy_is_written_as_every_refusal_is(dry_run: bool) -> None:
    command_id = new_id()
    data = json.dumps({"command_id": command_id.upper(), "dry_run": dry_run, "anything": [1]}).encode()
    written = refusal_members(
        command_id,
        Refused(Reason.BUSY, "Not decided; ask again with the same command_id.", {"retry_after_ms": 123}),
        dry_run=dry_run,
    )
    assert json.loads(parsing.busy(data, 123)) == written


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"7", b"\xff", b"{}", b'{"command_id": 7}', b'{"command_id": "x\\"y"}', b'"' * 300_000],
    ids=repr,
)
def test_busy_to_what_bears_no_id_has_none(data: bytes) -> None:
    assert json.loads(parsing.busy(data, 50))["command_id"] is None


# ---- a whole Switchboard


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSwitchboard]:
    with running_switchboard() as made:
        yield made


@pytest.fixture
async def wire(running: RunningSwitchboard) -> AsyncIterator[Wire]:
    async with connected(running.nats_url) as wire:
        yield wire


@pytest.fixture
async def accounts(wire: Wire) -> tuple[str, str]:
    """One that will flood, and one that behaves."""
    made = (f"bad{new_id()[-8:]}", f"good{new_id()[-8:]}")
    for account in made:
        reply = await wire.command(account, "RegisterAccount", plan="free", admin=ADMIN)
        assert reply.outcome == "accepted"
        reply = await wire.question(account, "Usage", at_least=reply.position, wait_ms=20_000)
        assert reply.error is None
        reply = await wire.question(account, "Routing", inbox="inbox", at_least=reply.position, wait_ms=20_000)
        assert reply.error is None
    return made


@contextmanager
def locked(running: RunningSwitchboard, statement: str) -> Iterator[None]:
    """Holds a lock in PostgreSQL."""
    with psycopg.connect(running.postgres_url) as other:
        other.execute(statement.encode())
        yield


def connecting(command_id: str, number: int) -> bytes:
    address = f"{number}@flood.example"
    return body(ADMIN, {"command_id": command_id, "owner": ADMIN, "address": address})


def ask_all(wire: Wire, subject: str, bodies: Sequence[bytes]) -> "list[asyncio.Task[Reply]]":
    return [asyncio.create_task(wire.ask(subject, data, seconds=40)) for data in bodies]


async def some_done(asked: "Sequence[asyncio.Task[Reply]]", count: int) -> list[Reply]:
    """The replies there are as soon as there are so many."""
    async with asyncio.timeout(30):
        while sum(task.done() for task in asked) < count:
            await asyncio.sleep(0.01)
    return [task.result() for task in asked if task.done()]


def busy_with_hint(reply: Reply) -> bool:
    hint = reply.body.get("details", {}).get("retry_after_ms")
    return reply.typed() and reply.error == (503, "BUSY") and isinstance(hint, int) and hint > 0


async def test_who_floods_with_commands_hears_busy_and_the_others_are_answered(
    running: RunningSwitchboard, wire: Wire, accounts: tuple[str, str]
) -> None:
    bad, good = accounts
    subject = command_subject(bad, "ConnectPersonal")
    commands = {command_id: connecting(command_id, n) for n, command_id in enumerate(new_id() for _ in range(FLOOD))}
    with locked(running, f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})"):
        asked = ask_all(wire, subject, list(commands.values()))
        refusals = await some_done(asked, 1)
        well = asyncio.create_task(wire.command(good, "ConnectPersonal", ADMIN, owner=ADMIN, address="a@good.example"))
    assert (await well).outcome == "accepted"
    replies = await asyncio.gather(*asked)
    refusals = [reply for reply in replies if reply.outcome != "accepted"]
    assert len(refusals) >= FLOOD - LIMITS.waiting // 2 - 512
    assert all(map(busy_with_hint, refusals))
    assert [reply.body["command_id"] for reply in replies] == list(commands)
    # Asked again under the same ids, a modest number at a time, each is decided, once.
    again = await wire.flood([(subject, commands[reply.body["command_id"]]) for reply in refusals], in_flight=128)
    assert {reply.outcome for reply in again} == {"accepted"}
    assert len({reply.position for reply in (*replies, *again) if reply.outcome == "accepted"}) == FLOOD


async def test_a_locked_view_delays_neither_commands_nor_the_other_view_and_bounds_what_waits_for_it(
    running: RunningSwitchboard, wire: Wire, accounts: tuple[str, str]
) -> None:
    bad, good = accounts
    address = {"address": "nobody@good.example"}
    with locked(running, "LOCK TABLE inbox_views.view IN ACCESS EXCLUSIVE MODE"):
        flood = ask_all(wire, question_subject(bad, "Address"), [body(ADMIN, address)] * FLOOD)
        waits = asyncio.create_task(wire.question(good, "Address", ADMIN, **address))
        refusals = await some_done(flood, FLOOD - ServiceLimits().questions_in_progress // 2 - 64)
        assert all(map(busy_with_hint, refusals))
        reply = await wire.command(good, "ConnectPersonal", ADMIN, owner=ADMIN, address=f"{new_id()}@good.example")
        assert reply.outcome == "accepted"
        routed = await wire.question(good, "Routing", inbox="inbox", at_least=reply.position)
        assert routed.error is None
        assert not waits.done()
    assert (await waits).error is None or busy_with_hint(waits.result())
    assert {reply.error for reply in await asyncio.gather(*flood) if not busy_with_hint(reply)} <= {None}
    assert (await wire.question(good, "Address", ADMIN, **address)).error is None
    assert (await wire.question(bad, "Address", ADMIN, **address)).error is None


async def test_questions_whose_turn_came_too_late_cost_nothing_any_more(database: str) -> None:
    view = View(database, DEFINITION)
    snapshots = SharedSnapshots(view, KnownTenants(), group=64)
    looked = 0

    async def look(_: Snapshot) -> int:
        nonlocal looked
        looked += 1
        return looked

    def ask(count: int) -> "list[asyncio.Task[int]]":
        return [asyncio.create_task(snapshots.read(Asker("acme", ADMIN), look)) for _ in range(count)]

    await view.open()
    try:
        await view.prepare()
        with psycopg.connect(database) as other:
            other.execute("LOCK TABLE inbox_views.view IN ACCESS EXCLUSIVE MODE")
            given_up, late = ask(500), ask(500)
            await asyncio.sleep(0.1)
            for task in given_up:
                task.cancel()
            longest, snapshots.max_wait_seconds = snapshots.max_wait_seconds, 0.0
        assert {type(end) for end in await asyncio.gather(*late, return_exceptions=True)} == {OverloadedError}
        snapshots.max_wait_seconds = longest
        # Whose group had begun already are answered though nobody hears it.
        assert looked <= view.readers * 64
        assert await snapshots.read(Asker("acme", ADMIN), look) == looked
    finally:
        await view.close()


async def test_a_view_whose_process_stands_still_delays_no_other(
    running: RunningSwitchboard, wire: Wire, accounts: tuple[str, str]
) -> None:
    _, good = accounts
    process = next(p for p in running.processes() if any("services.inbox_views" in word for word in p.cmdline()))
    process.suspend()
    try:
        waits = asyncio.create_task(wire.question(good, "Usage"))
        for _ in range(20):
            reply = await wire.command(good, "ConnectPersonal", ADMIN, owner=ADMIN, address=f"{new_id()}@good.example")
            assert reply.outcome == "accepted"
            routed = await wire.question(good, "Routing", inbox="inbox", at_least=reply.position, wait_ms=10_000)
            assert routed.error is None
        assert not waits.done()
    finally:
        process.resume()
    assert (await waits).error is None


async def test_who_waits_for_a_position_keeps_nobody_from_an_answer(wire: Wire, accounts: tuple[str, str]) -> None:
    bad, good = accounts
    fields = {"address": "nobody@good.example"}
    far = body(ADMIN, fields | {"at_least": 2**60, "wait_ms": 6_000})
    waiting = ask_all(wire, question_subject(bad, "Address"), [far] * FLOOD)
    refusals = await some_done(waiting, FLOOD - ServiceLimits().questions_in_progress // 2 - 64)
    assert all(map(busy_with_hint, refusals))
    for _ in range(20):
        assert (await wire.question(good, "Address", ADMIN, **fields)).error is None
    ends = await asyncio.gather(*waiting)
    assert {reply.reason for reply in ends} == {"BUSY", "VIEW_BEHIND"}
    assert (await wire.question(bad, "Address", ADMIN, **fields)).error is None
