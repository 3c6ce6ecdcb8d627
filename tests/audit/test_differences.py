"""The difference of two versions of a row, in the names that people know."""

from typing import Any

from services.audit.domain.differences import FIELDS, difference
from shared.core.state import rows
from shared.core.state.fold import fold
from shared.language import events as e
from shared.language.events import Aggregate
from tests.inbox_views.stories import Story, beginning, personal

BOB = "bob@acme.example"
# Fields that only serve the rows: names, positions, and what follows from other fields.
INTERNAL = {"user", "inbox_", "address", "display", "sends", "since", "orphaned", "claimed", "held", "moved"}


def changed_by(story: Story, event: e.Event) -> list[tuple[str, Any, Any]]:
    """What the event changes in its row."""
    (recorded,) = story.tell(event).recorded[-1:]
    before = after = None
    for one in story.recorded:
        if one.stream == recorded.stream:
            before, after = after, fold(after, one)
    return [tuple(one) for one in difference(event.aggregate, before, after)]


def test_each_changed_field_has_its_value_before_and_after() -> None:
    story = beginning().tell(personal(BOB, "bob"))
    assert changed_by(story, e.FromNameChanged(address=BOB, from_name="B")) == [("from_name", None, "B")]
    assert changed_by(story, e.ToolBound(address=BOB, tool="meetings")) == [("tools", [], ["meetings"])]
    assert changed_by(story, e.OwnershipTransferred(address=BOB, from_="bob", to="cleo")) == [
        ("owner", "bob", "cleo"),
        ("from_name", "B", None),
        ("tools", ["meetings"], []),
    ]
    assert changed_by(story, e.ReauthenticationRequired(address=BOB, cause="x")) == [
        ("state", "connected", "reauth_required"),
        ("reauthentication_required", False, True),
    ]


def test_parts_of_a_field_are_compared_one_by_one() -> None:
    story = beginning()
    team = e.TeamCreated(team="t", name="Team", members=("bob",))
    assert changed_by(story, team) == [("teams.t.name", None, "Team"), ("teams.t.members", None, ["bob"])]
    assert changed_by(story, e.TeamMembersChanged(team="t", members=("cleo",))) == [
        ("teams.t.members", ["bob"], ["cleo"])
    ]
    logging = e.LoggingPreferencesChanged(user="bob", log_replies=True, track_opens=True, track_clicks=False)
    assert changed_by(story, logging) == [("logging.track_opens", False, True)]
    sender = e.DefaultSenderChanged(user="bob", address=BOB)
    assert changed_by(story, sender) == [("default_sender", None, BOB)]


def test_a_first_version_has_the_fields_with_a_value() -> None:
    story = Story("zenith")
    assert changed_by(story, e.AccountRegistered(plan="free", admin="ana")) == [("plan", None, "free")]
    assert changed_by(story, e.UserAdded(user="ana", name="Ana")) == [
        ("name", None, "Ana"),
        ("status", None, "active"),
        ("availability", None, "available"),
        ("logging.log_replies", None, True),
    ]


def test_nothing_differs_in_equal_versions() -> None:
    story = beginning()
    assert changed_by(story, e.TeamMembersChanged(team="none", members=())) != []
    assert changed_by(story, e.InboxRenamed(inbox="inbox", name="Inbox")) == []


def test_every_field_of_a_row_is_public_or_serves_the_rows() -> None:
    of_aggregates: dict[Aggregate, type] = {
        "account": rows.AccountRow, "user": rows.UserRow, "inbox": rows.InboxRow, "address": rows.AddressRow,
    }  # fmt: skip
    for aggregate, row in of_aggregates.items():
        known = set(FIELDS[aggregate]) | INTERNAL | ({"inbox"} if aggregate == "inbox" else set())
        assert set(row.__annotations__) <= known, aggregate
