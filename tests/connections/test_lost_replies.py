"""When the reply of a commit is lost, asking again gives the answer that was committed, never another."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import psycopg
import pytest

from services.connections.commands import PAGES
from services.connections.decider import Decider
from services.connections.envelope import CommandEnvelope
from services.connections.outcome import Outcome
from services.connections.store.event_store import EventStore
from services.connections.store.recorder import CommitOutcomeUnknown, StoreUnavailable
from shared.language import commands as c
from shared.language.reasons import Reason
from shared.process.clock import new_id
from tests.connections.anything import any_command, dice_of
from tests.connections.conftest import OpenDecider, Store, settle
from tests.connections.given_when_then import ADA, BOB, CLEO, COMPANY, read
from tests.connections.test_writers_side_by_side import (
    BEGINNING,
    Asked,
    is_explained_by_the_log,
    logged,
    the_store_is_whole,
)
from tests.cutting_proxy import CuttingProxy, Moment

BOBS = "bob@acme.example"
CONNECT = c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB)
CLEO_WANTS_IT = c.ConnectPersonal(actor=CLEO, address=BOBS, owner=CLEO)
CONNECTED = b"switchboard.PersonalConnected.v1"
MOMENTS: Sequence[Moment] = ("before it is sent", "after it is sent", "after it is committed")


@pytest.fixture
def proxy(database: str, folder: Path) -> Iterator[CuttingProxy]:
    made = CuttingProxy(database, folder)
    yield made
    made.close()


@pytest.fixture
def shaky(proxy: CuttingProxy) -> Iterator[Decider]:
    """A writer that reaches its store by way of the proxy, and has the company."""
    decider = Decider(EventStore(proxy.url, PAGES))
    settle(decider, *map(read, COMPANY))
    yield decider
    decider.store.close()


def mixed_group() -> list[CommandEnvelope]:
    """One of each outcome, all under ids of their own but one."""
    reused = new_id()
    return [
        read(CONNECT, command_id=reused),
        read(CLEO_WANTS_IT, command_id=new_id()),
        read(CONNECT, command_id=new_id()),
        read(CONNECT, command_id=reused),
        read(CLEO_WANTS_IT, command_id=reused),
        read(c.AssignSeat(actor=ADA, user=BOB)),
        read(CONNECT, command_id=new_id(), nonsense=1),
        read(c.UnassignSeat(actor=ADA, user=BOB), dry_run=True),
    ]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_group_whose_reply_was_lost_is_asked_again_and_answered_once(
    shaky: Decider, proxy: CuttingProxy, store: Store, moment: Moment
) -> None:
    before, group = len(store.positions()), mixed_group()
    proxy.cut(moment, CONNECTED)
    with pytest.raises(CommitOutcomeUnknown):
        shaky.settle(group)
    assert proxy.cuts == 1
    answers = settle(shaky, *group)
    assert [answer.reason or answer.kind for answer in answers] == [
        "accepted",
        Reason.ADDRESS_ALREADY_PERSONAL,
        "unchanged",
        "accepted",
        Reason.COMMAND_ID_REUSED,
        "accepted",
        Reason.COMMAND_INVALID,
        "accepted",
    ]
    assert [orjson.loads(answers[n].reply())["position"] for n in (0, 2, 3, 5)] == [before + n for n in (1, 1, 1, 2)]
    assert store.positions() == list(range(1, before + 3))
    entries = store.rows("SELECT count(*), count(DISTINCT entry) FROM connections.journal")
    assert entries == [(len(COMPANY) + 6,) * 2]


def test_what_was_committed_stays_accepted_whatever_others_did_since(
    shaky: Decider, proxy: CuttingProxy, open_decider: OpenDecider, store: Store
) -> None:
    pending = read(CONNECT)
    proxy.cut("after it is committed", CONNECTED)
    with pytest.raises(CommitOutcomeUnknown):
        shaky.settle([pending])
    settle(open_decider(), read(c.Disconnect(actor=BOB, address=BOBS)), read(CLEO_WANTS_IT))
    answer = settle(shaky, pending)[0]
    assert answer.kind == "accepted"
    place = orjson.loads(answer.reply())["position"]
    assert logged(store)[place - 1].command_id == pending.command_id
    assert settle(shaky, read(CONNECT))[0].reason == Reason.ADDRESS_ALREADY_PERSONAL


def test_what_was_not_committed_is_decided_anew_on_what_others_did_since(
    shaky: Decider, proxy: CuttingProxy, open_decider: OpenDecider
) -> None:
    pending = read(CONNECT)
    proxy.cut("before it is sent", CONNECTED)
    with pytest.raises(CommitOutcomeUnknown):
        shaky.settle([pending])
    settle(open_decider(), read(CLEO_WANTS_IT))
    assert settle(shaky, pending)[0].reason == Reason.ADDRESS_ALREADY_PERSONAL


def until_answered(decider: Decider, group: Sequence[CommandEnvelope]) -> tuple[list[Outcome], int]:
    """The answers, and how often the store was lost on the way."""
    lost = 0
    while True:
        try:
            return settle(decider, *group), lost
        except (StoreUnavailable, CommitOutcomeUnknown):
            lost += 1


def test_backends_may_be_terminated_at_any_moment(open_decider: OpenDecider, store: Store) -> None:
    decider, done, over = open_decider(), list[Asked](), threading.Event()
    settle(decider, *map(read, BEGINNING))

    def terminate() -> None:
        with psycopg.connect(store.url, autocommit=True) as connection:
            while not over.wait(0.02):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                    " AND application_name = 'switchboard' AND datname = current_database()"
                )

    terminator = threading.Thread(target=terminate)
    terminator.start()
    dice, lost, end = dice_of(11), 0, len(logged(store))
    try:
        while lost < 15 or len(done) < 100:
            group = [read(any_command(dice), command_id=new_id()) for _ in range(dice.randint(1, 5))]
            answers, times = until_answered(decider, group)
            after = max([end, *(orjson.loads(answer.reply()).get("position", 0) for answer in answers)])
            done.extend(Asked(p, a, end, after) for p, a in zip(group, answers, strict=True))
            lost, end = lost + times, after
    finally:
        over.set()
        terminator.join()
    the_store_is_whole(store, [decider])
    is_explained_by_the_log(logged(store), done)
    accepted = sum(orjson.loads(a.answer.reply())["event_count"] for a in done if a.answer.kind == "accepted")
    assert len(logged(store)) == len(BEGINNING) + 2 + accepted
