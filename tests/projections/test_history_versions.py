"""The versions of rows in a range of positions, read from a history."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.language import events as e
from shared.projections.history.versions import RowVersion, versions_in_account, versions_of
from shared.projections.rebuild.rebuild import rebuild
from shared.projections.snapshot import Asker, Snapshot
from shared.projections.view import View
from tests.inbox_views.stories import beginning, personal
from tests.projections.histories import HISTORY
from tests.projections.running_views import write_log

ANN, BEN = "ann@acme.example", "ben@acme.example"


@pytest.fixture
async def snapshot(database: str) -> AsyncIterator[Snapshot]:
    """Five first events, then ann at 6, 7 and 9, and ben at 8 and 10."""
    told = beginning().tell(
        personal(ANN, "bob"),
        e.FromNameChanged(address=ANN, from_name="one"),
        personal(BEN, "bob"),
        e.FromNameChanged(address=ANN, from_name="two"),
        e.FromNameChanged(address=BEN, from_name="three"),
    )
    await write_log(database, told.recorded)
    await rebuild(database, View(database, HISTORY))
    async with opened(database) as found:
        yield found


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Snapshot]:
    view = View(url, HISTORY, readers=1)
    await view.open()
    try:
        async with view.snapshots([Asker("acme", "ana")]) as (found,):
            yield found
    finally:
        await view.close()


def spans(versions: list[RowVersion]) -> list[tuple[str, int, int | None]]:
    return [(version.key[:3], version.position, version.until) for version in versions]


async def test_versions_that_overlap_a_range_are_returned_by_key_and_position(snapshot: Snapshot) -> None:
    async def found(first: int, last: int, *names: str) -> list[tuple[str, int, int | None]]:
        return spans(await versions_of(snapshot, "address", names, first, last))

    assert await found(1, 10, ANN) == [("ann", 6, 7), ("ann", 7, 9), ("ann", 9, None)]
    assert await found(1, 5, ANN) == []
    assert await found(6, 6, ANN) == [("ann", 6, 7)]
    assert await found(7, 8, ANN) == [("ann", 7, 9)]
    assert await found(9, 9, ANN, BEN) == [("ann", 9, None), ("ben", 8, 10)]
    assert await found(1, 10) == []


@pytest.mark.parametrize("rows_at_once", [1, 2, 500])
async def test_all_versions_of_an_account_come_row_by_row(snapshot: Snapshot, rows_at_once: int) -> None:
    parts = [part async for part in versions_in_account(snapshot, "address", 8, 10, rows_at_once)]
    assert [one for part in parts for one in spans(part)] == [
        ("ann", 7, 9),
        ("ann", 9, None),
        ("ben", 8, 10),
        ("ben", 10, None),
    ]
    assert len(parts) == (2 if rows_at_once == 1 else 1)
    assert [len(part) async for part in versions_in_account(snapshot, "user", 1, 10)] == [3]


async def test_a_version_holds_its_document_while_it_is_valid(snapshot: Snapshot) -> None:
    first, second, third = await versions_of(snapshot, "address", [ANN], 1, 10)
    assert [one.doc["from_name"] for one in (first, second, third)] == [None, "one", "two"]
    assert [position for position in range(1, 12) if second.valid_at(position)] == [7, 8]
    assert third.valid_at(1_000)
    assert not third.valid_at(8)
