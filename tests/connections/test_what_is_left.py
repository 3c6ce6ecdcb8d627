"""Lists that name people who are gone, names of archived inboxes, inboxes that nobody reads: as the field complains."""

from typing import Any

import pytest

from shared.language import commands as c
from shared.language import events as e
from shared.language.reasons import Reason
from shared.language.rules import ContactOwner, UsersAndTeams
from tests.connections.given_when_then import ADA, ANA, BOB, CLEO, DAN, Fact, Then, given, personal, team

HELP = "help@acme.example"
BOB_GOES: tuple[Fact, ...] = (c.DeactivateUser(actor=ADA, user=BOB), c.RemoveUser(actor=ADA, user=BOB))
ONLY_BOB = c.SetInboxAccess(actor=ANA, inbox="support", access="members", members=(BOB,))
CREW = c.CreateTeam(actor=ANA, team="crew", name="Crew", members=(BOB,))


def warning(then: Then, code: str) -> dict[str, Any]:
    (found,) = (one for one in then.reply["warnings"] if one["code"] == code)
    return dict(found)


# ---- opal 1961: a new user under an old name


def test_opal_1961_a_newcomer_under_an_old_id_is_told_of_the_places_that_name_it() -> None:
    rule = ContactOwner(fallback=UsersAndTeams(users=(BOB,)))
    places = (
        ONLY_BOB,
        CREW,
        c.AssignSeat(actor=ADA, user=BOB),
        c.SetRouting(actor=ANA, inbox="support", rule=rule),
        c.CreateInbox(actor=ANA, inbox="old", name="Old", members=(BOB,)),
        c.ArchiveInbox(actor=ANA, inbox="old"),
    )
    then = given(*places, *BOB_GOES).when(c.AddUser(actor=ADA, user=BOB, name="Robin Newcomer", permissions=()))
    told = warning(then.accepted("UserAdded"), "PLACES_RETURNED")
    assert (told["inboxes"], told["teams"], told["rules"]) == (["old", "support"], ["crew"], ["support"])
    assert told["count"] == 4


def test_one_who_is_brought_back_or_whom_nothing_names_hears_of_no_places() -> None:
    given(ONLY_BOB, *BOB_GOES).when(c.ReactivateUser(actor=ADA, user=BOB)).accepted("UserReactivated").warned()
    given(*BOB_GOES).when(c.AddUser(actor=ADA, user=BOB, name="Robin", permissions=())).accepted("UserAdded").warned()


# ---- zammad 5209: an inbox that nobody reads


def test_zammad_5209_the_last_reader_who_goes_is_warned_of() -> None:
    goes = c.DeactivateUser(actor=ADA, user=BOB)
    then = given(ONLY_BOB, team(HELP, "support")).when(goes)
    assert warning(then, "INBOX_WITHOUT_READERS")["inboxes"] == ["support"]
    given(ONLY_BOB, team(HELP, "support"), goes).when(c.RemoveUser(actor=ADA, user=BOB)).warned("INBOX_WITHOUT_READERS")
    given(ONLY_BOB).when(goes).warned()
    given(team(HELP, "support")).when(goes).warned()


@pytest.mark.parametrize(
    "command",
    [
        c.ConnectTeam(actor=ANA, address=HELP, inbox="support", visibility_acknowledged=True),
        c.MoveTeamAddress(actor=ANA, address="sales@acme.example", to_inbox="support"),
        c.ConvertConnection(
            actor=ANA, address="ana@acme.example", to="team", inbox="support", visibility_acknowledged=True
        ),
        c.SetTeamMembers(actor=ANA, team="crew", members=()),
        c.SetInboxAccess(actor=ANA, inbox="support", access="members"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_zammad_5209_whatever_leaves_an_address_without_readers_says_so(command: c.Command) -> None:
    crew_only = c.SetInboxAccess(actor=ANA, inbox="support", access="members", teams=("crew",))
    empty = c.SetTeamMembers(actor=ANA, team="crew", members=()) if not isinstance(command, c.SetTeamMembers) else None
    facts: tuple[Fact, ...] = (
        CREW,
        crew_only,
        team("info@acme.example", "support"),
        team("sales@acme.example", "sales"),
        personal("ana@acme.example", ANA),
        *([empty] if empty else []),
    )
    assert warning(given(*facts).when(command), "INBOX_WITHOUT_READERS")["inboxes"] == ["support"]


def test_access_for_nobody_is_warned_of_also_while_there_is_no_address() -> None:
    given().when(c.SetInboxAccess(actor=ANA, inbox="sales", access="members")).warned("INBOX_WITHOUT_READERS")


def test_one_active_member_among_many_is_enough() -> None:
    gone = [c.AddUser(actor=ADA, user=f"u{n}", name="U", permissions=()) for n in range(30)]
    away = [c.DeactivateUser(actor=ADA, user=f"u{n}") for n in range(30)]
    members = (*(f"u{n}" for n in range(30)), "zoe")
    facts: tuple[Fact, ...] = (
        *gone,
        c.AddUser(actor=ADA, user="zoe", name="Zoe", permissions=()),
        *away,
        team(HELP, "support"),
    )
    access = c.SetInboxAccess(actor=ANA, inbox="support", access="members", members=members)
    given(*facts).when(access).warned()
    given(*facts, access).when(c.DeactivateUser(actor=ADA, user="zoe")).warned("INBOX_WITHOUT_READERS")


def test_an_inbox_of_members_may_have_none_and_one_without_the_field_is_everyones() -> None:
    def access(then: Then) -> str:
        return str(then.state("inbox", "new").access)

    assert access(given().when(c.CreateInbox(actor=ANA, inbox="new", name="New", members=()))) == "members"
    assert access(given().when(c.CreateInbox(actor=ANA, inbox="new", name="New"))) == "everyone"


# ---- zulip 32876: the name of something archived


def test_zulip_32876_the_name_of_an_archived_inbox_can_be_had_in_two_steps() -> None:
    archived = (c.ArchiveInbox(actor=ANA, inbox="sales"),)
    wants = c.CreateInbox(actor=ANA, inbox="new", name="SALES")
    then = given(*archived).when(wants).refused(Reason.INBOX_NAME_TAKEN, inbox="sales", archived=True)
    assert "archived inbox sales" in then.next("RenameInbox").reply["message"]
    renames = c.RenameInbox(actor=ANA, inbox="sales", name="Sales (old)")
    given(*archived).when(renames).accepted("InboxRenamed")
    given(*archived, renames).when(wants).accepted("InboxCreated")


def test_a_step_that_would_be_refused_for_want_of_a_place_is_named_with_what_makes_one() -> None:
    more = [c.CreateInbox(actor=ANA, inbox=f"i{n}", name=f"I{n}") for n in range(3)]
    full = (c.ArchiveInbox(actor=ANA, inbox="sales"), *more)
    connects = c.ConnectTeam(actor=ANA, address=HELP, inbox="sales", visibility_acknowledged=True)
    then = given(*full).when(connects).refused(Reason.INBOX_ARCHIVED, archived=True)
    assert [one["command"] for one in then.reply["next_actions"]] == ["ChangePlan", "ArchiveInbox", "RestoreInbox"]
    again = c.CreateInbox(actor=ANA, inbox="sales", name="Sales")
    given(*full).when(again).refused(Reason.INBOX_EXISTS, archived=True).next("RestoreInbox", "ArchiveInbox")


def test_who_is_asleep_is_said_and_how_they_come_back() -> None:
    away = c.DeactivateUser(actor=ADA, user=BOB)
    given(away).when(c.AddUser(actor=ADA, user=BOB, name="Bob", permissions=())).refused(
        Reason.USER_EXISTS, status="deactivated"
    ).next("ReactivateUser")
    given(*BOB_GOES).when(c.AssignSeat(actor=ADA, user=BOB)).refused(Reason.USER_NOT_FOUND, status="removed").next(
        "ReactivateUser"
    )


# ---- indico 4872: a group with a deleted member


@pytest.mark.parametrize(
    "command",
    [
        c.SetTeamMembers(actor=ANA, team="crew", members=(BOB, CLEO)),
        c.CreateTeam(actor=ANA, team="new", name="New", members=(BOB,)),
        c.SetInboxAccess(actor=ANA, inbox="support", access="members", members=(BOB, CLEO)),
        c.CreateInbox(actor=ANA, inbox="new", name="New", members=(BOB,)),
        c.SetRouting(actor=ANA, inbox="support", rule=UsersAndTeams(users=(BOB, CLEO))),
    ],
    ids=lambda command: type(command).__name__,
)
def test_indico_4872_a_list_that_names_somebody_who_is_gone_is_given_without_them(command: c.Command) -> None:
    then = given(CREW, *BOB_GOES).when(command).refused(Reason.USER_NOT_FOUND, user=BOB, status="removed")
    assert [one["command"] for one in then.reply["next_actions"]] == [type(command).__name__, "ReactivateUser"]


def test_a_team_that_is_not_there_is_left_out_or_created() -> None:
    command = c.SetInboxAccess(actor=ANA, inbox="support", access="members", teams=("nowhere",))
    then = given().when(command).refused(Reason.TEAM_NOT_FOUND, team="nowhere", field="teams")
    assert [one["command"] for one in then.reply["next_actions"]] == ["SetInboxAccess", "CreateTeam"]


# ---- advice by roles that suffice


WANTS_TEAM = c.ConnectTeam(actor=ADA, address="bob@acme.example", inbox="support", visibility_acknowledged=True)


def by(then: Then, command: str) -> list[str]:
    (found,) = (one["by"] for one in then.reply["next_actions"] if one["command"] == command)
    return list(found)


def test_an_owner_who_may_not_convert_is_not_advised_to() -> None:
    held = personal("bob@acme.example", BOB)
    assert by(given(held).when(WANTS_TEAM), "ConvertConnection") == ["service"]
    able = c.SetPermissions(actor=ADA, user=BOB, permissions=("account_access", "personal_email_access"))
    assert by(given(held, able).when(WANTS_TEAM), "ConvertConnection") == ["owner"]


def test_an_owner_who_is_away_is_not_advised_to_do_anything() -> None:
    away = c.DeactivateUser(actor=ADA, user=BOB)
    then = given(personal("bob@acme.example", BOB), away).when(WANTS_TEAM)
    then.refused(Reason.ADDRESS_ALREADY_PERSONAL, holder_status="deactivated")
    assert by(then, "Disconnect") == by(then, "TransferOwnership") == ["super_admin"]


def test_one_who_may_not_see_the_owner_learns_nothing_of_them_from_the_advice() -> None:
    facts = personal("bob@acme.example", BOB)
    wants = c.ConnectPersonal(actor=CLEO, owner=CLEO, address="bob@acme.example")
    away = c.DeactivateUser(actor=ADA, user=BOB)
    here, gone = given(facts).when(wants).reply, given(facts, away).when(wants).reply
    assert here | {"command_id": ""} == gone | {"command_id": ""}


def test_the_alias_of_an_orphan_is_freed_with_the_orphan() -> None:
    facts = (
        personal("bob@acme.example", BOB),
        e.AliasAdded(address="b@acme.example", display="b@acme.example", primary="bob@acme.example", canonical_form=1),
        *BOB_GOES,
    )
    then = given(*facts).when(c.ConnectPersonal(actor=ADA, owner=ADA, address="b@acme.example"))
    commands = [one["command"] for one in then.refused(Reason.ADDRESS_IS_ALIAS).reply["next_actions"]]
    assert "RemoveAlias" not in commands
    assert "ReleaseAddress" in commands


def test_nobody_without_the_permission_is_advised_to_connect_as_personal() -> None:
    then = given().when(c.SetFromName(actor=DAN, address="free@acme.example", from_name="x"))
    assert by(then.refused(Reason.NOT_CONNECTED), "ConnectPersonal") == ["personal_email_access"]
