"""User: active, deactivated, removed and back; permissions, seats, preferences; the last super admin stays."""

from typing import Any

import pytest

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
    personal,
    team,
)

BOBS = "bob@acme.example"
SHARED = "support@acme.example"
GONE: tuple[Fact, ...] = (c.DeactivateUser(actor=ADA, user=BOB), c.RemoveUser(actor=ADA, user=BOB))


# ---- beginnings


def test_a_new_user_begins_active_available_and_without_a_seat() -> None:
    then = given().when(c.AddUser(actor=ADA, user="eve", name="Eve", permissions=("super_admin",)))
    then.then(e.UserAdded(user="eve", name="Eve", permissions=("super_admin",))).warned()
    then.leaves("user", "eve", lambda eve: eve.active and not eve.seat and eve.availability == "available")
    then.leaves("user", "eve", lambda eve: eve.logging.log_replies and not eve.logging.track_clicks)


def test_permissions_are_a_sorted_set() -> None:
    given().when(
        c.AddUser(actor=ADA, user="eve", name="Eve", permissions=("super_admin", "account_access", "super_admin"))
    ).then(e.UserAdded(user="eve", name="Eve", permissions=("account_access", "super_admin")))


def test_a_user_who_exists_is_not_added_again_active_or_deactivated() -> None:
    again = c.AddUser(actor=ADA, user=BOB, name="Bob", permissions=("personal_email_access",))
    given().when(again).refused(Reason.USER_EXISTS)
    given(c.DeactivateUser(actor=ADA, user=BOB)).when(again).refused(Reason.USER_EXISTS)


def test_an_id_that_was_removed_begins_anew() -> None:
    signed = c.SetSignature(actor=BOB, user=BOB, signature="Bob")
    then = given(signed, *GONE).when(c.AddUser(actor=ADA, user=BOB, name="Another Bob", permissions=()))
    then.then(e.UserAdded(user=BOB, name="Another Bob")).leaves("user", BOB, lambda bob: bob.signature == "")


# ---- who may

OF_SUPER_ADMINS: list[c.Command] = [
    c.AddUser(actor=ANA, user=ADA, name="x", permissions=()),
    c.SetPermissions(actor=ANA, user="nobody", permissions=()),
    c.AssignSeat(actor=ANA, user="nobody"),
    c.UnassignSeat(actor=ANA, user="nobody"),
    c.DeactivateUser(actor=ANA, user="nobody"),
    c.ReactivateUser(actor=ANA, user="nobody"),
    c.RemoveUser(actor=ANA, user="nobody"),
]
OF_ONESELF: list[c.Command] = [
    c.SetDefaultSender(actor=ADA, user="nobody", address=BOBS),
    c.SetSignature(actor=ADA, user="nobody", signature=""),
    c.SetDefaultFont(actor=ADA, user="nobody", font="Arial"),
    c.SetLoggingPreferences(actor=ADA, user="nobody", track_opens=True),
]


@pytest.mark.parametrize("command", OF_SUPER_ADMINS, ids=lambda command: type(command).__name__)
def test_super_admins_manage_users_and_permission_comes_before_the_user(command: c.Command) -> None:
    given().when(command).refused(Reason.PERMISSION_MISSING, permission="super_admin")


@pytest.mark.parametrize("command", OF_ONESELF, ids=lambda command: type(command).__name__)
def test_preferences_are_set_by_oneself_not_even_by_a_super_admin(command: c.Command) -> None:
    given().when(command).refused(Reason.PERMISSION_MISSING, permission="self")


@pytest.mark.parametrize("command", [*OF_SUPER_ADMINS[1:], *OF_ONESELF], ids=lambda command: type(command).__name__)
def test_a_service_passes_the_permission_and_no_other_rule(command: c.Command) -> None:
    given().when(command.model_copy(update={"actor": HR})).refused(Reason.USER_NOT_FOUND, user="nobody")


@pytest.mark.parametrize("gone", [GONE[:1], GONE], ids=["deactivated", "removed"])
def test_an_actor_who_is_not_active_may_do_nothing(gone: tuple[Fact, ...]) -> None:
    given(*gone).when(c.SetSignature(actor=BOB, user=BOB, signature="x")).refused(
        Reason.PERMISSION_MISSING, permission="active_user"
    )


def test_an_unknown_actor_may_do_nothing() -> None:
    given().when(c.SetSignature(actor="nobody", user="nobody", signature="x")).refused(Reason.PERMISSION_MISSING)


@pytest.mark.parametrize(
    "command",
    [
        c.SetPermissions(actor=ADA, user=BOB, permissions=()),
        c.AssignSeat(actor=ADA, user=BOB),
        c.UnassignSeat(actor=ADA, user=BOB),
        c.DeactivateUser(actor=ADA, user=BOB),
        c.SetAvailability(actor=ADA, user=BOB, availability="away"),
        c.SetSignature(actor=HR, user=BOB, signature="x"),
        c.CreateTeam(actor=ANA, team="crew", name="Crew", members=(BOB,)),
        c.CreateInbox(actor=ANA, inbox="new", name="New", members=(BOB,)),
        c.TransferOwnership(actor=ADA, address="x@acme.example", new_owner=BOB),
    ],
    ids=lambda command: type(command).__name__,
)
def test_a_removed_user_is_not_found(command: c.Command) -> None:
    given(*GONE).when(command).refused(Reason.USER_NOT_FOUND, user=BOB).next("ReactivateUser")


# ---- permissions and seats


def test_permissions_are_replaced_as_a_set() -> None:
    given().when(c.SetPermissions(actor=ADA, user=BOB, permissions=("account_access",))).then(
        e.PermissionsChanged(user=BOB, permissions=("account_access",))
    )
    given().when(
        c.SetPermissions(actor=ADA, user=ANA, permissions=("personal_email_access", "account_access"))
    ).unchanged()


def test_a_permission_taken_keeps_the_claim() -> None:
    then = given(personal(BOBS, BOB)).when(c.SetPermissions(actor=ADA, user=BOB, permissions=()))
    then.accepted("PermissionsChanged").leaves("address", BOBS, lambda claim: claim.owner == BOB)


def test_a_seat_is_assigned_and_unassigned_once() -> None:
    seated = e.SeatAssigned(user=BOB)
    given().when(c.AssignSeat(actor=ADA, user=BOB)).then(seated)
    given(seated).when(c.AssignSeat(actor=ADA, user=BOB)).unchanged()
    given(seated).when(c.UnassignSeat(actor=ADA, user=BOB)).then(e.SeatUnassigned(user=BOB))
    given().when(c.UnassignSeat(actor=ADA, user=BOB)).unchanged()


def test_d1_the_last_super_admin_keeps_the_permission() -> None:
    given().when(c.SetPermissions(actor=ADA, user=ADA, permissions=("account_access",))).refused(
        Reason.LAST_SUPER_ADMIN, user=ADA
    )
    given().when(c.SetPermissions(actor=ADA, user=ADA, permissions=("super_admin",))).accepted("PermissionsChanged")


def test_d1_the_last_super_admin_is_not_deactivated_not_even_by_a_service() -> None:
    given().when(c.DeactivateUser(actor=HR, user=ADA)).refused(Reason.LAST_SUPER_ADMIN).next("SetPermissions")


def test_d1_one_of_two_super_admins_may_go_but_not_after_the_other_did() -> None:
    second = c.SetPermissions(actor=ADA, user=ANA, permissions=("super_admin",))
    given(second).when(c.DeactivateUser(actor=ADA, user=ADA)).accepted("UserDeactivated")
    given(second, c.DeactivateUser(actor=ADA, user=ANA)).when(c.DeactivateUser(actor=ADA, user=ADA)).refused(
        Reason.LAST_SUPER_ADMIN
    )


# ---- coming and going


def test_deactivating_keeps_claims_and_is_said_once() -> None:
    given(personal(BOBS, BOB)).when(c.DeactivateUser(actor=ADA, user=BOB)).then(e.UserDeactivated(user=BOB)).leaves(
        "address", BOBS, lambda claim: claim.owner == BOB
    )
    given(GONE[0]).when(c.DeactivateUser(actor=ADA, user=BOB)).unchanged()


def test_a_deactivated_user_is_reactivated_and_an_active_one_is_unchanged() -> None:
    given(GONE[0]).when(c.ReactivateUser(actor=ADA, user=BOB)).then(e.UserReactivated(user=BOB))
    given().when(c.ReactivateUser(actor=ADA, user=BOB)).unchanged()


def test_who_never_existed_is_neither_reactivated_nor_removed() -> None:
    given().when(c.ReactivateUser(actor=ADA, user="nobody")).refused(Reason.USER_NOT_FOUND)
    given().when(c.RemoveUser(actor=ADA, user="nobody")).refused(Reason.USER_NOT_FOUND)


def test_d1_only_a_deactivated_user_is_removed() -> None:
    given().when(c.RemoveUser(actor=ADA, user=BOB)).refused(Reason.USER_NOT_DEACTIVATED).next("DeactivateUser")


def test_a_removed_user_is_unchanged_when_removed_again() -> None:
    given(*GONE).when(c.RemoveUser(actor=ADA, user=BOB, policy="release")).unchanged()


def test_removing_frees_the_seat_and_keeps_permissions_and_preferences() -> None:
    kept = (c.AssignSeat(actor=ADA, user=BOB), c.SetSignature(actor=BOB, user=BOB, signature="Bob"))
    then = given(*kept, *GONE).when(c.ReactivateUser(actor=ADA, user=BOB))
    then.then(e.UserReactivated(user=BOB)).leaves("user", BOB, lambda bob: not bob.seat and bob.signature == "Bob")
    then.leaves("user", BOB, lambda bob: bob.permissions == {"personal_email_access"})


# ---- D3: what becomes of a removed user's addresses

TWO: tuple[Fact, ...] = (personal("b1@acme.example", BOB), personal(BOBS, BOB), alias("b2@acme.example", BOBS))


def test_d3_by_default_addresses_are_orphaned_with_everything_on_them() -> None:
    tool = e.ToolBound(address=BOBS, tool="meetings")
    then = given(*TWO, tool, GONE[0]).when(c.RemoveUser(actor=ADA, user=BOB))
    then.then(
        e.UserRemoved(user=BOB, policy="orphan"),
        e.AddressOrphaned(address="b1@acme.example", owner=BOB),
        e.AddressOrphaned(address=BOBS, owner=BOB),
    )
    then.leaves("address", BOBS, lambda claim: claim.tools == {"meetings"})
    then.leaves("address", "b2@acme.example", lambda claim: claim.primary == BOBS)


def test_d3_released_addresses_are_free_with_their_aliases() -> None:
    given(*TWO, GONE[0]).when(c.RemoveUser(actor=ADA, user=BOB, policy="release")).then(
        e.UserRemoved(user=BOB, policy="release"),
        e.AddressReleased(address="b1@acme.example", owner=BOB),
        e.AddressReleased(address=BOBS, owner=BOB),
        e.AliasRemoved(address="b2@acme.example", primary=BOBS),
    )


def test_d3_transferred_addresses_keep_their_aliases_and_lose_tools_and_from_name() -> None:
    named = (e.ToolBound(address=BOBS, tool="sequences"), e.FromNameChanged(address=BOBS, from_name="Bob"))
    then = given(*TWO, *named, GONE[0]).when(c.RemoveUser(actor=ADA, user=BOB, policy="transfer_to", new_owner=CLEO))
    then.accepted("UserRemoved", "OwnershipTransferred", "OwnershipTransferred")
    then.leaves("address", BOBS, lambda claim: claim.owner == CLEO and not claim.tools)
    then.leaves("address", BOBS, lambda claim: claim.from_name is None)
    then.leaves("address", "b2@acme.example", lambda claim: claim.primary == BOBS)


@pytest.mark.parametrize(
    ("new_owner", "before", "reason"),
    [
        ("nobody", (), Reason.USER_NOT_FOUND),
        (CLEO, (c.DeactivateUser(actor=ADA, user=CLEO),), Reason.OWNER_NOT_ACTIVE),
        (DAN, (), Reason.PERMISSION_MISSING),
        (BOB, (), Reason.OWNER_NOT_ACTIVE),
    ],
)
def test_d3_the_new_owner_must_be_able_to_own(new_owner: str, before: tuple[Fact, ...], reason: Reason) -> None:
    given(*TWO, *before, GONE[0]).when(
        c.RemoveUser(actor=ADA, user=BOB, policy="transfer_to", new_owner=new_owner)
    ).refused(reason, user=new_owner)


def test_d3_the_user_comes_before_the_new_owner() -> None:
    remove = c.RemoveUser(actor=ADA, user=BOB, policy="transfer_to", new_owner="nobody")
    given().when(remove).refused(Reason.USER_NOT_DEACTIVATED)
    given(*GONE).when(remove).refused(Reason.USER_NOT_FOUND, user="nobody")


def test_a4_a_team_connection_survives_the_removal_of_its_connector() -> None:
    before = (team(SHARED, "support", ANA), c.DeactivateUser(actor=ADA, user=ANA))
    then = given(*before).when(c.RemoveUser(actor=ADA, user=ANA))
    then.then(e.UserRemoved(user=ANA, policy="orphan")).leaves("address", SHARED, lambda claim: claim.connector == ANA)


# ---- A10: the former owner returns

ORPHANED: tuple[Fact, ...] = (
    personal(BOBS, BOB, provider="google", provider_identity="b-1", from_name="Bob"),
    e.ToolBound(address=BOBS, tool="meetings"),
    e.ConnectionPaused(address=BOBS, receive=True, send=False, receiving=False, sending=True),
    e.ReauthenticationRequired(address=BOBS, cause="token revoked"),
    *GONE,
)


def is_as_it_was(claim: Any) -> bool:
    same = claim.tools == {"meetings"} and claim.from_name == "Bob" and claim.provider_identity == "b-1"
    return bool(claim.owner == BOB and same and not claim.receiving and claim.sending and claim.reauthenticate)


def test_a10_a_reactivated_owner_gets_his_addresses_back_with_all_that_was_on_them() -> None:
    then = given(*ORPHANED).when(c.ReactivateUser(actor=ADA, user=BOB))
    then.then(
        e.UserReactivated(user=BOB),
        e.AddressReclaimed(address=BOBS, from_=BOB, owner=BOB, cause="owner_returned"),
    )
    then.leaves("address", BOBS, is_as_it_was)


def test_a10_an_owner_added_again_gets_them_back_and_the_count_is_told() -> None:
    then = given(*ORPHANED).when(c.AddUser(actor=ADA, user=BOB, name="Bob", permissions=("personal_email_access",)))
    then.accepted("UserAdded", "AddressReclaimed").warned("ADDRESSES_RETURNED").leaves("address", BOBS, is_as_it_was)
    assert then.reply["warnings"][0]["count"] == 1


def test_a10_what_was_left_by_an_earlier_removal_does_not_come_back() -> None:
    again = (
        c.AddUser(actor=ADA, user=BOB, name="Bob", permissions=()),
        c.SetPermissions(actor=ADA, user=BOB, permissions=("personal_email_access",)),
        *GONE,
    )
    given(*ORPHANED, *again).when(c.ReactivateUser(actor=ADA, user=BOB)).then(e.UserReactivated(user=BOB))


def test_a10_without_the_permission_they_stay_orphaned() -> None:
    then = given(*ORPHANED).when(c.AddUser(actor=ADA, user=BOB, name="Bob", permissions=("account_access",)))
    then.accepted("UserAdded").warned().leaves("address", BOBS, lambda claim: type(claim).__name__ == "Orphaned")
    before_removal = c.SetPermissions(actor=ADA, user=BOB, permissions=())
    given(personal(BOBS, BOB), before_removal, *GONE).when(c.ReactivateUser(actor=ADA, user=BOB)).accepted(
        "UserReactivated"
    )


def test_a10_what_was_given_away_since_does_not_come_back() -> None:
    given(*ORPHANED, c.ReclaimAddress(actor=ADA, address=BOBS, new_owner=CLEO)).when(
        c.ReactivateUser(actor=ADA, user=BOB)
    ).then(e.UserReactivated(user=BOB))


def test_a10_what_was_released_since_does_not_come_back() -> None:
    given(*ORPHANED, c.ReleaseAddress(actor=ADA, address=BOBS)).when(c.ReactivateUser(actor=ADA, user=BOB)).then(
        e.UserReactivated(user=BOB)
    )


def test_s14_recreate_the_user_then_disconnect_works() -> None:
    back = c.AddUser(actor=ADA, user=BOB, name="Bob", permissions=("personal_email_access",))
    given(*ORPHANED, back).when(c.Disconnect(actor=ADA, address=BOBS)).accepted("Disconnected")


def test_reactivating_a_deactivated_user_touches_no_address() -> None:
    given(personal(BOBS, BOB), GONE[0]).when(c.ReactivateUser(actor=ADA, user=BOB)).then(e.UserReactivated(user=BOB))


# ---- availability and preferences


def test_availability_is_set_by_oneself_or_a_super_admin() -> None:
    away = e.AvailabilityChanged(user=BOB, availability="away", cause="lunch")
    for actor in (BOB, ADA, HR):
        given().when(c.SetAvailability(actor=actor, user=BOB, availability="away", cause="lunch")).then(away)
    given().when(c.SetAvailability(actor=ANA, user=BOB, availability="away")).refused(Reason.PERMISSION_MISSING)
    given().when(c.SetAvailability(actor=ADA, user="nobody", availability="away")).refused(Reason.USER_NOT_FOUND)


def test_the_same_availability_is_unchanged() -> None:
    given().when(c.SetAvailability(actor=BOB, user=BOB, availability="available", cause="back")).unchanged()


def test_signature_and_font_are_kept_as_sent() -> None:
    text = "Bob\n\tSales, Zürich"
    signed = e.SignatureChanged(user=BOB, signature=text)
    given().when(c.SetSignature(actor=BOB, user=BOB, signature=text)).then(signed)
    given(signed).when(c.SetSignature(actor=BOB, user=BOB, signature=text)).unchanged()
    given(signed).when(c.SetSignature(actor=BOB, user=BOB, signature="")).then(
        e.SignatureChanged(user=BOB, signature="")
    )
    fonted = e.DefaultFontChanged(user=BOB, font="Arial", size=11)
    given().when(c.SetDefaultFont(actor=BOB, user=BOB, font="Arial", size=11)).then(fonted)
    given(fonted).when(c.SetDefaultFont(actor=BOB, user=BOB, font="Arial", size=11)).unchanged()
    given(fonted).when(c.SetDefaultFont(actor=BOB, user=BOB, font="Arial")).then(
        e.DefaultFontChanged(user=BOB, font="Arial")
    )


def test_logging_preferences_that_are_absent_stay_and_the_event_has_them_all() -> None:
    given(c.SetLoggingPreferences(actor=BOB, user=BOB, never_log=("Firm.example",))).when(
        c.SetLoggingPreferences(actor=BOB, user=BOB, track_opens=True)
    ).then(
        e.LoggingPreferencesChanged(
            user=BOB, log_replies=True, track_opens=True, track_clicks=False, never_log=("firm.example",)
        )
    )


def test_the_same_logging_preferences_are_unchanged() -> None:
    given().when(c.SetLoggingPreferences(actor=BOB, user=BOB)).unchanged()
    given().when(c.SetLoggingPreferences(actor=BOB, user=BOB, log_replies=True, never_log=())).unchanged()


# ---- D2: the default sender

IN_SALES = team("sales@acme.example", "sales")


def test_d2_a_default_sender_is_one_of_the_users_own_identities() -> None:
    chooses = c.SetDefaultSender(actor=BOB, user=BOB, address="Bob@Acme.example")
    world = given(personal(BOBS, BOB))
    claimed_at = world.world().state("acme", "address", BOBS).claimed_at
    world.when(chooses).then(e.DefaultSenderChanged(user=BOB, address=BOBS, claimed_at=claimed_at))
    given(personal(BOBS, BOB), chooses).when(chooses).unchanged()


def test_d2_aliases_and_the_addresses_of_ones_inboxes_are_identities_too() -> None:
    world = given(personal("cleo@acme.example", CLEO), alias("c2@acme.example", "cleo@acme.example"), IN_SALES)
    for address in ("c2@acme.example", "sales@acme.example"):
        world.when(c.SetDefaultSender(actor=CLEO, user=CLEO, address=address)).accepted("DefaultSenderChanged")


def test_d2_what_is_not_ones_own_is_not_usable_and_the_usable_ones_are_named() -> None:
    given(personal(BOBS, BOB), personal("b1@acme.example", BOB), IN_SALES, team(SHARED, "support")).when(
        c.SetDefaultSender(actor=BOB, user=BOB, address="sales@acme.example")
    ).refused(Reason.IDENTITY_NOT_USABLE, usable=[BOBS, "b1@acme.example", SHARED])


@pytest.mark.parametrize(
    ("trouble", "way"),
    [
        (e.ConnectionPaused(address=BOBS, receive=False, send=True, receiving=True, sending=False), "ConnectPersonal"),
        (e.ReauthenticationRequired(address=BOBS, cause="token revoked"), "ConnectPersonal"),
        (e.PermissionsChanged(user=BOB), "SetPermissions"),
    ],
    ids=["sending is paused", "to be authenticated again", "permission taken (A4)"],
)
def test_d2_an_identity_that_cannot_send_now_is_not_usable_and_there_is_a_way(trouble: e.Event, way: str) -> None:
    then = given(personal(BOBS, BOB), trouble).when(c.SetDefaultSender(actor=BOB, user=BOB, address=BOBS))
    then.refused(Reason.IDENTITY_NOT_USABLE, usable=[])
    assert [action["command"] for action in then.reply["next_actions"]] == [way]


def test_d2_receiving_may_be_paused() -> None:
    paused = e.ConnectionPaused(address=BOBS, receive=True, send=False, receiving=False, sending=True)
    given(personal(BOBS, BOB), paused).when(c.SetDefaultSender(actor=BOB, user=BOB, address=BOBS)).accepted(
        "DefaultSenderChanged"
    )


def test_d2_a_deactivated_user_has_no_usable_identity() -> None:
    given(personal(BOBS, BOB), GONE[0]).when(c.SetDefaultSender(actor=HR, user=BOB, address=BOBS)).refused(
        Reason.IDENTITY_NOT_USABLE, usable=[], status="deactivated"
    ).next("ReactivateUser")
