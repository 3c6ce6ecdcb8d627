"""Nothing is signed that contradicts what was signed: a restored backup, a fork, a changed row, another folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.audit.evidence.heads import StaleHolderError, begin_origin, move, take
from services.audit.evidence.signer import SigningLimits
from shared.process.postgres import DirectAsync
from shared.transparency.checkpoints import Checkpoint, parse_checkpoint
from shared.transparency.notes import parse_note
from tests.audit.evidence.making import (
    FAST,
    NAME,
    Evidence,
    following,
    leaves_of,
    opened,
    refused,
    require_no_contradiction,
    signed,
    until,
)
from tests.audit.past import Past, past_in, rows, run
from tests.audit.test_index import restore
from tests.transparency import naive_tree


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        made.begin()
        made.live(1, 400, ("acme",))
        yield made


@pytest.fixture
def evidence(folder: Path) -> Evidence:
    return Evidence(folder)


async def require_right(past: Past, evidence: Evidence) -> None:
    heads = await signed(past.url, evidence)
    for tree, leaves in (await leaves_of(past.url)).items():
        assert heads[tree].root == naive_tree.root(leaves)


# ---- the log


async def test_a_shorter_log_is_not_signed(past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence) as follower:
        before = await signed(past.url, evidence)
        end = before["events"].size
        restore(past.url, end - 20)
        said = await refused(follower, "events: ", "journal: ")
        assert f"events: the log ends at position {end - 20}, and {end} were hashed" in said
        count = len(evidence.published)
    async with following(past.url, evidence) as follower:
        await refused(follower, "events: the log ends at", "journal: the log ends at")
    assert (len(evidence.published), evidence.heads()) == (count, before)


async def test_a_restored_log_that_has_grown_again_is_not_signed(past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence):
        before = await signed(past.url, evidence)
    restore(past.url, before["events"].size - 20)
    with past_in(past.url) as later:
        later.live(2, 300, ("acme",))
    count = len(evidence.published)
    async with following(past.url, evidence) as follower:
        said = await refused(follower, "events: ", "journal: ")
    assert "the log has another event at position" in said
    assert "the log has another entry at ordinal" in said
    assert (len(evidence.published), evidence.heads()) == (count, before)


@pytest.mark.parametrize("grown", [0, 300])
async def test_a_backup_of_the_whole_database_is_not_signed(past: Past, evidence: Evidence, grown: int) -> None:
    async with following(past.url, evidence):
        former = await signed(past.url, evidence)
        past.live(2, 60, ("acme",))
        before = await signed(past.url, evidence)
    restore(past.url, former["events"].size)
    for tree, head in former.items():
        root = f"decode('{head.root.hex()}', 'hex')"
        run(past.url, f"UPDATE evidence.heads SET size = {head.size}, root = {root} WHERE tree = '{tree}'")
    with past_in(past.url) as later:
        later.live(3, grown, ("acme",))
    count = len(evidence.published)
    async with following(past.url, evidence) as follower:
        await refused(follower, "events: the log ", "journal: the log ")
    assert (len(evidence.published), evidence.heads()) == (count, before)


async def test_a_changed_row_is_not_signed_and_the_other_tree_goes_on(past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence) as follower:
        before = await signed(past.url, evidence)
        end = before["events"].size
        run(past.url, f"UPDATE connections.events SET state = state || ' ' WHERE notification_id = {end}")
        said = await refused(follower, "events: ")
        assert said == f"events: the log has another event at position {end} than was hashed"
        past.message("ConnectTeam", {"actor": "user-1"})
        await until(lambda: evidence.checkpoint("journal").size == before["journal"].size + 1)
        assert evidence.checkpoint("events") == before["events"]
        ((error,),) = rows(past.url, "SELECT error FROM evidence.heads WHERE tree = 'events'")
        assert f"events: {error}" == said


async def test_the_row_below_the_head_is_compared_before_each_signature(past: Past, evidence: Evidence) -> None:
    rarely = SigningLimits(checkpoint_seconds=0.05, check_seconds=3_600.0)
    async with following(past.url, evidence, FAST, rarely) as follower:
        end = (await signed(past.url, evidence))["events"].size
        # The first comparison of an idle tree is over.
        await until(lambda: follower.last_error is None)
        count = len(evidence.published)
        run(past.url, f"UPDATE connections.events SET state = state || ' ' WHERE notification_id = {end}")
        past.live(3, 60, ("acme",))
        said = await refused(follower, "events: ")
    assert said == f"events: the log has another event at position {end} than was hashed"
    assert not [tree for tree, _ in evidence.published[count:] if tree == "events"]


async def test_a_row_that_was_changed_while_nobody_followed_is_found_at_the_start(
    past: Past, evidence: Evidence
) -> None:
    async with following(past.url, evidence):
        before = await signed(past.url, evidence)
    last_tile = (before["journal"].size - 1) // 256 * 256
    run(past.url, f"UPDATE connections.journal SET reply = reply || ' ' WHERE ordinal = {last_tile + 1}")
    past.live(3, 30, ("acme",))
    async with following(past.url, evidence) as follower:
        said = await refused(follower, "journal: ")
        assert said == f"journal: the log has another entry at ordinal {last_tile + 1} than was hashed"
        run(
            past.url,
            "UPDATE connections.journal SET reply = substr(reply, 1, length(reply) - 1)"
            f" WHERE ordinal = {last_tile + 1}",
        )
        await require_right(past, evidence)
        assert follower.fault() is None
    require_no_contradiction(evidence.published, evidence)


async def test_a_missing_row_is_found(past: Past, evidence: Evidence) -> None:
    run(past.url, "DELETE FROM connections.journal WHERE ordinal = 100")
    async with following(past.url, evidence) as follower:
        said = await refused(follower, "journal: ")
        assert said == "journal: the log has no entry at ordinal 100, and has later ones"


# ---- the folder


async def test_a_value_that_nobody_records_keeps_its_own_tree_only(past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence) as follower:
        before = await signed(past.url, evidence)
        last = before["journal"].size
        run(past.url, f"UPDATE connections.journal SET recorded_at = 'infinity' WHERE ordinal = {last}")
        fault = await refused(follower, "journal: ", "has a value that nobody records")
        assert "events: " not in fault


async def test_a_lost_folder_is_filled_again(past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence):
        before = await signed(past.url, evidence)
    shutil.rmtree(evidence.folder)
    async with following(past.url, evidence):
        assert await signed(past.url, evidence) == before
        past.live(4, 50, ("acme",))
        await require_right(past, evidence)
    require_no_contradiction(evidence.published, evidence)


@pytest.mark.parametrize("lost", [True, False])
async def test_an_idle_tree_gets_its_checkpoint_again(past: Past, evidence: Evidence, lost: bool) -> None:
    async with following(past.url, evidence):
        before = await signed(past.url, evidence)
        old = (evidence.folder / "events" / "checkpoint").read_bytes()
        past.live(5, 20)
        heads = await signed(past.url, evidence)
        assert heads["events"].size > before["events"].size
        if lost:
            (evidence.folder / "events" / "checkpoint").unlink()
        else:
            (evidence.folder / "events" / "checkpoint").write_bytes(old)
        assert await signed(past.url, evidence) == heads
    require_no_contradiction(evidence.published, evidence)


async def test_an_old_copy_of_the_folder_comes_to_the_same_root(past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence):
        await signed(past.url, evidence)
    copy = evidence.folder.with_name("copy")
    shutil.copytree(evidence.folder, copy)
    past.live(5, 300, ("acme",))
    async with following(past.url, evidence):
        before = await signed(past.url, evidence)
    shutil.rmtree(evidence.folder)
    copy.rename(evidence.folder)
    async with following(past.url, evidence):
        assert await signed(past.url, evidence) == before
    require_no_contradiction(evidence.published, evidence)


async def test_a_lost_folder_and_a_changed_row_are_not_signed(past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence):
        before = await signed(past.url, evidence)
    shutil.rmtree(evidence.folder)
    run(past.url, "UPDATE connections.events SET state = state || ' ' WHERE notification_id = 3")
    count = len(evidence.published)
    async with following(past.url, evidence) as follower:
        said = await refused(follower, "events: ")
    size = before["events"].size
    assert said == f"events: the log does not lead to the committed root of {size} leaves: a row was changed"
    assert not [tree for tree, _ in evidence.published[count:] if tree == "events"]


@pytest.mark.parametrize("damage", ["tile/0/001.p", "tile/entries/001.p", "tile/1/000.p"])
async def test_a_damaged_folder_is_filled_again(past: Past, evidence: Evidence, damage: str) -> None:
    async with following(past.url, evidence):
        await signed(past.url, evidence)
    shutil.rmtree(evidence.folder / "journal" / damage)
    past.live(6, 20, ("acme",))
    async with following(past.url, evidence):
        await require_right(past, evidence)
    require_no_contradiction(evidence.published, evidence)


async def test_postgres_that_lost_its_heads_gets_them_from_the_folder(past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence):
        await signed(past.url, evidence)
    run(past.url, "DROP SCHEMA evidence CASCADE")
    past.live(7, 20, ("acme",))
    async with following(past.url, evidence):
        await require_right(past, evidence)
    require_no_contradiction(evidence.published, evidence)


@pytest.mark.parametrize("less", [0, 7])
async def test_a_head_that_was_changed_in_postgres_is_not_signed(past: Past, evidence: Evidence, less: int) -> None:
    async with following(past.url, evidence):
        before = await signed(past.url, evidence)
    run(past.url, f"UPDATE evidence.heads SET size = size - {less}, root = sha256('forged')")
    count = len(evidence.published)
    async with following(past.url, evidence) as follower:
        said = await refused(follower, "events: ", "journal: ")
    assert f"the log does not extend the committed head of {before['events'].size - less} leaves" in said
    assert len(evidence.published) == count


async def test_the_folder_of_another_log_is_not_used(past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence):
        before = await signed(past.url, evidence)
    run(past.url, "DROP SCHEMA evidence CASCADE")
    run(past.url, "UPDATE connections.log SET id = gen_random_uuid()")
    async with following(past.url, evidence) as follower:
        await refused(follower, "events: the folder has the tree", before["events"].origin)
    assert evidence.heads() == before


# ---- a new origin


async def test_a_new_origin_is_the_way_out(past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence) as follower:
        before = await signed(past.url, evidence)
        restore(past.url, before["events"].size - 20)
        await refused(follower, "events: ", "journal: ")
        keys = evidence.verifier_keys()
        async with await DirectAsync.connect(past.url, autocommit=True) as connection:
            origins = await begin_origin(connection, NAME, "a backup was restored")
        with past_in(past.url) as later:
            later.live(8, 100, ("acme",))
        await require_right(past, evidence)
        await until(lambda: follower.fault() is None)
    after = evidence.heads()
    assert [after[tree].origin for tree in ("events", "journal")] == origins
    for tree, head in before.items():
        former = evidence.folder / "former" / tree
        assert opened((former / "checkpoint").read_bytes(), keys) == head
        assert (former / "verifier-keys").read_text().startswith(f"{head.origin}+")
        assert after[tree].origin.startswith(f"{head.origin}-2")
    new = [
        (tree, note) for tree, note in evidence.published if parse_checkpoint(parse_note(note).text).origin in origins
    ]
    assert require_no_contradiction(new, evidence) >= 2


async def test_a_folder_of_another_process_follows_to_a_new_origin(past: Past, folder: Path) -> None:
    one = Evidence(folder, "one")
    other = Evidence(folder, "other", one.keys)
    for evidence in (one, other):
        async with following(past.url, evidence):
            await signed(past.url, evidence)
    for _ in range(2):
        async with await DirectAsync.connect(past.url, autocommit=True) as connection:
            origins = await begin_origin(connection, NAME, "once more")
        await sign_under(origins, past, one)
    await sign_under(origins, past, other)


async def test_a_new_origin_is_noticed_while_nothing_happens(past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence):
        await signed(past.url, evidence)
        async with await DirectAsync.connect(past.url, autocommit=True) as connection:
            origins = await begin_origin(connection, NAME, "the keys were stolen")
        await until(lambda: [head.origin for head in evidence.heads().values()] == origins)
        await require_right(past, evidence)


async def test_a_new_origin_is_the_last_one_where_clocks_have_run_back(past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence):
        await signed(past.url, evidence)
        run(past.url, "UPDATE evidence.heads SET began = began + interval '2 days'")
        async with await DirectAsync.connect(past.url, autocommit=True) as connection:
            await begin_origin(connection, NAME, "a backup was restored")
            origins = await begin_origin(connection, NAME, "a backup was restored again")
        await until(lambda: [head.origin for head in evidence.heads().values()] == origins)
        await require_right(past, evidence)


async def sign_under(origins: list[str], past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence):
        await until(lambda: [head.origin for head in evidence.heads().values()] == origins)
        await require_right(past, evidence)


# ---- two processes


async def test_two_processes_side_by_side_and_one_after_the_other(past: Past, folder: Path) -> None:
    one = Evidence(folder, "one")
    other = Evidence(folder, "other", one.keys)
    async with following(past.url, one) as first:
        await signed(past.url, one)
        async with following(past.url, other) as second:
            past.live(9, 100, ("acme",))
            await signed(past.url, one)
            assert (first.follows, second.follows, other.published) == (True, False, [])
    for number in range(4):
        evidence = (other, one)[number % 2]
        past.live(20 + number, 90, ("acme",))
        async with following(past.url, evidence):
            await require_right(past, evidence)
    require_no_contradiction(one.published + other.published, one)


async def test_only_who_has_taken_the_head_last_moves_it(database: str) -> None:
    async with await DirectAsync.connect(database, autocommit=True) as connection:
        former = await take(connection, "events", "log.example/1/events")
        present = await take(connection, "events", "log.example/2/events")
        to = Checkpoint(former.committed.origin, 5, b"5" * 32)
        with pytest.raises(StaleHolderError):
            await move(connection, former, to)
        moved = await move(connection, present, to)
        assert moved.committed == (await take(connection, "events", "any")).committed == to
        with pytest.raises(StaleHolderError):
            await move(connection, present, to)
