"""A history as of any position equals a replay up to it by the plain fold, row for row."""

import pytest

from shared.projections.rebuild.limits import RebuildLimits
from shared.projections.rebuild.rebuild import build
from shared.projections.schemas import staged
from tests.projections.histories import HISTORY, parked_in, plain, random_log, rows_as_of, versions_of
from tests.projections.running_views import write_log

STAGED = staged(HISTORY.name)


@pytest.mark.parametrize("seed", range(8))
async def test_a_history_as_of_each_position_equals_a_replay_up_to_it(seed: int, database: str) -> None:
    log = random_log(seed, 150)
    await write_log(database, log.recorded, log.topics)
    batch = (1, 2, 7, 40, 1_000)[seed % 5]
    assert await build(database, HISTORY, limits=RebuildLimits(batch=batch, cached_documents=seed)) == 150
    expected = plain(log)
    found = await rows_as_of(database, range(1, 151), STAGED)
    for position in range(1, 151):
        assert found[position] == expected.as_of(position), position
    assert await parked_in(database, STAGED) == expected.parked
    assert 0 < len(expected.parked) < 75


async def test_a_history_dropped_and_made_again_is_equal(database: str) -> None:
    log = random_log(100, 300)
    await write_log(database, log.recorded, log.topics)
    await build(database, HISTORY, limits=RebuildLimits(batch=50))
    first = await versions_of(database, STAGED)
    await build(database, HISTORY)
    assert await versions_of(database, STAGED) == first
