"""A scan reads what both readers read, in one snapshot, and says what is missing."""

import asyncio
from collections.abc import Iterator
from uuid import UUID

import pytest

from shared.process.journal_reader import JournalReader
from shared.process.log_reader import LogReader
from shared.process.row_scan import EventStoreMissingError, row_scan
from tests.audit.past import Past, past_in, run


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        made.begin()
        made.live(1, 200)
        yield made


async def test_rows_are_those_of_the_readers(past: Past) -> None:
    async with LogReader(past.url) as log, JournalReader(past.url) as journal:
        events, entries = await log.read(0, 1_000), await journal.read(0, 1_000)
        log_id = await log.identity()

    def scanned() -> None:
        with row_scan(past.url) as scan:
            assert [row for rows in scan.events() for row in rows] == events
            assert [row for rows in scan.events(7) for row in rows] == events[7:]
            assert [row for rows in scan.journal() for row in rows] == entries
            assert [row for rows in scan.journal(9) for row in rows] == entries[9:]
            assert scan.ends() == (len(events), len(entries))
            assert scan.unnumbered() == (0, 0)
            assert scan.log_id() == log_id
            assert isinstance(entries[5].command_id, UUID)
            assert scan.ordinals_of(entries[5].command_id) == [6]

    await asyncio.to_thread(scanned)


def test_a_scan_sees_one_snapshot(past: Past) -> None:
    with row_scan(past.url) as scan:
        before = scan.ends()
        past.live(2, 50)
        assert scan.ends() == before
        assert sum(map(len, scan.journal())) == before[1]


def test_rows_without_a_number_are_counted(past: Past) -> None:
    run(past.url, "UPDATE connections.journal SET ordinal = NULL WHERE ordinal IN (3, 4)")
    run(past.url, "UPDATE connections.journal SET ordinal = -ordinal WHERE ordinal = 5")
    run(past.url, "UPDATE connections.events SET notification_id = -3 WHERE notification_id = 3")
    with row_scan(past.url) as scan:
        assert scan.unnumbered() == (1, 1)


def test_a_database_without_an_event_store_is_an_error(database: str) -> None:
    with pytest.raises(EventStoreMissingError), row_scan(database) as scan:
        scan.ends()
