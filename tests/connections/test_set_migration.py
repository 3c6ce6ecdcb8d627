"""Sets that a former release wrote under other names: a mailbox keeps its one owner, an archived inbox is found."""

from typing import Any
from uuid import UUID

import pytest
import structlog

from services.connections.commands import PAGES, SET_VERSION
from services.connections.decider import Decider
from services.connections.store.event_store import EventStore
from services.connections.store.set_migration import MARK
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


def opened(database: str) -> Decider:
    return Decider(EventStore(database, PAGES, set_version=SET_VERSION))


@pytest.fixture
def of_a_former_release(database: str, store: Store) -> Store:
    """A store whose sets bear the names of the release before, and no mark."""
    decider = opened(database)
    personal = c.ConnectPersonal(
        actor=BOB, owner=BOB, address="bob@acme.example", provider="microsoft", provider_identity=IDENTITY
    )
    more = (
        personal,
        c.CreateInbox(actor=ANA, inbox="old", name="Old", members=(BOB,)),
        c.ArchiveInbox(actor=ANA, inbox="old"),
    )
    assert {answer.kind for answer in settle(decider, *map(read, (*COMPANY, *more)))} == {"accepted"}
    decider.store.close()
    formerly = set_of(ACCOUNT, f"mailbox:microsoft:{IDENTITY}")
    store.run(
        f"UPDATE connections.memberships SET set_id = '{formerly}'"
        f" WHERE set_id = '{set_of(ACCOUNT, 'mailbox:@:bob.baker@acme.example')}'"
    )
    store.run(f"DELETE FROM connections.memberships WHERE set_id = '{set_of(ACCOUNT, 'archived_inboxes')}'")
    store.run(f"DELETE FROM connections.memberships WHERE set_id = '{MARK}'")
    return store


def test_without_them_somebody_else_would_get_the_mailbox(database: str, of_a_former_release: Store) -> None:
    decider = Decider(EventStore(database, PAGES))
    assert settle(decider, read(CLEO_WANTS_IT))[0].kind == "accepted", "the fixture makes no old store"
    decider.store.close()


def test_sets_of_a_former_release_are_brought_over_before_anything_is_decided(
    database: str, of_a_former_release: Store
) -> None:
    decider = opened(database)
    (wants,) = settle(decider, read(CLEO_WANTS_IT))
    assert wants.reason is Reason.ADDRESS_ALREADY_PERSONAL
    removed = (c.DeactivateUser(actor=ADA, user=BOB), c.RemoveUser(actor=ADA, user=BOB, policy="release"))
    *_, comes = settle(decider, *map(read, (*removed, BOB_COMES_ANEW)))
    assert [one["inboxes"] for one in reply(comes)["warnings"]] == [["old"]]
    decider.store.close()


def test_they_are_brought_over_once(database: str, of_a_former_release: Store) -> None:
    def mark() -> list[tuple[Any, ...]]:
        return of_a_former_release.rows(f"SELECT member, position FROM connections.memberships WHERE set_id = '{MARK}'")

    with structlog.testing.capture_logs() as first:
        opened(database).store.close()
    marked = mark()
    with structlog.testing.capture_logs() as second:
        opened(database).store.close()
    assert [line["memberships"] for line in first if line["event"] == "sets.brought_over"]
    assert not [line for line in second if line["event"] == "sets.brought_over"]
    assert mark() == marked == [(UUID(int=SET_VERSION.version), len(of_a_former_release.positions()))]


def test_what_has_left_a_set_is_not_put_back(database: str, of_a_former_release: Store) -> None:
    decider = Decider(EventStore(database, PAGES))
    settle(decider, read(c.Disconnect(actor=BOB, address="bob@acme.example")))
    decider.store.close()
    decider = opened(database)
    assert settle(decider, read(CLEO_WANTS_IT))[0].kind == "accepted"
    decider.store.close()
    stream = stream_id(ACCOUNT, "address", "bob@acme.example")
    present = of_a_former_release.rows(f"SELECT FROM connections.memberships WHERE member = '{stream}' AND present")
    assert len(present) == 1, "the set of the former name, which nobody reads"
