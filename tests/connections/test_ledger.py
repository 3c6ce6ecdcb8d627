"""The decider over a real PostgreSQL: one commit a group, positions without holes, answers that stand for ever."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
import pytest
from psycopg.errors import CheckViolation

from services.connections.commands import PAGES
from services.connections.decider import Decider
from services.connections.envelope import CommandEnvelope
from services.connections.outcome import Outcome
from services.connections.parsing import read as read_message
from services.connections.store.event_store import EventStore
from services.connections.store.recorder import StoreUnavailable
from shared.language import commands as c
from shared.language.reasons import Reason
from shared.process.clock import new_id
from tests.connections.conftest import OpenDecider, Store, settle, verbatim
from tests.connections.given_when_then import ACCOUNT, ADA, ANA, BOB, CLEO, COMPANY, HR, read
from tests.real_servers import wait_until

BOBS = "bob@acme.example"
CONNECT = c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB)
CLEO_WANTS_IT = c.ConnectPersonal(actor=CLEO, address=BOBS, owner=CLEO)
EXPECTED_LOG = len(COMPANY) + 2  # the registration makes three events


@pytest.fixture
def company(decider: Decider) -> Decider:
    """A decider that has the company."""
    assert {answer.kind for answer in settle(decider, *map(read, COMPANY))} == {"accepted"}
    return decider


def reply(answer: Outcome) -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads(answer.reply())
    return told


def message(name: str, body: dict[str, Any] | bytes, account: str = ACCOUNT) -> CommandEnvelope:
    return read_message(account, name, body if isinstance(body, bytes) else orjson.dumps(body), None)


@contextmanager
def lock_of_writers(url: str) -> Iterator[None]:
    """Held as by a writer that was stopped in the middle of a commit."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(5824113001)")
        yield


# ---- one commit a group


def test_a_group_is_decided_in_order_each_command_seeing_those_before(company: Decider, store: Store) -> None:
    first, second, third = settle(company, read(CONNECT), read(CLEO_WANTS_IT), read(CONNECT))
    assert (first.kind, second.reason, third.kind) == ("accepted", Reason.ADDRESS_ALREADY_PERSONAL, "unchanged")
    assert reply(first)["position"] == reply(third)["position"] == EXPECTED_LOG + 1
    assert store.positions() == list(range(1, EXPECTED_LOG + 2))


def test_the_position_told_is_that_of_the_commands_own_last_event(company: Decider, store: Store) -> None:
    team = c.ConnectTeam(actor=ANA, address="a@acme.example", inbox="support", visibility_acknowledged=True)
    archive = c.ArchiveInbox(actor=ANA, inbox="support", cascade=True)
    rename = c.RenameInbox(actor=ANA, inbox="sales", name="Sold")
    told = [reply(answer) for answer in settle(company, read(team), read(archive), read(rename))]
    assert [one["position"] - EXPECTED_LOG for one in told] == [1, 3, 4]
    assert [event["type"] for event in told[1]["events"]] == ["Disconnected", "InboxArchived"]
    ids = {row[0].decode() for row in store.rows("SELECT state FROM connections.events")}
    assert all(any(event["id"] in state for state in ids) for one in told for event in one["events"])


def test_at_most_a_hundred_events_are_listed_and_all_are_counted(company: Decider) -> None:
    connects = [c.ConnectPersonal(actor=BOB, address=f"b{n}@acme.example", owner=BOB) for n in range(150)]
    settle(company, *map(read, connects), read(c.DeactivateUser(actor=ADA, user=BOB)))
    told = reply(settle(company, read(c.RemoveUser(actor=ADA, user=BOB)))[0])
    assert (len(told["events"]), told["event_count"]) == (100, 151)


def test_a_group_that_is_rolled_back_leaves_nothing_and_no_hole(company: Decider, store: Store) -> None:
    before = store.everything()
    store.run("ALTER TABLE connections.journal ADD CONSTRAINT off CHECK (command <> 'CreateTeam') NOT VALID")
    group = [read(CONNECT), read(c.CreateTeam(actor=ANA, team="crew", name="Crew"))]
    with pytest.raises(CheckViolation):
        company.settle(group)
    assert store.everything() == before
    store.run("ALTER TABLE connections.journal DROP CONSTRAINT off")
    assert {answer.kind for answer in settle(company, *group)} == {"accepted"}
    assert store.positions() == list(range(1, EXPECTED_LOG + 3))


def test_a_writer_that_holds_everybody_up_is_waited_for_two_seconds_and_no_longer(
    company: Decider, store: Store
) -> None:
    pending = read(CONNECT)
    # The lock is held until the block ends: returning at all is not to wait for it.
    with lock_of_writers(store.url), pytest.raises(StoreUnavailable):
        company.settle([pending])
    assert settle(company, pending)[0].kind == "accepted"
    assert store.positions() == list(range(1, EXPECTED_LOG + 2))


def test_a_group_of_512_commands_and_five_megabytes_passes(company: Decider, store: Store) -> None:
    texts = [f"{n:06d}" + "x" * 9_990 for n in range(512)]
    answers = settle(company, *(read(c.SetSignature(actor=BOB, user=BOB, signature=text)) for text in texts))
    assert {answer.kind for answer in answers} == {"accepted"}
    assert store.positions() == list(range(1, EXPECTED_LOG + 513))
    assert store.rows("SELECT sum(length(state)) > 5000000 FROM connections.events") == [(True,)]


def test_a_commit_reads_no_more_rows_as_the_log_grows_though_its_plan_was_made_while_it_was_empty(
    decider: Decider, store: Store
) -> None:
    groups, commands = 12, 100
    for table in ("events", "journal"):
        store.run(f"ALTER TABLE connections.{table} SET (autovacuum_enabled = off)")
    store.run("ANALYZE connections.events, connections.memberships, connections.journal")
    settle(decider, read(c.RegisterAccount(actor="service:test", plan="enterprise", admin="ana")))
    for group in range(groups):
        addresses = [f"{group}.{number}@acme.example" for number in range(commands)]
        settle(decider, *(read(c.ConnectPersonal(actor="ana", owner="ana", address=address)) for address in addresses))
    # Its session tells the statistics when it ends, if not before.
    decider.store.close()
    written = len(store.positions())

    def counted() -> tuple[int, int]:
        ((inserted, found),) = store.rows(
            "SELECT sum(n_tup_ins) FILTER (WHERE relname = 'events'), sum(seq_tup_read + idx_tup_fetch)"
            " FROM pg_stat_user_tables WHERE schemaname = 'connections' AND relname IN ('events', 'journal')"
        )
        return int(inserted), int(found)

    wait_until(lambda: counted()[0] == written, what="the statistics")
    # The test itself has read the events once.
    assert counted()[1] - written < groups * commands


def test_the_libraries_unsafe_path_is_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("y", "Yes", "true", "1", "on"):
        monkeypatch.setenv("POSTGRES_ENABLE_DB_FUNCTIONS", value)
        with pytest.raises(ValueError, match="POSTGRES_ENABLE_DB_FUNCTIONS"):
            Decider(EventStore(database, PAGES))


def test_several_writers_start_at_once_on_an_empty_database(open_decider: OpenDecider) -> None:
    failures: list[BaseException] = []

    def start() -> None:
        try:
            open_decider()
        except BaseException as error:  # noqa: BLE001  told below
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# ---- what was read must still be so


def test_a_stale_state_is_found_and_the_group_decided_again(company: Decider, open_decider: OpenDecider) -> None:
    other = open_decider()
    settle(other, read(c.Disconnect(actor=BOB, address=BOBS)))  # now it knows that the address is free
    settle(company, read(CONNECT))
    refused, accepted = settle(other, read(CLEO_WANTS_IT), read(c.AssignSeat(actor=ADA, user=CLEO)))
    assert (refused.reason, accepted.kind) == (Reason.ADDRESS_ALREADY_PERSONAL, "accepted")


TABLES = ("events", "memberships", "journal", "commits")


def backed_up(store: Store) -> None:
    for table in TABLES:
        store.run(f"CREATE TABLE backup_of_{table} AS TABLE connections.{table}")


def restored(store: Store) -> None:
    for table in TABLES:
        store.run(f"TRUNCATE connections.{table}; INSERT INTO connections.{table} TABLE backup_of_{table}")


def test_a_log_that_is_restored_under_a_running_writer_leaves_it_no_ghosts(company: Decider, store: Store) -> None:
    renames = c.SetFromName(actor=CLEO, address="cleo@acme.example", from_name="Cleo")
    connects = c.ConnectPersonal(actor=CLEO, address="cleo@acme.example", owner=CLEO)
    settle(company, read(connects))
    backed_up(store)
    settle(company, read(CONNECT), read(renames), read(c.DeactivateUser(actor=ADA, user=BOB)))
    restored(store)
    # Of the lost log Bob is deactivated and has the address; in this one nobody has it.
    connected, again, renamed = settle(company, read(CONNECT), read(CLEO_WANTS_IT), read(renames))
    assert (connected.kind, again.reason, renamed.kind) == (
        "accepted", Reason.ADDRESS_ALREADY_PERSONAL, "accepted",
    )  # fmt: skip
    gaps = "SELECT originator_id FROM connections.events GROUP BY 1 HAVING max(originator_version) <> count(*)"
    assert store.rows(gaps) == []
    assert store.positions() == list(range(1, EXPECTED_LOG + 4))


def test_nor_where_only_a_set_is_another_one_in_the_restored_log(company: Decider, store: Store) -> None:
    box = {"provider": "google", "provider_identity": "box-1"}
    settle(company, read(CONNECT.model_copy(update=box)))
    backed_up(store)
    settle(
        company,
        read(c.Disconnect(actor=BOB, address=BOBS)),
        read(c.SetAvailability(actor=ANA, user=ANA, availability="away")),
    )
    restored(store)
    # Something that says nothing about the set: the log's end tells.
    settle(company, read(c.RenameInbox(actor=ANA, inbox="sales", name="Sold")))
    other = c.ConnectPersonal.model_validate({"actor": CLEO, "address": "c@acme.example", "owner": CLEO} | box)
    (refused,) = settle(company, read(other))
    assert refused.reason == Reason.ADDRESS_ALREADY_PERSONAL


def test_a_set_that_lost_a_member_is_found_the_last_super_admin_stays(
    company: Decider, open_decider: OpenDecider
) -> None:
    other = open_decider()
    settle(company, read(c.SetPermissions(actor=ADA, user=ANA, permissions=("super_admin",))))
    for writer in (company, other):
        settle(writer, read(c.SetPermissions(actor=HR, user=ANA, permissions=("super_admin",))))
    assert settle(company, read(c.DeactivateUser(actor=HR, user=ADA)))[0].kind == "accepted"
    assert settle(other, read(c.DeactivateUser(actor=HR, user=ANA)))[0].reason == Reason.LAST_SUPER_ADMIN


def test_a_set_that_won_a_member_is_found_the_limit_holds(company: Decider, open_decider: OpenDecider) -> None:
    other = open_decider()

    def create(n: int) -> CommandEnvelope:
        return read(c.CreateInbox(actor=ANA, inbox=f"i{n}", name=f"I{n}"))

    settle(other, read(c.CreateInbox(actor=ANA, inbox="support", name="x")))  # now it knows the set of open inboxes
    assert settle(company, create(1))[0].kind == "accepted"
    assert settle(other, create(2))[0].kind == "accepted"
    assert settle(company, create(3))[0].reason == Reason.INBOX_LIMIT_REACHED
    assert settle(other, read(c.CreateInbox(actor=ANA, inbox="i4", name="I1")))[0].reason == Reason.INBOX_NAME_TAKEN


def test_an_inbox_is_not_archived_under_an_address_that_another_writer_connects(
    company: Decider, open_decider: OpenDecider
) -> None:
    other = open_decider()
    address = c.ConnectTeam(actor=ANA, address="h@acme.example", inbox="support", visibility_acknowledged=True)
    settle(other, read(address.model_copy(update={"dry_run": True})))
    settle(company, read(c.ArchiveInbox(actor=ANA, inbox="support")), read(c.RestoreInbox(actor=ANA, inbox="support")))
    assert settle(other, read(address))[0].kind == "accepted"
    assert settle(company, read(c.ArchiveInbox(actor=ANA, inbox="support")))[0].reason == Reason.INBOX_IN_USE


# ---- the journal: asked twice, answered once and for ever


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        (CONNECT, "accepted"),
        (c.ChangePlan(actor=ADA, plan="starter"), "unchanged"),
        (c.ChangePlan(actor=ANA, plan="free"), "refused"),
        (c.Disconnect(actor=BOB, address="bob@localhost"), "refused"),
    ],
    ids=["accepted", "unchanged", "refused", "address invalid"],
)
def test_the_same_command_is_answered_verbatim_by_any_writer_at_any_time(
    company: Decider, open_decider: OpenDecider, store: Store, command: c.Command, outcome: str
) -> None:
    command_id = new_id()
    first = settle(company, read(command, command_id=command_id))[0]
    assert (first.kind, reply(first)["command_id"]) == (outcome, command_id)
    settle(company, read(c.AssignSeat(actor=ADA, user=BOB)), read(c.Disconnect(actor=BOB, address=BOBS)))
    before = store.everything()
    for writer in (company, open_decider()):
        for spelling in (command_id, command_id.upper()):
            assert verbatim(settle(writer, read(command, command_id=spelling))) == verbatim([first])
    assert store.everything() == before


def test_twins_in_one_group_are_one_decision_and_both_hear_it(company: Decider, store: Store) -> None:
    command_id = new_id()
    answers = settle(company, *(read(CONNECT, command_id=command_id) for _ in range(3)))
    assert answers[0].kind == "accepted"
    assert verbatim(answers) == verbatim(answers[:1]) * 3
    assert store.positions() == list(range(1, EXPECTED_LOG + 2))
    assert len(store.rows(f"SELECT 1 FROM connections.journal WHERE command_id = '{command_id}'")) == 1


@pytest.mark.parametrize("together", [True, False], ids=["in one group", "later"])
def test_another_body_under_a_used_id_is_refused_and_the_first_answer_stands(
    company: Decider, store: Store, together: bool
) -> None:
    command_id = new_id()
    right, wrong = read(CONNECT, command_id=command_id), read(CLEO_WANTS_IT, command_id=command_id)
    groups: Sequence[Sequence[CommandEnvelope]] = [(right, wrong)] if together else [(right,), (wrong,)]
    first, second = [answer for group in groups for answer in settle(company, *group)]
    assert (first.kind, second.reason) == ("accepted", Reason.COMMAND_ID_REUSED)
    assert verbatim(settle(company, read(CONNECT, command_id=command_id))) == verbatim([first])
    kept = store.rows(
        f"SELECT kept, body IS NULL FROM connections.journal WHERE command_id = '{command_id}' ORDER BY 1"
    )
    assert kept == [(False, True), (True, False)]


def test_the_same_body_under_another_command_is_another_command(company: Decider) -> None:
    command_id = new_id()
    body = {"actor": ADA, "user": BOB, "command_id": command_id}
    assert settle(company, message("AssignSeat", body))[0].kind == "accepted"
    assert settle(company, message("UnassignSeat", body))[0].reason == Reason.COMMAND_ID_REUSED


def test_an_unusable_address_under_a_used_id_is_named_first_and_not_kept(company: Decider) -> None:
    command_id = new_id()
    first = settle(company, read(CONNECT, command_id=command_id))[0]
    invalid = read(CONNECT.model_copy(update={"address": "@"}), command_id=command_id)
    assert settle(company, invalid)[0].reason == Reason.ADDRESS_INVALID
    assert verbatim(settle(company, read(CONNECT, command_id=command_id))) == verbatim([first])


def test_command_ids_count_per_account(company: Decider) -> None:
    command_id = new_id()
    register = c.RegisterAccount(actor=HR, plan="free", admin="zoe")
    assert settle(company, read(CONNECT, command_id=command_id))[0].kind == "accepted"
    assert settle(company, read(register, account="other", command_id=command_id))[0].kind == "accepted"


def test_without_an_account_it_is_decided_afresh(decider: Decider) -> None:
    command_id = new_id()
    add = c.AddUser(actor=HR, user="eve", name="Eve", permissions=())
    assert settle(decider, read(add, command_id=command_id))[0].reason == Reason.ACCOUNT_NOT_FOUND
    register, added = settle(decider, read(COMPANY[0]), read(add, command_id=command_id))
    assert (register.kind, added.kind) == ("accepted", "accepted")


def test_what_cannot_be_read_is_on_record_without_its_body_and_given_afresh(company: Decider, store: Store) -> None:
    command_id = new_id()
    unreadable = {"actor": BOB, "address": BOBS, "password": "hunter2", "command_id": command_id}
    answers = settle(
        company,
        message("Disconnect", unreadable),
        message("Disconnect", unreadable),
        message("Explode", unreadable),
        message("Disconnect", b'{"password": "hunter2'),
        message("Disconnect", {"actor": BOB, "address": BOBS, "note": {"password": "hunter2"}}),
    )
    assert [answer.reason for answer in answers] == [
        Reason.COMMAND_INVALID,
        Reason.COMMAND_INVALID,
        Reason.COMMAND_UNKNOWN,
        Reason.COMMAND_INVALID,
        Reason.COMMAND_INVALID,
    ]
    recorded = store.rows("SELECT reason, kept, body, digest FROM connections.journal WHERE NOT kept ORDER BY entry")
    assert sorted(row[0] for row in recorded) == sorted(str(answer.reason) for answer in answers)
    assert {row[1:] for row in recorded} == {(False, None, None)}
    body = {"actor": BOB, "address": BOBS, "command_id": command_id}
    assert settle(company, message("Disconnect", body))[0].kind == "unchanged"


def test_a12_nothing_of_a_credential_is_kept_anywhere(company: Decider, store: Store) -> None:
    for name in ("password", "access_token", "refresh_token", "secret"):
        body = {"actor": BOB, "address": BOBS, "owner": BOB, name: "hunter2"}
        assert settle(company, message("ConnectPersonal", body))[0].reason == Reason.COMMAND_INVALID
    assert "hunter2" not in store.everything()


def test_refused_attempts_are_on_record_with_actor_body_and_reason(company: Decider, store: Store) -> None:
    settle(company, read(CONNECT), read(CLEO_WANTS_IT))
    rows = store.rows("SELECT actor, reason, position, body FROM connections.journal WHERE outcome = 'refused'")
    assert [row[:3] for row in rows] == [(CLEO, "ADDRESS_ALREADY_PERSONAL", None)]
    assert orjson.loads(rows[0][3])["address"] == BOBS


# ---- dry runs


def test_a_dry_run_leaves_no_trace_and_does_not_use_its_id(company: Decider, store: Store) -> None:
    before, command_id = store.everything(), new_id()
    dry = read(CONNECT, dry_run=True, command_id=command_id)
    refused = read(CLEO_WANTS_IT.model_copy(update={"address": "@", "dry_run": True}))
    unreadable = message("Disconnect", {"actor": BOB, "dry_run": True})
    answers = settle(company, dry, refused, unreadable, message("Explode", {"dry_run": True}))
    assert [answer.kind for answer in answers] == ["accepted", "refused", "refused", "refused"]
    assert all(reply(answer)["dry_run"] is True for answer in answers)
    assert store.everything() == before
    assert settle(company, read(CONNECT, command_id=command_id))[0].kind == "accepted"


def test_a_dry_run_is_decided_against_what_others_committed(company: Decider, open_decider: OpenDecider) -> None:
    other = open_decider()
    dry = CLEO_WANTS_IT.model_copy(update={"dry_run": True})
    assert settle(other, read(dry))[0].kind == "accepted"
    settle(company, read(CONNECT))
    assert settle(other, read(dry))[0].reason == Reason.ADDRESS_ALREADY_PERSONAL


def test_what_was_taken_for_new_and_contradicts_a_set_is_read_anew(company: Decider, open_decider: OpenDecider) -> None:
    """A second writer met nothing but new names for a while; then it meets what the first one has written."""
    second = open_decider()
    settle(second, read(c.ChangePlan(actor=ADA, plan="professional")))
    settle(company, read(c.AddUser(actor=ADA, user="zoe", name="Zoe", permissions=("super_admin",))))
    for number in range(10):
        settle(second, read(c.RegisterAccount(actor=HR, plan="free", admin=ADA), account=f"new{number}"))
    seat, leave = c.AssignSeat(actor=ADA, user="zoe"), c.DeactivateUser(actor=ADA, user=ADA)
    assert [answer.kind for answer in settle(second, read(seat), read(leave))] == ["accepted", "accepted"]


def test_inboxes_that_left_the_cache_are_read_again_for_the_whole_group(decider: Decider) -> None:
    """The sets that name them are still cached, and the group takes them for new."""
    accounts = ["one", "two", "three"]
    for account in accounts:
        settle(decider, read(c.RegisterAccount(actor=HR, plan="professional", admin=ADA), account=account))
        settle(decider, read(c.CreateInbox(actor=ADA, inbox="support", name="Support"), account=account))
        settle(decider, read(c.AddUser(actor=ADA, user=BOB, name="Bob", permissions=()), account=account))
        settle(decider, read(c.DeactivateUser(actor=ADA, user=BOB), account=account))
    for number in range(10):
        settle(decider, read(c.RegisterAccount(actor=HR, plan="free", admin=ADA), account=f"new{number}"))
    cached = decider.store.cache.states
    for stream in [stream for stream, state in cached.items() if state.aggregate == "inbox"]:
        del cached[stream]
    rename = c.RenameInbox(actor=ADA, inbox="support", name="Help")
    reactivate, leave = c.ReactivateUser(actor=ADA, user=BOB), c.DeactivateUser(actor=ADA, user=BOB)
    group = [read(one, account=account) for account in accounts for one in (reactivate, leave, rename)]
    assert [(answer.kind, answer.reason) for answer in settle(decider, *group)] == [("accepted", None)] * len(group)
