"""Each kind of attack of the database's owner is named by its position; what is missed or named falsely is reported."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.ops.evidence.findings import Kind
from tests.faults.owner import attack_all, original, verified
from tests.faults.tampering import ATTACKS, Copy, Found, Original
from tests.real_servers import RunningPostgres

SEED = 7


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def log(postgres: RunningPostgres) -> AsyncIterator[Original]:
    database = postgres.new_database()
    async with original(database) as made:
        yield made
    postgres.drop_database(database)


async def test_each_attack_is_named_by_exactly_its_findings(log: Original) -> None:
    tried = attack_all(log, len(ATTACKS), SEED)
    assert tried.failures() == []
    assert tried.tries.keys() == tried.found.keys() == ATTACKS.keys()
    assert tried.incremental > 5
    page = " ".join(tried.page().split())
    assert f"{len(ATTACKS)} of {len(ATTACKS)} attacks were named" in page
    assert page.count("(only with a checkpoint from outside: ") == 6


async def test_a_verification_that_sees_nothing_misses_every_attack(log: Original) -> None:
    def see_nothing(_: Copy) -> set[Found]:
        return set()

    tried = attack_all(log, len(ATTACKS), SEED, see_nothing)
    assert tried.found.total() == 0
    assert {line.removeprefix("missed: ").partition(",")[0] for line in tried.failures()} == {
        what.partition(",")[0] for what in ATTACKS
    }


@pytest.mark.parametrize("where", [1, 2])
async def test_a_verification_that_names_the_wrong_position_is_reported(log: Original, where: int) -> None:
    def see_more(copy: Copy) -> set[Found]:
        return {*verified(copy), Found("events", Kind.CHANGED, where, where)}

    tried = attack_all(log, 3, SEED, see_more)
    assert f"an untouched copy: {Found('events', Kind.CHANGED, where, where)}" in tried.false
    assert len(tried.false) >= 4
