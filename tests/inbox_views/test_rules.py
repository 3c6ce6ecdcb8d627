"""What answers derive from rows: health, readers, identities, words."""

from typing import Any

import pytest

from services.inbox_views.domain import address_answer as addresses
from services.inbox_views.domain import inbox as inboxes
from services.inbox_views.domain.address_answer import AddressContext
from services.inbox_views.domain.identities import senders, to_answer
from shared.core.rule_words import in_words
from shared.core.state.fold import fold
from shared.core.state.inbox import membership as membership_of
from shared.language import events as e
from shared.language.rules import ContactOwner, Unassigned, UsersAndTeams
from tests.inbox_views.stories import Story, beginning, personal, team, time_at

BOB, HELP, ALIAS = "bob@acme.example", "help@acme.example", "b@acme.example"
ALIASED = e.AliasAdded(address=ALIAS, display="B@Acme.example", primary=BOB, canonical_form=1)

BROKEN = e.ReauthenticationRequired(address=BOB, cause="token revoked")
TO_BOB = {"kind": "users_and_teams", "users": ["bob"]}


def alias(address: str, primary: str) -> e.Event:
    return e.AliasAdded(address=address, display=address, primary=primary, canonical_form=1)


def paused(address: str, receiving: bool, sending: bool) -> e.Event:
    return e.ConnectionPaused(address=address, receive=True, send=True, receiving=receiving, sending=sending)


class Rows:
    """The rows of a story."""

    def __init__(self, story: Story) -> None:
        self._docs = story.docs(fold)

    def __call__(self, aggregate: str, name: str) -> Any:
        return self._docs[(aggregate, name)]

    def address(self, name: str, *, unread: bool = False) -> dict[str, Any]:
        """As the question `Address` shows it to who may see all."""
        doc = self("address", name)
        primary = self._docs.get(("address", doc["primary"]))
        claim = primary or doc
        owner, connector = [self._docs.get(("user", claim[field]), {}) for field in ("owner", "connector")]
        aliases = [key for kind, key in self._docs if kind == "address" and self(kind, key)["primary"] == name]
        around = AddressContext(
            primary, owner.get("status"), owner.get("permissions", ()), connector.get("status"),
            tuple(sorted(aliases)), unread,
        )  # fmt: skip
        return addresses.to_answer(doc, around)

    def identities(self, user: str, *places: str) -> list[dict[str, Any]]:
        """None of them the default."""
        docs = sorted((doc for (kind, _), doc in self._docs.items() if kind == "address"), key=lambda d: d["address"])
        found = senders(
            [doc for doc in docs if doc["owner"] == user and not doc["orphaned"]],
            [doc for doc in docs if doc["inbox"] in places],
            [doc for doc in docs if doc["primary"]],
        )
        inbox_of = {place: self("inbox", place) for place in places}
        return [to_answer(self("user", user), one, inbox_of.get(one.claim["inbox"] or ""), None) for one in found]


def rows(*events: e.Event) -> Rows:
    return Rows(beginning().tell(*events))


@pytest.mark.parametrize(
    ("events", "health"),
    [
        ([], "healthy"),
        ([paused(BOB, receiving=False, sending=True)], "degraded"),
        ([paused(BOB, receiving=True, sending=False)], "degraded"),
        ([paused(BOB, receiving=False, sending=False)], "paused"),
        ([e.UserDeactivated(user="bob")], "degraded"),
        ([e.PermissionsChanged(user="bob", permissions=("super_admin",))], "degraded"),
        ([e.PermissionsChanged(user="bob", permissions=()), paused(BOB, receiving=False, sending=False)], "paused"),
        ([BROKEN, paused(BOB, receiving=False, sending=False)], "reauth_required"),
        ([e.AddressOrphaned(address=BOB, owner="bob"), BROKEN], "orphaned"),
        ([e.Disconnected(address=BOB, kind="personal", owner="bob")], "disconnected"),
    ],
)  # fmt: skip
def test_health_says_the_worst_that_is_the_matter(events: list[e.Event], health: str) -> None:
    assert rows(personal(BOB, "bob"), *events).address(BOB)["health"] == health


@pytest.mark.parametrize(
    "gone",
    [
        (e.UserDeactivated(user="bob"),),
        (e.UserDeactivated(user="bob"), e.UserRemoved(user="bob", policy="orphan")),
    ],
)
def test_a_team_address_outlives_its_connector_and_says_so(gone: tuple[e.Event, ...]) -> None:
    connected = team(HELP, "inbox", connector="bob")
    answer = rows(connected, *gone).address(HELP)
    assert (answer["connector"], answer["connector_gone"], answer["health"]) == ("bob", True, "degraded")
    answer = rows(connected, *gone, e.UserReactivated(user="bob")).address(HELP)
    assert (answer["connector_gone"], answer["health"]) == (False, "healthy")


def test_an_unknown_connector_is_gone_and_a_service_never_is() -> None:
    answer = rows(team(HELP, "inbox", connector="ghost")).address(HELP)
    assert (answer["connector_gone"], answer["health"]) == (True, "degraded")
    answer = rows(team(HELP, "inbox", connector="service:setup")).address(HELP)
    assert (answer["connector_gone"], answer["health"]) == (False, "healthy")


@pytest.mark.parametrize(
    ("events", "health"),
    [
        ([], "degraded"),
        ([paused(HELP, receiving=False, sending=False)], "paused"),
        ([e.ReauthenticationRequired(address=HELP, cause="x")], "reauth_required"),
    ],
)
def test_an_address_whose_inbox_has_no_reader_is_not_healthy(events: list[e.Event], health: str) -> None:
    assert rows(team(HELP, "inbox"), *events).address(HELP, unread=True)["health"] == health


def test_an_alias_shows_its_primarys_state() -> None:
    answer = rows(personal(BOB, "bob", "Bob"), ALIASED, paused(BOB, receiving=True, sending=False)).address(ALIAS)
    assert (answer["address"], answer["display"], answer["primary"]) == (ALIAS, "B@Acme.example", BOB)
    assert (answer["state"], answer["kind"], answer["owner"], answer["from_name"]) == (
        "paused",
        "personal",
        "bob",
        "Bob",
    )
    assert (answer["health"], answer["aliases"]) == ("degraded", [])


def test_a_primary_lists_its_aliases() -> None:
    assert rows(personal(BOB, "bob"), ALIASED).address(BOB)["aliases"] == [ALIAS]


def test_since_is_when_the_present_holders_claim_began() -> None:
    story = beginning().tell(personal(BOB, "bob"), ALIASED)
    assert Rows(story).address(BOB)["since"] == time_at(6)
    story.tell(e.OwnershipTransferred(address=BOB, from_="bob", to="cleo"))
    assert Rows(story).address(BOB)["since"] == time_at(8)
    assert Rows(story).address(ALIAS)["since"] == time_at(8)


def test_a_free_address_shows_only_itself() -> None:
    answer = rows(personal(BOB, "bob"), e.Disconnected(address=BOB, kind="personal")).address(BOB)
    assert answer == {
        "address": BOB, "display": BOB, "state": "free", "kind": None, "owner": None, "inbox": None, "since": None,
        "tools": [], "aliases": [], "primary": None, "from_name": None, "receiving": False, "sending": False,
        "connector": None, "connector_gone": False, "health": "disconnected",
    }  # fmt: skip


def test_readers_are_active_members_and_no_administrators() -> None:
    account = rows(e.TeamCreated(team="sales", name="Sales", members=("cleo", "dan")))("account", "acme")
    closed = rows(e.InboxAccessChanged(inbox="inbox", access="members", members=("bob",), teams=("sales", "gone")))
    assert membership_of(closed("inbox", "inbox"), account).readers(["ana", "bob", "cleo"]) == ["bob", "cleo"]
    assert membership_of(rows()("inbox", "inbox"), account).readers(["ana", "bob"]) == ["ana", "bob"]


def test_identities_come_best_first() -> None:
    found = rows(
        personal("second@acme.example", "bob"), personal("first@acme.example", "bob"), team(HELP, "inbox"),
        team("a@acme.example", "inbox"),
        alias("z@acme.example", "second@acme.example"), alias("y@acme.example", HELP),
    ).identities("bob", "inbox")  # fmt: skip
    assert [(one["address"].partition("@")[0], one["via"]) for one in found] == [
        ("second", "personal"), ("first", "personal"), ("a", "inbox"), ("help", "inbox"),
        ("z", "alias"), ("y", "alias"),
    ]  # fmt: skip


def test_an_unset_from_name_is_the_owners_or_the_inboxs() -> None:
    found = rows(personal(BOB, "bob"), ALIASED, team(HELP, "inbox"), personal("c@acme.example", "bob", "Robert"))
    names = {one["address"]: (one["from_name"], one["inbox"]) for one in found.identities("bob", "inbox")}
    assert names == {
        BOB: ("Bob", None), ALIAS: ("Bob", None), HELP: ("Inbox", "inbox"), "c@acme.example": ("Robert", None),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("event", "why_not"),
    [
        (paused(BOB, receiving=True, sending=False), "CONNECTION_PAUSED"),
        (e.ReauthenticationRequired(address=BOB, cause="x"), "REAUTH_REQUIRED"),
        (e.UserDeactivated(user="bob"), "OWNER_NOT_ACTIVE"),
        (e.PermissionsChanged(user="bob", permissions=()), "PERMISSION_MISSING"),
        (paused(BOB, receiving=False, sending=True), None),
    ],
)
def test_an_identity_says_why_it_is_not_usable(event: e.Event, why_not: str | None) -> None:
    (one,) = rows(personal(BOB, "bob"), event).identities("bob")
    assert (one["usable"], one["why_not"]) == (why_not is None, why_not)


def test_places_of_a_user_are_those_that_name_them_or_their_teams() -> None:
    found = rows(
        e.TeamCreated(team="sales", name="Sales", members=("bob",)),
        e.InboxAccessChanged(inbox="inbox", access="members", members=("bob",), teams=("night",)),
        e.RoutingChanged.model_validate(
            {"inbox": "inbox", "rule": {"kind": "contact_owner", "fallback": TO_BOB | {"teams": ["sales"]}}}
        ),
    )  # fmt: skip
    doc = found("inbox", "inbox")
    assert [inboxes.names(doc, *who) for who in (("bob", []), ("cleo", ["night"]), ("cleo", ["sales"]))] == [
        True, True, False,
    ]  # fmt: skip
    assert [inboxes.rule_names(doc, *who) for who in (("bob", []), ("cleo", ["sales"]), ("cleo", ["night"]))] == [
        True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Unassigned(), "New conversations wait unassigned."),
        (UsersAndTeams(users=("bob",)), "New conversations go to bob."),
        (
            UsersAndTeams(users=("bob", "cleo"), teams=("sales",)),
            (
                "New conversations go to one of bob, cleo and the people of team sales, "
                "the same person for the same sender."
            ),
        ),
        (ContactOwner(), "New conversations go to the contact's owner; without one they wait unassigned."),
        (
            ContactOwner(fallback=UsersAndTeams(users=("bob",))),
            "New conversations go to the contact's owner; without one to bob.",
        ),
    ],
)
def test_a_rule_is_said_in_one_sentence(rule: Any, words: str) -> None:
    assert in_words(rule) == words
