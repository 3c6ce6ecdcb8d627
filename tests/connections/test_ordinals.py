"""Each entry of the command journal has the next ordinal, refused or not, and its place among the events."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from psycopg.errors import CheckViolation

from services.connections.commands import PAGES
from services.connections.decider import Decider
from services.connections.envelope import CommandEnvelope
from services.connections.store.event_store import EventStore
from services.connections.store.recorder import CommitOutcomeUnknown
from shared.language import commands as c
from shared.process.clock import new_id
from tests.connections.anything import any_command, dice_of
from tests.connections.conftest import OpenDecider, Store, settle
from tests.connections.given_when_then import ADA, ANA, BOB, CLEO, COMPANY, HR, read
from tests.connections.test_ledger import message
from tests.connections.test_lost_replies import CONNECTED, MOMENTS, mixed_group
from tests.connections.test_writers_side_by_side import BEGINNING, at_the_same_time
from tests.cutting_proxy import CuttingProxy, Moment

BOBS = "bob@acme.example"
CONNECT = c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB)
CLEO_WANTS_IT = c.ConnectPersonal(actor=CLEO, address=BOBS, owner=CLEO)
JOURNAL = (
    "SELECT ordinal, coalesce(reason, outcome), position, log_position FROM connections.journal ORDER BY ordinal, entry"
)


def journal(store: Store) -> list[tuple[int, str, int | None, int]]:
    """Ordinal, reason or outcome, position, and position in the log of each entry; the ordinals have no gap."""
    rows = store.rows(JOURNAL)
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    places = [row[3] for row in rows]
    assert places == sorted(places)
    assert all(position in (None, place) for _, _, position, place in rows)
    return rows


def commits(store: Store) -> list[tuple[str, int]]:
    time = "to_char(latest AT TIME ZONE 'UTC', 'HH24:MI:SS.MS')"
    rows = store.rows(f"SELECT {time}, position FROM connections.commits ORDER BY position")
    return [(latest, position) for latest, position in rows]


def at(time: str, envelope: CommandEnvelope) -> CommandEnvelope:
    """As if it had arrived at that time of day."""
    envelope.time = f"2026-12-01T{time}Z"
    return envelope


def test_every_entry_counts_and_a_refusal_has_its_place_among_the_events(decider: Decider, store: Store) -> None:
    settle(decider, *map(read, COMPANY))
    before, end = len(journal(store)), len(store.positions())
    settle(
        decider,
        message("Disconnect", {"actor": BOB, "password": "hunter2"}),
        read(CONNECT),
        read(CLEO_WANTS_IT),
        read(CLEO_WANTS_IT.model_copy(update={"address": "c@acme.example"}), dry_run=True),
        message("Explode", {}),
        read(c.AssignSeat(actor=ADA, user=BOB)),
        read(CONNECT),
    )
    settle(decider, read(CLEO_WANTS_IT))
    assert journal(store)[before:] == [
        (before + 1, "COMMAND_INVALID", None, end),
        (before + 2, "accepted", end + 1, end + 1),
        (before + 3, "ADDRESS_ALREADY_PERSONAL", None, end + 1),
        (before + 4, "COMMAND_UNKNOWN", None, end + 1),
        (before + 5, "accepted", end + 2, end + 2),
        (before + 6, "unchanged", end + 2, end + 2),
        (before + 7, "ADDRESS_ALREADY_PERSONAL", None, end + 2),
    ]


def test_a_group_of_many_is_numbered_in_its_order(decider: Decider, store: Store) -> None:
    settle(decider, *map(read, COMPANY))
    group = [read(c.SetSignature(actor=BOB, user=BOB, signature=str(n))) for n in range(400)]
    settle(decider, *group)
    rows = store.rows("SELECT command_id::text FROM connections.journal ORDER BY ordinal")
    assert [row[0] for row in rows[len(COMPANY) :]] == [one.command_id for one in group]
    journal(store)


def test_two_writers_at_the_same_time_leave_no_gap(open_decider: OpenDecider, store: Store) -> None:
    deciders, dice = [open_decider(), open_decider()], dice_of(14)
    settle(deciders[0], *map(read, BEGINNING))
    sent = [[read(any_command(dice), command_id=new_id()) for _ in range(60)] for _ in deciders]

    def work(decider: Decider, mine: Sequence[CommandEnvelope]) -> None:
        for start in range(0, len(mine), 4):
            settle(decider, *mine[start : start + 4])

    at_the_same_time(*(lambda d=d, m=m: work(d, m) for d, m in zip(deciders, sent, strict=True)))
    rows = journal(store)
    assert len(rows) == len(BEGINNING) + 120
    assert {reason for _, reason, _, _ in rows} > {"accepted", "unchanged"}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_group_that_is_sent_again_is_numbered_once(database: str, folder: Path, store: Store, moment: Moment) -> None:
    proxy = CuttingProxy(database, folder)
    shaky = Decider(EventStore(proxy.url, PAGES))
    settle(shaky, *map(read, COMPANY))
    group = mixed_group()
    proxy.cut(moment, CONNECTED)
    with pytest.raises(CommitOutcomeUnknown):
        shaky.settle(group)
    settle(shaky, *group)
    settle(shaky, read(CLEO_WANTS_IT))
    assert len(journal(store)) == len(COMPANY) + 7
    shaky.store.close()
    proxy.close()


def test_what_was_not_on_record_for_ever_and_is_now_is_on_record_twice(
    database: str, folder: Path, open_decider: OpenDecider, store: Store
) -> None:
    """The reply ACCOUNT_NOT_FOUND is lost, another writer makes the account, and the same group is accepted."""
    proxy = CuttingProxy(database, folder)
    shaky = Decider(EventStore(proxy.url, PAGES))
    group = [read(c.AddUser(actor=HR, user="eve", name="Eve", permissions=()))]
    proxy.cut("after it is committed", b"ACCOUNT_NOT_FOUND")
    with pytest.raises(CommitOutcomeUnknown):
        shaky.settle(group)
    settle(open_decider(), *map(read, COMPANY))
    (added,) = settle(shaky, *group)
    assert added.kind == "accepted"
    assert [row[1] for row in journal(store)] == ["ACCOUNT_NOT_FOUND", *["accepted"] * (len(COMPANY) + 1)]
    (again,) = settle(open_decider(), *group)
    assert again.reply() == added.reply()
    shaky.store.close()
    proxy.close()


def test_a_group_that_is_rolled_back_leaves_no_gap(decider: Decider, store: Store) -> None:
    settle(decider, *map(read, COMPANY))
    store.run("ALTER TABLE connections.journal ADD CONSTRAINT off CHECK (command <> 'CreateTeam') NOT VALID")
    group = [read(CONNECT), read(c.CreateTeam(actor=ANA, team="crew", name="Crew"))]
    before = store.everything()
    with pytest.raises(CheckViolation):
        decider.settle(group)
    assert store.everything() == before
    store.run("ALTER TABLE connections.journal DROP CONSTRAINT off")
    settle(decider, *group)
    assert len(journal(store)) == len(COMPANY) + 2


def test_a_dry_run_counts_nowhere(decider: Decider, store: Store) -> None:
    settle(decider, *map(read, COMPANY))
    before = store.everything()
    settle(
        decider, read(CONNECT, dry_run=True), read(CLEO_WANTS_IT, dry_run=True), message("Explode", {"dry_run": True})
    )
    assert store.everything() == before


# ---- times in the order of positions


def test_each_commit_with_events_has_the_latest_time_up_to_it(decider: Decider, store: Store) -> None:
    beginning = [at("09:00:00.000", read(command)) for command in COMPANY]
    settle(decider, *beginning)
    end = len(store.positions())
    settle(decider, at("09:00:02.000", read(CONNECT)), at("09:00:01.000", read(c.AssignSeat(actor=ADA, user=BOB))))
    settle(decider, at("09:00:03.000", read(CLEO_WANTS_IT)))
    settle(decider, at("09:00:04.000", read(CONNECT)))
    settle(decider, at("08:00:00.000", read(c.UnassignSeat(actor=ADA, user=BOB))))
    settle(decider, at("09:00:02.500", read(c.AssignSeat(actor=ADA, user=BOB))))
    assert commits(store) == [
        ("09:00:00.000", end),
        ("09:00:02.000", end + 2),
        ("09:00:02.000", end + 3),
        ("09:00:02.500", end + 4),
    ]
