"""Where mail goes and why, told as stories."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.routing.domain import resolve
from services.routing.domain.folds import fold
from services.routing.domain.resolve import Inbox, Mail
from shared.language import events as e
from tests.inbox_views.stories import Story, beginning, personal, team

BOB, HELP, SENDER = "bob@acme.example", "help@acme.example", "eve@other.example"
SEATED = tuple(e.SeatAssigned(user=user) for user in ("ana", "bob", "cleo"))


def rule(**fields: Any) -> e.Event:
    return e.RoutingChanged.model_validate({"inbox": "inbox", "rule": fields})


def people(*users: str, teams: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"kind": "users_and_teams", "users": users, "teams": teams}


class Rows:
    def __init__(self, *events: e.Event) -> None:
        self._docs = beginning().tell(*events).docs(fold)

    def __call__(self, aggregate: str, name: str) -> dict[str, Any]:
        return self._docs[(aggregate, name)]

    @property
    def inbox(self) -> Inbox:
        users = {name: doc for (kind, name), doc in self._docs.items() if kind == "user"}
        return Inbox(self("inbox", "inbox"), self("account", "acme"), users)

    def assigned(self, mail: Mail = Mail(SENDER)) -> dict[str, Any]:  # noqa: B008  frozen
        return resolve.to_inbox(HELP, HELP, self.inbox, mail)

    def why_not_logged(self, sender: str = SENDER, owner: str = "bob") -> str | None:
        return resolve.why_not_logged(self("user", owner), self("account", "acme"), sender)


def reasons(entry: dict[str, Any]) -> dict[str, str | None]:
    return {one["user"]: one["why_not"] for one in entry["candidates"]}


def test_nobody_is_chosen_where_the_rule_says_so() -> None:
    entry = Rows().assigned()
    assert entry == {
        "recipient": HELP, "destination": "inbox", "inbox": "inbox", "owner": None, "assignee": None,
        "rule": "unassigned", "candidates": [], "reason": None,
    }  # fmt: skip


def test_each_candidate_says_why_he_was_not_eligible() -> None:
    entry = Rows(
        *SEATED, rule(**people("ana", "bob", "cleo", "dan", "ghost")),
        e.UserAdded(user="dan", name="Dan"),
        e.AvailabilityChanged(user="bob", availability="away"), e.UserDeactivated(user="cleo"),
    ).assigned()  # fmt: skip
    assert reasons(entry) == {"ana": None, "bob": "AWAY", "cleo": "NOT_ACTIVE", "dan": "NO_SEAT", "ghost": "NOT_MEMBER"}
    assert (entry["assignee"], entry["rule"]) == ("ana", "users_and_teams")


def test_only_members_are_chosen_by_name_or_through_a_team() -> None:
    closed = e.InboxAccessChanged(inbox="inbox", access="members", members=("bob",), teams=("sales",))
    created = e.TeamCreated(team="sales", name="Sales", members=("cleo",))
    entry = Rows(*SEATED, created, closed, rule(**people("ana", "bob", "cleo"))).assigned()
    assert reasons(entry) == {"ana": "NOT_MEMBER", "bob": None, "cleo": None}


def test_candidates_are_the_users_in_order_then_team_members_by_id_each_once() -> None:
    created = e.TeamCreated(team="sales", name="Sales", members=("cleo", "bob", "ana"))
    entry = Rows(*SEATED, created, rule(**people("cleo", teams=("sales",)))).assigned()
    assert [one["user"] for one in entry["candidates"]] == ["cleo", "ana", "bob"]


@given(st.emails())
def test_the_choice_is_the_hash_of_recipient_and_sender(sender: str) -> None:
    entry = Rows(*SEATED, rule(**people("ana", "bob", "cleo"))).assigned(Mail(sender))
    digest = int(hashlib.sha256(f"{HELP}\n{sender}".encode()).hexdigest(), 16)
    assert entry["assignee"] == ["ana", "bob", "cleo"][digest % 3]


def test_a_turn_replaces_the_hash_for_callers_that_count() -> None:
    found = Rows(*SEATED, rule(**people("ana", "bob", "cleo")), e.AvailabilityChanged(user="bob", availability="away"))
    assert [found.assigned(Mail(SENDER, turn=turn))["assignee"] for turn in range(4)] == ["ana", "cleo", "ana", "cleo"]


def test_nobody_eligible_leaves_it_to_the_inbox() -> None:
    entry = Rows(rule(**people("bob"))).assigned()
    assert (entry["destination"], entry["assignee"], reasons(entry)) == ("inbox", None, {"bob": "NO_SEAT"})


def test_the_contact_owner_gets_it_when_he_can() -> None:
    found = Rows(*SEATED, rule(kind="contact_owner", fallback=people("ana")))
    entry = found.assigned(Mail(SENDER, contact_owner="bob"))
    assert (entry["assignee"], entry["rule"], reasons(entry)) == ("bob", "contact_owner", {"bob": None})


@pytest.mark.parametrize(("owner", "why"), [(None, {}), ("bob", {"bob": "AWAY"}), ("ghost", {"ghost": "NOT_MEMBER"})])
def test_without_a_contact_owner_the_fallback_decides(owner: str | None, why: dict[str, str]) -> None:
    away = e.AvailabilityChanged(user="bob", availability="away")
    entry = Rows(*SEATED, away, rule(kind="contact_owner", fallback=people("ana"))).assigned(Mail(SENDER, owner))
    assert (entry["assignee"], entry["rule"], reasons(entry)) == ("ana", "fallback", {**why, "ana": None})


def test_a_contact_owner_rule_without_fallback_leaves_it_to_the_inbox() -> None:
    entry = Rows(*SEATED, rule(kind="contact_owner")).assigned()
    assert (entry["destination"], entry["assignee"], entry["rule"]) == ("inbox", None, "contact_owner")


@pytest.mark.parametrize("sender", ["mum@home.example", "x@lawyer.example", "x@mail.lawyer.example"])
def test_never_log_names_addresses_domains_and_subdomains(sender: str) -> None:
    entries = ("mum@home.example", "lawyer.example")
    assert Rows(e.AccountNeverLogChanged(entries=entries)).why_not_logged(sender) == "NEVER_LOG"
    own = e.LoggingPreferencesChanged(
        user="bob", log_replies=True, track_opens=False, track_clicks=False, never_log=entries
    )
    assert Rows(own).why_not_logged(sender) == "NEVER_LOG"
    assert Rows(own).why_not_logged(sender, owner="cleo") is None


@pytest.mark.parametrize("sender", ["dad@home.example", "x@notlawyer.example"])
def test_never_log_means_no_more_than_it_names(sender: str) -> None:
    assert Rows(e.AccountNeverLogChanged(entries=("mum@home.example", "lawyer.example"))).why_not_logged(sender) is None


def test_an_owner_who_is_not_there_or_wants_no_log_gets_none() -> None:
    off = e.LoggingPreferencesChanged(user="bob", log_replies=False, track_opens=False, track_clicks=False)
    assert Rows(off).why_not_logged() == "LOGGING_OFF"
    assert Rows(e.UserDeactivated(user="bob")).why_not_logged() == "OWNER_NOT_ACTIVE"
    assert Rows().why_not_logged() is None


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (e.AddressOrphaned(address=BOB, owner="bob"), "ORPHANED"),
        (e.ReauthenticationRequired(address=BOB, cause="x"), "REAUTH_REQUIRED"),
        (e.ConnectionPaused(address=BOB, receive=True, send=False, receiving=False, sending=True), "RECEIVING_PAUSED"),
        (e.ConnectionPaused(address=BOB, receive=False, send=True, receiving=True, sending=False), None),
        (e.Reconnected(address=BOB), None),
        (e.OwnershipTransferred(address=BOB, from_="bob", to="cleo"), None),
    ],
)
def test_mail_arrives_only_where_it_is_received(event: e.Event, reason: str | None) -> None:
    assert resolve.why_nowhere(Rows(personal(BOB, "bob"), event)("address", BOB)) == reason


def test_the_destination_follows_the_connection() -> None:
    moved = e.TeamAddressMoved(address=HELP, from_="inbox", to="sales")
    converted = e.ConnectionConverted(address=HELP, from_="team", to="personal", owner="bob", inbox="sales")
    back = e.ConnectionConverted(address=HELP, from_="personal", to="team", owner="bob", inbox="inbox", connector="bob")
    steps = [
        (team(HELP, "inbox"), "team", None, "inbox"), (moved, "team", None, "sales"),
        (converted, "personal", "bob", None), (back, "team", None, "inbox"),
        (e.Disconnected(address=HELP, kind="team"), None, None, None),
        (personal(HELP, "cleo"), "personal", "cleo", None),
        (e.AddressOrphaned(address=HELP, owner="cleo"), "personal", "cleo", None),
        (e.AddressReclaimed(address=HELP, from_="cleo", owner="bob", cause="reclaimed"), "personal", "bob", None),
    ]  # fmt: skip
    story = Story()
    for event, kind, owner, inbox in steps:
        doc = story.tell(event).docs(fold)[("address", HELP)]
        assert (doc["kind"], doc["owner"], doc["inbox"]) == (kind, owner, inbox)
    assert not doc["orphaned"]
