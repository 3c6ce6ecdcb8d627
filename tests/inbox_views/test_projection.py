"""What each event makes of a row, told as stories."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.state.fold import fold
from shared.core.state.rows import UnknownAggregateError
from shared.language import events as e
from tests.inbox_views.stories import Story, beginning, personal, team, time_at

BOB = "bob@acme.example"
HELP = "help@acme.example"


def row(story: Story, aggregate: str, name: str) -> Any:
    return story.docs(fold)[(aggregate, name)]


def address(*events: e.Event, name: str = BOB) -> Any:
    return row(Story().tell(*events), "address", name)


def part(doc: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(doc[name] for name in names)


def test_a_personal_address_belongs_to_its_owner_from_the_time_it_was_connected() -> None:
    doc = address(personal("Bob@Acme.example", "bob", from_name="Bob of Acme"))
    assert part(doc, "state", "kind", "owner", "inbox", "since") == ("connected", "personal", "bob", None, time_at(1))
    assert part(doc, "address", "display", "from_name") == (BOB, "Bob@Acme.example", "Bob of Acme")


def test_a_team_address_has_an_inbox_and_a_connector_and_no_owner() -> None:
    doc = address(team(HELP, "support", connector="dora"), name=HELP)
    assert part(doc, "kind", "owner", "inbox", "connector") == ("team", None, "support", "dora")


def test_disconnecting_leaves_nothing_but_the_address() -> None:
    doc = address(
        personal(BOB, "bob"), e.ToolBound(address=BOB, tool="meetings"), e.Disconnected(address=BOB, kind="personal")
    )
    assert part(doc, "state", "kind", "owner", "since", "tools") == ("free", None, None, None, [])


def test_receiving_sending_and_authentication_are_independent() -> None:
    paused = e.ConnectionPaused(address=BOB, receive=True, send=False, receiving=False, sending=True)
    resumed = e.ConnectionResumed(address=BOB, receive=True, send=True, receiving=True, sending=True)
    broken = e.ReauthenticationRequired(address=BOB, cause="token revoked")
    mended = e.Reconnected(address=BOB)
    connected = personal(BOB, "bob")
    assert address(connected, paused)["state"] == "paused"
    assert address(connected, paused, broken)["state"] == "reauth_required"
    assert address(connected, paused, broken, mended)["state"] == "paused"
    assert address(connected, paused, broken, mended, resumed)["state"] == "connected"


def test_an_orphan_keeps_everything_and_its_former_owner() -> None:
    doc = address(
        personal(BOB, "bob", "Bob"),
        e.ToolBound(address=BOB, tool="meetings"),
        e.AddressOrphaned(address=BOB, owner="bob"),
    )
    assert part(doc, "state", "kind", "owner", "tools", "from_name") == (
        "orphaned",
        "personal",
        "bob",
        ["meetings"],
        "Bob",
    )


@pytest.mark.parametrize(
    ("event", "owner"),
    [
        (e.OwnershipTransferred(address=BOB, from_="bob", to="cleo"), "cleo"),
        (e.AddressReclaimed(address=BOB, from_="bob", owner="cleo", cause="reclaimed"), "cleo"),
    ],
)
def test_another_owner_begins_a_claim_without_tools_and_from_name(event: e.Event, owner: str) -> None:
    doc = address(personal(BOB, "bob", "Bob"), e.ToolBound(address=BOB, tool="meetings"), event)
    assert part(doc, "owner", "tools", "from_name", "since") == (owner, [], None, time_at(3))


def test_an_owner_who_returns_finds_everything_as_it_was() -> None:
    returned = e.AddressReclaimed(address=BOB, from_="bob", owner="bob", cause="owner_returned")
    paused = e.ConnectionPaused(address=BOB, receive=False, send=True, receiving=True, sending=False)
    doc = address(personal(BOB, "bob", "Bob"), paused, e.ToolBound(address=BOB, tool="meetings"),
                  e.AddressOrphaned(address=BOB, owner="bob"), returned)  # fmt: skip
    assert part(doc, "state", "owner", "tools", "from_name") == ("paused", "bob", ["meetings"], "Bob")


def test_moving_and_converting_begin_a_new_holders_claim() -> None:
    moved = e.TeamAddressMoved(address=HELP, from_="support", to="sales")
    doc = address(team(HELP, "support"), moved, name=HELP)
    assert part(doc, "inbox", "since", "connector") == ("sales", time_at(2), "ana")
    to_team = e.ConnectionConverted(
        address=BOB, from_="personal", to="team", owner="bob", inbox="sales", connector="bob"
    )
    doc = address(personal(BOB, "bob"), to_team)
    assert part(doc, "kind", "owner", "inbox", "connector", "since") == ("team", None, "sales", "bob", time_at(2))
    to_person = e.ConnectionConverted(address=BOB, from_="team", to="personal", owner="cleo", inbox="sales")
    doc = address(team(BOB, "sales"), to_person)
    assert part(doc, "kind", "owner", "inbox", "connector") == ("personal", "cleo", None, None)


def test_tools_are_bound_once_and_unbound() -> None:
    bound = [e.ToolBound(address=BOB, tool=tool) for tool in ("sequences", "meetings", "meetings")]
    assert address(personal(BOB, "bob"), *bound)["tools"] == ["meetings", "sequences"]
    assert address(personal(BOB, "bob"), *bound, e.ToolUnbound(address=BOB, tool="meetings"))["tools"] == ["sequences"]


def test_an_alias_names_its_primary_until_it_is_removed() -> None:
    added = e.AliasAdded(address="b@acme.example", display="B@acme.example", primary=BOB, canonical_form=1)
    assert address(added, name="b@acme.example")["primary"] == BOB
    removed = e.AliasRemoved(address="b@acme.example", primary=BOB)
    assert address(added, removed, name="b@acme.example")["primary"] is None


def test_a_user_begins_active_and_available_without_a_seat() -> None:
    doc = row(beginning(), "user", "bob")
    assert part(doc, "status", "availability", "seat", "signature", "font") == ("active", "available", False, "", None)
    assert doc["logging"] == {"log_replies": True, "track_opens": False, "track_clicks": False, "never_log": []}


def test_adding_a_removed_user_again_is_a_fresh_beginning() -> None:
    story = beginning().tell(
        e.SeatAssigned(user="bob"), e.SignatureChanged(user="bob", signature="Bob"), e.UserDeactivated(user="bob"),
        e.UserRemoved(user="bob", policy="orphan"), e.UserAdded(user="bob", name="Robert", permissions=()),
    )  # fmt: skip
    assert part(row(story, "user", "bob"), "name", "status", "seat", "signature") == ("Robert", "active", False, "")


def test_removing_frees_the_seat_and_keeps_the_rest_for_a_return() -> None:
    story = beginning().tell(
        e.SeatAssigned(user="bob"), e.SignatureChanged(user="bob", signature="Bob"), e.UserDeactivated(user="bob"),
        e.UserRemoved(user="bob", policy="orphan"), e.UserReactivated(user="bob"),
    )  # fmt: skip
    assert part(row(story, "user", "bob"), "status", "seat", "signature") == ("active", False, "Bob")


def test_preferences_are_kept_as_full_sets() -> None:
    changed = e.LoggingPreferencesChanged(
        user="bob", log_replies=False, track_opens=True, track_clicks=False, never_log=("mum@home.example",)
    )
    story = beginning().tell(changed, e.DefaultFontChanged(user="bob", font="Lato", size=12))
    doc = row(story, "user", "bob")
    assert doc["logging"] == {
        "log_replies": False, "track_opens": True, "track_clicks": False, "never_log": ["mum@home.example"],
    }  # fmt: skip
    assert doc["font"] == {"font": "Lato", "size": 12}


def test_an_account_keeps_plan_teams_and_never_log() -> None:
    story = beginning().tell(
        e.PlanChanged(plan="free"),
        e.TeamCreated(team="sales", name="Sales", members=("bob",)),
        e.TeamMembersChanged(team="sales", members=("bob", "cleo")),
        e.AccountNeverLogChanged(entries=("lawyer.example",)),
    )
    doc = row(story, "account", "acme")
    assert doc == {
        "plan": "free",
        "teams": {"sales": {"name": "Sales", "members": ["bob", "cleo"]}},
        "never_log": ["lawyer.example"],
    }


def test_an_inbox_keeps_name_access_rule_and_whether_it_is_archived() -> None:
    rule = e.RoutingChanged.model_validate(
        {"inbox": "inbox", "rule": {"kind": "contact_owner", "fallback": {"kind": "users_and_teams", "users": ["bob"]}}}
    )
    story = beginning().tell(
        e.InboxRenamed(inbox="inbox", name="Post"),
        e.InboxAccessChanged(inbox="inbox", access="members", members=("bob",), teams=("sales",)),
        rule,
        e.InboxArchived(inbox="inbox"),
    )
    doc = row(story, "inbox", "inbox")
    assert part(doc, "name", "access", "members", "teams", "archived") == ("Post", "members", ["bob"], ["sales"], True)
    assert doc["rule"]["fallback"] == {"kind": "users_and_teams", "users": ["bob"], "teams": []}


def test_a_row_begins_with_its_beginning() -> None:
    with pytest.raises(UnknownAggregateError):
        Story().tell(e.SeatAssigned(user="nobody")).docs(fold)


def promoted(primary: str, former: str) -> e.Event:
    return e.AliasPromoted(
        address=BOB, primary=primary, former_primary=former, kind="personal", owner="bob", since=time_at(1),
        receiving=True, sending=True, reauthentication_required=False,
    )  # fmt: skip


ADDRESS_EVENTS = st.lists(
    st.sampled_from(
        [
            personal(BOB, "bob", "Bob"), team(BOB, "sales"), e.ToolBound(address=BOB, tool="meetings"),
            e.AddressOrphaned(address=BOB, owner="bob"), e.Disconnected(address=BOB, kind="personal"),
            e.ConnectionPaused(address=BOB, receive=True, send=True, receiving=False, sending=False),
            e.ReauthenticationRequired(address=BOB, cause="x"), e.Reconnected(address=BOB),
            e.OwnershipTransferred(address=BOB, from_="bob", to="cleo"),
            e.TeamAddressMoved(address=BOB, from_="sales", to="inbox"), e.FromNameChanged(address=BOB, from_name="N"),
            e.ConnectionConverted(address=BOB, from_="personal", to="team", owner="bob", inbox="sales"),
            e.Reconnected(address=BOB, connector="cleo"),
            *(promoted(primary, former) for primary, former in ((BOB, HELP), (HELP, BOB), (HELP, "c@acme.example"))),
        ]
    )
)  # fmt: skip


@given(ADDRESS_EVENTS)
def test_folding_never_changes_the_row_it_was_given(events: list[e.Event]) -> None:
    story = Story().tell(personal(BOB, "bob"), *events)
    doc: Any = None
    for recorded in story.recorded:
        before = repr(doc)
        after = fold(doc, recorded)
        assert repr(doc) == before
        doc = after
