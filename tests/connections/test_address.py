"""Address: claimed by one person or one team, and what becomes of the claim."""

from typing import Any

import pytest

from shared.core.address import CANONICAL_FORM
from shared.language import commands as c
from shared.language import events as e
from shared.language.reasons import Reason
from tests.connections.given_when_then import (
    ADA,
    ANA,
    BOB,
    CLEO,
    DAN,
    HR,
    Fact,
    alias,
    given,
    orphan,
    personal,
    team,
)

BOBS = "bob@acme.example"
ANAS = "ana@acme.example"
SHARED = "help@acme.example"
OTHER = "other@acme.example"

OWN = personal(BOBS, BOB)
TEAMS = team(SHARED, "support")
BROKEN = e.ReauthenticationRequired(address=BOBS, cause="token revoked")
PAUSED = e.ConnectionPaused(address=BOBS, receive=True, send=True, receiving=False, sending=False)
HALF_PAUSED = e.ConnectionPaused(address=BOBS, receive=True, send=False, receiving=False, sending=True)
CONNECT = c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB)
CONNECT_TEAM = c.ConnectTeam(actor=ANA, address=SHARED, inbox="support", visibility_acknowledged=True)


# ---- ConnectPersonal


def test_users_connect_personal_addresses_for_themselves() -> None:
    given().when(
        c.ConnectPersonal(
            actor=BOB, address=" Bob@ACME.example", owner=BOB, provider="imap", provider_identity="b1", from_name="Bob"
        )
    ).then(
        e.PersonalConnected(
            address=BOBS,
            display="Bob@ACME.example",
            owner=BOB,
            provider="imap",
            provider_identity="b1",
            from_name="Bob",
            canonical_form=CANONICAL_FORM,
        )
    ).warned().next_steps("install_extension", "set_logging_and_tracking", "set_default_font")


def test_connecting_binds_no_tool() -> None:
    given().when(CONNECT).leaves("address", BOBS, lambda claim: not claim.tools)


@pytest.mark.parametrize(
    ("address", "codes"),
    [
        ("bob@gmail.com", ["FREE_MAIL_DOMAIN"]),
        ("sales@acme.example", ["ROLE_BASED_LOCAL_PART"]),
        ("bob+news@acme.example", ["SAME_MAILBOX_SUSPECTED"]),
        ("in.fo+x@gmail.com", ["FREE_MAIL_DOMAIN", "SAME_MAILBOX_SUSPECTED"]),
    ],
)
def test_s8_an_unusual_personal_address_is_warned_of_not_refused(address: str, codes: list[str]) -> None:
    given().when(c.ConnectPersonal(actor=BOB, address=address, owner=BOB)).accepted("PersonalConnected").warned(*codes)


def test_a4_users_connect_for_themselves_a_service_for_anybody() -> None:
    given().when(c.ConnectPersonal(actor=ADA, address=BOBS, owner=BOB)).refused(Reason.OWNER_MUST_BE_ACTOR)
    given().when(c.ConnectPersonal(actor=HR, address=BOBS, owner=BOB)).accepted("PersonalConnected")


def test_a4_the_owner_is_an_active_user_with_the_permission_also_for_a_service() -> None:
    def connect(owner: str) -> c.ConnectPersonal:
        return c.ConnectPersonal(actor=HR, address=BOBS, owner=owner)

    given().when(connect("nobody")).refused(Reason.USER_NOT_FOUND, user="nobody")
    given(c.DeactivateUser(actor=ADA, user=BOB)).when(connect(BOB)).refused(Reason.OWNER_NOT_ACTIVE, user=BOB)
    given().when(connect(DAN)).refused(Reason.PERMISSION_MISSING, permission="personal_email_access", user=DAN)


def test_super_admin_does_not_include_personal_email_access() -> None:
    given(c.SetPermissions(actor=ADA, user=ADA, permissions=("super_admin",))).when(
        c.ConnectPersonal(actor=ADA, address="ada@acme.example", owner=ADA)
    ).refused(Reason.PERMISSION_MISSING, permission="personal_email_access")


def test_the_permission_comes_before_whose_address_it_is_to_be() -> None:
    given().when(c.ConnectPersonal(actor=DAN, address=BOBS, owner=BOB)).refused(Reason.PERMISSION_MISSING)


def test_what_one_holds_healthy_is_unchanged() -> None:
    given(OWN).when(CONNECT).unchanged()
    given(OWN).when(CONNECT.model_copy(update={"address": "BOB@acme.example"})).unchanged()


def test_zammad_3240_connecting_ones_own_broken_address_names_reconnect() -> None:
    given(OWN, BROKEN).when(CONNECT).refused(Reason.REAUTH_REQUIRED).next("Reconnect")


@pytest.mark.parametrize("paused", [PAUSED, HALF_PAUSED], ids=["both ways", "one way"])
def test_connecting_ones_own_paused_address_names_resume(paused: e.Event) -> None:
    given(OWN, paused).when(CONNECT).refused(Reason.CONNECTION_PAUSED).next("Resume")


def test_reauthentication_is_named_before_a_pause() -> None:
    given(OWN, PAUSED, BROKEN).when(CONNECT).refused(Reason.REAUTH_REQUIRED)


def test_s7_a_personal_address_is_not_connected_by_another() -> None:
    given(OWN).when(c.ConnectPersonal(actor=CLEO, address=BOBS, owner=CLEO)).refused(Reason.ADDRESS_ALREADY_PERSONAL)


def test_a2_a_team_address_is_not_connected_as_personal() -> None:
    given(TEAMS).when(c.ConnectPersonal(actor=BOB, address=SHARED, owner=BOB)).refused(Reason.ADDRESS_ALREADY_TEAM)


def test_an_orphan_is_not_connected_and_three_ways_out_are_named() -> None:
    given(*orphan(OTHER, BOB)).when(c.ConnectPersonal(actor=CLEO, address=OTHER, owner=CLEO)).refused(
        Reason.ADDRESS_ORPHANED
    ).next("ReclaimAddress", "TransferOwnership", "ReleaseAddress", "ConnectPersonal")


def test_a7_an_alias_is_not_connected_by_its_own_holder_either() -> None:
    given(OWN, alias(OTHER, BOBS)).when(c.ConnectPersonal(actor=BOB, address=OTHER, owner=BOB)).refused(
        Reason.ADDRESS_IS_ALIAS
    )
    given(OWN, alias(OTHER, BOBS)).when(
        c.ConnectTeam(actor=ANA, address=OTHER, inbox="support", visibility_acknowledged=True)
    ).refused(Reason.ADDRESS_IS_ALIAS, primary=BOBS)


def test_an_unusable_address_is_refused_before_the_account_is_looked_at() -> None:
    given().when(c.ConnectPersonal(actor="nobody", address="bob@localhost", owner=BOB)).refused(
        Reason.ADDRESS_INVALID, field="address"
    )
    given().when(c.AddAlias(actor="nobody", address="@", alias="a b@c.example")).refused(Reason.ADDRESS_INVALID)


def test_cve_2019_19844_another_spelling_takes_nothing_over() -> None:
    given(personal("mike@acme.example", BOB)).when(
        c.ConnectPersonal(actor=CLEO, address="mıke@acme.example", owner=CLEO)
    ).refused(Reason.ADDRESS_INVALID)
    given(personal("mike@acme.example", BOB)).when(
        c.ConnectPersonal(actor=CLEO, address="MIKE@ACME.Example", owner=CLEO)
    ).refused(Reason.ADDRESS_ALREADY_PERSONAL)


# ---- ConnectTeam


def test_a_team_address_is_connected_with_the_acknowledgement() -> None:
    given().when(CONNECT_TEAM).then(team(SHARED, "support")).warned().next_steps("set_from_name", "set_routing")


def test_a_team_address_that_names_a_role_is_as_it_should_be() -> None:
    given().when(
        c.ConnectTeam(actor=ANA, address="info+x@acme.example", inbox="support", visibility_acknowledged=True)
    ).accepted("TeamConnected").warned("SAME_MAILBOX_SUSPECTED")


def test_s15_the_team_sees_all_mail_which_is_acknowledged_first() -> None:
    given().when(c.ConnectTeam(actor=ANA, address=SHARED, inbox="support")).refused(
        Reason.TEAM_VISIBILITY_NOT_ACKNOWLEDGED
    ).next("ConnectTeam")


def test_a4_a_team_claim_needs_account_access() -> None:
    given().when(c.ConnectTeam(actor=BOB, address=SHARED, inbox="nowhere")).refused(
        Reason.PERMISSION_MISSING, permission="account_access"
    )


def test_connect_team_refuses_in_order_inbox_claim_visibility() -> None:
    def connect(inbox: str, address: str) -> c.ConnectTeam:
        return c.ConnectTeam(actor=ANA, address=address, inbox=inbox)

    world = given(OWN, TEAMS, c.ArchiveInbox(actor=ANA, inbox="sales"))
    world.when(connect("nowhere", BOBS)).refused(Reason.INBOX_NOT_FOUND)
    world.when(connect("sales", BOBS)).refused(Reason.INBOX_ARCHIVED)
    world.when(connect("support", BOBS)).refused(Reason.ADDRESS_ALREADY_PERSONAL).next("ConvertConnection")
    world.when(connect("inbox", SHARED)).refused(Reason.ADDRESS_IN_OTHER_INBOX, inbox="support").next("MoveTeamAddress")
    world.when(connect("support", OTHER)).refused(Reason.TEAM_VISIBILITY_NOT_ACKNOWLEDGED)


def test_the_same_inbox_is_unchanged_acknowledged_or_not() -> None:
    given(TEAMS).when(CONNECT_TEAM).unchanged()
    given(TEAMS).when(c.ConnectTeam(actor=ADA, address=SHARED, inbox="support")).unchanged()


def test_the_teams_own_broken_or_paused_address_names_the_way_out() -> None:
    broken = e.ReauthenticationRequired(address=SHARED, cause="x")
    paused = e.ConnectionPaused(address=SHARED, receive=False, send=True, receiving=True, sending=False)
    given(TEAMS, broken).when(CONNECT_TEAM).refused(Reason.REAUTH_REQUIRED)
    given(TEAMS, paused).when(CONNECT_TEAM).refused(Reason.CONNECTION_PAUSED)
    elsewhere = c.ConnectTeam(actor=ANA, address=SHARED, inbox="sales")
    given(TEAMS, broken).when(elsewhere).refused(Reason.ADDRESS_IN_OTHER_INBOX)


def test_an_orphan_is_not_connected_to_an_inbox() -> None:
    given(*orphan(OTHER, BOB)).when(c.ConnectTeam(actor=ANA, address=OTHER, inbox="support")).refused(
        Reason.ADDRESS_ORPHANED, former_owner=BOB
    )


# ---- who holds it: holder's commands on every situation

OF_HOLDERS: list[c.Command] = [
    c.Disconnect(actor=DAN, address=BOBS),
    c.RequireReauthentication(actor=DAN, address=BOBS, cause="x"),
    c.Reconnect(actor=DAN, address=BOBS),
    c.Pause(actor=DAN, address=BOBS),
    c.Resume(actor=DAN, address=BOBS),
    c.SetFromName(actor=DAN, address=BOBS, from_name="x"),
    c.BindTool(actor=DAN, address=BOBS, tool="meetings"),
    c.UnbindTool(actor=DAN, address=BOBS, tool="meetings"),
    c.AddAlias(actor=DAN, address=BOBS, alias=OTHER),
    c.RemoveAlias(actor=DAN, address=BOBS, alias=OTHER),
    c.PromoteAlias(actor=DAN, address=BOBS, alias=OTHER),
]


def named(command: c.Command) -> str:
    return type(command).__name__


@pytest.mark.parametrize("command", OF_HOLDERS, ids=named)
def test_a_personal_connection_is_its_owners_alone(command: c.Command) -> None:
    given(OWN).when(command).refused(Reason.PERMISSION_MISSING, permission="owner")
    given(OWN).when(command.model_copy(update={"actor": ANA})).refused(Reason.PERMISSION_MISSING, permission="owner")


@pytest.mark.parametrize("command", OF_HOLDERS, ids=named)
def test_a_team_connection_needs_account_access(command: c.Command) -> None:
    given(team(BOBS, "support")).when(command).refused(Reason.PERMISSION_MISSING, permission="account_access")


@pytest.mark.parametrize("command", OF_HOLDERS, ids=named)
def test_an_alias_is_judged_by_its_primary(command: c.Command) -> None:
    facts = (personal("b1@acme.example", BOB), alias(BOBS, "b1@acme.example"))
    given(*facts).when(command).refused(Reason.PERMISSION_MISSING, permission="owner")
    given(*facts).when(command.model_copy(update={"actor": BOB})).refused(
        Reason.ADDRESS_IS_ALIAS, primary="b1@acme.example"
    )


@pytest.mark.parametrize("command", OF_HOLDERS, ids=named)
def test_an_orphan_is_the_super_admins(command: c.Command) -> None:
    given(*orphan(BOBS, BOB)).when(command.model_copy(update={"actor": BOB})).refused(
        Reason.PERMISSION_MISSING, permission="super_admin"
    )
    by_ada = given(*orphan(BOBS, BOB)).when(command.model_copy(update={"actor": ADA}))
    if isinstance(command, c.Disconnect):
        by_ada.accepted("Disconnected")
    else:
        by_ada.refused(Reason.ADDRESS_ORPHANED, former_owner=BOB)


@pytest.mark.parametrize("command", OF_HOLDERS, ids=named)
def test_that_an_address_is_free_everybody_may_learn(command: c.Command) -> None:
    on_nothing = given().when(command)
    match command:
        case c.Disconnect():
            on_nothing.unchanged()
        case c.BindTool():
            on_nothing.refused(Reason.PERSONAL_CONNECTION_REQUIRED)
        case _:
            on_nothing.refused(Reason.NOT_CONNECTED, address=BOBS)


# ---- Disconnect


def test_a12_disconnecting_frees_the_address_and_releases_its_aliases() -> None:
    given(OWN, alias("z@acme.example", BOBS), alias("a@acme.example", BOBS)).when(
        c.Disconnect(actor=BOB, address=BOBS, note="leaving\nfor good")
    ).then(
        e.Disconnected(address=BOBS, kind="personal", owner=BOB, note="leaving\nfor good"),
        e.AliasRemoved(address="a@acme.example", primary=BOBS),
        e.AliasRemoved(address="z@acme.example", primary=BOBS),
    )


def test_a_super_admin_disconnects_anything_but_an_alias() -> None:
    given(OWN).when(c.Disconnect(actor=ADA, address=BOBS)).accepted("Disconnected")
    given(TEAMS).when(c.Disconnect(actor=ANA, address=SHARED)).then(
        e.Disconnected(address=SHARED, kind="team", inbox="support")
    )
    given(OWN, alias(OTHER, BOBS)).when(c.Disconnect(actor=ADA, address=OTHER)).refused(Reason.ADDRESS_IS_ALIAS)


def test_a_new_claim_after_a_disconnect_has_nothing_of_the_old_one() -> None:
    gone = (e.ToolBound(address=BOBS, tool="meetings"), PAUSED, BROKEN, c.Disconnect(actor=BOB, address=BOBS))
    then = given(personal(BOBS, BOB, provider_identity="b1"), *gone).when(
        c.ConnectTeam(actor=ANA, address=BOBS, inbox="support", visibility_acknowledged=True)
    )
    then.accepted("TeamConnected").leaves(
        "address", BOBS, lambda claim: not claim.tools and not claim.paused and not claim.reauthenticate
    )


# ---- reauthentication


def test_reauthentication_is_required_once() -> None:
    given(OWN).when(c.RequireReauthentication(actor=BOB, address=BOBS, cause="token revoked")).then(BROKEN)
    given(OWN, BROKEN).when(c.RequireReauthentication(actor=HR, address=BOBS, cause="again")).unchanged()


def test_reconnecting_lifts_reauthentication_but_not_a_pause() -> None:
    then = given(OWN, PAUSED, BROKEN).when(c.Reconnect(actor=BOB, address=BOBS))
    then.then(e.Reconnected(address=BOBS)).leaves(
        "address", BOBS, lambda claim: claim.paused and not claim.reauthenticate
    )


def test_an_unpinned_connection_is_pinned_by_what_is_given() -> None:
    given(OWN).when(c.Reconnect(actor=BOB, address=BOBS, provider_identity="b1")).then(
        e.Reconnected(address=BOBS, provider_identity="b1")
    ).leaves("address", BOBS, lambda claim: claim.provider_identity == "b1")
    given(OWN).when(c.Reconnect(actor=BOB, address=BOBS)).unchanged()


PINNED = personal(BOBS, BOB, provider="google", provider_identity="b1")


@pytest.mark.parametrize("broken", [(), (BROKEN,)], ids=["healthy", "broken"])
@pytest.mark.parametrize("given_identity", [None, "b2", "B1"])
def test_a8_another_identity_than_the_pinned_one_changes_nothing(
    given_identity: str | None, broken: tuple[e.Event, ...]
) -> None:
    given(PINNED, *broken).when(c.Reconnect(actor=BOB, address=BOBS, provider_identity=given_identity)).refused(
        Reason.REAUTH_IDENTITY_MISMATCH
    )


def test_a8_the_pinned_identity_is_unchanged_when_healthy_and_reconnects_when_broken() -> None:
    reconnect = c.Reconnect(actor=BOB, address=BOBS, provider_identity="b1")
    given(PINNED).when(reconnect).unchanged()
    given(PINNED, BROKEN).when(reconnect).then(e.Reconnected(address=BOBS, provider_identity="b1")).leaves(
        "address", BOBS, lambda claim: claim.provider_identity == "b1"
    )


def test_zammad_4607_the_pin_ends_with_the_claim() -> None:
    reconnect = c.Reconnect(actor=BOB, address=BOBS, provider_identity="b2")
    given(PINNED, c.Disconnect(actor=BOB, address=BOBS), CONNECT).when(reconnect).accepted("Reconnected")


# ---- pause


@pytest.mark.parametrize(
    ("receive", "send", "receiving", "sending"),
    [(None, None, False, False), (True, None, False, True), (None, True, True, False), (True, False, False, True)],
)
def test_a11_receiving_and_sending_pause_separately(
    receive: bool | None, send: bool | None, receiving: bool, sending: bool
) -> None:
    body: dict[str, Any] = {"actor": BOB, "address": BOBS, "receive": receive, "send": send}
    paused = given(OWN).when(c.Pause.model_validate(body))
    paused.accepted("ConnectionPaused").leaves(
        "address", BOBS, lambda claim: (claim.receiving, claim.sending) == (receiving, sending)
    )
    resumed = given(OWN, PAUSED).when(c.Resume.model_validate(body))
    resumed.accepted("ConnectionResumed").leaves(
        "address", BOBS, lambda claim: (claim.receiving, claim.sending) == (not receiving, not sending)
    )


def test_pausing_what_is_paused_is_unchanged_and_so_is_resuming_what_runs() -> None:
    given(OWN, PAUSED).when(c.Pause(actor=BOB, address=BOBS)).unchanged()
    given(OWN, HALF_PAUSED).when(c.Pause(actor=BOB, address=BOBS, receive=True)).unchanged()
    given(OWN, HALF_PAUSED).when(c.Pause(actor=BOB, address=BOBS)).accepted("ConnectionPaused")
    given(OWN).when(c.Resume(actor=BOB, address=BOBS)).unchanged()
    given(OWN, HALF_PAUSED).when(c.Resume(actor=BOB, address=BOBS, send=True)).unchanged()


def test_a11_a_paused_or_broken_connection_still_holds_its_claim() -> None:
    for trouble in (PAUSED, BROKEN):
        given(OWN, trouble).when(c.ConnectPersonal(actor=CLEO, address=BOBS, owner=CLEO)).refused(
            Reason.ADDRESS_ALREADY_PERSONAL
        )


# ---- move


def test_a_team_address_moves_in_one_step() -> None:
    then = given(TEAMS, alias(OTHER, SHARED)).when(c.MoveTeamAddress(actor=ANA, address=SHARED, to_inbox="sales"))
    then.then(e.TeamAddressMoved(address=SHARED, from_="support", to="sales"))
    then.leaves("address", SHARED, lambda claim: claim.inbox == "sales")
    given(TEAMS).when(c.MoveTeamAddress(actor=ANA, address=SHARED, to_inbox="support")).unchanged()


def test_move_refuses_in_order_permission_inbox_state() -> None:
    def move(address: str, to: str, actor: str = ANA) -> c.MoveTeamAddress:
        return c.MoveTeamAddress(actor=actor, address=address, to_inbox=to)

    world = given(
        OWN, TEAMS, alias(OTHER, BOBS), *orphan("o@acme.example", BOB), c.ArchiveInbox(actor=ANA, inbox="sales")
    )
    world.when(move(BOBS, "nowhere", actor=BOB)).refused(Reason.PERMISSION_MISSING)
    world.when(move("free@acme.example", "nowhere")).refused(Reason.INBOX_NOT_FOUND)
    world.when(move(SHARED, "sales")).refused(Reason.INBOX_ARCHIVED)
    world.when(move("free@acme.example", "inbox")).refused(Reason.NOT_CONNECTED)
    world.when(move(OTHER, "inbox")).refused(Reason.ADDRESS_IS_ALIAS)
    world.when(move("o@acme.example", "inbox")).refused(Reason.ADDRESS_ORPHANED)
    world.when(move(BOBS, "inbox")).refused(Reason.ADDRESS_ALREADY_PERSONAL, holder=BOB)


# ---- A9: convert

ANAS_OWN = personal(ANAS, ANA)


def to_team(address: str = ANAS, actor: str = ANA, inbox: str = "support", seen: bool = True) -> c.ConvertConnection:
    return c.ConvertConnection(actor=actor, address=address, to="team", inbox=inbox, visibility_acknowledged=seen)


def to_personal(address: str = SHARED, actor: str = ANA, owner: str = ANA) -> c.ConvertConnection:
    return c.ConvertConnection(actor=actor, address=address, to="personal", owner=owner)


def test_a9_the_owner_turns_his_address_into_the_teams() -> None:
    then = given(ANAS_OWN, alias(OTHER, ANAS)).when(to_team())
    then.then(
        e.ConnectionConverted(
            address=ANAS,
            from_="personal",
            to="team",
            owner=ANA,
            inbox="support",
            connector=ANA,
            visibility_acknowledged=True,
        )
    )
    then.leaves("address", ANAS, lambda claim: (claim.inbox, claim.connector) == ("support", ANA))
    then.leaves("address", OTHER, lambda claim: claim.primary == ANAS)
    given(team(ANAS, "support")).when(to_team()).unchanged()


def test_a9_account_access_turns_a_team_address_into_ones_own() -> None:
    then = given(TEAMS).when(to_personal())
    then.then(e.ConnectionConverted(address=SHARED, from_="team", to="personal", owner=ANA, inbox="support"))
    then.leaves("address", SHARED, lambda claim: claim.owner == ANA)
    given(ANAS_OWN).when(to_personal(ANAS)).unchanged()


def test_a9_to_personal_is_for_oneself_with_both_permissions() -> None:
    given(TEAMS).when(to_personal(actor=BOB, owner=BOB)).refused(Reason.PERMISSION_MISSING, permission="account_access")
    given(TEAMS).when(to_personal(owner=BOB)).refused(Reason.OWNER_MUST_BE_ACTOR)
    given(TEAMS, c.SetPermissions(actor=ADA, user=ANA, permissions=("account_access",))).when(to_personal()).refused(
        Reason.PERMISSION_MISSING, permission="personal_email_access", user=ANA
    )
    given(TEAMS).when(to_personal(actor=HR, owner="nobody")).refused(Reason.USER_NOT_FOUND)


def test_a9_to_team_is_for_the_owner_holding_account_access() -> None:
    given(OWN).when(to_team(BOBS, actor=BOB)).refused(Reason.PERMISSION_MISSING, permission="account_access")
    given(OWN).when(to_team(BOBS)).refused(Reason.ADDRESS_ALREADY_PERSONAL, holder=BOB)
    given(OWN).when(to_team(BOBS, actor=ADA)).refused(Reason.ADDRESS_ALREADY_PERSONAL, holder=BOB)
    given(OWN).when(to_team(BOBS, actor=HR)).accepted("ConnectionConverted")


def test_a9_convert_refuses_in_order_inbox_state_tool_visibility() -> None:
    tool = e.ToolBound(address=ANAS, tool="sequences")
    meetings = e.ToolBound(address=ANAS, tool="meetings")
    world = given(ANAS_OWN, tool, TEAMS, alias(OTHER, ANAS), *orphan("o@acme.example", BOB))
    world.when(to_team(inbox="nowhere", seen=False)).refused(Reason.INBOX_NOT_FOUND)
    world.when(to_team("free@acme.example", seen=False)).refused(Reason.NOT_CONNECTED)
    world.when(to_team(OTHER)).refused(Reason.ADDRESS_IS_ALIAS)
    world.when(to_team("o@acme.example")).refused(Reason.PERMISSION_MISSING, permission="super_admin")
    world.when(to_team(SHARED, inbox="sales", seen=False)).refused(Reason.ADDRESS_IN_OTHER_INBOX)
    world.when(to_team(seen=False)).refused(Reason.PERSONAL_CONNECTION_REQUIRED, tools=["sequences"]).next("UnbindTool")
    given(ANAS_OWN, tool, meetings).when(to_team(seen=False)).refused(
        Reason.ADDRESS_USED_BY_MEETINGS, tools=["meetings", "sequences"]
    )
    given(ANAS_OWN).when(to_team(seen=False)).refused(Reason.TEAM_VISIBILITY_NOT_ACKNOWLEDGED).next("ConvertConnection")


def test_a9_an_address_of_another_is_not_converted_to_ones_own() -> None:
    given(OWN).when(to_personal(BOBS)).refused(Reason.ADDRESS_ALREADY_PERSONAL, holder=BOB)


# ---- A10: transfer, reclaim, release


def transfer(address: str = BOBS, to: str = CLEO, actor: str = BOB) -> c.TransferOwnership:
    return c.TransferOwnership(actor=actor, address=address, new_owner=to)


def test_the_owner_or_a_super_admin_transfers_a_personal_address() -> None:
    for actor in (BOB, ADA, HR):
        given(OWN).when(transfer(actor=actor)).then(e.OwnershipTransferred(address=BOBS, from_=BOB, to=CLEO))
    given(OWN).when(transfer(actor=CLEO)).refused(Reason.PERMISSION_MISSING, permission="super_admin")
    given(OWN).when(transfer(actor=ANA)).refused(Reason.PERMISSION_MISSING)
    given(OWN).when(transfer(to=BOB)).unchanged()


def test_zammad_889_another_person_gets_neither_tools_nor_from_name() -> None:
    was = (e.ToolBound(address=BOBS, tool="one_to_one"), e.FromNameChanged(address=BOBS, from_name="Bob"), PAUSED)
    then = given(OWN, *was, alias(OTHER, BOBS)).when(transfer())
    then.leaves("address", BOBS, lambda claim: not claim.tools and claim.from_name is None)
    then.leaves("address", BOBS, lambda claim: claim.paused).leaves("address", OTHER, lambda a: a.primary == BOBS)


def test_an_orphan_that_is_handed_to_its_former_owner_keeps_his_tools() -> None:
    then = given(
        OWN,
        e.ToolBound(address=BOBS, tool="one_to_one"),
        c.DeactivateUser(actor=ADA, user=BOB),
        c.RemoveUser(actor=ADA, user=BOB),
        c.AddUser(actor=ADA, user=BOB, name="Bob", permissions=()),
        c.SetPermissions(actor=ADA, user=BOB, permissions=("personal_email_access",)),
    ).when(transfer(actor=ADA, to=BOB))
    then.then(e.OwnershipTransferred(address=BOBS, from_=BOB, to=BOB))
    then.leaves("address", BOBS, lambda claim: claim.owner == BOB and claim.tools == {"one_to_one"})


def test_an_orphan_is_transferred_by_super_admins_only() -> None:
    given(*orphan(BOBS, BOB)).when(transfer(actor=ANA)).refused(Reason.PERMISSION_MISSING)
    given(*orphan(BOBS, BOB)).when(transfer(actor=ADA)).then(e.OwnershipTransferred(address=BOBS, from_=BOB, to=CLEO))


@pytest.mark.parametrize("command", [transfer(actor=ADA), c.ReclaimAddress(actor=ADA, address=BOBS, new_owner=CLEO)])
def test_a_new_owner_must_be_able_to_own_before_the_state_is_looked_at(command: c.Command) -> None:
    given().when(command.model_copy(update={"new_owner": "nobody"})).refused(Reason.USER_NOT_FOUND)
    given(c.DeactivateUser(actor=ADA, user=CLEO)).when(command).refused(Reason.OWNER_NOT_ACTIVE, user=CLEO)
    given().when(command.model_copy(update={"new_owner": DAN})).refused(Reason.PERMISSION_MISSING, user=DAN)
    given().when(command).refused(Reason.NOT_CONNECTED)
    given(personal("b1@acme.example", BOB), alias(BOBS, "b1@acme.example")).when(command).refused(
        Reason.ADDRESS_IS_ALIAS
    )
    given(team(BOBS, "support")).when(command).refused(Reason.ADDRESS_ALREADY_TEAM)


def test_a_team_address_is_not_transferred_by_whoever_administers_it() -> None:
    given(TEAMS).when(transfer(SHARED, actor=ANA)).refused(Reason.PERMISSION_MISSING, permission="super_admin")


def test_a10_a_super_admin_reclaims_an_orphan_for_a_user() -> None:
    was = (e.ToolBound(address=BOBS, tool="one_to_one"), c.DeactivateUser(actor=ADA, user=BOB))
    then = given(OWN, *was, c.RemoveUser(actor=ADA, user=BOB)).when(
        c.ReclaimAddress(actor=ADA, address=BOBS, new_owner=CLEO)
    )
    then.then(e.AddressReclaimed(address=BOBS, from_=BOB, owner=CLEO, cause="reclaimed"))
    then.leaves("address", BOBS, lambda claim: claim.owner == CLEO and not claim.tools)


def test_reclaim_is_for_super_admins_and_for_orphans() -> None:
    def reclaim(actor: str = ADA, to: str = CLEO) -> c.ReclaimAddress:
        return c.ReclaimAddress(actor=actor, address=BOBS, new_owner=to)

    given(*orphan(BOBS, BOB)).when(reclaim(ANA)).refused(Reason.PERMISSION_MISSING, permission="super_admin")
    given(OWN).when(reclaim()).refused(Reason.ADDRESS_ALREADY_PERSONAL, holder=BOB).next("TransferOwnership")
    given(OWN).when(reclaim(to=BOB)).unchanged()


def test_a10_a_super_admin_releases_an_orphan_with_its_aliases() -> None:
    release = c.ReleaseAddress(actor=ADA, address=BOBS)
    given(*orphan(BOBS, BOB), alias(OTHER, BOBS)).when(release).then(
        e.AddressReleased(address=BOBS, owner=BOB), e.AliasRemoved(address=OTHER, primary=BOBS)
    )
    given().when(release).unchanged()
    given(OWN).when(release).refused(Reason.ADDRESS_ALREADY_PERSONAL).next("Disconnect")
    given(team(BOBS, "support")).when(release).refused(Reason.ADDRESS_ALREADY_TEAM).next("Disconnect")
    given(OWN, alias(OTHER, BOBS)).when(c.ReleaseAddress(actor=ADA, address=OTHER)).refused(Reason.ADDRESS_IS_ALIAS)
    given(*orphan(BOBS, BOB)).when(c.ReleaseAddress(actor=ANA, address=BOBS)).refused(Reason.PERMISSION_MISSING)


# ---- A5, A6: tools

TOOLS = ("one_to_one", "sequences", "extension", "meetings")


@pytest.mark.parametrize("tool", TOOLS)
def test_a6_every_tool_needs_a_personal_connection(tool: str) -> None:
    def bind(address: str, actor: str) -> c.BindTool:
        return c.BindTool.model_validate({"actor": actor, "address": address, "tool": tool})

    bound = e.ToolBound.model_validate({"address": BOBS, "tool": tool})
    given(OWN).when(bind(BOBS, BOB)).then(bound)
    given(OWN, bound).when(bind(BOBS, BOB)).unchanged()
    given().when(bind(BOBS, BOB)).refused(Reason.PERSONAL_CONNECTION_REQUIRED, tool=tool).next("ConnectPersonal")
    forbidden = Reason.TEAM_ADDRESS_IN_MEETINGS_FORBIDDEN if tool == "meetings" else Reason.PERSONAL_CONNECTION_REQUIRED
    given(TEAMS).when(bind(SHARED, ANA)).refused(forbidden, tool=tool).next("ConnectPersonal")


def test_a_tool_is_unbound_once() -> None:
    unbind = c.UnbindTool(actor=BOB, address=BOBS, tool="meetings")
    given(OWN, e.ToolBound(address=BOBS, tool="meetings")).when(unbind).then(
        e.ToolUnbound(address=BOBS, tool="meetings")
    )
    given(OWN).when(unbind).unchanged()


def test_a_paused_or_broken_connection_still_binds_tools() -> None:
    given(OWN, PAUSED, BROKEN).when(c.BindTool(actor=BOB, address=BOBS, tool="extension")).accepted("ToolBound")


# ---- A7: aliases


def add(name: str, address: str = BOBS, actor: str = BOB) -> c.AddAlias:
    return c.AddAlias(actor=actor, address=address, alias=name)


def test_a7_an_alias_is_claimed_for_its_primary() -> None:
    given(OWN).when(add("Other@acme.example")).then(
        e.AliasAdded(address=OTHER, display="Other@acme.example", primary=BOBS, canonical_form=CANONICAL_FORM)
    )
    given(OWN, alias(OTHER, BOBS)).when(add(OTHER)).unchanged()
    given(TEAMS).when(add(OTHER, SHARED, ANA)).accepted("AliasAdded")


def test_a7_what_is_taken_is_no_alias_not_even_ones_own() -> None:
    given(OWN, personal(OTHER, CLEO)).when(add(OTHER)).refused(Reason.ADDRESS_ALREADY_PERSONAL)
    given(OWN, personal(OTHER, BOB)).when(add(OTHER)).refused(Reason.ADDRESS_ALREADY_PERSONAL, holder=BOB)
    given(OWN, team(OTHER, "support")).when(add(OTHER)).refused(Reason.ADDRESS_ALREADY_TEAM)
    given(OWN, *orphan(OTHER, CLEO)).when(add(OTHER)).refused(Reason.ADDRESS_ORPHANED)
    given(OWN, personal("c@acme.example", CLEO), alias(OTHER, "c@acme.example")).when(add(OTHER)).refused(
        Reason.ADDRESS_IS_ALIAS
    )


def test_a7_an_alias_of_the_address_itself_is_no_command() -> None:
    given(OWN).when(add("BOB@acme.example")).refused(Reason.COMMAND_INVALID)
    given(OWN).when(c.RemoveAlias(actor=BOB, address=BOBS, alias=BOBS)).refused(Reason.NOT_CONNECTED)


def test_a7_the_primary_comes_before_the_alias() -> None:
    given(personal(OTHER, CLEO)).when(add(OTHER)).refused(Reason.NOT_CONNECTED, address=BOBS)
    given(*orphan(BOBS, BOB), personal(OTHER, CLEO)).when(add(OTHER, actor=ADA)).refused(Reason.ADDRESS_ORPHANED)


def test_a7_an_alias_is_removed_from_its_primary() -> None:
    remove = c.RemoveAlias(actor=BOB, address=BOBS, alias=OTHER)
    given(OWN, alias(OTHER, BOBS)).when(remove).then(e.AliasRemoved(address=OTHER, primary=BOBS))
    given(OWN).when(remove).refused(Reason.NOT_CONNECTED, address=OTHER).next("AddAlias")
    given(OWN, personal("c@acme.example", CLEO), alias(OTHER, "c@acme.example")).when(remove).refused(
        Reason.NOT_CONNECTED
    ).never_saying(CLEO, "c@acme.example")
    given(personal(OTHER, CLEO)).when(remove).refused(Reason.NOT_CONNECTED, address=BOBS)


OF_ADMINS: list[Fact] = [
    c.MoveTeamAddress(actor=ADA, address=OTHER, to_inbox="support"),
    c.ConvertConnection(actor=ADA, address=OTHER, to="team", inbox="support"),
    c.TransferOwnership(actor=ADA, address=OTHER, new_owner=CLEO),
    c.ReclaimAddress(actor=ADA, address=OTHER, new_owner=CLEO),
    c.ReleaseAddress(actor=ADA, address=OTHER),
]


@pytest.mark.parametrize("command", OF_ADMINS, ids=lambda command: type(command).__name__)
def test_a7_every_other_command_that_names_an_alias_is_refused(command: c.Command) -> None:
    given(OWN, alias(OTHER, BOBS)).when(command).refused(Reason.ADDRESS_IS_ALIAS, primary=BOBS).next("RemoveAlias")


# ---- From name


def test_s17_the_from_name_can_be_changed() -> None:
    named_now = e.FromNameChanged(address=SHARED, from_name="Acme Support")
    given(TEAMS).when(c.SetFromName(actor=ANA, address=SHARED, from_name="Acme Support")).then(named_now)
    given(TEAMS, named_now).when(c.SetFromName(actor=ANA, address=SHARED, from_name="Acme Support")).unchanged()


# ---- A1, A3, A5 on every situation

CLAIMED: dict[str, tuple[Fact, ...]] = {
    "personal": (personal(OTHER, BOB),),
    "team": (team(OTHER, "sales"),),
    "orphaned": orphan(OTHER, BOB),
    "alias": (personal("p@acme.example", BOB), alias(OTHER, "p@acme.example")),
}
CLAIMS: list[c.Command] = [
    c.ConnectPersonal(actor=CLEO, address=OTHER, owner=CLEO),
    c.ConnectTeam(actor=ANA, address=OTHER, inbox="support", visibility_acknowledged=True),
    c.AddAlias(actor=CLEO, address="cleo@acme.example", alias=OTHER),
]


@pytest.mark.parametrize("claim", CLAIMS, ids=named)
@pytest.mark.parametrize("situation", CLAIMED)
def test_a1_whatever_is_claimed_is_not_claimed_again(situation: str, claim: c.Command) -> None:
    then = given(personal("cleo@acme.example", CLEO), *CLAIMED[situation]).when(claim)
    assert then.reply["reason"].startswith("ADDRESS_")


def test_a3_a_team_claim_names_exactly_one_open_inbox() -> None:
    archived = (c.ArchiveInbox(actor=ANA, inbox="sales"), TEAMS, personal(ANAS, ANA))
    for to_sales in (
        c.ConnectTeam(actor=ANA, address=OTHER, inbox="sales", visibility_acknowledged=True),
        c.MoveTeamAddress(actor=ANA, address=SHARED, to_inbox="sales"),
        to_team(inbox="sales"),
    ):
        given(*archived).when(to_sales).refused(Reason.INBOX_ARCHIVED)
    given(TEAMS).when(c.ConnectTeam(actor=ANA, address=SHARED, inbox="sales")).refused(Reason.ADDRESS_IN_OTHER_INBOX)


def test_a5_what_meetings_uses_becomes_no_team_address_until_it_is_unbound() -> None:
    meetings = e.ToolBound(address=ANAS, tool="meetings")
    given(ANAS_OWN, meetings).when(to_team()).refused(Reason.ADDRESS_USED_BY_MEETINGS)
    unbound = c.UnbindTool(actor=ANA, address=ANAS, tool="meetings")
    given(ANAS_OWN, meetings, unbound).when(to_team()).accepted("ConnectionConverted")
