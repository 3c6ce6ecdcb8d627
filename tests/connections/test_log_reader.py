"""The log as others read it: its events, the position at a time, and its command journal."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import orjson
import pytest

from services.connections.decider import Decider
from shared.language import commands as c
from shared.process import clock, failpoints
from shared.process.clock import new_id
from shared.process.journal_reader import JournalReader, JournalRow
from shared.process.log_reader import LogReader, Moment
from tests.connections.conftest import OpenDecider, Store, settle
from tests.connections.former_store import FormerWriter, an_entry
from tests.connections.given_when_then import ACCOUNT, ADA, BOB, CLEO, COMPANY, read
from tests.connections.test_ledger import message
from tests.connections.test_ordinals import at

BOBS = "bob@acme.example"
CONNECT = c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB)
CLEO_WANTS_IT = c.ConnectPersonal(actor=CLEO, address=BOBS, owner=CLEO)
SEAT = c.AssignSeat(actor=ADA, user=BOB)
NO_SEAT = c.UnassignSeat(actor=ADA, user=BOB)


@pytest.fixture
async def log(database: str) -> AsyncIterator[LogReader]:
    async with LogReader(database) as reader:
        yield reader


@pytest.fixture
async def journal(database: str) -> AsyncIterator[JournalReader]:
    async with JournalReader(database) as reader:
        yield reader


def moment(time: str) -> datetime:
    return datetime.fromisoformat(f"2026-12-01T{time}Z")


@pytest.fixture
def company(decider: Decider, store: Store) -> int:
    """The company was made at nine; the end of its log."""
    settle(decider, *(at("09:00:00.000", read(command)) for command in COMPANY))
    return len(store.positions())


# ---- the position at a time


async def test_nothing_is_there_before_the_first_event(company: int, log: LogReader) -> None:
    assert await log.position_at(moment("08:59:59.999")) == 0
    assert await log.position_at(moment("08:59:59.999999")) == 0


async def test_a_time_may_lie_at_a_commit_or_between_two_or_behind_the_last(
    company: int, decider: Decider, log: LogReader
) -> None:
    settle(decider, at("09:00:01.000", read(CONNECT)))
    settle(decider, at("09:00:02.000", read(SEAT)))
    for time, position in {
        "09:00:00.000": company,
        "09:00:00.999": company,
        "09:00:01.000": company + 1,
        "09:00:01.500": company + 1,
        "09:00:02.000": company + 2,
        "23:00:00.000": company + 2,
    }.items():
        assert await log.position_at(moment(time)) == position


async def test_a_time_in_a_group_takes_the_first_events_of_its_commit(
    company: int, decider: Decider, log: LogReader
) -> None:
    group = [
        at(f"09:00:01.{n:03d}", read(c.SetSignature(actor=BOB, user=BOB, signature=str(n)))) for n in range(0, 900, 2)
    ]
    settle(decider, *group)
    assert await log.position_at(moment("09:00:01.007")) == company + 4
    assert await log.position_at(moment("09:00:01.008")) == company + 5
    assert await log.position_at(moment("09:00:01.898")) == company + 450


async def test_an_offset_changes_nothing(company: int, decider: Decider, log: LogReader) -> None:
    settle(decider, at("09:00:01.000", read(CONNECT)))
    elsewhere = timezone(timedelta(hours=-9, minutes=-30))
    assert await log.position_at(moment("09:00:01.000").astimezone(elsewhere)) == company + 1


async def test_events_of_a_clock_that_ran_back_come_after_what_was_before_them(
    company: int, decider: Decider, log: LogReader
) -> None:
    settle(decider, at("10:00:00.000", read(CONNECT)))
    settle(decider, at("09:00:00.500", read(SEAT)))
    settle(decider, at("09:30:00.000", read(NO_SEAT)), at("10:00:00.000", read(SEAT)))
    settle(decider, at("10:00:00.001", read(NO_SEAT)))
    assert await log.position_at(moment("09:59:59.999")) == company
    assert await log.position_at(moment("10:00:00.000")) == company + 4
    assert await log.position_at(moment("10:00:00.001")) == company + 5


async def test_the_clock_of_a_running_writer_runs_back_by_an_hour(
    decider: Decider, store: Store, log: LogReader, folder: Path
) -> None:
    settle(decider, *map(read, COMPANY))
    before, end = datetime.fromisoformat(clock.now()), len(store.positions())
    (folder / "ledger.decided@writer").write_text("jump 1 -3600")
    failpoints.arm(folder, "writer")
    try:
        settle(decider, read(CONNECT))
        settle(decider, read(SEAT), read(NO_SEAT))
    finally:
        failpoints.arm(None, "writer")
        clock.jump(3600)
    seated = (await log.events_at([end + 2]))[0].time
    assert seated is not None
    assert seated < before - timedelta(minutes=59)
    assert await log.position_at(seated) == 0
    connected = (await log.events_at([end + 1]))[0].time
    assert connected is not None
    assert await log.position_at(connected) == end + 3
    assert await log.position_at(connected - timedelta(milliseconds=1)) <= end


@pytest.mark.parametrize("state", [b"\x00\xff", b"{}", b'{"time": "soon"}', b'{"time": null}'])
async def test_an_event_whose_time_cannot_be_read_belongs_to_those_before_it(
    company: int, decider: Decider, store: Store, log: LogReader, state: bytes
) -> None:
    settle(decider, at("09:00:01.000", read(SEAT)), at("09:00:02.000", read(NO_SEAT)), at("09:00:03.000", read(SEAT)))
    store.run(f"UPDATE connections.events SET state = '\\x{state.hex()}' WHERE notification_id = {company + 2}")
    assert await log.position_at(moment("09:00:00.999")) == company
    assert await log.position_at(moment("09:00:01.000")) == company + 2
    assert await log.position_at(moment("09:00:03.000")) == company + 3
    assert await log.position_at(moment("09:00:02.999")) == company + 2


async def test_an_event_of_the_future_has_its_time(
    company: int, decider: Decider, store: Store, log: LogReader
) -> None:
    settle(decider, at("09:00:01.000", read(SEAT)), at("09:00:02.000", read(NO_SEAT)))
    store.run("UPDATE connections.events SET topic = 'switchboard.Blessed.v1'")
    assert await log.position_at(moment("09:00:01.500")) == company + 1


async def test_events_that_a_former_release_committed_count_before_they_are_numbered(
    company: int, database: str, log: LogReader
) -> None:
    former = FormerWriter(database)
    former.append(*(an_entry("accepted", f"2026-12-01T09:00:01.{n:03d}Z", n + 1) for n in range(700)))
    former.close()
    assert await log.position_at(moment("09:00:01.650")) == company + 651


async def test_a_store_of_the_former_release_is_read_event_by_event(database: str, log: LogReader) -> None:
    former = FormerWriter(database)
    former.append(*(an_entry("accepted", f"2026-12-01T09:00:01.{n:03d}Z", n + 1) for n in range(700)))
    former.close()
    assert await log.position_at(moment("09:00:01.650")) == 651


async def test_the_ends_of_the_log_have_positions_and_times(company: int, decider: Decider, log: LogReader) -> None:
    settle(decider, at("09:00:01.000", read(CONNECT)))
    assert await log.first_and_last() == (
        Moment(1, moment("09:00:00.000")),
        Moment(company + 1, moment("09:00:01.000")),
    )


async def test_an_empty_log_has_no_ends(log: LogReader, open_decider: OpenDecider) -> None:
    assert await log.first_and_last() is None
    assert await log.position_at(moment("09:00:00.000")) == 0
    open_decider()
    assert await log.first_and_last() is None
    assert await log.position_at(moment("09:00:00.000")) == 0


async def test_events_are_read_at_positions(company: int, log: LogReader) -> None:
    found = await log.events_at([company, 2, company + 1, 2])
    assert [event.position for event in found] == [2, company]
    assert found == [(await log.read(1, 1))[0], (await log.read(company - 1, 1))[0]]


# ---- the command journal


async def test_every_entry_is_read_in_batches(company: int, decider: Decider, journal: JournalReader) -> None:
    settle(
        decider, read(CONNECT, correlation_id="ticket-7"), read(CLEO_WANTS_IT), message("Explode", {}), read(CONNECT)
    )
    end, found = await journal.end(), list[JournalRow]()
    while rows := await journal.read(len(found), 4):
        found += rows
    assert [row.ordinal for row in found] == list(range(1, end + 1))
    accepted, refused, unknown, unchanged = found[-4:]
    assert (accepted.outcome, accepted.position, accepted.correlation_id) == ("accepted", company + 1, "ticket-7")
    assert accepted.body is not None
    assert orjson.loads(accepted.body)["address"] == BOBS
    assert (refused.reason, refused.position, refused.log_position) == ("ADDRESS_ALREADY_PERSONAL", None, company + 1)
    assert (refused.actor, refused.recorded_once, refused.correlation_id) == (CLEO, True, None)
    assert orjson.loads(refused.reply)["reason"] == "ADDRESS_ALREADY_PERSONAL"
    assert (unknown.reason, unknown.command, unknown.body, unknown.recorded_once) == (
        "COMMAND_UNKNOWN", "Explode", None, False,
    )  # fmt: skip
    assert unknown.correlation_id is None
    assert (unchanged.outcome, unchanged.position) == ("unchanged", company + 1)


async def test_entries_are_read_by_ordinals(company: int, journal: JournalReader) -> None:
    found = await journal.entries_at([3, 1, 99, 3])
    assert [(row.ordinal, row.command) for row in found] == [(1, "RegisterAccount"), (3, "AddUser")]


async def test_every_entry_under_a_command_id_is_read(company: int, decider: Decider, journal: JournalReader) -> None:
    command_id = new_id()
    unreadable = message("Disconnect", {"command_id": command_id})
    settle(decider, unreadable, read(CONNECT, command_id=command_id), read(CLEO_WANTS_IT, command_id=command_id))
    found = await journal.of_command(ACCOUNT, command_id)
    assert [(row.reason or row.outcome, row.recorded_once) for row in found] == [
        ("COMMAND_INVALID", False),
        ("accepted", True),
        ("COMMAND_ID_REUSED", False),
    ]
    assert await journal.of_command("other", command_id) == []


async def test_there_is_no_entry_before_the_first_start(journal: JournalReader) -> None:
    assert await journal.read(0, 10) == []
    assert await journal.end() == 0


async def test_nor_in_a_store_of_the_former_release(database: str, journal: JournalReader) -> None:
    former = FormerWriter(database)
    former.append(an_entry("refused", "2026-12-01T09:00:01.000Z"))
    former.close()
    assert await journal.read(0, 10) == []
