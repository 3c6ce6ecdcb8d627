"""What users of other products complain about, as far as the write side can prevent it; each with its issue."""

from shared.language import commands as c
from shared.language import events as e
from shared.language.reasons import Reason
from shared.language.rules import UsersAndTeams
from tests.connections.given_when_then import ADA, ANA, BOB, CLEO, Fact, given, personal, team

BOBS = "bob@acme.example"
GONE: tuple[Fact, ...] = (c.DeactivateUser(actor=ADA, user=BOB), c.RemoveUser(actor=ADA, user=BOB))


def test_zammad_4607_reconnecting_with_the_wrong_account_binds_nothing_anew() -> None:
    given(personal(BOBS, BOB, provider_identity="b1"), e.ReauthenticationRequired(address=BOBS, cause="x")).when(
        c.Reconnect(actor=BOB, address=BOBS, provider_identity="mallory")
    ).refused(Reason.REAUTH_IDENTITY_MISMATCH).leaves(
        "address", BOBS, lambda claim: claim.provider_identity == "b1" and claim.reauthenticate
    )


def test_twenty_13358_removing_a_member_loses_no_address() -> None:
    given(personal(BOBS, BOB), GONE[0]).when(c.RemoveUser(actor=ADA, user=BOB)).accepted(
        "UserRemoved", "AddressOrphaned"
    )


def test_zammad_3240_ones_own_broken_address_is_not_already_taken_but_to_be_reconnected() -> None:
    then = given(personal(BOBS, BOB), e.ReauthenticationRequired(address=BOBS, cause="x")).when(
        c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB)
    )
    then.refused(Reason.REAUTH_REQUIRED).next("Reconnect")


def test_freescout_4244_fetching_can_be_off_while_sending_is_on() -> None:
    given(personal(BOBS, BOB)).when(c.Pause(actor=BOB, address=BOBS, receive=True)).then(
        e.ConnectionPaused(address=BOBS, receive=True, send=False, receiving=False, sending=True)
    )


def test_zammad_889_after_a_transfer_nobody_sends_under_the_former_name() -> None:
    given(personal(BOBS, BOB, from_name="Bob")).when(
        c.TransferOwnership(actor=BOB, address=BOBS, new_owner=CLEO)
    ).leaves("address", BOBS, lambda claim: claim.from_name is None)


def test_chatwoot_869_nothing_is_routed_to_an_agent_who_was_removed() -> None:
    given(*GONE).when(c.SetRouting(actor=ANA, inbox="support", rule=UsersAndTeams(users=(BOB,)))).refused(
        Reason.USER_NOT_FOUND, user=BOB
    )


def test_zammad_344_every_fact_bears_who_did_it_and_by_which_command() -> None:
    command = c.MoveTeamAddress(actor=ANA, address="help@acme.example", to_inbox="sales", correlation_id="ticket-7")
    then = given(team("help@acme.example", "support")).when(command)
    moved = then.world.happened[-1]
    assert (moved.actor, moved.correlation_id, type(moved.event).__name__) == (ANA, "ticket-7", "TeamAddressMoved")
    assert moved.command_id


def test_cve_2019_19844_a_look_alike_takes_over_nothing() -> None:
    mikes = given(personal("mike@acme.example", BOB))
    for spelling in ("m\u0131ke@acme.example", "mi\u212ae@acme.example"):
        mikes.when(c.ConnectPersonal(actor=CLEO, address=spelling, owner=CLEO)).refused(Reason.ADDRESS_INVALID)
    for spelling in ("MIKE@acme.example", "mike@ACME\u3002example"):
        mikes.when(c.ConnectPersonal(actor=CLEO, address=spelling, owner=CLEO)).refused(Reason.ADDRESS_ALREADY_PERSONAL)
    then = mikes.when(c.ConnectPersonal(actor=CLEO, address="mike@\u0430cme.example", owner=CLEO))
    then.leaves("address", "mike@acme.example", lambda claim: claim.owner == BOB)
