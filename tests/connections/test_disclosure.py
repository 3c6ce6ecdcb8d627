"""That an address is taken, and its kind, everybody may learn; whose it is, since when and where only some."""

from collections.abc import Callable

import pytest

from shared.language import commands as c
from shared.language.reasons import Reason
from tests.connections.given_when_then import (
    ADA,
    ANA,
    BOB,
    CLEO,
    DAN,
    HR,
    Fact,
    Given,
    Then,
    alias,
    given,
    orphan,
    personal,
    team,
)

WANTED = "wanted@acme.example"
PRIMARY = "primary@acme.example"
EVE = "eve"
EVE_IS_THERE = c.AddUser(actor=ADA, user=EVE, name="Eve", permissions=("personal_email_access",))
ADMINS = (ADA, ANA, HR)

# Each with what a stranger is told, and the names that must stay unsaid.
SITUATIONS: dict[str, tuple[tuple[Fact, ...], str, tuple[str, ...]]] = {
    "another's": ((personal(WANTED, BOB),), "personal", (BOB,)),
    "a team's": ((team(WANTED, "sales", ANA),), "team", ("sales", ANA)),
    "orphaned": (orphan(WANTED, BOB), "personal", (BOB,)),
    "another's alias": ((personal(PRIMARY, BOB), alias(WANTED, PRIMARY)), "personal", (BOB, PRIMARY)),
    "a team's alias": ((team(PRIMARY, "sales", ANA), alias(WANTED, PRIMARY)), "team", ("sales", ANA, PRIMARY)),
    "an orphan's alias": ((*orphan(PRIMARY, BOB), alias(WANTED, PRIMARY)), "personal", (BOB, PRIMARY)),
}


def wanting(situation: str) -> Given:
    return given(EVE_IS_THERE, *SITUATIONS[situation][0])


def as_connection(situation: str, actor: str) -> Then:
    owner = EVE if actor == HR else actor
    return wanting(situation).when(c.ConnectPersonal(actor=actor, address=WANTED, owner=owner))


def as_alias(situation: str, actor: str) -> Then:
    own = f"{actor}@acme.example".replace("service:", "")
    owner = EVE if actor == HR else actor
    facts = (EVE_IS_THERE, *SITUATIONS[situation][0], personal(own, owner))
    return given(*facts).when(c.AddAlias(actor=actor, address=own, alias=WANTED))


@pytest.mark.parametrize("attempt", [as_connection, as_alias], ids=["connecting", "adding an alias"])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_stranger_learns_the_kind_and_whom_to_ask(situation: str, attempt: Callable[[str, str], Then]) -> None:
    _, kind, secrets = SITUATIONS[situation]
    then = attempt(situation, EVE)
    then.telling_only(kind=kind, advice="ask an administrator").never_saying(*secrets, "2026-11-0")
    assert WANTED in then.reply["message"]


@pytest.mark.parametrize("attempt", [as_connection, as_alias], ids=["connecting", "adding an alias"])
@pytest.mark.parametrize("actor", ADMINS)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_administrators_and_services_learn_who_since_when_and_where(
    situation: str, actor: str, attempt: Callable[[str, str], Then]
) -> None:
    then = attempt(situation, actor)
    details = then.reply["details"]
    assert details["kind"] == SITUATIONS[situation][1]
    assert details["since"].startswith("2026-11-")
    told = {details.get(name) for name in ("holder", "former_owner", "primary")} - {None}
    assert told <= {BOB, "sales", PRIMARY}
    assert told
    assert (told.pop()) in then.reply["message"]


@pytest.mark.parametrize("situation", ["a team's", "a team's alias"])
def test_members_of_the_inbox_learn_where_a_team_address_is(situation: str) -> None:
    then = as_connection(situation, CLEO)
    assert then.reply["details"].get("inbox", then.reply["details"].get("primary")) in ("sales", PRIMARY)


def test_members_through_a_team_and_all_of_an_open_inbox_learn_it_too() -> None:
    crew = c.CreateTeam(actor=ANA, team="crew", name="Crew", members=(EVE,))
    access = c.SetInboxAccess(actor=ANA, inbox="sales", access="members", teams=("crew",))
    connect = c.ConnectPersonal(actor=EVE, address=WANTED, owner=EVE)
    given(EVE_IS_THERE, crew, access, team(WANTED, "sales")).when(connect).refused(
        Reason.ADDRESS_ALREADY_TEAM, inbox="sales"
    )
    given(EVE_IS_THERE, team(WANTED, "support")).when(connect).refused(Reason.ADDRESS_ALREADY_TEAM, inbox="support")


def test_the_holder_of_the_primary_learns_the_primary() -> None:
    given(personal(PRIMARY, BOB), alias(WANTED, PRIMARY)).when(
        c.ConnectPersonal(actor=BOB, address=WANTED, owner=BOB)
    ).refused(Reason.ADDRESS_IS_ALIAS, primary=PRIMARY)


def test_the_former_owner_of_an_orphan_is_a_stranger_to_it() -> None:
    given(*orphan(WANTED, BOB)).when(c.ConnectPersonal(actor=BOB, address=WANTED, owner=BOB)).telling_only(
        kind="personal", advice="ask an administrator"
    )


@pytest.mark.parametrize(
    "command",
    [
        c.Pause(actor=DAN, address=WANTED),
        c.TransferOwnership(actor=DAN, address=WANTED, new_owner=CLEO),
        c.Disconnect(actor=DAN, address=WANTED),
        c.AddAlias(actor=DAN, address=WANTED, alias="new@acme.example"),
    ],
    ids=lambda command: type(command).__name__,
)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_who_may_not_is_told_nothing_of_the_holder(situation: str, command: c.Command) -> None:
    secrets = SITUATIONS[situation][2]
    wanting(situation).when(command).refused(Reason.PERMISSION_MISSING).never_saying(*secrets, "2026-11-0")


def test_a_connection_to_another_mail_account_is_named_as_a_way_out() -> None:
    then = as_connection("another's", EVE)
    assert any("different mail account" in action["why"] for action in then.reply["next_actions"])
