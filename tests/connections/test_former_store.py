"""A store of the release before entries got ordinals opens: nothing is lost, its entries are numbered in order."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
import structlog

from services.connections.commands import PAGES
from services.connections.store.event_store import EventStore
from services.connections.store.recorder import SCHEMA
from services.connections.store.rows import JournalEntry
from tests.connections.conftest import OpenDecider, Store, settle
from tests.connections.former_store import FormerWriter, an_entry
from tests.connections.given_when_then import COMPANY, read
from tests.connections.test_ledger import lock_of_writers
from tests.connections.test_ordinals import commits, journal
from tests.real_servers import ROOT, wait_until

JOURNAL = "SELECT * FROM connections.journal ORDER BY entry"
UNNUMBERED = "SELECT FROM connections.journal WHERE ordinal IS NULL"


@pytest.fixture
def former(database: str) -> Iterator[FormerWriter]:
    """A writer of the former release, which has made the store."""
    writer = FormerWriter(database)
    yield writer
    writer.close()


def entry(outcome: str, time: str, ordinal: int | None = None) -> JournalEntry:
    return an_entry(outcome, f"2026-11-25T{time}Z", ordinal)


def filled(former: FormerWriter) -> list[JournalEntry]:
    """Four commits of the former release; the clock ran back by an hour before the third one."""
    groups = [
        [entry("accepted", "09:00:00.000", 3), entry("refused", "09:00:00.001"), entry("unchanged", "09:00:00.002", 3)],
        [entry("refused", "09:00:01.000")],
        [entry("accepted", "08:00:02.000", 1), entry("refused", "08:00:02.001"), entry("accepted", "08:00:02.002", 3)],
        [entry("accepted", "09:00:03.000", 1)],
    ]
    for group in groups:
        former.append(*group)
    return [one for group in groups for one in group]


EXPECTED = [
    (1, "accepted", 3, 3),
    (2, "ADDRESS_ALREADY_PERSONAL", None, 3),
    (3, "unchanged", 3, 3),
    (4, "ADDRESS_ALREADY_PERSONAL", None, 3),
    (5, "accepted", 4, 4),
    (6, "ADDRESS_ALREADY_PERSONAL", None, 4),
    (7, "accepted", 6, 6),
    (8, "accepted", 7, 7),
]


def order(store: Store) -> list[str]:
    return [str(row[0]) for row in store.rows("SELECT entry FROM connections.journal ORDER BY ordinal")]


def test_its_entries_are_numbered_as_they_were_recorded(
    former: FormerWriter, open_decider: OpenDecider, store: Store
) -> None:
    entries = filled(former)
    open_decider()
    assert journal(store) == EXPECTED
    assert order(store) == [one.entry for one in entries]
    assert commits(store) == [("09:00:00.000", 6), ("09:00:03.000", 7)]


def test_nothing_else_of_it_changes(former: FormerWriter, open_decider: OpenDecider, store: Store) -> None:
    filled(former)
    columns = (
        "entry, account, command_id, kept, command, actor, outcome, reason, position, digest, body, reply, recorded_at"
    )
    rows = f"SELECT {columns} FROM connections.journal ORDER BY entry"
    events = "SELECT * FROM connections.events ORDER BY notification_id"
    before = store.rows(rows), store.rows(events)
    open_decider()
    assert (store.rows(rows), store.rows(events)) == before


def test_it_goes_on_behind_them(former: FormerWriter, open_decider: OpenDecider, store: Store) -> None:
    filled(former)
    settle(open_decider(), *map(read, COMPANY))
    assert len(journal(store)) == 8 + len(COMPANY)
    assert commits(store)[-1][1] == len(store.positions())


def test_it_is_numbered_once(former: FormerWriter, open_decider: OpenDecider, store: Store) -> None:
    filled(former)
    with structlog.testing.capture_logs() as first:
        open_decider()
    before = store.everything()
    with structlog.testing.capture_logs() as second:
        open_decider()
    assert store.everything() == before
    messages = [[line["message"] for line in log if line["event"] == "ledger.migration"] for log in (first, second)]
    assert messages == [
        [
            "numbering 8 entries of the command journal; commands wait",
            "numbered 8 entries of the command journal",
        ],
        [],
    ]


def test_an_empty_one_opens(former: FormerWriter, open_decider: OpenDecider, store: Store) -> None:
    settle(open_decider(), *map(read, COMPANY))
    assert len(journal(store)) == len(COMPANY)


def test_an_entry_in_the_space_of_a_deleted_row_is_placed_by_its_commit(
    former: FormerWriter, open_decider: OpenDecider, store: Store
) -> None:
    """A commit that was rolled back leaves dead rows at the beginning, whose space a later commit takes."""
    with former.connection.transaction(force_rollback=True):
        former.append(entry("accepted", "08:59:00.000", 1), entry("refused", "08:59:00.001"))
    former.append(*(entry("accepted", f"09:00:00.{n:03d}", n + 1) for n in range(100)))
    store.run("VACUUM connections.journal")
    late = [entry("refused", "09:00:01.000"), entry("accepted", "09:00:02.000", 1)]
    former.append(*late)
    first = store.rows("SELECT entry::text FROM connections.journal LIMIT 1")
    assert first[0][0] in [one.entry for one in late], "the space was not taken"
    open_decider()
    assert [row[1:] for row in journal(store)[-2:]] == [
        ("ADDRESS_ALREADY_PERSONAL", None, 100),
        ("accepted", 101, 101),
    ]
    assert order(store)[-2:] == [one.entry for one in late]


def test_a_store_that_was_restored_from_a_dump_is_numbered_by_time(
    former: FormerWriter, open_decider: OpenDecider, store: Store
) -> None:
    entries = [
        entry("accepted", "09:00:00.000", 1),
        entry("refused", "09:00:01.000"),
        entry("accepted", "09:00:02.000", 1),
    ]
    for one in entries:
        former.append(one)
    store.run(
        "CREATE TABLE dump AS TABLE connections.journal; TRUNCATE connections.journal;"
        " INSERT INTO connections.journal SELECT * FROM dump ORDER BY recorded_at DESC; DROP TABLE dump"
    )
    open_decider()
    assert order(store) == [one.entry for one in entries]


def test_so_is_one_whose_transactions_contradict_the_positions(
    former: FormerWriter, open_decider: OpenDecider, store: Store
) -> None:
    entries = [
        entry("accepted", "09:00:00.000", 1),
        entry("refused", "09:00:01.000"),
        entry("accepted", "09:00:02.000", 1),
    ]
    for one in entries:
        former.append(one)
    store.run("UPDATE connections.journal SET outcome = outcome WHERE position = 1")
    open_decider()
    assert order(store) == [one.entry for one in entries]


def test_a_migration_that_is_killed_changed_nothing_and_is_done_by_the_next_start(
    former: FormerWriter, database: str, open_decider: OpenDecider, store: Store
) -> None:
    filled(former)
    before = store.rows(JOURNAL)
    program = (
        "import sys; from services.connections.store.event_store import EventStore;"
        " from services.connections.commands import PAGES; EventStore(sys.argv[1], PAGES)"
    )
    with psycopg.connect(database) as reader:
        # The indexes are made behind the numbers; they wait for writers.
        reader.execute("LOCK TABLE connections.events IN ROW EXCLUSIVE MODE")
        process = subprocess.Popen([sys.executable, "-c", program, database], cwd=ROOT)
        wait_until(lambda: bool(store.rows("SELECT FROM pg_locks WHERE NOT granted")), what="the migration")
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: not store.rows("SELECT FROM pg_stat_activity WHERE wait_event = 'relation'"), what="its end")
    assert store.rows(JOURNAL) == before
    open_decider()
    assert journal(store) == EXPECTED


# ---- both releases at the same time


def test_a_writer_of_the_former_release_goes_on_with_the_new_function(
    former: FormerWriter, open_decider: OpenDecider, store: Store
) -> None:
    filled(former)
    open_decider()
    former.append(
        entry("refused", "09:00:04.000"), entry("accepted", "09:00:05.000", 2), entry("refused", "09:00:05.000")
    )
    assert journal(store)[8:] == [
        (9, "ADDRESS_ALREADY_PERSONAL", None, 7),
        (10, "accepted", 9, 9),
        (11, "ADDRESS_ALREADY_PERSONAL", None, 9),
    ]
    assert commits(store)[-1] == ("09:00:05.000", 9)


def test_one_that_starts_later_brings_its_function_back_and_nothing_is_lost(
    former: FormerWriter, open_decider: OpenDecider, store: Store
) -> None:
    new = open_decider()
    former.start()
    filled(former)
    assert len(store.rows(UNNUMBERED)) == 8
    with structlog.testing.capture_logs() as log:
        settle(new, read(COMPANY[0]))
        settle(new, *map(read, COMPANY[1:]))
    assert [line["event"] for line in log if line["log_level"] == "warning"] == ["ledger.entries_not_numbered"]
    assert journal(store)[:8] == EXPECTED
    assert len(journal(store)) == 8 + len(COMPANY)
    assert commits(store)[-1][1] == len(store.positions())


def test_the_next_start_numbers_what_it_left(former: FormerWriter, open_decider: OpenDecider, store: Store) -> None:
    open_decider()
    former.start()
    filled(former)
    open_decider()
    assert journal(store) == EXPECTED


def test_a_commit_of_the_former_release_that_waited_while_its_function_was_replaced_is_numbered_by_the_next_one(
    former: FormerWriter, open_decider: OpenDecider, store: Store
) -> None:
    new = open_decider()
    former.start()
    with lock_of_writers(store.url):
        waiting = in_the_background(lambda: former.append(entry("accepted", "09:00:00.000", 1)))
        wait_until(lambda: bool(store.rows("SELECT FROM pg_locks WHERE NOT granted")), what="the commit")
        store.run(SCHEMA.read_text())
    waiting.join()
    assert len(store.rows(UNNUMBERED)) == 1
    settle(new, *map(read, COMPANY))
    assert len(journal(store)) == 1 + len(COMPANY)
    assert commits(store)[0] == ("09:00:00.000", 1)


def in_the_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_start_does_not_wait_for_a_writer_that_is_stopped_in_a_commit(
    open_decider: OpenDecider, store: Store
) -> None:
    settle(open_decider(), *map(read, COMPANY))
    with lock_of_writers(store.url):
        EventStore(store.url, PAGES).close()


def test_a_start_does_not_wait_for_somebody_who_reads_the_journal(open_decider: OpenDecider, store: Store) -> None:
    settle(open_decider(), *map(read, COMPANY))
    with psycopg.connect(store.url) as reader:
        reader.execute("SELECT FROM connections.journal")
        EventStore(store.url, PAGES).close()
