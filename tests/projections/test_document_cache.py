"""What a process keeps of a view's rows in memory never wins over what others have written."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.inbox_views.projection import DEFINITION
from shared.language import events as e
from shared.language.recorded import Recorded
from shared.projections.definition import Document
from shared.projections.events import DeliveredEvent
from shared.projections.snapshot import Asker
from shared.projections.view import View
from shared.wire.cloud_events import to_wire
from tests.inbox_views.stories import beginning, personal

BOB = "bob@acme.example"


@pytest.fixture
async def views(database: str) -> AsyncIterator[tuple[View, View]]:
    """Two processes of one view."""
    one, other = View(database, DEFINITION), View(database, DEFINITION)
    for view in (one, other):
        await view.open()
        assert await view.prepare()
    yield one, other
    for view in (one, other):
        await view.close()


def entries(recorded: list[Recorded]) -> list[DeliveredEvent]:
    return [DeliveredEvent(one.position, *to_wire(one)[1:]) for one in recorded]


async def doc_of(view: View, key: str) -> Document:
    async with view.snapshots([Asker("acme", "ana")]) as (snapshot,):
        ((doc,),) = await snapshot.select("SELECT doc FROM addresses WHERE key = %(key)s", {"key": key})
    assert isinstance(doc, dict)
    return doc


async def test_two_that_take_turns_lose_nothing(views: tuple[View, View]) -> None:
    told = beginning().tell(personal(BOB, "bob"))
    start = len(told.recorded)
    tools = ("meetings", "sequences", "extension", "one_to_one")
    told.tell(*(e.ToolBound(address=BOB, tool=tool) for tool in tools))
    events = entries(told.recorded)
    await views[0].apply(events[:start])
    for number in range(start, len(events)):
        # Each hands over one event more than the other knows of, and those before it once again.
        assert await views[number % 2].apply(events[: number + 1]) == number + 1
    assert (await doc_of(views[0], BOB))["tools"] == sorted(tools)


async def test_one_that_was_overtaken_writes_nothing_from_memory(views: tuple[View, View]) -> None:
    one, other = views
    told = beginning().tell(personal(BOB, "bob"), e.FromNameChanged(address=BOB, from_name="Bob"))
    told.tell(e.ToolBound(address=BOB, tool="meetings"))
    events = entries(told.recorded)
    await one.apply(events[:-2])
    # From memory too, so that only the position tells.
    await other.apply(events[:-1])
    # An event at a position that the other has passed, as a stream that was put back might hold it.
    stale = DeliveredEvent(events[-2].position, *to_wire(told.recorded[-1]._replace(position=events[-2].position))[1:])
    assert await one.apply([stale]) == events[-2].position
    doc = await doc_of(one, BOB)
    assert (doc["from_name"], doc["tools"]) == ("Bob", [])


async def test_rows_that_were_changed_from_outside_are_read_again(views: tuple[View, View]) -> None:
    view, outside = views
    told = beginning().tell(personal(BOB, "bob"), e.FromNameChanged(address=BOB, from_name="Bob"))
    told.tell(e.ToolBound(address=BOB, tool="meetings"))
    events = entries(told.recorded)
    await view.apply(events[:-1])
    async with outside.writing() as cursor:
        await outside.lock_position(cursor)
        await cursor.execute("UPDATE addresses SET doc = jsonb_set(doc, '{from_name}', '\"Robert\"')")
    assert await view.apply(events) == events[-1].position
    doc = await doc_of(view, BOB)
    assert (doc["from_name"], doc["tools"]) == ("Robert", ["meetings"])


async def test_a_process_that_starts_does_not_wait_for_readers(views: tuple[View, View]) -> None:
    reading, starting = views
    async with reading.snapshots([Asker("acme", "ana")]) as (snapshot,):
        await snapshot.select("SELECT position FROM view")
        async with asyncio.timeout(5):
            assert await starting.prepare()


async def test_nothing_is_written_behind_a_gap(views: tuple[View, View]) -> None:
    view = views[0]
    told = beginning().tell(personal(BOB, "bob"), personal("cleo@acme.example", "cleo"))
    events = entries(told.recorded)
    assert await view.apply(events[:-2]) == len(events) - 2
    assert await view.apply(events[-1:]) == len(events) - 2
    assert await view.position() == len(events) - 2
    assert await view.apply(events[-2:]) == len(events)
