"""Inbox: a name of its own, its members, its rule; archived only when empty, and the default one never."""

import pytest

from shared.language import commands as c
from shared.language import events as e
from shared.language.reasons import Reason
from shared.language.rules import ContactOwner, Rule, Unassigned, UsersAndTeams
from tests.connections.given_when_then import ADA, ANA, BOB, CLEO, DAN, HR, Fact, alias, given, personal, team

SHARED = "help@acme.example"
CREW = c.CreateTeam(actor=ANA, team="crew", name="Crew", members=(CLEO,))
ARCHIVED = c.ArchiveInbox(actor=ANA, inbox="support")
FREE_PLAN = c.ChangePlan(actor=ADA, plan="free")

OF_ADMINS: list[c.Command] = [
    c.CreateInbox(actor=BOB, inbox="inbox", name="Inbox", members=("nobody",)),
    c.RenameInbox(actor=BOB, inbox="nowhere", name="x"),
    c.SetInboxAccess(actor=BOB, inbox="nowhere", access="everyone"),
    c.SetRouting(actor=BOB, inbox="nowhere", rule=Unassigned()),
    c.ArchiveInbox(actor=BOB, inbox="nowhere"),
    c.RestoreInbox(actor=BOB, inbox="nowhere"),
]


@pytest.mark.parametrize("command", OF_ADMINS, ids=lambda command: type(command).__name__)
def test_inboxes_need_account_access_before_anything_else(command: c.Command) -> None:
    given().when(command).refused(Reason.PERMISSION_MISSING, permission="account_access")


@pytest.mark.parametrize("command", OF_ADMINS[1:], ids=lambda command: type(command).__name__)
def test_an_inbox_that_never_was_is_not_found(command: c.Command) -> None:
    given().when(command.model_copy(update={"actor": HR})).refused(Reason.INBOX_NOT_FOUND, inbox="nowhere")


@pytest.mark.parametrize(
    "command",
    [
        c.SetInboxAccess(actor=ANA, inbox="support", access="members", members=("nobody",)),
        c.SetRouting(actor=ANA, inbox="support", rule=UsersAndTeams(users=("nobody",))),
        c.ConnectTeam(actor=ANA, address=SHARED, inbox="support"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_b2_an_archived_inbox_takes_part_in_nothing_new(command: c.Command) -> None:
    given(ARCHIVED).when(command).refused(Reason.INBOX_ARCHIVED).next("RestoreInbox")


# ---- create


def test_an_inbox_is_open_to_everyone_unless_members_are_given() -> None:
    given().when(c.CreateInbox(actor=ANA, inbox="new", name="New")).then(
        e.InboxCreated(inbox="new", name="New", access="everyone")
    ).leaves("inbox", "new", lambda inbox: inbox.rule == Unassigned())
    given().when(c.CreateInbox(actor=ANA, inbox="new", name="New", members=(DAN, BOB, DAN))).then(
        e.InboxCreated(inbox="new", name="New", access="members", members=(BOB, DAN))
    )


def test_an_inbox_that_exists_is_not_made_again_even_when_identical() -> None:
    given().when(c.CreateInbox(actor=ANA, inbox="support", name="Support")).refused(Reason.INBOX_EXISTS)
    given(ARCHIVED).when(c.CreateInbox(actor=ANA, inbox="support", name="Other")).refused(Reason.INBOX_EXISTS)


def test_create_refuses_in_order_user_id_name_limit() -> None:
    def create(inbox: str, name: str, *members: str) -> c.CreateInbox:
        return c.CreateInbox(actor=ANA, inbox=inbox, name=name, members=members)

    full = given(FREE_PLAN)
    full.when(create("support", "Inbox", BOB, "nobody")).refused(Reason.USER_NOT_FOUND, user="nobody")
    full.when(create("support", "Inbox", BOB)).refused(Reason.INBOX_EXISTS)
    full.when(create("new", "Inbox")).refused(Reason.INBOX_NAME_TAKEN)
    full.when(create("new", "New")).refused(Reason.INBOX_LIMIT_REACHED, limit=1, used=3)


@pytest.mark.parametrize("name", ["Support", "SUPPORT", " support\u00a0", "suppor\u0074"])
def test_b1_names_are_unique_whatever_the_case_and_the_blanks_around(name: str) -> None:
    given().when(c.CreateInbox(actor=ANA, inbox="new", name=name)).refused(Reason.INBOX_NAME_TAKEN).next("RenameInbox")


@pytest.mark.parametrize(("one", "other"), [("Straße", "STRASSE"), ("Café", "cafe\u0301"), ("\u1e9b\u0323", "\u1e69")])
def test_b1_names_are_compared_nfc_and_case_folded(one: str, other: str) -> None:
    given(c.CreateInbox(actor=ANA, inbox="one", name=one)).when(
        c.CreateInbox(actor=ANA, inbox="other", name=other)
    ).refused(Reason.INBOX_NAME_TAKEN)


def test_b1_an_archived_inbox_keeps_its_name() -> None:
    given(ARCHIVED).when(c.CreateInbox(actor=ANA, inbox="new", name="Support")).refused(Reason.INBOX_NAME_TAKEN)


def test_b1_a_name_that_was_given_up_is_free() -> None:
    given(c.RenameInbox(actor=ANA, inbox="support", name="Help")).when(
        c.CreateInbox(actor=ANA, inbox="new", name="Support")
    ).accepted("InboxCreated")


# ---- C1: the limit


@pytest.mark.parametrize(("plan", "limit"), [("free", 1), ("starter", 5), ("professional", 100), ("enterprise", 200)])
def test_c1_the_plan_limits_the_inboxes_the_default_one_counts(plan: str, limit: int) -> None:
    change: Fact = e.PlanChanged.model_validate({"plan": plan})
    more = [e.InboxCreated(inbox=f"i{n}", name=f"I{n}", access="everyone") for n in range(limit - 3)]
    if limit > 3:
        given(change, *more[1:]).when(c.CreateInbox(actor=ANA, inbox="new", name="New")).accepted("InboxCreated")
    given(change, *more).when(c.CreateInbox(actor=ANA, inbox="new", name="New")).refused(
        Reason.INBOX_LIMIT_REACHED, limit=limit, used=max(limit, 3)
    ).next("ArchiveInbox", *(["ChangePlan"] if plan != "enterprise" else []))


def test_c1_a_downgrade_below_usage_is_allowed_and_changes_nothing_else() -> None:
    given().when(FREE_PLAN).accepted("PlanChanged")


def test_c1_an_archived_inbox_frees_its_place_and_restoring_needs_one() -> None:
    filled = [c.CreateInbox(actor=ANA, inbox=f"i{n}", name=f"I{n}") for n in range(2)]
    given(*filled, ARCHIVED).when(c.CreateInbox(actor=ANA, inbox="new", name="New")).accepted("InboxCreated")
    given(*filled, ARCHIVED).when(c.RestoreInbox(actor=ANA, inbox="support")).then(e.InboxRestored(inbox="support"))
    given(*filled, ARCHIVED, c.CreateInbox(actor=ANA, inbox="new", name="New")).when(
        c.RestoreInbox(actor=ANA, inbox="support")
    ).refused(Reason.INBOX_LIMIT_REACHED, limit=5, used=5)


def test_an_open_inbox_is_unchanged_when_restored_even_over_the_limit() -> None:
    given(FREE_PLAN).when(c.RestoreInbox(actor=ANA, inbox="support")).unchanged()


# ---- rename, access


def test_an_inbox_may_change_the_case_of_its_own_name() -> None:
    given().when(c.RenameInbox(actor=ANA, inbox="support", name="SUPPORT")).then(
        e.InboxRenamed(inbox="support", name="SUPPORT")
    )
    given().when(c.RenameInbox(actor=ANA, inbox="support", name="Support")).unchanged()
    given().when(c.RenameInbox(actor=ANA, inbox="support", name="sales")).refused(Reason.INBOX_NAME_TAKEN)


def test_access_replaces_members_and_teams() -> None:
    given(CREW).when(
        c.SetInboxAccess(actor=ANA, inbox="support", access="members", members=(DAN, BOB), teams=("crew",))
    ).then(e.InboxAccessChanged(inbox="support", access="members", members=(BOB, DAN), teams=("crew",)))
    given(CREW).when(c.SetInboxAccess(actor=ANA, inbox="sales", access="members", teams=("crew",))).then(
        e.InboxAccessChanged(inbox="sales", access="members", teams=("crew",))
    )


def test_the_same_access_is_unchanged() -> None:
    given().when(c.SetInboxAccess(actor=ANA, inbox="support", access="everyone")).unchanged()
    given().when(c.SetInboxAccess(actor=ANA, inbox="sales", access="members", members=(CLEO, CLEO))).unchanged()


def test_access_names_the_first_unknown_user_before_the_first_unknown_team() -> None:
    def access(members: tuple[str, ...], teams: tuple[str, ...]) -> c.SetInboxAccess:
        return c.SetInboxAccess(actor=ANA, inbox="sales", access="members", members=members, teams=teams)

    given().when(access((BOB, "nobody"), ("none",))).refused(Reason.USER_NOT_FOUND, user="nobody")
    given(CREW).when(access((BOB,), ("crew", "none"))).refused(Reason.TEAM_NOT_FOUND, team="none")


def test_a_member_needs_no_seat_and_may_be_deactivated() -> None:
    given(c.DeactivateUser(actor=ADA, user=DAN)).when(
        c.SetInboxAccess(actor=ANA, inbox="sales", access="members", members=(DAN,))
    ).accepted("InboxAccessChanged")


# ---- B4: routing

SEATED = [c.AssignSeat(actor=ADA, user=user) for user in (BOB, CLEO, DAN)]


@pytest.mark.parametrize(
    "rule",
    [
        UsersAndTeams(users=(CLEO,), teams=("crew",)),
        UsersAndTeams(teams=("crew",)),
        ContactOwner(),
        ContactOwner(fallback=Unassigned()),
        ContactOwner(fallback=UsersAndTeams(users=(CLEO,))),
    ],
    ids=lambda rule: rule.model_dump_json(),
)
def test_a_rule_is_kept_as_sent_and_is_unchanged_when_set_again(rule: Rule) -> None:
    changed = e.RoutingChanged(inbox="sales", rule=rule)
    given(CREW, *SEATED).when(c.SetRouting(actor=ANA, inbox="sales", rule=rule)).then(changed)
    given(CREW, *SEATED, changed).when(c.SetRouting(actor=ANA, inbox="sales", rule=rule)).unchanged()


def test_nobody_chosen_is_how_an_inbox_begins() -> None:
    given().when(c.SetRouting(actor=ANA, inbox="sales", rule=Unassigned())).unchanged()


@pytest.mark.parametrize(
    "wrap", [lambda rule: rule, lambda rule: ContactOwner(fallback=rule)], ids=["rule", "fallback"]
)
def test_b4_targets_are_members_active_and_seated_in_this_order(wrap: type[ContactOwner]) -> None:
    def route(inbox: str, *users: str, teams: tuple[str, ...] = ()) -> c.SetRouting:
        rule: Rule = wrap(UsersAndTeams(users=users, teams=teams))  # type: ignore[call-arg, arg-type]
        return c.SetRouting(actor=ANA, inbox=inbox, rule=rule)

    away = (*SEATED, c.DeactivateUser(actor=ADA, user=BOB), c.DeactivateUser(actor=ADA, user=CLEO))
    given(*SEATED).when(route("sales", CLEO, "nobody", BOB)).refused(Reason.USER_NOT_FOUND, user="nobody")
    given(*away).when(route("sales", BOB)).refused(Reason.ROUTING_TARGET_NOT_MEMBER, target=BOB).next("SetInboxAccess")
    given(*away).when(route("sales", CLEO)).refused(Reason.ROUTING_TARGET_NOT_ACTIVE, target=CLEO)
    given().when(route("sales", CLEO)).refused(Reason.ROUTING_TARGET_NO_SEAT, target=CLEO).next("AssignSeat")
    given(*SEATED).when(route("sales", CLEO, teams=("none",))).refused(Reason.TEAM_NOT_FOUND, team="none")


def test_b4_users_are_judged_one_after_the_other() -> None:
    given(SEATED[0]).when(
        c.SetRouting(actor=ANA, inbox="support", rule=UsersAndTeams(users=(BOB, CLEO, "nobody")))
    ).refused(Reason.ROUTING_TARGET_NO_SEAT, target=CLEO)


def test_b4_with_access_everyone_all_users_are_members_and_team_members_are_too() -> None:
    rule = UsersAndTeams(users=(BOB,))
    given(*SEATED).when(c.SetRouting(actor=ANA, inbox="support", rule=rule)).accepted("RoutingChanged")
    crew = c.CreateTeam(actor=ANA, team="bobs", name="Bobs", members=(BOB,))
    access = c.SetInboxAccess(actor=ANA, inbox="sales", access="members", teams=("bobs",))
    given(*SEATED, crew, access).when(c.SetRouting(actor=ANA, inbox="sales", rule=rule)).accepted("RoutingChanged")


def test_b4_holds_at_the_moment_of_the_command_the_rule_stays_when_the_seat_is_taken() -> None:
    rule = UsersAndTeams(users=(BOB,))
    then = given(*SEATED, c.SetRouting(actor=ANA, inbox="support", rule=rule)).when(c.UnassignSeat(actor=ADA, user=BOB))
    then.accepted("SeatUnassigned").leaves("inbox", "support", lambda inbox: inbox.rule == rule)


# ---- B2, B3: archive and restore


def test_b3_the_default_inbox_stays_even_with_cascade() -> None:
    given(team(SHARED, "inbox")).when(c.ArchiveInbox(actor=ANA, inbox="inbox", cascade=True)).refused(
        Reason.DEFAULT_INBOX
    )


def test_b2_an_inbox_in_use_is_not_archived_and_its_aliases_count() -> None:
    given(team(SHARED, "support"), alias("aid@acme.example", SHARED)).when(ARCHIVED).refused(
        Reason.INBOX_IN_USE, addresses=[SHARED, "aid@acme.example"]
    ).next("MoveTeamAddress", "Disconnect", "ArchiveInbox")


def test_b2_cascade_disconnects_everything_in_the_same_commit() -> None:
    given(team("a@acme.example", "support"), team(SHARED, "support"), alias("aid@acme.example", SHARED)).when(
        c.ArchiveInbox(actor=ANA, inbox="support", cascade=True)
    ).then(
        e.Disconnected(address="a@acme.example", kind="team", inbox="support"),
        e.Disconnected(address=SHARED, kind="team", inbox="support"),
        e.AliasRemoved(address="aid@acme.example", primary=SHARED),
        e.InboxArchived(inbox="support"),
    )


def test_b2_once_moved_or_disconnected_the_inbox_can_be_archived() -> None:
    connected = team(SHARED, "support")
    for way_out in (
        c.MoveTeamAddress(actor=ANA, address=SHARED, to_inbox="sales"),
        c.Disconnect(actor=ANA, address=SHARED),
    ):
        given(connected, way_out).when(ARCHIVED).then(e.InboxArchived(inbox="support"))


def test_an_archived_inbox_is_unchanged_when_archived_again() -> None:
    given(ARCHIVED).when(ARCHIVED).unchanged()
    given(ARCHIVED).when(c.ArchiveInbox(actor=ANA, inbox="support", cascade=True)).unchanged()


def test_other_inboxes_are_left_alone_by_a_cascade() -> None:
    then = given(team(SHARED, "sales"), personal("bob@acme.example", BOB)).when(
        c.ArchiveInbox(actor=ANA, inbox="support", cascade=True)
    )
    then.then(e.InboxArchived(inbox="support")).leaves("address", SHARED, lambda claim: claim.inbox == "sales")


def test_a_restored_inbox_is_as_it_was() -> None:
    then = given(c.ArchiveInbox(actor=ANA, inbox="sales")).when(c.RestoreInbox(actor=ANA, inbox="sales"))
    then.accepted("InboxRestored").leaves("inbox", "sales", lambda inbox: inbox.members == {CLEO})
