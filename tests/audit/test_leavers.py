"""The question `Leavers`: the people who left, and what became of their access."""

import pytest

from shared.language import events as e
from shared.language.recorded import Recorded
from tests.audit.asking import Item, audit_of
from tests.audit.test_access import BOB, HELP, support
from tests.inbox_views.stories import Story, beginning, personal, team, time_at


def short(items: list[Item]) -> list[tuple[str, int, int | None, bool]]:
    return [
        (one["user"], one["left"]["position"], one["last_access"] and one["last_access"]["position"], one["over_limit"])
        for one in items
    ]


def bob_leaves() -> Story:
    return beginning().tell(
        personal(BOB, "bob"),  # 6
        e.UserDeactivated(user="bob"),  # 7
        e.UserRemoved(user="bob", policy="orphan"),  # 8
        e.AddressOrphaned(address=BOB, owner="bob"),  # 9
        e.AddressReclaimed(address=BOB, from_="bob", owner="cleo", cause="reclaimed"),  # 10
    )


def hours_later(recorded: list[Recorded], **hours: float) -> list[Recorded]:
    """The events, each as many hours after the first as `p<position>` says, or as the one before."""
    found, passed = list[Recorded](), 0.0
    for one in recorded:
        passed = hours.get(f"p{one.position}", passed)
        whole, minutes = divmod(round(passed * 60), 60)
        days, hour = divmod(whole, 24)
        found.append(one._replace(time=f"2026-03-{days + 1:02d}T{hour:02d}:{minutes:02d}:00.000Z"))
    return found


async def test_access_ends_when_a_person_is_deactivated(database: str) -> None:
    told = bob_leaves()
    async with audit_of(database, told.recorded) as audit:
        (bob,) = await audit.items("Leavers")
    assert short([bob]) == [("bob", 7, 7, False)]
    assert (bob["hours"], bob["remaining"], bob["removed"]["position"], bob["name"]) == (0.0, [], 8, "Bob")
    assert bob["last_access"]["type"] == "UserDeactivated"


async def test_it_says_what_was_without_an_owner_and_who_has_it_since(database: str) -> None:
    told = bob_leaves()
    async with audit_of(database, told.recorded) as audit:
        ((orphan,),) = [one["orphaned"] for one in await audit.items("Leavers")]
    assert (orphan["address"], orphan["owner"], orphan["inbox"]) == (BOB, "cleo", None)
    assert (orphan["from"]["position"], orphan["to"]["position"], orphan["to"]["actor"]) == (9, 10, "ana")


async def test_a_person_who_came_back_for_longer_than_the_limit_comes_first(database: str) -> None:
    told = beginning().tell(
        support("bob", "cleo"),  # 6
        e.UserDeactivated(user="cleo"),  # 7
        e.UserDeactivated(user="bob"),  # 8
        e.UserReactivated(user="bob"),  # 9
        e.UserDeactivated(user="bob"),  # 10
    )
    async with audit_of(database, hours_later(told.recorded, p7=1, p8=2, p9=3, p10=38.5)) as audit:
        assert short(await audit.items("Leavers")) == [("bob", 8, 10, True), ("cleo", 7, 7, False)]
        assert [one["hours"] for one in await audit.items("Leavers")] == [36.5, 0.0]
        assert short(await audit.items("Leavers", hours=37)) == [("cleo", 7, 7, False), ("bob", 8, 10, False)]


async def test_somebody_who_is_active_again_has_access_still(database: str) -> None:
    told = beginning().tell(
        support("bob"), e.UserDeactivated(user="bob"), e.UserReactivated(user="bob"), team(HELP, "support"),
    )  # fmt: skip
    async with audit_of(database, hours_later(told.recorded, p6=0)) as audit:
        (bob,) = await audit.items("Leavers")
        assert (bob["hours"], bob["last_access"], bob["over_limit"]) == (None, None, True)
        assert {(one["inbox"] or one["address"], one["can"]) for one in bob["remaining"]} == {
            ("inbox", "read"), ("support", "read"), ("support", "send"),
        }  # fmt: skip


async def test_another_person_with_the_id_later_is_not_the_one_who_left(database: str) -> None:
    told = beginning().tell(
        support("bob"),  # 6
        e.UserDeactivated(user="bob"),  # 7
        e.UserRemoved(user="bob", policy="orphan"),  # 8
        e.UserAdded(user="bob", name="Robert", permissions=()),  # 9
        e.UserDeactivated(user="bob"),  # 10
    )
    async with audit_of(database, told.recorded) as audit:
        found = await audit.items("Leavers")
        assert short(found) == [("bob", 7, 7, False), ("bob", 10, 10, False)]
        assert [(one["name"], one["added"], one["remaining"]) for one in found] == [("Bob", 4, []), ("Robert", 9, [])]


@pytest.mark.parametrize(
    ("fields", "users"),
    [
        ({"from": 7, "to": 7}, ["bob"]),
        ({"from": 8}, ["bob", "cleo"]),
        ({"from": 9}, ["cleo"]),
        ({"to": 6}, []),
        # A time is within a range that begins with it.
        ({"from": time_at(9)}, ["cleo"]),
        ({"from": time_at(10)}, []),
    ],
)
async def test_a_range_has_those_who_left_or_were_removed_in_it(
    fields: dict[str, int | str], users: list[str], database: str
) -> None:
    told = beginning().tell(
        support("bob"),  # 6
        e.UserDeactivated(user="bob"),  # 7
        e.UserRemoved(user="bob", policy="orphan"),  # 8
        e.UserDeactivated(user="cleo"),  # 9
        e.PermissionsChanged(user="cleo", permissions=()),  # 10
    )
    async with audit_of(database, told.recorded) as audit:
        assert [one["user"] for one in await audit.items("Leavers", **fields)] == users
        assert [one["user"] for one in await audit.items("Leavers", limit=1, **fields)] == users
