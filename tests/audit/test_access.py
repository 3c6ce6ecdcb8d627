"""Who could read, send and administer, and when: stories with the positions of the events that gave and took it."""

from typing import Any

from services.audit.domain.access import Interval
from shared.language import events as e
from tests.audit.replays import Replay
from tests.inbox_views.stories import ALL, Story, beginning, personal, team

BOB, HELP, ALIAS = "bob@acme.example", "help@acme.example", "h@acme.example"
# One interval: user, ability, rule, way, first position, and the position at which it was over.
Line = tuple[str, str, str, str | None, int, int | None]


def line(one: Interval) -> Line:
    return (one.user, one.way.can, one.way.rule, one.way.via, one.start, one.end)


def of(story: Story, name: str, *, can: str = "read") -> list[Line]:
    """The intervals of one ability at an address or inbox, by user."""
    replay = Replay(story.recorded)
    place = replay.at_address(name) if "@" in name else replay.at_inbox(name)
    return [line(one) for one in replay.intervals(place) if one.way.can == can]


def alias(address: str, primary: str) -> e.Event:
    return e.AliasAdded(address=address, display=address, primary=primary, canonical_form=1)


def members(*names: str, teams: tuple[str, ...] = (), inbox: str = "support") -> e.Event:
    return e.InboxAccessChanged(inbox=inbox, access="members", members=names, teams=teams)


def support(*names: str, teams: tuple[str, ...] = ()) -> e.Event:
    return e.InboxCreated(inbox="support", name="Support", access="members", members=names, teams=teams)


def test_access_through_a_team_begins_and_ends_with_the_membership() -> None:
    told = beginning().tell(
        e.TeamCreated(team="north", name="North", members=("bob",)),  # 6
        support(teams=("north",)),  # 7
        team(HELP, "support"),  # 8
        e.TeamMembersChanged(team="north", members=("cleo",)),  # 9
        e.TeamMembersChanged(team="north", members=("cleo", "bob")),  # 10
        members(),  # 11
    )
    assert of(told, HELP) == [
        ("bob", "read", "team", "north", 8, 9),
        ("bob", "read", "team", "north", 10, 11),
        ("cleo", "read", "team", "north", 9, 11),
    ]
    assert of(told, "support")[0] == ("bob", "read", "team", "north", 7, 9)


def test_everyone_means_those_who_are_active_at_the_time() -> None:
    told = beginning().tell(
        team(HELP, "inbox"),  # 6
        e.UserAdded(user="dora", name="Dora", permissions=()),  # 7
        e.UserDeactivated(user="bob"),  # 8
        e.UserReactivated(user="bob"),  # 9
        e.UserDeactivated(user="cleo"),  # 10
        e.UserRemoved(user="cleo", policy="orphan"),  # 11
    )
    assert of(told, HELP) == [
        ("ana", "read", "everyone", "inbox", 6, None),
        ("bob", "read", "everyone", "inbox", 6, 8),
        ("bob", "read", "everyone", "inbox", 9, None),
        ("cleo", "read", "everyone", "inbox", 6, 10),
        ("dora", "read", "everyone", "inbox", 7, None),
    ]


def test_an_alias_is_read_by_the_readers_of_its_primary() -> None:
    told = beginning().tell(
        support("bob"),  # 6
        team(HELP, "support"),  # 7
        alias(ALIAS, HELP),  # 8
        members("bob", "cleo"),  # 9
        e.AliasRemoved(address=ALIAS, primary=HELP),  # 10
    )
    assert of(told, ALIAS) == [
        ("bob", "read", "alias", HELP, 8, 10),
        ("cleo", "read", "alias", HELP, 9, 10),
    ]


def promoted(address: str) -> e.Event:
    return e.AliasPromoted(
        address=address, primary=ALIAS, former_primary=HELP, kind="team", inbox="support", connector="ana",
        since="2026-11-01T00:00:07.000Z", receiving=True, sending=True, reauthentication_required=False,
    )  # fmt: skip


def test_access_goes_on_when_an_alias_is_promoted() -> None:
    told = beginning().tell(support("bob"), team(HELP, "support"), alias(ALIAS, HELP))
    told.tell(promoted(ALIAS), promoted(HELP))  # 9 and 10
    assert of(told, ALIAS) == [
        ("bob", "read", "alias", HELP, 8, 9),
        ("bob", "read", "member", "support", 9, None),
    ]
    assert of(told, HELP) == [
        ("bob", "read", "member", "support", 7, 10),
        ("bob", "read", "alias", ALIAS, 10, None),
    ]


def test_nobody_reads_an_orphan_until_it_is_reclaimed() -> None:
    told = beginning().tell(
        personal(BOB, "bob"),  # 6
        e.UserDeactivated(user="bob"),  # 7
        e.UserRemoved(user="bob", policy="orphan"),  # 8
        e.AddressOrphaned(address=BOB, owner="bob"),  # 9
        e.AddressReclaimed(address=BOB, from_="bob", owner="cleo", cause="reclaimed"),  # 10
    )
    assert of(told, BOB) == [("bob", "read", "owner", None, 6, 7), ("cleo", "read", "owner", None, 10, None)]
    assert of(told, BOB, can="administer") == [("ana", "administer", "administrator", None, 6, None)]


def test_a_transfer_ends_the_access_of_one_owner_and_begins_that_of_the_other() -> None:
    told = beginning().tell(personal(BOB, "bob"), e.OwnershipTransferred(address=BOB, from_="bob", to="cleo"))
    lines = [("bob", "read", "owner", None, 6, 7), ("cleo", "read", "owner", None, 7, None)]
    assert of(told, BOB) == lines
    assert of(told, BOB, can="send") == [(user, "send", *rest) for user, _, *rest in lines]


def test_a_converted_address_is_read_by_the_members_of_its_inbox() -> None:
    told = beginning().tell(
        support("cleo"),  # 6
        personal(BOB, "bob"),  # 7
        e.ConnectionConverted(address=BOB, from_="personal", to="team", owner="bob", inbox="support"),  # 8
        e.ConnectionConverted(address=BOB, from_="team", to="personal", owner="bob", inbox="support"),  # 9
    )
    assert of(told, BOB) == [
        ("bob", "read", "owner", None, 7, 8),
        ("bob", "read", "owner", None, 9, None),
        ("cleo", "read", "member", "support", 8, 9),
    ]


def test_a_user_id_that_another_person_has_later_makes_two_intervals_told_apart() -> None:
    told = beginning().tell(
        support("bob"),  # 6
        e.UserDeactivated(user="bob"),  # 7
        e.UserRemoved(user="bob", policy="orphan"),  # 8
        e.UserAdded(user="bob", name="Robert", permissions=()),  # 9
    )
    assert of(told, "support") == [
        ("bob", "read", "member", "support", 6, 7),
        ("bob", "read", "member", "support", 9, None),
    ]
    replay = Replay(told.recorded)
    bob = replay.user("bob")
    found = [one for one in replay.intervals(replay.at_inbox("support")) if one.user == "bob"]
    assert [bob.life_at(one.start) for one in found] == [(4, "Bob"), (9, "Robert")]


def test_a_person_who_loses_one_rule_keeps_access_by_the_others() -> None:
    told = beginning().tell(
        e.TeamCreated(team="north", name="North", members=("bob",)),  # 6
        support("bob", teams=("north",)),  # 7
        e.TeamMembersChanged(team="north", members=()),  # 8
        e.PermissionsChanged(user="bob", permissions=()),  # 9
        members(),  # 10
    )
    assert of(told, "support") == [
        ("bob", "read", "member", "support", 7, 10),
        ("bob", "read", "team", "north", 7, 8),
    ]


def test_a_permission_that_is_taken_ends_personal_access_and_administration_only() -> None:
    told = beginning().tell(
        e.UserAdded(user="dora", name="Dora", permissions=ALL),  # 6
        team(HELP, "inbox"),  # 7
        personal(BOB, "dora"),  # 8
        e.PermissionsChanged(user="dora", permissions=()),  # 9
    )
    assert [one for one in of(told, BOB) if one[0] == "dora"] == [("dora", "read", "owner", None, 8, 9)]
    assert ("dora", "administer", "administrator", None, 8, 9) in of(told, BOB, can="administer")
    assert ("dora", "read", "everyone", "inbox", 7, None) in of(told, HELP)


def test_two_changes_in_one_commit_have_positions_of_their_own() -> None:
    told = beginning().tell(
        support("bob"),  # 6
        team(HELP, "support"),  # 7
        # One command archives the inbox and disconnects its addresses.
        e.Disconnected(address=HELP, kind="team", inbox="support"),  # 8
        e.InboxArchived(inbox="support"),  # 9
    )
    assert of(told, HELP) == [("bob", "read", "member", "support", 7, 8)]
    assert of(told, "support", can="send") == [("bob", "send", "member", "support", 7, 8)]


def test_the_mail_of_an_archived_inbox_can_be_read_but_not_sent_from() -> None:
    told = beginning().tell(
        support("bob"),  # 6
        team(HELP, "support"),  # 7
        e.InboxArchived(inbox="support"),  # 8
        e.InboxRestored(inbox="support"),  # 9
    )
    assert of(told, "support") == [("bob", "read", "member", "support", 6, None)]
    assert of(told, "support", can="send") == [
        ("bob", "send", "member", "support", 7, 8),
        ("bob", "send", "member", "support", 9, None),
    ]


def test_somebody_who_is_deactivated_reactivated_and_removed_has_access_while_active() -> None:
    told = beginning().tell(
        personal(BOB, "bob"),  # 6
        e.UserDeactivated(user="bob"),  # 7
        e.UserReactivated(user="bob"),  # 8
        e.SignatureChanged(user="bob", signature="Regards"),  # 9
        e.UserDeactivated(user="bob"),  # 10
        e.UserRemoved(user="bob", policy="orphan"),  # 11
        e.UserReactivated(user="bob"),  # 12
    )
    assert of(told, BOB) == [
        ("bob", "read", "owner", None, 6, 7),
        ("bob", "read", "owner", None, 8, 10),
        ("bob", "read", "owner", None, 12, None),
    ]


def test_a_paused_or_broken_connection_is_read_and_not_sent_from() -> None:
    told = beginning().tell(
        personal(BOB, "bob"),  # 6
        e.ConnectionPaused(address=BOB, receive=True, send=True, receiving=False, sending=False),  # 7
        e.ConnectionResumed(address=BOB, receive=True, send=True, receiving=True, sending=True),  # 8
        e.ReauthenticationRequired(address=BOB, cause="expired"),  # 9
    )
    assert of(told, BOB) == [("bob", "read", "owner", None, 6, None)]
    assert of(told, BOB, can="send") == [("bob", "send", "owner", None, 6, 7), ("bob", "send", "owner", None, 8, 9)]


def test_a_move_to_another_inbox_changes_the_readers() -> None:
    told = beginning().tell(
        e.TeamCreated(team="north", name="North", members=("cleo",)),  # 6
        support("bob", teams=("north",)),  # 7
        e.InboxCreated(inbox="sales", name="Sales", access="members", members=("ana",), teams=("north",)),  # 8
        team(HELP, "support"),  # 9
        e.TeamAddressMoved(address=HELP, from_="support", to="sales"),  # 10
    )
    assert of(told, HELP) == [
        ("ana", "read", "member", "sales", 10, None),
        ("bob", "read", "member", "support", 9, 10),
        # Both inboxes have the team: the access through it goes on.
        ("cleo", "read", "team", "north", 9, None),
    ]


def test_an_interval_overlaps_a_range_with_any_of_its_positions() -> None:
    told = beginning().tell(support("bob"), members())
    replay = Replay(told.recorded)
    (one,) = [one for one in replay.intervals(replay.at_inbox("support")) if one.user == "bob"]
    assert (one.start, one.end) == (6, 7)
    ranges: list[Any] = [(1, 5), (1, 6), (6, 6), (6, 9), (7, 9)]
    assert [one.overlaps(*each) for each in ranges] == [False, True, True, True, False]
