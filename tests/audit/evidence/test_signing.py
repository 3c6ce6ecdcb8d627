"""Both trees have every row of the log, in files that other people's tools read, under checkpoints that all agree."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.audit.evidence.follower import EvidenceFollower
from services.audit.evidence.signer import SigningLimits
from shared.projections.history.following import running
from shared.transparency.checkpoints import Tree
from shared.transparency.tiles import entries_of, entries_path
from tests.audit.evidence.making import FAST, Evidence, following, leaves_of, require_no_contradiction, signed, until
from tests.audit.past import Past, past_in
from tests.transparency import naive_tree


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        yield made


@pytest.fixture
def evidence(folder: Path) -> Evidence:
    return Evidence(folder)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("batch", [7, 256, 1_000])
async def test_the_roots_are_those_of_naive_trees(past: Past, evidence: Evidence, seed: int, batch: int) -> None:
    past.begin()
    past.live(seed, 700)
    signing = SigningLimits(batch=batch, checkpoint_seconds=0.05, check_seconds=0.1)
    async with following(past.url, evidence, FAST, signing):
        await signed(past.url, evidence)
        past.live(seed + 100, 200)
        heads = await signed(past.url, evidence)
        # A checkpoint is published after it is written.
        await until(lambda: len(evidence.published) >= 4)
    for tree, leaves in (await leaves_of(past.url)).items():
        assert heads[tree].size == len(leaves)
        assert heads[tree].root == naive_tree.root(leaves)
        assert evidence.reader(tree, len(leaves)).root() == heads[tree].root
        assert entries_in(evidence, tree, len(leaves)) == leaves
    assert require_no_contradiction(evidence.published, evidence) >= 4


def entries_in(evidence: Evidence, tree: str, size: int) -> list[bytes]:
    """All entries, from the bundles of a size."""
    found: list[bytes] = []
    for index in range(-(-size // 256)):
        path = entries_path(index, min(size - index * 256, 256))
        found += entries_of((evidence.folder / tree / path).read_bytes())
    return found


async def test_an_empty_log_is_signed_too_and_grows_from_there(past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence):
        heads = await signed(past.url, evidence)
        assert {head.size for head in heads.values()} == {0}
        past.begin()
        heads = await signed(past.url, evidence)
        assert heads["events"].size > 0
    require_no_contradiction(evidence.published, evidence)


async def test_a_log_that_always_grows_is_no_fault(past: Past, evidence: Evidence) -> None:
    past.begin()
    past.live(1, 300)
    faults: list[str | None] = []

    async def publish(tree: Tree, note: bytes) -> None:
        faults.append(follower.fault())
        await evidence.publish(tree, note)

    signing = SigningLimits(batch=20, checkpoint_seconds=0.0, check_seconds=0.1)
    follower = EvidenceFollower(past.url, evidence.place, publish, FAST, signing)
    errors: list[BaseException] = []
    async with running(follower, errors.append):
        await signed(past.url, evidence)
    assert not errors
    # Both trees are signed for the first time in the first step.
    assert faults[:2] == ["starting", "starting"]
    assert len(faults) > 10
    assert set(faults[2:]) == {None}


async def test_full_tiles_take_the_place_of_partial_ones(past: Past, evidence: Evidence) -> None:
    past.begin()
    async with following(past.url, evidence):
        for seed in range(6):
            past.live(seed, 150)
            heads = await signed(past.url, evidence)
    tiles = evidence.folder / "journal" / "tile"
    assert heads["journal"].size > 768
    for level in ("0", "entries"):
        assert (tiles / level / "000").exists()
        assert [one.name for one in (tiles / level).iterdir() if one.name.endswith(".p")] == ["003.p"]
    names = {one.name for one in evidence.folder.rglob("*") if one.is_file()}
    assert not [name for name in names if "unfinished" in name]


async def test_it_goes_on_where_it_stopped(past: Past, evidence: Evidence) -> None:
    past.begin()
    for seed in range(5):
        past.live(seed, 130)
        async with following(past.url, evidence):
            heads = await signed(past.url, evidence)
    leaves = await leaves_of(past.url)
    assert {tree: head.root for tree, head in heads.items()} == {
        tree: naive_tree.root(found) for tree, found in leaves.items()
    }
    require_no_contradiction(evidence.published, evidence)


async def test_checkpoints_are_not_made_more_often_than_wanted(past: Past, evidence: Evidence) -> None:
    past.begin()
    async with following(past.url, evidence, FAST, SigningLimits(checkpoint_seconds=3_600.0)):
        before = await signed(past.url, evidence)
        past.live(1, 300)
        await until((evidence.folder / "journal" / "tile" / "0" / "000").exists)
    assert evidence.heads() == before
    assert len(evidence.published) == 2


async def test_no_leaf_names_an_address_or_a_user(past: Past, evidence: Evidence) -> None:
    past.begin()
    past.live(1, 200)
    async with following(past.url, evidence):
        heads = await signed(past.url, evidence)
    entries = b"".join(entries_in(evidence, "events", heads["events"].size))
    entries += b"".join(entries_in(evidence, "journal", heads["journal"].size))
    assert b"@" not in entries
    assert b"user-1" not in entries
