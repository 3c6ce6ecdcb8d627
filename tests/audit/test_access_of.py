"""The question `AccessOf`: everything that one person could read, send from or administer."""

import pytest

from shared.language import events as e
from shared.language.reasons import QuestionError
from tests.audit.asking import Item, audit_of
from tests.audit.random_histories import USERS, Chance
from tests.audit.replays import Replay
from tests.audit.test_access import BOB, HELP, alias, members, support
from tests.inbox_views.stories import Story, beginning, personal, team

Line = tuple[str | None, str | None, str, str, str | None, int, int | None]


def lines(items: list[Item]) -> list[Line]:
    return [
        (
            one["address"], one["inbox"], one["can"], one["rule"], one["via"],
            one["from"]["position"], one["to"] and one["to"]["position"],
        )
        for one in items
    ]  # fmt: skip


def bobs_story() -> Story:
    return beginning().tell(
        support("bob"),  # 6
        team(HELP, "support"),  # 7
        alias("h@acme.example", HELP),  # 8
        personal(BOB, "bob"),  # 9
        members("cleo"),  # 10
        e.PermissionsChanged(user="bob", permissions=("account_access",)),  # 11
    )


async def test_a_person_has_intervals_at_the_account_inboxes_and_addresses(database: str) -> None:
    async with audit_of(database, bobs_story().recorded) as audit:
        items = await audit.items("AccessOf", user="bob", **{"from": 1})
    reading = [one for one in lines(items) if one[2] != "send"]
    assert reading == [
        (None, None, "administer", "administrator", None, 11, None),
        (None, "inbox", "read", "everyone", "inbox", 4, None),
        (None, "support", "read", "member", "support", 6, 10),
        (BOB, None, "read", "owner", None, 9, 11),
        ("h@acme.example", None, "read", "alias", HELP, 8, 10),
        (HELP, None, "read", "member", "support", 7, 10),
    ]
    assert {one["user"] for one in items} == {"bob"}


async def test_as_of_a_moment_it_has_what_the_person_could_do_then(database: str) -> None:
    async with audit_of(database, bobs_story().recorded) as audit:

        async def places(**moment: int) -> list[str]:
            items = await audit.items("AccessOf", user="bob", **moment)
            return [one["address"] or one["inbox"] or "account" for one in items if one["can"] != "send"]

        assert await places(at=8) == ["inbox", "support", "h@acme.example", HELP]
        assert await places() == ["account", "inbox"]


async def test_a_user_who_never_was_is_not_found(database: str) -> None:
    async with audit_of(database, bobs_story().recorded) as audit:
        assert (await audit.refused("AccessOf", user="nobody")).error is QuestionError.USER_NOT_FOUND


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_pages_have_every_interval_once(limit: int, database: str) -> None:
    async with audit_of(database, bobs_story().recorded) as audit:
        whole = lines(await audit.items("AccessOf", user="bob", **{"from": 1}))
        assert lines(await audit.items("AccessOf", user="bob", limit=limit, **{"from": 1})) == whole
        assert len(whole) == len(set(whole)) == 10


@pytest.mark.parametrize("seed", range(4, 8))
async def test_it_has_the_same_intervals_as_the_questions_about_each_place(seed: int, database: str) -> None:
    told = Chance(seed).story(180)
    replay = Replay(told.recorded[:160])
    async with audit_of(database, told.recorded) as audit:
        audit.reached = 160
        for user in set(USERS) & set(replay.names("user")):
            facts = replay.user(user)
            expected: set[Line] = {
                (None, None, "administer", "administrator", None, start, end) for start, end in facts.administers
            }
            for kind in ("inbox", "address"):
                for name in replay.names(kind):
                    place = replay.at_inbox(name) if kind == "inbox" else replay.at_address(name)
                    address, inbox = (None, name) if kind == "inbox" else (name, None)
                    expected |= {
                        (address, inbox, *one.way, one.start, one.end)
                        for one in replay.intervals(place)
                        if one.user == user and one.way.can != "administer"
                    }
            found = lines(await audit.items("AccessOf", user=user, **{"from": 1}))
            assert set(found) == expected
            assert len(found) == len(expected)
