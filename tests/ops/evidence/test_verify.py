"""Attacks of the database's owner: each is found and named by its position, and nothing else is."""

import shutil
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from services.ops.evidence.findings import Kind
from services.ops.evidence.heads import WrongInputError
from services.ops.evidence.tree_process import check_trees
from services.ops.evidence.verify import LogToVerify, verify_log
from tests.audit.evidence.making import Evidence
from tests.audit.past import run
from tests.ops.evidence import attacks
from tests.ops.evidence.attacks import as_owner
from tests.ops.evidence.signed_log import SignedLog, kinds, named, signed_log
from tests.real_servers import RunningPostgres

CHANGED, MISSING, INSERTED, MOVED = Kind.CHANGED, Kind.MISSING, Kind.INSERTED, Kind.MOVED


@pytest.fixture
async def log(database: str) -> AsyncIterator[SignedLog]:
    async with signed_log(database) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_log(postgres: RunningPostgres) -> AsyncIterator[SignedLog]:
    """One log for attacks that are undone."""
    database = postgres.new_database()
    async with signed_log(database) as made:
        yield made
    postgres.drop_database(database)


async def test_a_log_that_nobody_changed_is_sound(log: SignedLog) -> None:
    kept = log.keep("then")
    log.past.live(16, 100)
    reports = log.verify(kept)
    for tree, report in reports.items():
        assert not report.findings
        assert report.protected == report.outside == log.size(tree)
        assert report.outcome.rows == report.outcome.last > report.protected
    await log.sign()
    for tree, report in log.verify(kept).items():
        assert not report.findings
        assert report.protected == log.size(tree) == report.outcome.last > report.outside > 0


async def test_processes_of_their_own_find_the_same(log: SignedLog) -> None:
    with as_owner(log.url) as owner:
        attacks.change_byte(owner, 9)
        attacks.delete(owner, "journal", 9)
    to_verify = LogToVerify(log.url, str(log.evidence.folder))
    steps: list[tuple[str, int, int]] = []

    def on_step(*step: Any) -> None:
        steps.append(step)

    reports = verify_log(to_verify, on_step, partial(check_trees, few=0))
    assert [one.findings for one in reports] == [one.findings for one in log.verify().values()]
    assert [one.outcome.rows for one in reports] == [log.size("events"), log.size("journal") - 1]
    assert {step[0] for step in steps} == {"events", "journal"}


async def test_only_rows_after_a_trusted_checkpoint_are_read(log: SignedLog) -> None:
    kept = log.keep("trusted")
    sizes = {tree: log.size(tree) for tree in ("events", "journal")}
    log.past.live(16, 300)
    await log.sign()
    with as_owner(log.url) as owner:
        # Before it, so an incremental check does not see this.
        attacks.change_byte(owner, 5)
        attacks.change_byte(owner, sizes["events"] + 3)
    reports = log.verify(starts=kept)
    assert named(reports["events"]) == [(CHANGED, sizes["events"] + 3, sizes["events"] + 3, None)]
    assert not reports["journal"].findings
    for tree, report in reports.items():
        assert report.start == sizes[tree]
        assert report.outcome.rows == log.size(tree) - sizes[tree]
        assert report.protected == log.size(tree)
    assert named(log.verify()["events"])[0] == (CHANGED, 5, 5, None)


@pytest.mark.parametrize("position", [1, 255, 256, 257, 300])
async def test_a_changed_byte(shared_log: SignedLog, position: int) -> None:
    with as_owner(shared_log.url) as owner:
        attacks.change_byte(owner, position)
    try:
        reports = shared_log.verify()
    finally:
        with as_owner(shared_log.url) as owner:
            attacks.change_byte(owner, position)
    assert named(reports["events"]) == [(CHANGED, position, position, None)]
    assert not reports["journal"].findings
    assert not shared_log.verify()["events"].findings


@pytest.mark.parametrize("column", attacks.JOURNAL_CHANGES)
async def test_each_changed_column_of_the_journal(shared_log: SignedLog, column: str) -> None:
    await changed_and_undone(shared_log, "journal", column)


@pytest.mark.parametrize("column", attacks.EVENT_CHANGES)
async def test_each_changed_column_of_an_event(shared_log: SignedLog, column: str) -> None:
    await changed_and_undone(shared_log, "events", column)


async def changed_and_undone(log: SignedLog, tree: str, column: str) -> None:
    table, number = attacks.TABLES[tree]
    run(log.url, f"CREATE TABLE before AS SELECT * FROM connections.{table} WHERE {number} = 100")
    with as_owner(log.url) as owner:
        attacks.change_column(owner, tree, 100, column)
    try:
        found = log.verify()
    finally:
        run(log.url, f"UPDATE connections.{table} SET {column} = b.{column} FROM before b WHERE {table}.{number} = 100")
        run(log.url, "DROP TABLE before")
    assert named(found.pop(tree)) == [(CHANGED, 100, 100, None)]
    assert not any(one.findings for one in found.values())


@pytest.mark.parametrize("column", ["state", "topic", "originator_version"])
async def test_a_column_that_is_null_is_a_change(log: SignedLog, column: str) -> None:
    for statement in (
        "ALTER TABLE connections.events DROP CONSTRAINT events_pkey",
        f"ALTER TABLE connections.events ALTER COLUMN {column} DROP NOT NULL",
        f"UPDATE connections.events SET {column} = NULL WHERE notification_id = 9",
    ):
        run(log.url, statement)
    assert named(log.verify()["events"]) == [(CHANGED, 9, 9, None)]


@pytest.mark.parametrize("time", ["'infinity'", "'-infinity'", "'20000-01-01'", "NULL"])
async def test_a_time_that_python_does_not_have_is_a_change(log: SignedLog, time: str) -> None:
    run(log.url, "ALTER TABLE connections.journal ALTER COLUMN recorded_at DROP NOT NULL")
    run(log.url, f"UPDATE connections.journal SET recorded_at = {time} WHERE ordinal = 9")
    assert named(log.verify()["journal"]) == [(CHANGED, 9, 9, None)]


@pytest.mark.parametrize("tree", ["events", "journal"])
async def test_a_deleted_row(log: SignedLog, tree: str) -> None:
    size = log.size(tree)
    with as_owner(log.url) as owner:
        attacks.delete(owner, tree, 57)
    found = log.verify()
    assert named(found[tree]) == [(MISSING, 57, 57, None)]
    # The tiles lead to the checkpoint, so it is proven that there was a row.
    assert found[tree].protected == size


@pytest.mark.parametrize("tree", ["events", "journal"])
async def test_a_deleted_row_whose_gap_is_closed(log: SignedLog, tree: str) -> None:
    size = log.size(tree)
    with as_owner(log.url) as owner:
        attacks.delete_and_close(owner, tree, 57)
    assert named(log.verify()[tree]) == [
        (MISSING, 57, 57, None),
        (MOVED, 58, size, 57),
        (Kind.ROLLED_BACK, size, size, None),
    ]


async def test_a_deleted_refusal(log: SignedLog) -> None:
    with as_owner(log.url) as owner:
        ordinal = attacks.refusals(owner)[7]
        attacks.delete(owner, "journal", ordinal)
    found = log.verify()
    assert named(found["journal"]) == [(MISSING, ordinal, ordinal, None)]
    assert not found["events"].findings


@pytest.mark.parametrize("tree", ["events", "journal"])
async def test_an_inserted_row(log: SignedLog, tree: str) -> None:
    size = log.size(tree)
    with as_owner(log.url) as owner:
        attacks.insert(owner, tree, 300)
    assert named(log.verify()[tree]) == [(INSERTED, 300, 300, None), (MOVED, 300, size, 301)]


async def test_a_second_row_with_the_same_position(log: SignedLog) -> None:
    run(log.url, "DROP INDEX connections.events_notification_id_idx")
    copied = "SELECT gen_random_uuid(), 1, topic, state, 40 FROM connections.events WHERE notification_id = 99"
    run(log.url, f"INSERT INTO connections.events {copied}")
    assert named(log.verify()["events"]) == [(INSERTED, 40, 40, None)]


@pytest.mark.parametrize(("one", "other"), [(7, 8), (3, 290), (256, 257)])
@pytest.mark.parametrize("tree", ["events", "journal"])
async def test_two_rows_that_changed_places(log: SignedLog, tree: str, one: int, other: int) -> None:
    with as_owner(log.url) as owner:
        attacks.swap(owner, tree, one, other)
    assert named(log.verify()[tree]) == [(MOVED, one, one, other), (MOVED, other, other, one)]


@pytest.mark.parametrize("left", [0, 100, 256])
@pytest.mark.parametrize("tree", ["events", "journal"])
async def test_a_deleted_tail(log: SignedLog, tree: str, left: int) -> None:
    size = log.size(tree)
    with as_owner(log.url) as owner:
        attacks.truncate(owner, tree, left)
    assert named(log.verify()[tree]) == [
        (MISSING, left + 1, size, None),
        (Kind.ROLLED_BACK, left + 1, size, None),
    ]


async def test_a_deleted_tail_that_no_checkpoint_had(log: SignedLog) -> None:
    size = log.size("events")
    log.past.live(16, 50)
    with as_owner(log.url) as owner:
        attacks.truncate(owner, "events", size)
    assert not log.verify()["events"].findings


async def test_a_gap_after_the_last_checkpoint(log: SignedLog) -> None:
    size = log.size("events")
    log.past.live(16, 50)
    with as_owner(log.url) as owner:
        attacks.delete(owner, "events", size + 3)
    assert named(log.verify()["events"]) == [(MISSING, size + 3, size + 3, None)]


async def test_rows_below_the_first_number_are_found(log: SignedLog) -> None:
    with as_owner(log.url) as owner:
        owner.execute("UPDATE connections.events SET notification_id = -1 WHERE notification_id = 1")
        owner.execute("UPDATE connections.journal SET ordinal = -1 WHERE ordinal = 1")
    found = log.verify()
    assert [one.about for one in found["events"].findings if one.kind is Kind.INSERTED] == [
        "1 events without a position"
    ]
    assert [one.about for one in found["journal"].findings if one.kind is Kind.INSERTED] == [
        "1 journal entries with an ordinal below 1"
    ]


async def test_a_rewritten_history_is_found_by_a_checkpoint_from_outside_alone(log: SignedLog) -> None:
    early = log.keep("early")
    log.past.live(16, 200)
    await log.sign()
    middle = log.keep("middle")
    sizes = [log.size("events")]
    log.past.live(17, 100)
    await log.sign()
    size = log.size("events")
    with as_owner(log.url) as owner:
        attacks.change_byte(owner, sizes[0] - 5)
        owner.execute("DELETE FROM evidence.heads")
    # The keys stay: they are stolen, and sign what the attacker has.
    shutil.rmtree(log.evidence.folder)
    await log.sign()
    assert log.size("events") == size
    assert not any(one.findings for one in log.verify().values())
    found = log.verify([*early, *middle])
    assert kinds(found["events"].findings) == [Kind.CONTRADICTION]
    (only,) = found["events"].findings
    # After the last checkpoint that fits, up to the first one that does not.
    assert (only.first, only.last) == (found["events"].outside + 1, sizes[0])
    assert found["events"].outside < sizes[0] - 5 < sizes[0]
    assert not found["journal"].findings


async def test_a_contradiction_is_between_checkpoints_from_outside(log: SignedLog) -> None:
    late = log.keep("late")
    size = log.size("events")
    log.past.live(16, 100)
    with as_owner(log.url) as owner:
        attacks.change_byte(owner, 5)
        owner.execute("DELETE FROM evidence.heads")
    shutil.rmtree(log.evidence.folder)
    await log.sign()
    # What an attacker has signed confirms nothing: neither beside the tiles, nor as a branch of the same size.
    found = log.verify([late[0], log.keep("forged")[0]])["events"]
    assert named(found) == [(Kind.CONTRADICTION, 1, size, None)]
    with as_owner(log.url) as owner:
        attacks.truncate(owner, "events", size)
        owner.execute("DELETE FROM evidence.heads")
    shutil.rmtree(log.evidence.folder)
    await log.sign()
    found = log.verify([late[0]])["events"]
    assert named(found) == [(Kind.CONTRADICTION, 1, size, None)]


async def test_a_restored_backup_that_went_on(log: SignedLog) -> None:
    backup = log.size("events") - 100
    kept = log.keep("outside")
    size = log.size("events")
    with as_owner(log.url) as owner:
        attacks.truncate(owner, "events", backup)
        # The log goes on with other events in the same places.
        owner.execute(
            "INSERT INTO connections.events SELECT gen_random_uuid(), 1, topic, state, notification_id + %s "
            "FROM connections.events WHERE notification_id <= 150",
            (backup,),
        )
    found = log.verify(kept)["events"]
    assert named(found) == [(CHANGED, backup + 1, size, None)]
    # Without its tiles the place is that of the checkpoint.
    shutil.rmtree(log.evidence.folder / "events")
    keys = [str(log.evidence.folder / "verifier-keys")]
    found = log.verify(kept, keys=keys)["events"]
    assert named(found) == [(Kind.CONTRADICTION, 1, size, None)]


async def test_tiles_that_were_changed(log: SignedLog) -> None:
    tile = log.evidence.folder / "events" / "tile" / "0" / "000"
    content = bytearray(tile.read_bytes())
    content[40] ^= 1
    tile.write_bytes(content)
    found = log.verify()["events"]
    assert (CHANGED, 2, 2, None) in named(found)
    assert Kind.CONTRADICTION in kinds(found.findings)
    assert Kind.DAMAGED_EVIDENCE in kinds(found.findings)


@pytest.mark.parametrize("missing", ["tile/0/000", "tile/1/000.p/*", "tile/entries/000"])
async def test_missing_tiles_are_named_and_the_rows_compared_with_the_checkpoint(log: SignedLog, missing: str) -> None:
    for path in (log.evidence.folder / "events").glob(missing):
        path.unlink()
    found = log.verify()["events"]
    assert set(kinds(found.findings)) <= {Kind.DAMAGED_EVIDENCE}
    assert found.protected == log.size("events")


async def test_a_checkpoint_of_another_key_is_not_trusted(log: SignedLog) -> None:
    stranger = Evidence(log.folder, "stranger")
    mine = log.evidence
    log.evidence = stranger
    with as_owner(log.url) as owner:
        owner.execute("DELETE FROM evidence.heads")
    await log.sign()
    foreign = log.keep("foreign")
    log.evidence = mine
    found = log.verify(foreign)
    assert {tree: kinds(one.findings) for tree, one in found.items()} == {
        "events": [Kind.UNTRUSTED],
        "journal": [Kind.UNTRUSTED],
    }
    with pytest.raises(WrongInputError, match="not to be trusted"):
        log.verify(starts=foreign)
    # All signatures beside the evidence, where only the stranger's keys are trusted.
    found = log.verify(keys=[str(stranger.folder / "verifier-keys")])
    assert kinds(found["events"].findings) == [Kind.UNTRUSTED]
    assert found["events"].protected == 0
