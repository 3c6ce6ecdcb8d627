"""When a view applied events: recorded by each commit of the live rows, and asked by other services."""

from collections.abc import AsyncIterator
from datetime import datetime

import orjson
import psycopg
import pytest

from services.inbox_views.app import INBOX_VIEWS
from services.inbox_views.projection import DEFINITION
from shared.language import events as e
from shared.language import subjects
from shared.process import clock
from shared.projections.applied import MOST_POSITIONS, NoAppliedTimesError, applied_times
from shared.projections.rebuild.rebuild import rebuild
from shared.projections.view import View
from tests.inbox_views.stories import beginning, on_bus, personal, service_running
from tests.projections.running_views import apply, reached, story, write_log
from tests.real_servers import RunningNats


@pytest.fixture
async def view(database: str) -> AsyncIterator[View]:
    made = View(database, DEFINITION)
    await made.open()
    await made.prepare()
    yield made
    await made.close()


def now() -> datetime:
    return datetime.fromisoformat(clock.now())


async def test_every_event_was_applied_by_the_commit_that_had_it(view: View) -> None:
    told = story(10)
    began = now()
    await apply(view, told.recorded[:4])
    between = now()
    await apply(view, told.recorded[4:9])
    times = await view.applied_at(range(1, 12))
    assert sorted(times) == list(range(1, 10))
    assert len({times[position] for position in range(1, 5)}) == 1
    assert len({times[position] for position in range(5, 10)}) == 1
    assert began <= times[4]
    assert between <= times[5]


async def test_a_commit_that_parks_an_event_applied_the_others(view: View) -> None:
    told = beginning().tell(personal("a@acme.example", "bob\x00"), personal("b@acme.example", "bob"))
    await apply(view, told.recorded)
    assert sorted(await view.applied_at(range(1, told.end + 2))) == list(range(1, told.end + 1))


async def test_of_what_a_rebuild_applied_no_time_is_known(view: View, database: str) -> None:
    told = story(10)
    await write_log(database, told.recorded)
    await apply(view, told.recorded[:8])
    await rebuild(database, view)
    told.tell(personal("last@acme.example", "bob"))
    await apply(view, told.recorded[-1:])
    assert sorted(await view.applied_at(range(1, told.end + 1))) == [told.end]


async def test_rows_of_a_release_that_recorded_no_times_get_the_table(view: View, database: str) -> None:
    told = story(10)
    await apply(view, told.recorded[:5])
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute("DROP TABLE inbox_views.applied")
    again = View(database, DEFINITION)
    await again.open()
    await again.prepare()
    await apply(again, told.recorded[5:7])
    assert sorted(await again.applied_at(range(1, 9))) == [6, 7]
    await again.close()


async def test_a_service_asks_the_process_of_a_view(private_nats: RunningNats, database: str) -> None:
    told = beginning().tell(e.FromNameChanged(address="bob@acme.example", from_name="Bob"))
    async with on_bus(private_nats.url) as bus, service_running(INBOX_VIEWS, private_nats.url, database):
        began = now()
        await bus.publish(told.recorded)
        await reached(bus, told.end)
        times = await applied_times(bus.client, "inbox_views", [told.end, 1, told.end + 1])
        last = times[told.end]
        assert last is not None
        assert began <= datetime.fromisoformat(last) <= now()
        assert times[told.end + 1] is None
        assert set(await applied_times(bus.client, "inbox_views", range(1, 2 * MOST_POSITIONS))) == set(
            range(1, 2 * MOST_POSITIONS)
        )
        for wrong in (
            b"{",
            b"{}",
            b'{"positions": ["x"]}',
            b'{"positions": 7}',
            orjson.dumps({"positions": [1] * 2001}),
        ):
            answer = await bus.client.request(subjects.applied("inbox_views"), wrong)
            assert "not a request for times" in orjson.loads(answer.data)["error"]


async def test_a_view_that_does_not_answer_is_told(private_nats: RunningNats) -> None:
    async with on_bus(private_nats.url) as bus:
        with pytest.raises(NoAppliedTimesError, match="no process of routing answered"):
            await applied_times(bus.client, "routing", [1])
