"""The question `Changes`: how things differ between two moments."""

from typing import Any

import pytest

from services.audit.domain.changed_things import changed_thing
from services.audit.domain.differences import FieldChange
from shared.language import events as e
from shared.language.reasons import QuestionError
from tests.audit.asking import Item, audit_of
from tests.audit.random_histories import Chance
from tests.audit.replays import Replay
from tests.audit.test_access import BOB, HELP, members, support
from tests.inbox_views.stories import Story, beginning, personal, team, time_at
from tests.projections.histories import UNKNOWN


def short(items: list[Item]) -> list[tuple[str, str, str]]:
    return [(one["aggregate"], one["name"], one["change"]) for one in items]


def by_name(fields: list[FieldChange]) -> list[FieldChange]:
    return sorted(fields, key=lambda one: one.field)


def long_story() -> Story:
    return beginning().tell(
        support("bob"),  # 6
        personal(BOB, "bob", "Bob"),  # 7
        e.FromNameChanged(address=BOB, from_name="Bob Baker"),  # 8
        members("cleo"),  # 9
        e.Disconnected(address=BOB, kind="personal", owner="bob"),  # 10
        e.UserDeactivated(user="bob"),  # 11
        e.UserRemoved(user="bob", policy="orphan"),  # 12
        e.TeamCreated(team="north", name="North", members=("cleo",)),  # 13
        e.TeamMembersChanged(team="north", members=("cleo", "ana")),  # 14
        e.PlanChanged(plan="enterprise"),  # 15
    )


async def test_a_field_that_changed_has_its_value_at_both_moments(database: str) -> None:
    async with audit_of(database, long_story().recorded) as audit:
        (one, other) = await audit.items("Changes", **{"from": 7, "to": 9})
    assert one == {
        "aggregate": "address",
        "name": BOB,
        "change": "changed",
        "fields": [{"field": "from_name", "before": "Bob", "after": "Bob Baker"}],
        "sentences": one["sentences"],
    }
    assert len(one["sentences"]) == 1
    assert "Bob Baker" in one["sentences"][0]
    assert (other["name"], other["fields"]) == ("support", [{"field": "members", "before": ["bob"], "after": ["cleo"]}])


async def test_things_are_added_and_removed_as_people_see_them(database: str) -> None:
    async with audit_of(database, long_story().recorded) as audit:
        assert short(await audit.items("Changes", **{"from": 6, "to": 9})) == [
            ("address", BOB, "added"), ("inbox", "support", "changed"),
        ]  # fmt: skip
        assert short(await audit.items("Changes", **{"from": 9, "to": 12})) == [
            ("address", BOB, "removed"), ("user", "bob", "removed"),
        ]  # fmt: skip


async def test_what_changed_and_changed_back_is_not_a_difference(database: str) -> None:
    async with audit_of(database, long_story().recorded) as audit:
        # The address was connected and disconnected.
        found = await audit.items("Changes", **{"from": 6, "to": 10})
        assert short(found) == [("inbox", "support", "changed")]


async def test_without_a_first_moment_everything_was_added(database: str) -> None:
    async with audit_of(database, long_story().recorded) as audit:
        found = short(await audit.items("Changes", to=6))
        assert found[0] == ("account", "acme", "added")
        assert {change for _, _, change in found} == {"added"}
        assert len(found) == 6
        assert await audit.items("Changes", **{"from": time_at(6), "to": time_at(6)}) == []


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        ({"address": "Bob@Acme.example"}, [("address", BOB, "added")]),
        ({"inbox": "support"}, [("inbox", "support", "added")]),
        ({"user": "bob"}, []),
        ({"team": "north"}, [("team", "north", "added")]),
        ({"team": "south"}, []),
    ],
)
async def test_it_may_be_about_one_thing(thing: dict[str, str], expected: list[Any], database: str) -> None:
    told = beginning().tell(
        e.TeamCreated(team="north", name="North", members=()), e.PlanChanged(plan="enterprise"),
        support("bob"), personal(BOB, "bob"), team(HELP, "inbox"),
    )  # fmt: skip
    async with audit_of(database, told.recorded) as audit:
        found = await audit.items("Changes", **thing, **{"from": 5})
        assert short(found) == expected
        # Not those of other teams, nor of the account.
        assert [len(one["sentences"]) for one in found] == [1 for _ in expected]


async def test_a_dead_letter_makes_the_answer_incomplete(database: str) -> None:
    async with audit_of(database, long_story().recorded, topics={9: UNKNOWN}) as audit:
        body = await audit.ask("Changes", **{"from": 5})
        assert body["incomplete_since"] == 9
        assert (await audit.refused("Changes", **{"from": 16})).error is QuestionError.AS_OF_TOO_LATE


@pytest.mark.parametrize("limit", [1, 4, 1000])
@pytest.mark.parametrize("seed", range(3))
async def test_it_is_the_difference_of_the_rows_at_both_moments(seed: int, limit: int, database: str) -> None:
    told = Chance(seed).story(120)
    replay = Replay(told.recorded)
    async with audit_of(database, told.recorded) as audit:
        for first, last in ((1, told.end), (40, 80), (100, 101), (60, 60)):
            expected = {}
            for kind in ("account", "user", "inbox", "address"):
                before, after = replay.rows_at(kind, first), replay.rows_at(kind, last)
                for name in after:
                    if thing := changed_thing(kind, before.get(name), after[name]):
                        expected[(kind, name)] = (thing.change, by_name(thing.fields))
            items = await audit.items("Changes", limit=limit, **{"from": first, "to": last})
            found = {
                (one["aggregate"], one["name"]): (
                    one["change"],
                    by_name([FieldChange(**field) for field in one["fields"]]),
                )
                for one in items
            }
            assert found == expected
            assert len(items) == len(expected)
            assert all(one["sentences"] for one in items)
