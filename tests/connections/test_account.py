"""Account: registered once by a trusted service, its plan, its teams, its never-log list."""

import pytest

from shared.language.commands import (
    ChangePlan,
    Command,
    CreateTeam,
    RegisterAccount,
    SetAccountNeverLog,
    SetTeamMembers,
)
from shared.language.events import (
    AccountNeverLogChanged,
    AccountRegistered,
    InboxCreated,
    PlanChanged,
    TeamCreated,
    TeamMembersChanged,
    UserAdded,
)
from shared.language.reasons import Reason
from tests.connections.given_when_then import ADA, ANA, BOB, CLEO, DAN, HR, given, given_nothing

CREW = TeamCreated(team="crew", name="Crew", members=(BOB, CLEO))


def test_registering_makes_the_account_its_first_admin_and_the_default_inbox() -> None:
    given_nothing().when(RegisterAccount(actor=HR, plan="free", admin="zoe")).then(
        AccountRegistered(plan="free", admin="zoe"),
        UserAdded(user="zoe", name="zoe", permissions=("account_access", "personal_email_access", "super_admin")),
        InboxCreated(inbox="inbox", name="Inbox", access="everyone"),
    )


def test_the_first_admin_has_no_seat_and_is_available() -> None:
    then = given_nothing().when(RegisterAccount(actor=HR, plan="free", admin="zoe"))
    then.leaves("user", "zoe", lambda zoe: not zoe.seat and zoe.availability == "available" and zoe.signature == "")
    then.leaves("user", "zoe", lambda zoe: zoe.logging.log_replies and not zoe.logging.track_opens)


def test_only_a_service_registers_an_account() -> None:
    given_nothing().when(RegisterAccount(actor="zoe", plan="free", admin="zoe")).refused(
        Reason.PERMISSION_MISSING, permission="service"
    )


def test_an_account_is_registered_once_even_when_identical() -> None:
    given().when(RegisterAccount(actor=HR, plan="starter", admin=ADA)).refused(Reason.ACCOUNT_EXISTS)


def test_permission_comes_before_the_account_that_exists() -> None:
    given().when(RegisterAccount(actor=ADA, plan="free", admin=ADA)).refused(Reason.PERMISSION_MISSING)


@pytest.mark.parametrize(
    "command",
    [
        ChangePlan(actor=ADA, plan="free"),
        CreateTeam(actor=ADA, team="crew", name="Crew"),
        SetAccountNeverLog(actor="service:x", entries=()),
    ],
)
def test_without_an_account_nothing_is_decided(command: Command) -> None:
    given_nothing().when(command).refused(Reason.ACCOUNT_NOT_FOUND).next("RegisterAccount")


def test_a_super_admin_changes_the_plan() -> None:
    given().when(ChangePlan(actor=ADA, plan="enterprise")).then(PlanChanged(plan="enterprise"))


def test_the_same_plan_is_unchanged() -> None:
    given().when(ChangePlan(actor=ADA, plan="starter")).unchanged()


def test_account_access_alone_does_not_change_the_plan() -> None:
    given().when(ChangePlan(actor=ANA, plan="free")).refused(Reason.PERMISSION_MISSING, permission="super_admin")


def test_a_team_is_a_sorted_set_of_users() -> None:
    given().when(CreateTeam(actor=ANA, team="crew", name="Crew", members=(CLEO, BOB, CLEO))).then(CREW)


def test_a_team_of_nobody_is_a_team() -> None:
    given().when(CreateTeam(actor=ANA, team="crew", name="Crew")).then(TeamCreated(team="crew", name="Crew"))


def test_a_team_that_exists_is_not_made_again_even_when_identical() -> None:
    given(CREW).when(CreateTeam(actor=ANA, team="crew", name="Crew", members=(BOB, CLEO))).refused(Reason.TEAM_EXISTS)


def test_the_first_unknown_member_is_named_before_the_team_that_exists() -> None:
    given(CREW).when(CreateTeam(actor=ANA, team="crew", name="Crew", members=(BOB, "nobody", "nemo"))).refused(
        Reason.USER_NOT_FOUND, user="nobody"
    )


def test_teams_need_account_access() -> None:
    given().when(CreateTeam(actor=BOB, team="crew", name="Crew", members=("nobody",))).refused(
        Reason.PERMISSION_MISSING, permission="account_access"
    )
    given(CREW).when(SetTeamMembers(actor=BOB, team="nowhere", members=())).refused(Reason.PERMISSION_MISSING)


def test_a_super_admin_has_account_access_too() -> None:
    given().when(CreateTeam(actor=ADA, team="crew", name="Crew")).accepted("TeamCreated")


def test_members_are_replaced_as_a_whole() -> None:
    given(CREW).when(SetTeamMembers(actor=ANA, team="crew", members=(DAN,))).then(
        TeamMembersChanged(team="crew", members=(DAN,))
    )


def test_the_same_members_in_another_order_are_unchanged() -> None:
    given(CREW).when(SetTeamMembers(actor=ANA, team="crew", members=(CLEO, BOB, BOB))).unchanged()


def test_the_team_is_looked_at_before_its_members() -> None:
    given().when(SetTeamMembers(actor=ANA, team="crew", members=("nobody",))).refused(
        Reason.TEAM_NOT_FOUND, team="crew"
    )
    given(CREW).when(SetTeamMembers(actor=ANA, team="crew", members=("nobody",))).refused(Reason.USER_NOT_FOUND)


def test_never_log_entries_are_kept_in_canonical_form_and_once() -> None:
    given().when(
        SetAccountNeverLog(actor=ANA, entries=("Lawyer@Firm.Example", "firm.example", "lawyer@firm.example"))
    ).then(AccountNeverLogChanged(entries=("firm.example", "lawyer@firm.example")))


def test_the_same_never_log_entries_are_unchanged() -> None:
    given(AccountNeverLogChanged(entries=("firm.example",))).when(
        SetAccountNeverLog(actor=ANA, entries=("FIRM.example",))
    ).unchanged()


def test_the_never_log_list_can_be_emptied() -> None:
    given(AccountNeverLogChanged(entries=("firm.example",))).when(SetAccountNeverLog(actor=ANA, entries=())).then(
        AccountNeverLogChanged()
    )


def test_a_never_log_entry_that_is_no_address_is_refused_with_its_place() -> None:
    given().when(SetAccountNeverLog(actor=ANA, entries=("firm.example", "a@b@c"))).refused(
        Reason.ADDRESS_INVALID, field="entries.1"
    ).next("SetAccountNeverLog")


def test_the_never_log_list_needs_account_access() -> None:
    given().when(SetAccountNeverLog(actor=BOB, entries=())).refused(Reason.PERMISSION_MISSING)
