"""What no message carries is not written; what was answered before stays answered, whatever a message carries now."""

from collections.abc import Iterator

import pytest

from services.connections.commands import PAGES
from services.connections.decider import Decider
from services.connections.store.event_store import EventStore
from shared.language import commands as c
from shared.language.reasons import Reason
from shared.process.clock import new_id
from tests.connections.conftest import Store, settle
from tests.connections.given_when_then import ADA, ANA, BOB, COMPANY, read
from tests.connections.test_ledger import EXPECTED_LOG, reply

ENTRIES = tuple(f"{number:03d}.{'x' * 60}.example" for number in range(100))
NEVER_LOG = c.SetAccountNeverLog(actor=ANA, entries=ENTRIES)


class Limited:
    """A decider, and how many bytes one message carries."""

    def __init__(self, url: str) -> None:
        self.max_payload = 1_048_576
        self.decider = Decider(EventStore(url, PAGES), lambda: self.max_payload)
        settle(self.decider, *map(read, COMPANY))


@pytest.fixture
def limited(database: str) -> Iterator[Limited]:
    made = Limited(database)
    yield made
    made.decider.store.close()


def test_an_event_that_no_message_carries_is_refused_before_it_is_written(limited: Limited, store: Store) -> None:
    limited.max_payload = 6_000
    before, after = c.SetAvailability(actor=BOB, user=BOB, availability="away"), c.AssignSeat(actor=ADA, user=ANA)
    first, large, dry, last = settle(
        limited.decider, read(before), read(NEVER_LOG), read(NEVER_LOG, dry_run=True), read(after)
    )
    assert (first.kind, last.kind) == ("accepted", "accepted")
    assert large.reason == dry.reason == Reason.COMMAND_INVALID
    assert reply(dry)["dry_run"] is True
    details = reply(large)["details"]
    assert details["what"] == "switchboard.AccountNeverLogChanged.v1"
    assert details["max_payload"] == 6_000 < details["bytes"]
    assert [one["field"] for one in details["errors"]] == ["entries"]
    assert store.positions() == list(range(1, EXPECTED_LOG + 3))
    assert reply(last)["position"] == EXPECTED_LOG + 2


def test_a_reply_that_no_message_carries_is_refused_before_anything_is_written(limited: Limited, store: Store) -> None:
    connects = [c.ConnectPersonal(actor=BOB, address=f"b{n}@acme.example", owner=BOB) for n in range(100)]
    settle(limited.decider, *map(read, connects), read(c.DeactivateUser(actor=ADA, user=BOB)))
    before = store.positions()
    limited.max_payload = 5_000
    remove = c.RemoveUser(actor=ADA, user=BOB)
    (refused,) = settle(limited.decider, read(remove))
    assert refused.reason == Reason.COMMAND_INVALID
    assert reply(refused)["details"]["what"] == "reply"
    assert store.positions() == before
    limited.max_payload = 1_048_576
    (done,) = settle(limited.decider, read(remove))
    assert done.kind == "accepted"


def test_what_was_accepted_when_more_was_carried_is_answered_verbatim(limited: Limited) -> None:
    command_id = new_id()
    (accepted,) = settle(limited.decider, read(NEVER_LOG, command_id=command_id))
    assert accepted.kind == "accepted"
    shorter = c.SetAccountNeverLog(actor=ANA, entries=ENTRIES[:2])
    settle(limited.decider, read(shorter))
    limited.max_payload = 6_000
    again, anew = settle(limited.decider, read(NEVER_LOG, command_id=command_id), read(NEVER_LOG))
    assert again.reply() == accepted.reply()
    assert anew.reason == Reason.COMMAND_INVALID


def test_it_is_refused_afresh_each_time_and_accepted_under_its_id_when_more_is_carried(limited: Limited) -> None:
    limited.max_payload = 6_000
    twice = read(NEVER_LOG, command_id=new_id())
    for _ in range(2):
        (refused,) = settle(limited.decider, read(NEVER_LOG, command_id=twice.command_id))
        assert refused.reason == Reason.COMMAND_INVALID
    limited.max_payload = 1_048_576
    (accepted,) = settle(limited.decider, read(NEVER_LOG, command_id=twice.command_id))
    assert accepted.kind == "accepted"
