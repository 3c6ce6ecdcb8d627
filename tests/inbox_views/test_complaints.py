"""What users of other products complain about, asked of our rows."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, LiteralString

import pytest

from shared.language import events as e
from shared.projections.cooperative import ROWS_AT_ONCE
from shared.projections.definition import Row
from shared.projections.snapshot import Snapshot
from tests.inbox_views.rows import Rows, rows_of
from tests.inbox_views.stories import beginning, personal, team, time_at

BOB, ROBIN, B = "bob@acme.example", "robin@acme.example", "b@acme.example"
SALES, HELP, OLD_HELP = "sales@acme.example", "help@acme.example", "old-help@acme.example"
AWAY = e.UserDeactivated(user="bob")
REMOVED = e.UserRemoved(user="bob", policy="orphan")
BACK = e.UserReactivated(user="bob")


@pytest.fixture
async def rows(database: str) -> AsyncIterator[Rows]:
    """Ana, bob, cleo and the inboxes inbox (everyone), support (bob, cleo) and sales (cleo)."""
    story = beginning().tell(
        e.InboxCreated(inbox="support", name="Support", access="members", members=("bob", "cleo")),
        e.InboxCreated(inbox="sales", name="Sales", access="members", members=("cleo",)),
    )
    async with rows_of(story, database) as made:
        yield made


def alias(address: str, primary: str) -> e.Event:
    return e.AliasAdded(address=address, display=address, primary=primary, canonical_form=1)


def chosen(address: str) -> e.Event:
    return e.DefaultSenderChanged(user="bob", address=address)


def promoted(primary: str, former: str, *others: str, **claim: Any) -> list[e.Event]:
    """The mailbox of `former` is called `primary` now, for itself and its further aliases `others`."""
    told = {"kind": "personal", "owner": "bob", "since": time_at(8), "receiving": True, "sending": True} | claim
    fields = {"primary": primary, "former_primary": former, "reauthentication_required": False} | told
    return [e.AliasPromoted(address=name, **fields) for name in (primary, former, *others)]


async def health(rows: Rows, address: str) -> tuple[bool, str]:
    shown = await rows.ask("Address", address=address)
    (listed,) = [one for one in await rows.ask("Addresses") if one["address"] == address]
    assert listed == shown
    if shown["kind"] == "team" and shown["primary"] is None:
        in_inbox = (await rows.ask("Inbox", inbox=shown["inbox"]))["addresses"]
        assert [one["health"] for one in in_inbox if one["address"] == address] == [shown["health"]]
    return shown["connector_gone"], shown["health"]


# ---- nextcloud/mail#5110


async def test_an_address_whose_owner_lost_the_permission_is_degraded(rows: Rows) -> None:
    rows.story.tell(personal(BOB, "bob"), alias(B, BOB), e.PermissionsChanged(user="bob", permissions=()))
    assert await health(rows, BOB) == (False, "degraded")
    assert await health(rows, B) == (False, "degraded")
    found = await rows.identities("bob")
    assert {(found[name]["usable"], found[name]["why_not"]) for name in (BOB, B)} == {(False, "PERMISSION_MISSING")}
    rows.story.tell(e.PermissionsChanged(user="bob", permissions=("personal_email_access",)))
    assert await health(rows, BOB) == (False, "healthy")


# ---- espocrm/espocrm#2580


async def test_mail_does_not_go_out_under_the_name_of_a_former_holder(rows: Rows) -> None:
    rows.story.tell(
        team(HELP, "support", from_name="Acme Support"),
        e.ConnectionConverted(address=HELP, from_="team", to="personal", owner="bob", inbox="support"),
    )
    assert (await rows.identities("bob"))[HELP]["from_name"] == "Bob"
    rows.story.tell(
        e.FromNameChanged(address=HELP, from_name="Bob of Acme"),
        e.ToolBound(address=HELP, tool="one_to_one"),
        e.ConnectionConverted(address=HELP, from_="personal", to="team", owner="bob", inbox="support", connector="ana"),
    )
    assert (await rows.identities("cleo"))[HELP]["from_name"] == "Support"
    assert (await rows.ask("Address", address=HELP))["tools"] == []


async def test_the_mailbox_of_a_removed_user_becomes_the_teams_with_its_aliases(rows: Rows) -> None:
    rows.story.tell(
        personal(BOB, "bob", "Bob"), alias(B, BOB), AWAY, REMOVED, e.AddressOrphaned(address=BOB, owner="bob"),
        e.ConnectionConverted(address=BOB, from_="personal", to="team", owner="bob", inbox="support", connector="ana"),
    )  # fmt: skip
    for name in (BOB, B):
        shown = await rows.ask("Address", address=name)
        assert (shown["state"], shown["kind"], shown["inbox"], shown["from_name"]) == (
            "connected", "team", "support", None,
        )  # fmt: skip
        assert shown["health"] == "healthy"
    assert await rows.ask("Orphans") == []


# ---- assistify/Rocket.Chat#627


async def test_the_impact_of_removing_a_connector_names_the_degraded_connections(rows: Rows) -> None:
    rows.story.tell(team(SALES, "sales", connector="bob"), team(HELP, "support", connector="cleo"), alias(B, SALES))
    assert (await rows.ask("RemovalImpact", user="bob"))["connections"] == [SALES]


@pytest.mark.parametrize("gone", [[AWAY], [AWAY, REMOVED]])
async def test_another_user_can_take_over_the_connection_of_a_connector_who_left(
    rows: Rows, gone: list[e.Event]
) -> None:
    rows.story.tell(team(SALES, "sales", connector="bob"), *gone)
    assert await health(rows, SALES) == (True, "degraded")
    rows.story.tell(e.ReauthenticationRequired(address=SALES, cause="the grant is gone"))
    assert await health(rows, SALES) == (True, "reauth_required")
    # What was stored before said nothing of who reconnected.
    rows.story.tell(e.Reconnected(address=SALES))
    assert await health(rows, SALES) == (True, "degraded")
    rows.story.tell(e.Reconnected(address=SALES, connector="ana"))
    assert await health(rows, SALES) == (False, "healthy")
    assert (await rows.ask("Address", address=SALES))["connector"] == "ana"


# ---- zammad/zammad#5209


async def test_an_address_that_no_user_can_see_is_not_healthy(rows: Rows) -> None:
    rows.story.tell(
        e.InboxAccessChanged(inbox="support", access="members", members=("bob",)), team(HELP, "support"), alias(B, HELP)
    )
    assert (await rows.ask("RemovalImpact", user="bob"))["last_reader_of"] == ["support"]
    rows.story.tell(AWAY)
    for actor in ("ana", "service:crm"):
        shown = {name: (await rows.ask("Address", actor, address=name))["health"] for name in (HELP, B)}
        assert shown == {HELP: "degraded", B: "degraded"}
    assert await health(rows, HELP) == (False, "degraded")
    assert (await rows.ask("Inboxes"))[2]["addresses"][0]["health"] == "degraded"
    # Who is to be removed is deactivated first: what that cost is told still, and nothing of others' inboxes.
    assert (await rows.ask("RemovalImpact", user="bob"))["last_reader_of"] == ["support"]
    assert (await rows.ask("RemovalImpact", user="ana"))["last_reader_of"] == []
    rows.story.tell(e.InboxAccessChanged(inbox="support", access="everyone"))
    assert await health(rows, HELP) == (False, "healthy")
    assert (await rows.ask("Address", "service:crm", address=HELP))["health"] == "healthy"


async def test_a_member_through_a_team_is_the_last_reader_too(rows: Rows) -> None:
    rows.story.tell(
        e.TeamCreated(team="night", name="Night", members=("bob",)),
        e.InboxAccessChanged(inbox="support", access="members", teams=("night",)),
        e.InboxAccessChanged(inbox="sales", access="members", members=("bob", "cleo"), teams=("night",)),
        e.RoutingChanged.model_validate(
            {"inbox": "sales", "rule": {"kind": "users_and_teams", "users": ["cleo"], "teams": ["night"]}}
        ),
        e.InboxCreated(inbox="press", name="Press", access="members", members=("bob",)),
        e.InboxArchived(inbox="press"),
    )
    impact = await rows.ask("RemovalImpact", user="bob")
    assert impact["inboxes"] == ["press", "sales", "support"]
    assert (impact["teams"], impact["rules"]) == (["night"], ["sales"])
    assert impact["last_reader_of"] == ["support"]
    rows.story.tell(e.UserDeactivated(user="cleo"))
    assert (await rows.ask("RemovalImpact", user="bob"))["last_reader_of"] == ["sales", "support"]


# ---- SuiteCRM/SuiteCRM-Core#874


async def test_a_default_sender_does_not_come_back_as_the_teams_address(rows: Rows) -> None:
    rows.story.tell(personal(SALES, "bob"), personal(BOB, "bob"), chosen(SALES))
    assert await rows.default("bob") == SALES
    rows.story.tell(e.Disconnected(address=SALES, kind="personal", owner="bob"))
    assert await rows.default("bob") == BOB
    rows.story.tell(team(SALES, "inbox"))
    assert await rows.default("bob") == BOB
    rows.story.tell(chosen(SALES))
    assert await rows.default("bob") == SALES


GIVEN_AWAY = e.OwnershipTransferred(address=SALES, from_="bob", to="cleo")
GIVEN_BACK = e.OwnershipTransferred(address=SALES, from_="cleo", to="bob")
ENDS: Mapping[str, list[e.Event]] = {
    "given away and back": [GIVEN_AWAY, GIVEN_BACK],
    "disconnected and connected": [e.Disconnected(address=SALES, kind="personal", owner="bob"), personal(SALES, "bob")],
    "released and connected": [e.AddressReleased(address=SALES, owner="bob"), personal(SALES, "bob")],
    "now an alias": [e.Disconnected(address=SALES, kind="personal", owner="bob"), alias(SALES, BOB)],
    "the team's": [e.ConnectionConverted(address=SALES, from_="personal", to="team", owner="bob", inbox="support")],
    "reclaimed for another and back": [
        e.AddressReclaimed(address=SALES, from_="bob", owner="cleo", cause="reclaimed"),
        e.AddressReclaimed(address=SALES, from_="cleo", owner="bob", cause="reclaimed"),
    ],
}


@pytest.mark.parametrize("what", ENDS)
async def test_a_choice_ends_with_the_claim_it_was_made_of(rows: Rows, what: str) -> None:
    rows.story.tell(personal(BOB, "bob"), personal(SALES, "bob"), chosen(SALES), *ENDS[what])
    assert (await rows.identities("bob"))[SALES]["usable"]
    assert await rows.default("bob") == BOB
    rows.story.tell(chosen(SALES))
    assert await rows.default("bob") == SALES


async def test_a_chosen_alias_ends_with_the_claim_of_its_primary(rows: Rows) -> None:
    rows.story.tell(personal(BOB, "bob"), personal(SALES, "bob"), alias(B, SALES), chosen(B))
    assert await rows.default("bob") == B
    rows.story.tell(GIVEN_AWAY, GIVEN_BACK)
    assert await rows.default("bob") == BOB
    rows.story.tell(chosen(B))
    assert await rows.default("bob") == B


async def test_a_choice_outlives_a_pause_an_absence_and_a_move(rows: Rows) -> None:
    moved = e.TeamAddressMoved(address=HELP, from_="support", to="inbox")
    rows.story.tell(
        personal(BOB, "bob"), team(HELP, "support"), chosen(HELP), moved,
        e.ReauthenticationRequired(address=HELP, cause="x"),
    )  # fmt: skip
    assert await rows.default("bob") == BOB
    rows.story.tell(e.Reconnected(address=HELP))
    assert await rows.default("bob") == HELP
    rows.story.tell(personal(SALES, "bob"), chosen(SALES), AWAY, REMOVED, e.AddressOrphaned(address=SALES, owner="bob"))
    assert await rows.default("bob") is None
    returned = e.AddressReclaimed(address=SALES, from_="bob", owner="bob", cause="owner_returned")
    rows.story.tell(BACK, returned)
    assert await rows.default("bob") == SALES


async def test_a_new_user_with_an_old_id_has_chosen_nothing(rows: Rows) -> None:
    rows.story.tell(team(HELP, "inbox"), team(OLD_HELP, "inbox"), chosen(OLD_HELP), AWAY, REMOVED)
    rows.story.tell(e.UserAdded(user="bob", name="Robin"))
    assert await rows.default("bob") == HELP


async def test_an_address_that_a_user_lost_is_not_the_default(rows: Rows) -> None:
    rows.story.tell(personal(BOB, "bob"), team(HELP, "support"), chosen(HELP))
    rows.story.tell(e.InboxAccessChanged(inbox="support", access="members", members=("cleo",)))
    assert await rows.default("bob") == BOB
    rows.story.tell(e.InboxAccessChanged(inbox="support", access="everyone"))
    assert await rows.default("bob") == HELP
    rows.story.tell(e.InboxArchived(inbox="support"))
    assert await rows.default("bob") == BOB


# ---- indico/indico#4872


async def test_members_who_are_gone_are_marked_in_teams_and_inboxes(rows: Rows) -> None:
    rows.story.tell(e.TeamCreated(team="closers", name="Closers", members=("bob", "cleo")), AWAY)
    for told in ([], [REMOVED]):
        rows.story.tell(*told)
        (shown,) = await rows.ask("Teams")
        assert (shown["members"], shown["inactive"]) == (["bob", "cleo"], ["bob"])
        shown = await rows.ask("Inbox", inbox="support")
        assert (shown["members"], shown["inactive"], shown["readers"]) == (["bob", "cleo"], ["bob"], ["cleo"])
        assert (await rows.ask("Inboxes"))[2] == shown
    rows.story.tell(BACK)
    assert (await rows.ask("Teams"))[0]["inactive"] == []


# ---- freescout-help-desk/freescout#2988


async def test_an_alias_that_only_receives_is_not_offered_before_the_inboxs_own_address(rows: Rows) -> None:
    rows.story.tell(team(HELP, "inbox"), alias("a@acme.example", HELP), team(SALES, "inbox"))
    assert list(await rows.identities("bob")) == [HELP, SALES, "a@acme.example"]
    assert await rows.default("bob") == HELP
    rows.story.tell(personal("z@acme.example", "bob"), alias(B, "z@acme.example"))
    assert list(await rows.identities("bob")) == ["z@acme.example", HELP, SALES, B, "a@acme.example"]
    rows.story.tell(e.ReauthenticationRequired(address="z@acme.example", cause="x"))
    rows.story.tell(e.ReauthenticationRequired(address=HELP, cause="x"))
    assert await rows.default("bob") == SALES


# ---- tutao/tutanota#8933


async def test_a_mailbox_with_a_new_name_keeps_everything_but_its_name(rows: Rows) -> None:
    rows.story.tell(personal(BOB, "bob", "Bob"), alias(ROBIN, BOB), alias(B, BOB))
    rows.story.tell(chosen(BOB), *promoted(ROBIN, BOB, B, from_name="Bob", tools=("sequences",)))
    shown = await rows.ask("Address", address=ROBIN)
    assert (shown["state"], shown["owner"], shown["since"], shown["primary"]) == ("connected", "bob", time_at(8), None)
    assert (shown["tools"], shown["from_name"], shown["aliases"]) == (["sequences"], "Bob", [B, BOB])
    for name in (BOB, B):
        shown = await rows.ask("Address", address=name)
        assert (shown["state"], shown["owner"], shown["primary"], shown["tools"]) == ("connected", "bob", ROBIN, [])
    found = await rows.identities("bob")
    assert [(name, one["via"]) for name, one in found.items()] == [(ROBIN, "personal"), (B, "alias"), (BOB, "alias")]
    assert await rows.default("bob") == ROBIN
    assert (await rows.ask("RemovalImpact", user="bob"))["addresses"] == [B, BOB, ROBIN]
    rows.story.tell(e.AliasRemoved(address=BOB, primary=ROBIN))
    assert (await rows.ask("Address", address=BOB))["state"] == "free"
    assert await rows.default("bob") == ROBIN


async def test_a_team_mailbox_with_a_new_name_stays_the_teams(rows: Rows) -> None:
    rows.story.tell(team(HELP, "support", connector="bob"), alias(SALES, HELP))
    how = {"kind": "team", "owner": None, "inbox": "support", "connector": "bob", "sending": False}
    rows.story.tell(*promoted(SALES, HELP, **how))
    shown = await rows.ask("Address", address=SALES)
    assert (shown["kind"], shown["inbox"], shown["connector"], shown["state"]) == ("team", "support", "bob", "paused")
    assert [one["address"] for one in (await rows.ask("Inbox", inbox="support"))["addresses"]] == [SALES]


async def test_a_choice_goes_along_with_every_new_name_of_the_mailbox(rows: Rows) -> None:
    rows.story.tell(personal(HELP, "bob"), personal(BOB, "bob"), alias(ROBIN, BOB), alias(B, BOB), chosen(BOB))
    rows.story.tell(*promoted(ROBIN, BOB, B), *promoted(B, ROBIN, BOB))
    assert await rows.default("bob") == B
    rows.story.tell(*promoted(BOB, B, ROBIN), *promoted(ROBIN, BOB, B))
    assert await rows.default("bob") == ROBIN
    rows.story.tell(chosen(BOB))
    assert await rows.default("bob") == BOB
    rows.story.tell(e.AliasRemoved(address=BOB, primary=ROBIN))
    assert await rows.default("bob") == HELP


async def test_a_chosen_alias_is_chosen_still_when_another_one_becomes_the_name(rows: Rows) -> None:
    rows.story.tell(personal(HELP, "bob"), personal(BOB, "bob"), alias(B, BOB), chosen(B), alias(ROBIN, BOB))
    rows.story.tell(*promoted(ROBIN, BOB, B))
    assert await rows.default("bob") == B
    rows.story.tell(*promoted(B, ROBIN, BOB))
    assert await rows.default("bob") == B


async def test_a_choice_that_went_along_ends_with_the_claim_under_its_new_name(rows: Rows) -> None:
    rows.story.tell(personal(HELP, "bob"), personal(BOB, "bob"), alias(ROBIN, BOB), chosen(BOB))
    rows.story.tell(*promoted(ROBIN, BOB))
    rows.story.tell(e.AliasRemoved(address=BOB, primary=ROBIN), e.Disconnected(address=ROBIN, kind="personal"))
    rows.story.tell(personal(BOB, "bob"), personal(ROBIN, "bob"))
    assert await rows.default("bob") == HELP
    # The name that was given up is an address like any other, and may be renamed itself.
    rows.story.tell(chosen(BOB), alias(SALES, BOB), *promoted(SALES, BOB))
    assert await rows.default("bob") == SALES


# ---- freescout-help-desk/freescout#3836


class Counting(Snapshot):
    """Counts the statements."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.__dict__.update(snapshot.__dict__)
        self.statements = 0

    async def select(self, query: LiteralString, params: Mapping[str, Any] | None = None) -> list[Row]:
        self.statements += 1
        return await super().select(query, params)


class CountingRows(Rows):
    statements = 0

    def seen(self, snapshot: Snapshot) -> Snapshot:
        self._counted = Counting(snapshot)
        return self._counted

    async def ask(self, name: str, actor: str = "ana", **fields: Any) -> Any:
        result = await super().ask(name, actor, **fields)
        self.statements = self._counted.statements
        return result


MANY = 300


async def many(rows: Rows) -> None:
    """Users with own addresses and choices, and inboxes with addresses, all in numbers."""
    users = [f"u{number:03d}" for number in range(MANY)]
    places = [f"i{number:03d}" for number in range(MANY)]
    for user in users:
        rows.story.tell(e.UserAdded(user=user, name=user, permissions=("personal_email_access",)))
        rows.story.tell(personal(f"{user}@acme.example", user), alias(f"{user}-a@acme.example", f"{user}@acme.example"))
        rows.story.tell(e.DefaultSenderChanged(user=user, address=f"{user}-a@acme.example"))
    rows.story.tell(e.TeamCreated(team="all", name="All", members=tuple(users)))
    for place in places:
        rows.story.tell(e.InboxCreated(inbox=place, name=place, access="members", members=tuple(users[:20])))
        rows.story.tell(e.InboxAccessChanged(inbox=place, access="members", members=(users[0],), teams=("all",)))
        rows.story.tell(team(f"{place}@acme.example", place), personal(f"o-{place}@acme.example", "bob"))
        rows.story.tell(e.AddressOrphaned(address=f"o-{place}@acme.example", owner="bob"))
        rows.story.tell(e.TeamCreated(team=place, name=place, members=(users[0],)))
    await rows.ask("Usage")


LISTS: Mapping[str, Mapping[str, Any]] = {
    "Users": {}, "Addresses": {}, "Inboxes": {}, "Orphans": {}, "Teams": {}, "Identities": {"user": "u000"},
}  # fmt: skip


@pytest.fixture
def counted(rows: Rows) -> CountingRows:
    return CountingRows(rows.view, rows.story)


async def test_a_list_of_hundreds_asks_the_database_as_often_as_one_of_ten(counted: CountingRows) -> None:
    await many(counted)
    for name, fields in LISTS.items():
        asked = {}
        for limit in (10, MANY):
            assert len(await counted.ask(name, **fields, limit=limit)) == limit
            asked[limit] = counted.statements
        assert asked[10] == asked[MANY] <= 6, name


async def test_a_list_of_hundreds_leaves_the_event_loop_to_others(counted: CountingRows) -> None:
    await many(counted)
    passes = 0

    async def others() -> None:
        nonlocal passes
        while True:
            passes += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    try:
        for name, fields in LISTS.items():
            before = passes
            assert len(await counted.ask(name, **fields, limit=MANY)) == MANY
            # Its rows are read, shown and written in turns of their own; teams are in the account's row.
            turns = 2 if name == "Teams" else 3
            assert passes - before >= turns * (MANY // ROWS_AT_ONCE - 1), name
    finally:
        waiting.cancel()
