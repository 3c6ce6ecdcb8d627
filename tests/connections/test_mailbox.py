"""The mailbox behind an address (S2) is never personal and team, and never of two owners, at once."""

from typing import Any

import pytest

from shared.language import commands as c
from shared.language import events as e
from shared.language.reasons import Reason
from tests.connections.given_when_then import ADA, ANA, BOB, CLEO, HR, Fact, given, personal, team

ONE, TWO, THREE = "one@acme.example", "two@acme.example", "three@acme.example"
BOX: dict[str, Any] = {"provider": "google", "provider_identity": "box-1"}
VIA = "provider_identity"

BOB_GOES: tuple[Fact, ...] = (c.DeactivateUser(actor=ADA, user=BOB), c.RemoveUser(actor=ADA, user=BOB))


def connect(address: str, owner: str, **more: Any) -> c.ConnectPersonal:
    return c.ConnectPersonal(actor=owner, address=address, owner=owner, **(BOX | more))


def connect_team(address: str, inbox: str = "support", **more: Any) -> c.ConnectTeam:
    return c.ConnectTeam(actor=ANA, address=address, inbox=inbox, visibility_acknowledged=True, **(BOX | more))


def test_two_users_do_not_connect_one_mailbox_under_two_addresses() -> None:
    given(personal(ONE, BOB, **BOX)).when(connect(TWO, CLEO)).refused(Reason.ADDRESS_ALREADY_PERSONAL, via=VIA)


def test_a_mailbox_is_not_personal_and_team() -> None:
    given(team(ONE, "support", **BOX)).when(connect(TWO, BOB)).refused(Reason.ADDRESS_ALREADY_TEAM, via=VIA)
    given(personal(ONE, BOB, **BOX)).when(connect_team(TWO)).refused(
        Reason.ADDRESS_ALREADY_PERSONAL, via=VIA, holder=BOB
    )


def test_one_owner_may_connect_several_addresses_of_one_mailbox() -> None:
    given(personal(ONE, BOB, **BOX)).when(connect(TWO, BOB)).accepted("PersonalConnected")


def test_team_addresses_of_one_mailbox_may_be_in_different_inboxes() -> None:
    given(team(ONE, "support", **BOX)).when(connect_team(TWO, "sales")).accepted("TeamConnected")


def test_the_same_identity_at_another_provider_is_another_mailbox() -> None:
    given(personal(ONE, BOB, **BOX)).when(connect(TWO, CLEO, provider="microsoft")).accepted("PersonalConnected")


def test_without_an_identity_nothing_is_claimed_beside_the_address() -> None:
    given(personal(ONE, BOB, provider="google")).when(connect(TWO, CLEO, provider_identity=None)).accepted(
        "PersonalConnected"
    )


def test_the_address_comes_before_its_mailbox() -> None:
    then = given(personal(ONE, BOB, **BOX), team(TWO, "support")).when(connect(TWO, CLEO))
    then.refused(Reason.ADDRESS_ALREADY_TEAM)
    assert "via" not in then.reply["details"]


def test_the_mailbox_comes_before_the_visibility() -> None:
    unseen = connect_team(TWO).model_copy(update={"visibility_acknowledged": False})
    given(personal(ONE, BOB, **BOX)).when(unseen).refused(Reason.ADDRESS_ALREADY_PERSONAL)


def test_the_pin_ends_with_the_claim() -> None:
    given(personal(ONE, BOB, **BOX), c.Disconnect(actor=BOB, address=ONE)).when(connect(TWO, CLEO)).accepted(
        "PersonalConnected"
    )
    given(personal(ONE, BOB, **BOX), *BOB_GOES, c.ReleaseAddress(actor=ADA, address=ONE)).when(
        connect(TWO, CLEO)
    ).accepted("PersonalConnected")


def test_an_orphan_holds_its_mailbox() -> None:
    given(personal(ONE, BOB, **BOX), *BOB_GOES).when(connect_team(TWO)).refused(
        Reason.ADDRESS_ORPHANED, via=VIA, former_owner=BOB
    ).next("ConvertConnection", "ReleaseAddress")


def test_a_reconnect_that_pins_claims_the_mailbox_too() -> None:
    reconnect = c.Reconnect(actor=CLEO, address=TWO, provider_identity="box-1")
    own = personal(ONE, BOB, **BOX)
    given(own, personal(TWO, CLEO, provider="google")).when(reconnect).refused(Reason.ADDRESS_ALREADY_PERSONAL, via=VIA)
    given(own, personal(TWO, BOB, provider="google")).when(
        c.Reconnect(actor=BOB, address=TWO, provider_identity="box-1")
    ).accepted("Reconnected")


def test_a_newly_pinned_mailbox_is_held_from_then_on() -> None:
    pinned = c.Reconnect(actor=BOB, address=ONE, provider_identity="box-1")
    given(personal(ONE, BOB, provider="google"), pinned).when(connect(TWO, CLEO)).refused(
        Reason.ADDRESS_ALREADY_PERSONAL, via=VIA
    )


def test_one_of_two_addresses_of_a_mailbox_does_not_go_to_another_person() -> None:
    both = (personal(ONE, BOB, **BOX), personal(TWO, BOB, **BOX))
    given(*both).when(c.TransferOwnership(actor=BOB, address=ONE, new_owner=CLEO)).refused(
        Reason.ADDRESS_ALREADY_PERSONAL, via=VIA
    )
    given(both[0]).when(c.TransferOwnership(actor=BOB, address=ONE, new_owner=CLEO)).accepted("OwnershipTransferred")


def test_one_of_two_addresses_of_a_mailbox_is_not_converted() -> None:
    given(personal(ONE, ANA, **BOX), personal(TWO, ANA, **BOX)).when(
        c.ConvertConnection(actor=ANA, address=ONE, to="team", inbox="support", visibility_acknowledged=True)
    ).refused(Reason.ADDRESS_ALREADY_PERSONAL, via=VIA, holder=ANA)
    given(team(ONE, "support", **BOX), team(TWO, "sales", **BOX)).when(
        c.ConvertConnection(actor=ANA, address=ONE, to="personal", owner=ANA)
    ).refused(Reason.ADDRESS_ALREADY_TEAM, via=VIA)


def test_all_addresses_of_a_mailbox_go_together_when_their_owner_is_removed() -> None:
    given(personal(ONE, BOB, **BOX), personal(TWO, BOB, **BOX), BOB_GOES[0]).when(
        c.RemoveUser(actor=ADA, user=BOB, policy="transfer_to", new_owner=CLEO)
    ).accepted("UserRemoved", "OwnershipTransferred", "OwnershipTransferred")


def test_orphans_of_one_mailbox_are_given_away_one_by_one_but_to_one_person() -> None:
    orphans = (personal(ONE, BOB, **BOX), personal(TWO, BOB, **BOX), *BOB_GOES)
    to_cleo = c.ReclaimAddress(actor=ADA, address=ONE, new_owner=CLEO)
    given(*orphans).when(to_cleo).accepted("AddressReclaimed")
    for command in (
        c.ReclaimAddress(actor=ADA, address=TWO, new_owner=ANA),
        c.TransferOwnership(actor=HR, address=TWO, new_owner=ANA),
    ):
        given(*orphans, to_cleo).when(command).refused(Reason.ADDRESS_ALREADY_PERSONAL, via=VIA, holder=CLEO)
    given(*orphans, to_cleo).when(c.ReclaimAddress(actor=ADA, address=TWO, new_owner=CLEO)).accepted("AddressReclaimed")


def test_a_former_owner_does_not_get_back_what_would_split_a_mailbox() -> None:
    orphans = (personal(ONE, BOB, **BOX), personal(TWO, BOB, **BOX), personal(THREE, BOB), *BOB_GOES)
    given(*orphans, c.ReclaimAddress(actor=ADA, address=ONE, new_owner=CLEO)).when(
        c.ReactivateUser(actor=ADA, user=BOB)
    ).then(
        e.UserReactivated(user=BOB),
        e.AddressReclaimed(address=THREE, from_=BOB, owner=BOB, cause="owner_returned"),
    )


@pytest.mark.parametrize("command", [connect(TWO, CLEO), connect(TWO, CLEO).model_copy(update={"actor": HR})])
def test_neither_the_other_address_nor_its_owner_is_told_to_a_stranger(command: c.Command) -> None:
    then = given(personal(ONE, BOB, **BOX)).when(command)
    if command.actor == CLEO:
        then.telling_only(kind="personal", via=VIA, advice="ask an administrator").never_saying(BOB, ONE, "2026-11")
    else:
        then.refused(Reason.ADDRESS_ALREADY_PERSONAL, holder=BOB)
