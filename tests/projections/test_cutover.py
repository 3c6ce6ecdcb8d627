"""Rows made anew beside the live ones: cut short they leave nothing; what differs is told; one step, and back."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import nats.errors
import psycopg
import pytest
from structlog.testing import capture_logs

from services.inbox_views.app import INBOX_VIEWS
from services.inbox_views.projection import DEFINITION
from shared.language import events as e
from shared.language.recorded import Recorded
from shared.projections import schemas
from shared.projections.definition import Document, ProjectionDefinition, VersionMismatchError
from shared.projections.projection_service import ProjectionService, ServiceLimits
from shared.projections.rebuild import parked
from shared.projections.rebuild.cutover import cutover, drop_inactive, rollback
from shared.projections.rebuild.diff import compare
from shared.projections.rebuild.limits import LIMITS, RebuildLimits
from shared.projections.rebuild.rebuild import build, rebuild
from shared.projections.rebuild.replay import LogIncompleteError
from shared.projections.schemas import PreconditionFailedError, SchemasInUseError
from shared.projections.snapshot import Asker
from shared.projections.view import View
from tests.inbox_views.stories import Bus, Story, beginning, eventually, is_ready, on_bus, personal, service_running
from tests.projections.running_views import apply, reached, rows_of, schemas_of, story, write_log
from tests.real_servers import ROOT, RunningNats

MANY = 8 * LIMITS.batch


def marked(doc: Any, recorded: Recorded) -> Document:
    """What the next version folds: the same, and a mark on every address."""
    folded = DEFINITION.fold(doc, recorded)
    return {**folded, "marked": True} if recorded.event.aggregate == "address" else folded


NEXT: ProjectionDefinition = replace(DEFINITION, version=DEFINITION.version + 1, fold=marked)
NEXT_SERVICE: ProjectionService = replace(INBOX_VIEWS, definition=NEXT)


@pytest.fixture
async def bus(private_nats: RunningNats) -> AsyncIterator[Bus]:
    async with on_bus(private_nats.url) as client:
        yield client


@asynccontextmanager
async def prepared(url: str, told: Story, definition: ProjectionDefinition = DEFINITION) -> AsyncIterator[View]:
    """A view that has seen the story, and the log of it."""
    await write_log(url, told.recorded)
    view = View(url, definition)
    await view.open()
    await view.prepare()
    await apply(view, told.recorded)
    yield view
    await view.close()


async def run_sql(url: str, *statements: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in statements:
            await connection.execute(statement.encode())


# ---- filling


async def test_a_rebuild_equals_the_live_rows_in_all_special_cases(
    database: str,
) -> None:
    """Documents forgotten and read again, small batches, texts that COPY would cut, events that are parked."""
    small = RebuildLimits(batch=7, cached_documents=5)
    told = story(30)
    for number in range(30):
        address = f"{number}@acme.example"
        told.tell(e.FromNameChanged(address=address, from_name='tab\t "quoted"\n\\N back\\slash é \u2028'))
        told.tell(e.ToolBound(address=address, tool="meetings"))
    told.tell(
        personal("\\.@acme.example", "bob"), personal("nul@acme.example", "bob\x00"),
        e.ToolBound(address="nul@acme.example", tool="meetings"),
        e.ToolBound(address="never@acme.example", tool="meetings"),
        personal("last@acme.example", "cleo"),
    )  # fmt: skip
    async with prepared(database, told) as view:
        live = await rows_of(database)
        assert await rebuild(database, view, limits=small) == told.end
        assert await rows_of(database) == live
        assert await rows_of(database, schemas.retired(DEFINITION.name)) == live
        assert [row[0] for row in live["parked"]] == [told.end - 3, told.end - 2, told.end - 1]


async def test_two_aggregates_with_one_name_are_found_out_while_they_come(database: str) -> None:
    told = story(20)
    foreign = told.recorded[10]
    other = Story(first=told.end + 1).tell(personal("elsewhere@acme.example", "bob")).recorded[0]
    told.recorded.append(other._replace(event=foreign.event))
    async with prepared(database, told) as view:
        live = await rows_of(database)
        assert [row[0] for row in live["parked"]] == [other.position]
        assert await rebuild(database, view) == other.position
        assert await rows_of(database) == live


@asynccontextmanager
async def rebuilding(url: str) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """The command's own process, in the midst of filling; behind the test, which has to be in time to disturb it."""
    argv = ["nice", "-n", "19", sys.executable, "-m", "services.inbox_views.app", "views", "rebuild", "{}"]
    environment = {**os.environ, "SWITCHBOARD_POSTGRES_URL": url, "SWITCHBOARD_LOG_FORMAT": "json"}
    process = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert json.loads(first)["step"]["position"] < MANY
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def test_a_killed_rebuild_harms_nothing_and_the_next_one_works(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    told = story(MANY)
    await write_log(database, told.recorded)
    async with service_running(INBOX_VIEWS, private_nats.url, database):
        await bus.publish(told.recorded[:30])
        await reached(bus, 30)
        async with rebuilding(database) as process:
            process.kill()
        assert await schemas_of(database, "inbox_views") == {"inbox_views", "inbox_views_building"}
        assert (await bus.ask("Address", address="17@acme.example")).result["owner"] == "bob"

        assert await build(database, DEFINITION) == told.end
        assert await schemas_of(database, "inbox_views") == {"inbox_views", "inbox_views_new"}
        assert len((await rows_of(database, "inbox_views_new"))["addresses"]) == MANY


async def test_the_service_drops_the_orphaned_schema_of_a_killed_rebuild(database: str) -> None:
    told = story(MANY)
    async with prepared(database, told) as view:
        async with rebuilding(database) as process:
            process.kill()
        assert "inbox_views_building" in await schemas_of(database, "inbox_views")

        async def cleared() -> bool:
            assert await view.prepare()
            return await schemas_of(database, "inbox_views") == {"inbox_views"}

        await eventually(cleared)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_rebuild_that_is_cancelled_leaves_nothing(number: signal.Signals, database: str) -> None:
    async with prepared(database, story(MANY)):
        async with rebuilding(database) as process:
            process.send_signal(number)
            output, _ = await asyncio.to_thread(process.communicate)
            assert process.returncode == 1
            assert json.loads(output.splitlines()[-1]) == {"interrupted": "Stopped; nothing is left of it."}
        assert await schemas_of(database, "inbox_views") == {"inbox_views"}


async def test_a_rebuild_that_loses_its_connection_leaves_nothing(database: str) -> None:
    async with prepared(database, story(MANY)):
        async with rebuilding(database) as process:
            await run_sql(
                database,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'switchboard'",
            )
            output, _ = await asyncio.to_thread(process.communicate)
            assert process.returncode == 3
            assert "no_answer" in json.loads(output.splitlines()[-1])
        assert await schemas_of(database, "inbox_views") == {"inbox_views"}


async def test_a_log_that_ends_long_before_the_view_is_found_out_at_once(
    database: str,
) -> None:
    told = story(20)
    await write_log(database, told.recorded[:10])
    view = View(database, DEFINITION)
    await view.open()
    await view.prepare()
    await apply(view, told.recorded)
    before = await rows_of(database)
    with pytest.raises(LogIncompleteError, match="the log ends at 10"):
        await rebuild(database, view, limits=RebuildLimits(max_remaining=3))
    await view.close()
    assert await rows_of(database) == before
    assert await schemas_of(database, "inbox_views") == {"inbox_views"}


async def test_only_one_process_at_a_time_works_on_the_schemas_of_a_view(database: str) -> None:
    async with prepared(database, story(10)), schemas.rebuild_connection(database) as connection:
        await build(database, DEFINITION)
        await schemas.lock_rebuild(connection, DEFINITION.name)
        works: list[Callable[..., Awaitable[Any]]] = [build, compare, cutover, rollback, drop_inactive]
        for work in works:
            with pytest.raises(SchemasInUseError, match="by another process"):
                await work(database, DEFINITION, limits=RebuildLimits(in_use_timeout_ms=20))


# ---- comparing


async def test_planted_differences_are_reported_exactly(database: str) -> None:
    told = story(12)
    async with prepared(database, told) as view:
        await build(database, DEFINITION)
        told.tell(personal("later@acme.example", "cleo"))
        await write_log(database, told.recorded[-1:])
        await apply(view, told.recorded[-1:])
        report = await compare(database, DEFINITION)
        assert (report.same, report.position) == (True, told.end)

        await run_sql(
            database,
            "DELETE FROM inbox_views.addresses WHERE key = '3@acme.example'",
            "DELETE FROM inbox_views_new.addresses WHERE key IN ('5@acme.example', '6@acme.example')",
            "UPDATE inbox_views.addresses SET doc = doc || '{\"owner\": \"eve\"}' WHERE key = '7@acme.example'",
            "UPDATE inbox_views.users SET doc = doc - 'seat', version = 9 WHERE key = 'bob'",
            "INSERT INTO inbox_views_new.parked SELECT 4, stream, 'user', 'acme', 't', '', '', 'e', now()"
            " FROM inbox_views.users WHERE key = 'cleo'",
        )
        report = await compare(database, DEFINITION)
    assert not report.same
    addresses, users = report.tables["addresses"], report.tables["users"]
    assert (addresses.rows, addresses.added, addresses.removed, addresses.changed) == (12, 1, 2, 1)
    assert addresses.fields == {"owner": 1}
    assert [one.key for one in addresses.examples["added"]] == ["3@acme.example"]
    assert [one.key for one in addresses.examples["removed"]] == ["5@acme.example", "6@acme.example"]
    (changed,) = addresses.examples["changed"]
    assert (changed.account, changed.key, changed.fields) == ("acme", "7@acme.example", {"owner": ("eve", "bob")})
    assert (users.added, users.removed, users.changed, users.fields) == (0, 0, 1, {"(version)": 1, "seat": 1})
    assert users.examples["changed"][0].fields == {"(version)": (9, 1), "seat": (None, False)}
    assert [name for name, table in report.tables.items() if table.changed] == ["users", "addresses"]
    assert (report.parked_live, report.parked_new, report.parked_only_live, report.parked_only_new) == (0, 1, [], [4])


async def test_a_comparison_waits_until_the_live_rows_reach_the_staged_ones(database: str) -> None:
    told = story(20)
    async with prepared(database, beginning()) as view:
        await write_log(database, told.recorded[5:])
        await build(database, NEXT)
        comparing = asyncio.create_task(compare(database, NEXT))
        await apply(view, told.recorded[5:])
        report = await comparing
    assert (report.position, report.live_version, report.new_version) == (told.end, NEXT.version - 1, NEXT.version)
    assert (report.tables["addresses"].changed, report.tables["addresses"].fields) == (20, {"marked": 20})


# ---- switching


async def test_a_cutover_and_a_rollback_bring_every_row_up_to_date(database: str) -> None:
    told = story(20)
    async with prepared(database, told) as view:
        await build(database, DEFINITION)
        told.tell(personal("one@acme.example", "cleo"))
        await write_log(database, told.recorded[-1:])
        await apply(view, told.recorded[-1:])
        expected = await rows_of(database)
        assert (await cutover(database, DEFINITION)).position == told.end
        assert await rows_of(database) == expected
        with pytest.raises(PreconditionFailedError, match="inbox_views_new"):
            await cutover(database, DEFINITION)

        told.tell(e.ToolBound(address="one@acme.example", tool="meetings"))
        await write_log(database, told.recorded[-1:])
        await apply(view, told.recorded[-1:])
        expected = await rows_of(database)
        assert (await rollback(database, DEFINITION)).position == told.end
        assert await rows_of(database) == expected
        assert {rows.schema for rows in await drop_inactive(database, DEFINITION)} == {"inbox_views_new"}
        assert await schemas_of(database, "inbox_views") == {"inbox_views"}
        with pytest.raises(PreconditionFailedError, match="inbox_views_old"):
            await rollback(database, DEFINITION)


async def test_a_cutover_waits_for_an_answer_under_way_and_blocks_no_other(database: str) -> None:
    told = story(20)
    async with prepared(database, told) as view:
        await build(database, DEFINITION)
        async with view.snapshots([Asker("acme", "ana")]) as (held,):
            switching = asyncio.create_task(cutover(database, DEFINITION))
            for _ in range(20):
                async with view.snapshots([Asker("acme", "ana")]) as (other,):
                    assert other.position == told.end
            assert not switching.done()
            assert held.position == told.end
        switched = await switching
    assert switched.position == told.end


async def test_a_cutover_that_waits_too_long_gives_up_and_changes_nothing(
    database: str,
) -> None:
    impatient = RebuildLimits(max_wait_seconds=0.2, catch_up_seconds=0.2)
    told = story(20)
    async with prepared(database, beginning()) as view:
        await write_log(database, told.recorded[5:])
        await build(database, DEFINITION)
        with pytest.raises(PreconditionFailedError, match="does the service run"):
            await compare(database, DEFINITION, limits=impatient)
        before = await rows_of(database)
        async with view.snapshots([Asker("acme", "ana")]):
            with pytest.raises(PreconditionFailedError, match="never free"):
                await cutover(database, DEFINITION, limits=impatient)
        assert await rows_of(database) == before
        assert (await cutover(database, DEFINITION)).position == told.end
        # Nor is what was kept for the way back lost to a switch that does not happen.
        await build(database, DEFINITION)
        async with view.snapshots([Asker("acme", "ana")]):
            with pytest.raises(PreconditionFailedError, match="never free"):
                await cutover(database, DEFINITION, limits=impatient)
        assert (await rollback(database, DEFINITION)).position == told.end


async def test_rows_of_another_version_go_live_only_with_a_process_that_answers_from_them(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    """A rolling deployment by hand: built, compared and switched by the new release, and back."""
    told = story(20)
    await write_log(database, told.recorded)
    async with service_running(INBOX_VIEWS, private_nats.url, database) as former:
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        await build(database, NEXT)
        with pytest.raises(PreconditionFailedError, match=f"No process of version {NEXT.version}"):
            await cutover(database, NEXT)
        with pytest.raises(
            PreconditionFailedError, match=f"of version {NEXT.version}, this code is of version {DEFINITION.version}"
        ):
            await cutover(database, DEFINITION)
        async with service_running(NEXT_SERVICE, private_nats.url, database) as later:
            assert f"the live rows are of version {DEFINITION.version}" in (await later.health()).parts["view"]
            async with asking(bus, told.end) as seen:
                assert (await cutover(database, NEXT)).version == NEXT.version
                await eventually(lambda: is_ready(later))
                await eventually(lambda: steps_aside(former))
                told.tell(personal("after@acme.example", "cleo"))
                await write_log(database, told.recorded[-1:])
                await bus.publish(told.recorded[-1:])
                await reached(bus, told.end)
                assert (await rows_of(database))["addresses"][0][3]["marked"]

                assert (await rollback(database, DEFINITION)).position == told.end
                await eventually(lambda: is_ready(former))
                await eventually(lambda: steps_aside(later))
                told.tell(personal("again@acme.example", "cleo"))
                await write_log(database, told.recorded[-1:])
                await bus.publish(told.recorded[-1:])
                await reached(bus, told.end)
            assert len(seen) > 1
        assert "marked" not in (await rows_of(database))["addresses"][0][3]
        assert (await rows_of(database))["view"] == [(DEFINITION.version, told.end)]


async def test_a_newer_process_makes_its_rows_and_takes_over_by_itself(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    """A rolling deployment: nobody is without an answer, and no event waits for a process that has stepped aside."""
    told = story(300)
    await write_log(database, told.recorded)
    async with service_running(INBOX_VIEWS, private_nats.url, database) as former:
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        async with service_running(NEXT_SERVICE, private_nats.url, database) as later, asking(bus, told.end) as seen:
            await eventually(lambda: is_ready(later))
            await eventually(lambda: steps_aside(former))
            told.tell(personal("after@acme.example", "cleo"))
            await write_log(database, told.recorded[-1:])
            await bus.publish(told.recorded[-1:])
            await reached(bus, told.end)
            count = len(seen)
            await eventually(lambda: more_than(seen, count + 10))
        rows = await rows_of(database)
        assert rows["view"] == [(NEXT.version, told.end)]
        assert all(row[3]["marked"] for row in rows["addresses"])
    assert await schemas_of(database, "inbox_views") == {"inbox_views", "inbox_views_old"}


@asynccontextmanager
async def switching(
    bus: Bus, private_nats: RunningNats, database: str, limits: ServiceLimits, *, successor: bool
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A serving process, and staged rows of the next version, with a `successor` on standby for them if wanted.

    The yielded function cuts over to them.
    """
    told = story(20)
    await write_log(database, told.recorded)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            service_running(replace(INBOX_VIEWS, limits=limits), private_nats.url, database)
        )
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        await build(database, NEXT)
        if successor:
            later = replace(NEXT_SERVICE, limits=limits)
            await stack.enter_async_context(service_running(later, private_nats.url, database))

        async def go() -> None:
            await cutover(database, NEXT, force=not successor)

        yield go


async def nobody_answers(bus: Bus) -> bool:
    try:
        await bus.ask("Address", address="17@acme.example")
    except nats.errors.NoRespondersError:
        return True
    return False


async def test_a_former_process_answers_until_a_newer_one_does(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    # The former process waits for longer than the successor takes to notice that its version is live.
    limits = ServiceLimits(handover_seconds=30.0, standby_check_seconds=2.0)
    async with switching(bus, private_nats, database, limits, successor=True) as go, asking(bus, 0) as seen:
        await go()
        with capture_logs() as logs:
            await eventually(lambda: said(logs, "view.has_left"))
        assert await said(logs, "view.attends")
        left = [line["because"] for line in logs if line["event"] == "view.has_left"]
        assert left == [f"version {NEXT.version} answers"]
        count = len(seen)
        await eventually(lambda: more_than(seen, count + 10))


async def test_a_former_process_leaves_at_once_when_there_is_no_successor(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    limits = ServiceLimits(handover_seconds=60.0)
    async with switching(bus, private_nats, database, limits, successor=False) as go:
        await go()
        await eventually(lambda: nobody_answers(bus), 10)


async def test_a_former_process_does_not_wait_for_ever_for_one_that_does_not_answer(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    limits = ServiceLimits(handover_seconds=0.5, standby_check_seconds=60.0)
    async with switching(bus, private_nats, database, limits, successor=True) as go:
        await go()
        await eventually(lambda: nobody_answers(bus), 10)


async def said(logs: list[Any], event: str) -> bool:
    return any(line["event"] == event for line in logs)


async def more_than(seen: list[int], count: int) -> bool:
    return len(seen) > count


async def steps_aside(service: Any) -> bool:
    return "the live rows are of version" in (await service.health()).parts["view"]


@asynccontextmanager
async def asking(bus: Bus, position: int) -> AsyncIterator[list[int]]:
    """Somebody who asks all the time: no question fails, and none is answered as of before the position."""
    seen = [position]
    asked_enough = asyncio.Event()

    async def ask() -> None:
        while not asked_enough.is_set():
            reply = await bus.ask("Address", address="17@acme.example")
            assert reply.result["owner"] == "bob"
            assert reply.body["position"] >= position
            seen.append(reply.body["position"])

    task = asyncio.create_task(ask())
    try:
        yield seen
    finally:
        asked_enough.set()
        await task


async def test_a_process_never_makes_rows_that_are_not_its_own_to_make(database: str) -> None:
    told = story(20)
    async with prepared(database, told, NEXT), prepared_again(database) as former:
        with pytest.raises(VersionMismatchError, match=f"of version {NEXT.version}"):
            await former.prepare()
        with pytest.raises(VersionMismatchError):
            await former.apply([])
        with pytest.raises(VersionMismatchError):
            await parked.retry_parked(former)


@asynccontextmanager
async def prepared_again(url: str) -> AsyncIterator[View]:
    view = View(url, DEFINITION)
    await view.open()
    yield view
    await view.close()


async def test_rows_that_were_rolled_back_are_not_rebuilt_by_themselves(database: str) -> None:
    told = story(20)
    async with prepared(database, told):
        await build(database, NEXT)
        await cutover(database, NEXT, force=True)
        await rollback(database, DEFINITION, force=True)
        later = View(database, NEXT)
        await later.open()
        with pytest.raises(VersionMismatchError, match="are staged"):
            await later.prepare()
        await drop_inactive(database, NEXT)
        assert not await later.prepare()
        await later.close()


# ---- parked


async def test_giving_up_a_parked_event_applies_those_behind_it(database: str) -> None:
    told = story(3).tell(
        e.ToolBound(address="late@acme.example", tool="meetings"), personal("late@acme.example", "bob"),
        e.ToolBound(address="late@acme.example", tool="sequences"),
        e.ToolBound(address="else@acme.example", tool="meetings"),
    )  # fmt: skip
    first = told.end - 3
    async with prepared(database, told) as view:
        whole = await parked.show_parked(view, first)
        assert (whole.followers, whole.headers["ce-type"], json.loads(whole.body)["tool"]) == (
            2, "switchboard.ToolBound.v1", "meetings",
        )  # fmt: skip
        assert [one.position for one in await parked.list_parked(view, first, 2)] == [first + 1, first + 2]
        assert await parked.retry_parked(view, first) == (0, 3)
        assert await parked.give_up(view, first) == (2, 0)
        assert [one.position for one in await parked.list_parked(view)] == [told.end]
        with pytest.raises(parked.ParkedEventNotFoundError):
            await parked.show_parked(view, first)
        with pytest.raises(parked.ParkedEventNotFoundError):
            await parked.give_up(view, first)
    rows = {row[2]: row for row in (await rows_of(database))["addresses"]}
    assert rows["late@acme.example"][3]["tools"] == ["sequences"]
    assert rows["late@acme.example"][4:] == (3, first + 2)


async def test_parked_events_that_are_retried_in_batches_keep_their_order(database: str) -> None:
    told = story(3).tell(*[e.ToolBound(address="no@acme.example", tool="meetings") for _ in range(5)])
    async with prepared(database, told) as view:
        before = (await rows_of(database))["parked"]
        assert await parked.retry_parked(view, batch=2) == (0, 5)
        assert (await rows_of(database))["parked"] == before
        assert [one.error for one in await parked.list_parked(view)][1:] == [f"behind position {told.end - 4}"] * 4
