"""Sets that a former release wrote under other names: a mailbox keeps its one owner, an archived inbox is found."""

from typing import Any
from uuid import UUID

import pytest
import structlog

from services.connections.commands import PAGES, SET_RULES
from services.connections.parsing import Domain
from services.connections.store.ledger import Ledger
from services.connections.store.set_rules import MARK
from services.connections.store.state_cache import set_of
from shared.language import commands as c
from shared.language.reasons import Reason
from shared.language.recorded import stream_id
from tests.connections.conftest import Store, settle
from tests.connections.given_when_then import ACCOUNT, ADA, ANA, BOB, CLEO, COMPANY, read
from tests.connections.test_ledger import reply

IDENTITY = "Bob.Baker@acme.example"
CLEO_WANTS_IT = c.ConnectPersonal(
    actor=CLEO, owner=CLEO, address="cleo@acme.example", provider="google", provider_identity=IDENTITY.upper()
)
BOB_COMES_ANEW = c.AddUser(actor=ADA, user=BOB, name="Robin", permissions=())


def opened(database: str) -> Ledger:
    return Ledger(database, PAGES, Domain(), set_rules=SET_RULES)


@pytest.fixture
def of_a_former_release(database: str, store: Store) -> Store:
    """A store whose sets bear the names of the release before, and no mark."""
    ledger = opened(database)
    personal = c.ConnectPersonal(
        actor=BOB, owner=BOB, address="bob@acme.example", provider="microsoft", provider_identity=IDENTITY
    )
    more = (
        personal,
        c.CreateInbox(actor=ANA, inbox="old", name="Old", members=(BOB,)),
        c.ArchiveInbox(actor=ANA, inbox="old"),
    )
    assert {answer.outcome for answer in settle(ledger, *map(read, (*COMPANY, *more)))} == {"accepted"}
    ledger.close()
    formerly = set_of(ACCOUNT, f"mailbox:microsoft:{IDENTITY}")
    store.run(
        f"UPDATE connections.memberships SET set_id = '{formerly}'"
        f" WHERE set_id = '{set_of(ACCOUNT, 'mailbox:@:bob.baker@acme.example')}'"
    )
    store.run(f"DELETE FROM connections.memberships WHERE set_id = '{set_of(ACCOUNT, 'archived_inboxes')}'")
    store.run(f"DELETE FROM connections.memberships WHERE set_id = '{MARK}'")
    return store


def test_without_them_somebody_else_would_get_the_mailbox(database: str, of_a_former_release: Store) -> None:
    ledger = Ledger(database, PAGES, Domain())
    assert settle(ledger, read(CLEO_WANTS_IT))[0].outcome == "accepted", "the fixture makes no old store"
    ledger.close()


def test_sets_of_a_former_release_are_brought_over_before_anything_is_decided(
    database: str, of_a_former_release: Store
) -> None:
    ledger = opened(database)
    (wants,) = settle(ledger, read(CLEO_WANTS_IT))
    assert wants.reason is Reason.ADDRESS_ALREADY_PERSONAL
    removed = (c.DeactivateUser(actor=ADA, user=BOB), c.RemoveUser(actor=ADA, user=BOB, policy="release"))
    *_, comes = settle(ledger, *map(read, (*removed, BOB_COMES_ANEW)))
    assert [one["inboxes"] for one in reply(comes)["warnings"]] == [["old"]]
    ledger.close()


def test_they_are_brought_over_once(database: str, of_a_former_release: Store) -> None:
    def mark() -> list[tuple[Any, ...]]:
        return of_a_former_release.rows(f"SELECT member, position FROM connections.memberships WHERE set_id = '{MARK}'")

    with structlog.testing.capture_logs() as first:
        opened(database).close()
    marked = mark()
    with structlog.testing.capture_logs() as second:
        opened(database).close()
    assert [line["memberships"] for line in first if line["event"] == "sets.brought_over"]
    assert not [line for line in second if line["event"] == "sets.brought_over"]
    assert mark() == marked == [(UUID(int=SET_RULES.version), len(of_a_former_release.positions()))]


def test_what_has_left_a_set_is_not_put_back(database: str, of_a_former_release: Store) -> None:
    ledger = Ledger(database, PAGES, Domain())
    settle(ledger, read(c.Disconnect(actor=BOB, address="bob@acme.example")))
    ledger.close()
    ledger = opened(database)
    assert settle(ledger, read(CLEO_WANTS_IT))[0].outcome == "accepted"
    ledger.close()
    stream = stream_id(ACCOUNT, "address", "bob@acme.example")
    present = of_a_former_release.rows(f"SELECT FROM connections.memberships WHERE member = '{stream}' AND present")
    assert len(present) == 1, "the set of the former name, which nobody reads"
