"""Where mail goes and why, told as stories."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.routing.domain import resolve
from services.routing.domain.projection import fold
from services.routing.domain.resolve import Inbox, Mail
from shared.core.sender import read_sender
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

    def __call__(self, aggregate: str, name: str) -> Any:
        return self._docs[(aggregate, name)]

    @property
    def inbox(self) -> Inbox:
        users = {name: doc for (kind, name), doc in self._docs.items() if kind == "user"}
        return Inbox(self("inbox", "inbox"), self("account", "acme"), users)

    def assigned(self, sender: str = SENDER, **mail: Any) -> dict[str, Any]:
        inbox = self.inbox
        return resolve.to_inbox(HELP, inbox, resolve.assign(inbox, Mail(read_sender(sender), **mail)), read=True)

    def why_not_logged(self, sender: str = SENDER, owner: str = "bob") -> str | None:
        return resolve.why_not_logged(self("user", owner), self("account", "acme"), read_sender(sender))


def reasons(entry: dict[str, Any]) -> dict[str, str | None]:
    return {one["user"]: one["why_not"] for one in entry["candidates"]}


def test_an_unassigned_inbox_chooses_no_user() -> None:
    entry = Rows().assigned()
    assert entry == {
        "recipient": HELP, "destination": "inbox", "inbox": "inbox", "owner": None, "assignee": None,
        "rule": "unassigned", "candidates": [], "reason": None, "suspected": None,
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


@given(st.emails() | st.text())
def test_the_choice_is_the_hash_of_inbox_and_sender(sender: str) -> None:
    entry = Rows(*SEATED, rule(**people("ana", "bob", "cleo"))).assigned(sender)
    key = read_sender(sender).key
    digest = int(hashlib.sha256(f"inbox\n{key}".encode(errors="surrogatepass")).hexdigest(), 16)
    assert entry["assignee"] == ["ana", "bob", "cleo"][digest % 3]


@pytest.mark.parametrize("sender", ["EVE@other.example", "Eve <eve@other.example>", "eve@other.example."])
def test_a_sender_keeps_one_person_however_the_header_writes_the_address(sender: str) -> None:
    found = Rows(*SEATED, rule(**people("ana", "bob", "cleo")))
    assert found.assigned(sender) == found.assigned(SENDER)


def test_senders_that_are_no_addresses_are_spread_too() -> None:
    found = Rows(*SEATED, rule(**people("ana", "bob", "cleo")))
    chosen = {found.assigned(f"host-{number}")["assignee"] for number in range(30)}
    assert chosen == {"ana", "bob", "cleo"}


def test_a_turn_replaces_the_hash_for_callers_that_count() -> None:
    found = Rows(*SEATED, rule(**people("ana", "bob", "cleo")), e.AvailabilityChanged(user="bob", availability="away"))
    assert [found.assigned(turn=turn)["assignee"] for turn in range(4)] == ["ana", "cleo", "ana", "cleo"]


def test_without_an_eligible_candidate_the_mail_stays_in_the_inbox() -> None:
    entry = Rows(rule(**people("bob"))).assigned()
    assert (entry["destination"], entry["assignee"], reasons(entry)) == ("inbox", None, {"bob": "NO_SEAT"})


def test_the_contact_owner_gets_it_when_he_can() -> None:
    found = Rows(*SEATED, rule(kind="contact_owner", fallback=people("ana")))
    entry = found.assigned(contact_owner="bob")
    assert (entry["assignee"], entry["rule"], reasons(entry)) == ("bob", "contact_owner", {"bob": None})


@pytest.mark.parametrize(("owner", "why"), [(None, {}), ("bob", {"bob": "AWAY"}), ("ghost", {"ghost": "NOT_MEMBER"})])
def test_without_a_contact_owner_the_fallback_decides(owner: str | None, why: dict[str, str]) -> None:
    away = e.AvailabilityChanged(user="bob", availability="away")
    entry = Rows(*SEATED, away, rule(kind="contact_owner", fallback=people("ana"))).assigned(contact_owner=owner)
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


def test_an_absent_owner_or_one_who_wants_no_log_gets_none() -> None:
    off = e.LoggingPreferencesChanged(user="bob", log_replies=False, track_opens=False, track_clicks=False)
    assert Rows(off).why_not_logged() == "LOGGING_OFF"
    assert Rows(e.UserDeactivated(user="bob")).why_not_logged() == "OWNER_NOT_ACTIVE"
    assert Rows().why_not_logged() is None


def test_an_owner_who_may_no_longer_have_a_private_mailbox_gets_no_log() -> None:
    taken = e.PermissionsChanged(user="bob", permissions=("super_admin",))
    assert Rows(taken).why_not_logged() == "PERMISSION_MISSING"
    assert Rows(taken, e.UserDeactivated(user="bob")).why_not_logged() == "OWNER_NOT_ACTIVE"
    given_back = e.PermissionsChanged(user="bob", permissions=("personal_email_access",))
    assert Rows(taken, given_back).why_not_logged() is None


@pytest.mark.parametrize(
    ("address", "without"),
    [
        ("help+4711@acme.example", HELP),
        ("help+4711+2@acme.example", HELP),
        ("help+@acme.example", HELP),
        ("+help@acme.example", None),
        (HELP, None),
        ("he.lp@gmail.com", None),
    ],
)
def test_only_a_tag_is_taken_away(address: str, without: str | None) -> None:
    assert resolve.without_tag(address) == without


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
        (e.AddressOrphaned(address=HELP, owner="bob"), "personal", "bob", None),
        (back, "team", None, "inbox"),
    ]  # fmt: skip
    story = Story()
    for event, kind, owner, inbox in steps:
        doc = story.tell(event).docs(fold)[("address", HELP)]
        assert (doc["kind"], doc["owner"], doc["inbox"]) == (kind, owner, inbox)
    assert not doc["orphaned"]


def promoted(address: str, primary: str, former: str, **fields: Any) -> e.AliasPromoted:
    given: dict[str, Any] = {
        "kind": "personal", "owner": "bob", "since": "2026-11-01T00:00:00.000Z", "receiving": True, "sending": True,
        "reauthentication_required": False,
    }  # fmt: skip
    return e.AliasPromoted(address=address, primary=primary, former_primary=former, **(given | fields))


def test_a_promoted_alias_takes_the_claim_over_and_the_others_follow_it() -> None:
    robin, third = "robin@acme.example", "b@acme.example"
    paused = {"receiving": False, "reauthentication_required": True}
    rows = Rows(
        personal(BOB, "bob"),
        *(e.AliasAdded(address=name, display=name, primary=BOB, canonical_form=1) for name in (robin, third)),
        *(promoted(name, robin, BOB, **paused) for name in (robin, BOB, third)),
    )
    free = {"kind": None, "owner": None, "inbox": None, "receiving": False, "reauthenticate": False, "orphaned": False}
    assert rows("address", robin) == free | {
        "address": robin, "primary": None, "kind": "personal", "owner": "bob", "reauthenticate": True,
    }  # fmt: skip
    for name in (BOB, third):
        assert rows("address", name) == free | {"address": name, "primary": robin}
