"""Connecting once more, and what a claim takes along: complaints of the field, each a case of the write side."""

from dataclasses import replace

import pytest

from shared.language import commands as c
from shared.language import events as e
from shared.language.reasons import Reason
from tests.connections.given_when_then import ADA, ANA, BOB, CLEO, HR, Fact, Given, alias, given, orphan, personal, team

BOBS, ROBINS, HELP = "bob@acme.example", "robin@acme.example", "help@acme.example"
AGAIN = c.ConnectPersonal(actor=BOB, owner=BOB, address=BOBS)
TEAM_AGAIN = c.ConnectTeam(actor=ANA, address=HELP, inbox="support")
PINNED = personal(BOBS, BOB, provider="google", provider_identity="g-1")


def again(**more: object) -> c.ConnectPersonal:
    return c.ConnectPersonal.model_validate(AGAIN.model_dump() | more)


def team_again(**more: object) -> c.ConnectTeam:
    return c.ConnectTeam.model_validate(TEAM_AGAIN.model_dump() | more)


# ---- odysseus 5638: connecting again with something new is never passed over


@pytest.mark.parametrize(
    "given_now",
    [
        {"provider": "google", "provider_identity": "g-2"},
        {"provider_identity": "g-2"},
        {"provider": "microsoft", "provider_identity": "g-1"},
        {"provider_identity": "G-1"},
    ],
    ids=str,
)
def test_odysseus_5638_another_mailbox_for_a_pinned_address_is_refused(given_now: dict[str, str]) -> None:
    then = given(PINNED).when(again(from_name="Bob", **given_now))
    then.refused(Reason.REAUTH_IDENTITY_MISMATCH).next("Reconnect", "Disconnect")


def test_the_first_mailbox_that_is_named_for_an_address_is_pinned_with_its_provider() -> None:
    then = given(personal(BOBS, BOB)).when(again(provider="google", provider_identity="g-1", from_name="Bob"))
    then.then(
        e.FromNameChanged(address=BOBS, from_name="Bob"),
        e.Reconnected(address=BOBS, provider="google", provider_identity="g-1"),
    )
    then.leaves("address", BOBS, lambda claim: (claim.provider, claim.owner) == ("google", BOB))


def test_a_mailbox_that_somebody_else_holds_is_not_pinned_by_connecting_again() -> None:
    held = personal("cleo@acme.example", CLEO, provider="google", provider_identity="g-1")
    given(held, personal(BOBS, BOB)).when(again(provider="google", provider_identity="g-1")).refused(
        Reason.ADDRESS_ALREADY_PERSONAL, via="provider_identity"
    )
    given(held, personal(BOBS, BOB, provider="google")).when(again(provider_identity="g-1")).refused(
        Reason.ADDRESS_ALREADY_PERSONAL, via="provider_identity"
    )


def test_a_from_name_given_again_is_taken_and_a_provider_alone_is_named_as_not_taken() -> None:
    facts = team(HELP, "support", provider="microsoft", provider_identity="m-1", from_name="Acme Help")
    then = given(facts).when(team_again(provider="imap", from_name="Acme Support Desk"))
    then.then(e.FromNameChanged(address=HELP, from_name="Acme Support Desk")).warned("NOT_TAKEN")
    only = given(facts).when(team_again(provider="imap"))
    only.unchanged().warned("NOT_TAKEN")


@pytest.mark.parametrize("same", [{}, {"provider": "google"}, {"provider_identity": "g-1"}], ids=str)
def test_what_is_given_again_and_is_so_already_changes_nothing(same: dict[str, str]) -> None:
    assert "warnings" not in given(PINNED).when(again(**same)).unchanged().reply


def test_what_is_broken_or_paused_is_put_right_first() -> None:
    broken = e.ReauthenticationRequired(address=BOBS, cause="x")
    given(PINNED, broken).when(again(from_name="Bob")).refused(Reason.REAUTH_REQUIRED).next("Reconnect")


# ---- better-auth 7806: the provider writes the mailbox in other letters


NAMED = personal(BOBS, BOB, provider="microsoft", provider_identity="Bob.Baker@acme.example")


def test_better_auth_7806_a_mailbox_in_other_letters_is_the_same_mailbox() -> None:
    broken = e.ReauthenticationRequired(address=BOBS, cause="token expired")
    reconnects = c.Reconnect(actor=BOB, address=BOBS, provider_identity="bob.baker@ACME.example")
    given(NAMED, broken).when(reconnects).accepted("Reconnected")
    given(NAMED).when(reconnects).unchanged()
    given(NAMED).when(again(provider="microsoft", provider_identity="BOB.BAKER@acme.example")).unchanged()


@pytest.mark.parametrize("provider", ["microsoft", "google", None])
def test_better_auth_7806_nobody_else_gets_it_by_another_spelling_or_provider(provider: str | None) -> None:
    wants = {"provider": provider, "provider_identity": "BOB.BAKER@ACME.EXAMPLE"}
    command = c.ConnectPersonal.model_validate({"actor": CLEO, "owner": CLEO, "address": "c@acme.example"} | wants)
    given(NAMED).when(command).refused(Reason.ADDRESS_ALREADY_PERSONAL, via="provider_identity")


def test_better_auth_7806_a_login_at_a_domain_without_mail_is_one_mailbox_in_any_letters() -> None:
    facts = personal(BOBS, BOB, provider="microsoft", provider_identity="Bob.Baker@corp.local")
    other = "BOB.BAKER@corp.local"
    given(facts).when(c.Reconnect(actor=BOB, address=BOBS, provider_identity=other)).unchanged()
    wants = c.ConnectPersonal(actor=CLEO, owner=CLEO, address="c@acme.example", provider_identity=other)
    given(facts).when(wants).refused(Reason.ADDRESS_ALREADY_PERSONAL, via="provider_identity")


@pytest.mark.parametrize(
    ("pinned", "given_now"),
    [("Abc@XYZ", "abc@xyz"), ("\u00e9@a.example", "\u00c9@a.example"), ("K@a.local", "\u212a@a.local")],
)
def test_what_reads_as_no_address_in_ascii_stays_exact(pinned: str, given_now: str) -> None:
    facts = personal(BOBS, BOB, provider="microsoft", provider_identity=pinned)
    reconnects = c.Reconnect(actor=BOB, address=BOBS, provider_identity=given_now)
    given(facts).when(reconnects).refused(Reason.REAUTH_IDENTITY_MISMATCH)


def test_an_id_of_a_provider_stays_exact() -> None:
    wants = c.ConnectPersonal(
        actor=CLEO, owner=CLEO, address="c@acme.example", provider="google", provider_identity="G-1"
    )
    given(PINNED).when(wants).accepted("PersonalConnected")


def test_chatwoot_7722_a_shared_mailbox_is_named_by_its_own_id_and_not_by_the_login() -> None:
    facts = personal(BOBS, BOB, provider="microsoft", provider_identity="oid-bob")
    wants = team_again(address="shared@acme.example", provider="microsoft", provider_identity="oid-bob")
    then = given(facts).when(wants).refused(Reason.ADDRESS_ALREADY_PERSONAL, via="provider_identity")
    assert "its own id" in then.reply["message"]
    assert [action["command"] for action in then.reply["next_actions"]] == ["ConnectTeam", "Disconnect"]


# ---- espocrm 2580: the From name was the former holder's


def test_espocrm_2580_a_conversion_begins_the_from_name_anew_in_both_directions() -> None:
    to_personal = c.ConvertConnection(actor=ANA, address=HELP, to="personal", owner=ANA)
    world = given(team(HELP, "support", from_name="Acme Support"))
    world.when(to_personal).leaves("address", HELP, lambda claim: claim.from_name is None)
    back = c.ConvertConnection(actor=ANA, address=HELP, to="team", inbox="support", visibility_acknowledged=True)
    given(personal(HELP, ANA, from_name="Ana of Acme")).when(back).leaves(
        "address", HELP, lambda claim: claim.from_name is None
    )


# ---- microsoft-365-docs 7591: a leaver's mailbox becomes the team's


def convert(actor: str = ADA, **more: object) -> c.ConvertConnection:
    fields = {"actor": actor, "address": BOBS, "to": "team", "inbox": "support", "visibility_acknowledged": True}
    return c.ConvertConnection.model_validate(fields | more)


def test_microsoft_7591_an_orphan_becomes_the_teams_in_one_step_with_its_aliases() -> None:
    leaver = (*orphan(BOBS, BOB, from_name="Bob"), alias("b@acme.example", BOBS), alias("c@acme.example", BOBS))
    then = given(*leaver).when(convert()).accepted("ConnectionConverted")
    then.leaves("address", BOBS, lambda claim: (claim.inbox, claim.connector) == ("support", ADA))
    then.leaves("address", BOBS, lambda claim: claim.from_name is None)
    then.leaves("address", "b@acme.example", lambda claim: claim.primary == BOBS)
    given(*leaver).when(convert(HR)).accepted("ConnectionConverted")


def test_an_orphan_is_the_super_admins_and_its_mail_is_shown_to_the_team_knowingly() -> None:
    given(*orphan(BOBS, BOB)).when(convert(ANA)).refused(Reason.PERMISSION_MISSING, permission="super_admin")
    given(*orphan(BOBS, BOB)).when(convert(visibility_acknowledged=False)).refused(
        Reason.TEAM_VISIBILITY_NOT_ACKNOWLEDGED
    )
    given(*orphan(BOBS, BOB)).when(c.ConnectTeam(actor=ANA, address=BOBS, inbox="support")).refused(
        Reason.ADDRESS_ORPHANED
    ).next("ConvertConnection")


def test_nobody_is_left_who_could_unbind_the_tools_of_an_orphan_so_they_go() -> None:
    tools = (personal(BOBS, BOB), e.ToolBound(address=BOBS, tool="meetings"), orphan(BOBS, BOB)[1])
    given(*tools).when(convert()).leaves("address", BOBS, lambda claim: not claim.tools)


def of_one_mailbox(*addresses: str) -> list[Fact]:
    """Orphans of the same mailbox, all of them bob's."""
    return [fact for name in addresses for fact in orphan(name, BOB, provider="google", provider_identity="g-1")]


def test_microsoft_7591_two_orphans_of_one_mailbox_do_not_wait_for_one_another() -> None:
    both, other = of_one_mailbox(BOBS, ROBINS), convert(address=ROBINS)
    given(*both).when(convert()).accepted("ConnectionConverted")
    given(*both, convert()).when(other).accepted("ConnectionConverted")
    given(*both, convert()).when(c.ReclaimAddress(actor=ADA, address=ROBINS, new_owner=CLEO)).refused(
        Reason.ADDRESS_ALREADY_TEAM, via="provider_identity"
    )


def test_what_is_advised_about_an_orphan_of_the_same_mailbox_works() -> None:
    names_it = c.Reconnect(actor=ANA, address=HELP, provider_identity="g-1")
    of_a_team: list[Fact] = [team(HELP, "support", provider="google"), *of_one_mailbox(BOBS)]
    then = given(*of_a_team).when(names_it).refused(Reason.ADDRESS_ORPHANED, via="provider_identity")
    assert [action["command"] for action in then.reply["next_actions"]] == [
        "Reconnect", "ConvertConnection", "ReleaseAddress",
    ]  # fmt: skip
    given(*of_a_team, convert()).when(names_it).accepted("Reconnected")
    given(*of_a_team, c.ReleaseAddress(actor=ADA, address=BOBS)).when(names_it).accepted("Reconnected")

    anas: list[Fact] = [*of_one_mailbox(BOBS, ROBINS), c.ReclaimAddress(actor=ADA, address=BOBS, new_owner=ANA)]
    then = given(*anas).when(convert(ANA)).refused(Reason.ADDRESS_ORPHANED, via="provider_identity")
    assert [action["command"] for action in then.reply["next_actions"]] == ["ReleaseAddress"]
    given(*anas, c.ReleaseAddress(actor=ADA, address=ROBINS)).when(convert(ANA)).accepted("ConnectionConverted")


# ---- zetkin 1326: the mailbox got a new name


RENAMED: tuple[Fact, ...] = (
    personal(BOBS, BOB, provider="google", provider_identity="g-1", from_name="Bob Baker"),
    alias(ROBINS, BOBS),
    alias("b@acme.example", BOBS),
    e.ToolBound(address=BOBS, tool="sequences"),
    e.ConnectionPaused(address=BOBS, receive=True, send=False, receiving=False, sending=True),
)
PROMOTES = c.PromoteAlias(actor=BOB, address=BOBS, alias=ROBINS)


def test_huly_3497_alias_and_primary_change_places_and_everything_goes_along() -> None:
    before = given(*RENAMED).world().state("acme", "address", BOBS)
    then = given(*RENAMED).when(PROMOTES).accepted("AliasPromoted", "AliasPromoted", "AliasPromoted")
    then.leaves("address", ROBINS, lambda claim: replace(claim, address=BOBS, claimed_at=before.claimed_at) == before)
    then.leaves("address", ROBINS, lambda claim: claim.since == before.since)
    for name in (BOBS, "b@acme.example"):
        then.leaves("address", name, lambda claim: claim.primary == ROBINS)
    one_alias = given(personal(BOBS, BOB), alias(ROBINS, BOBS)).when(PROMOTES)
    one_alias.accepted("AliasPromoted", "AliasPromoted")


def test_a_promoted_alias_holds_its_mailbox_and_the_old_name_never_becomes_free() -> None:
    renamed: Given = given(*RENAMED, PROMOTES)
    renamed.when(c.ConnectPersonal(actor=CLEO, owner=CLEO, address=BOBS)).refused(Reason.ADDRESS_IS_ALIAS)
    taken = c.ConnectPersonal(
        actor=CLEO, owner=CLEO, address="c@acme.example", provider="google", provider_identity="g-1"
    )
    renamed.when(taken).refused(Reason.ADDRESS_ALREADY_PERSONAL, via="provider_identity")
    renamed.when(c.Disconnect(actor=BOB, address=ROBINS)).accepted("Disconnected", "AliasRemoved", "AliasRemoved")
    renamed.when(c.PromoteAlias(actor=BOB, address=ROBINS, alias=BOBS)).accepted(*3 * ["AliasPromoted"])


def test_only_the_holder_promotes_and_only_an_alias_of_the_primary() -> None:
    free = c.PromoteAlias(actor=BOB, address=BOBS, alias="x@acme.example")
    given(*RENAMED).when(free).refused(Reason.NOT_CONNECTED).next("AddAlias")
    given(personal("c@acme.example", CLEO), alias("d@acme.example", "c@acme.example"), *RENAMED).when(
        c.PromoteAlias(actor=BOB, address=BOBS, alias="d@acme.example")
    ).refused(Reason.NOT_CONNECTED)
    given(*RENAMED).when(c.PromoteAlias(actor=CLEO, address=BOBS, alias=ROBINS)).refused(Reason.PERMISSION_MISSING)
    teams = (team(HELP, "support"), alias("support@acme.example", HELP))
    given(*teams).when(c.PromoteAlias(actor=ANA, address=HELP, alias="support@acme.example")).leaves(
        "address", "support@acme.example", lambda claim: (claim.inbox, claim.connector) == ("support", ANA)
    )


# ---- suitecrm 874: a default sender is chosen of a claim


def test_suitecrm_874_a_choice_ends_with_the_claim_that_it_was_made_of() -> None:
    chooses = c.SetDefaultSender(actor=BOB, user=BOB, address=HELP)
    facts = (personal(HELP, BOB), chooses, c.Disconnect(actor=BOB, address=HELP), team(HELP, "inbox"))
    given(*facts).when(chooses).accepted("DefaultSenderChanged")
    moved = (
        team(HELP, "inbox"),
        chooses,
        e.TeamAddressMoved.model_validate({"address": HELP, "from": "inbox", "to": "support"}),
    )
    given(*moved).when(chooses).unchanged()


# ---- Rocket.Chat 627: the connector left


LEFT: tuple[Fact, ...] = (team(HELP, "support", CLEO), c.DeactivateUser(actor=ADA, user=CLEO))
RECONNECTS = c.Reconnect(actor=ANA, address=HELP)


def test_rocketchat_627_the_one_who_reconnects_a_team_address_is_its_connector() -> None:
    broken = (*LEFT, e.ReauthenticationRequired(address=HELP, cause="her grant is gone"))
    given(*broken).when(RECONNECTS).leaves("address", HELP, lambda claim: claim.connector == ANA)


def test_a_team_address_that_only_lacks_its_connector_can_be_reconnected() -> None:
    given(*LEFT).when(RECONNECTS).then(e.Reconnected(address=HELP, connector=ANA))
    given(team(HELP, "support", CLEO)).when(RECONNECTS).unchanged()
    given(team(HELP, "support", HR)).when(RECONNECTS).unchanged()
