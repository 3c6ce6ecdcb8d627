"""The intervals that cover a position add up to what the views say as of it."""

import random
from typing import Any

import pytest

from services.audit.domain.access import Interval
from services.inbox_views.domain.identities import senders, why_not_usable
from shared.core.state.inbox import membership
from shared.core.state.user import administers
from tests.audit.random_histories import Chance
from tests.audit.replays import Replay

Abilities = set[tuple[str, str, str]]
MOST = 160


def by_the_views(replay: Replay, position: int) -> Abilities:
    """Who can read each inbox and address, send as each address, and administer both, as of a position."""
    rows = {kind: replay.rows_at(kind, position) for kind in ("account", "user", "inbox", "address")}
    account = rows["account"]["acme"]
    active = [name for name, row in sorted(rows["user"].items()) if row["status"] == "active"]
    readers = {name: membership(row, account).readers(active) for name, row in rows["inbox"].items()}
    found = {("read", name, user) for name, users in readers.items() for user in users}
    for name, row in rows["address"].items():
        claim = rows["address"].get(row["primary"], row)
        found |= {("read", name, user) for user in readers.get(claim["inbox"], ())}
        owner = claim["owner"] if claim["owner"] in active and not claim["orphaned"] else None
        if owner is not None and "personal_email_access" in rows["user"][owner]["permissions"]:
            found.add(("read", name, owner))
    for user in rows["user"].values():
        found |= sent_as(user, rows["address"], rows["inbox"], account)
    places = [*rows["inbox"], *(name for name, row in rows["address"].items() if row["kind"] or row["primary"])]
    admins = [user for user in active if administers(rows["user"][user])]
    return found | {("administer", place, user) for place in places for user in admins}


def sent_as(user: Any, addresses: dict[str, Any], inboxes: dict[str, Any], account: Any) -> Abilities:
    """The usable identities of a user, and the inboxes that they can send from."""
    name = user["user"]
    open_ = {key for key, row in inboxes.items() if not row["archived"] and membership(row, account).admits(name)}
    listed = [row for _, row in sorted(addresses.items())]
    own = [row for row in listed if row["owner"] == name and not row["orphaned"]]
    team = [row for row in listed if row["inbox"] in open_]
    aliases = [row for row in listed if row["primary"] in {one["address"] for one in (*own, *team)}]
    usable = [one for one in senders(own, team, aliases) if why_not_usable(user, one.claim) is None]
    inboxes_used = {one.claim["inbox"] for one in usable if one.claim["inbox"] is not None}
    return {("send", place, name) for place in (*(one.address for one in usable), *inboxes_used)}


def by_intervals(found: dict[str, list[Interval]], position: int) -> Abilities:
    return {(one.way.can, place, one.user) for place, many in found.items() for one in many if one.covers(position)}


def all_intervals(replay: Replay) -> dict[str, list[Interval]]:
    return {name: replay.intervals(replay.at_inbox(name)) for name in replay.names("inbox")} | {
        name: replay.intervals(replay.at_address(name)) for name in replay.names("address")
    }


@pytest.mark.parametrize("seed", range(40))
def test_intervals_add_up_to_what_the_views_say_as_of_every_position(seed: int) -> None:
    story = Chance(seed).story(MOST)
    replay = Replay(story.recorded)
    found = all_intervals(replay)
    chosen = random.Random(seed).sample(range(1, story.end + 1), 60)  # noqa: S311
    for position in chosen:
        assert by_intervals(found, position) == by_the_views(replay, position), position


@pytest.mark.parametrize("seed", range(40))
def test_intervals_of_one_way_neither_overlap_nor_adjoin(seed: int) -> None:
    replay = Replay(Chance(seed).story(MOST).recorded)
    ends: dict[Any, int | None] = {}
    for place, many in all_intervals(replay).items():
        for one in many:
            key = (place, one.user, one.way)
            if key in ends:
                end = ends[key]
                assert end is not None
                assert end < one.start
            assert one.end is None or one.start < one.end
            ends[key] = one.end


def test_random_histories_have_every_kind_of_access() -> None:
    rules = {
        (one.way.can, one.way.rule)
        for seed in range(10)
        for many in all_intervals(Replay(Chance(seed).story(MOST).recorded)).values()
        for one in many
    }
    by_rule = {(can, rule) for can in ("read", "send") for rule in ("member", "team", "everyone", "owner", "alias")}
    assert rules == by_rule | {("administer", "administrator")}
