"""The question `Access`, asked of a history in a real database."""

import random
from dataclasses import dataclass

import pytest

from shared.language import events as e
from shared.language.reasons import QuestionError
from shared.language.recorded import Recorded
from tests.audit.asking import Item, audit_of
from tests.audit.random_histories import ADDRESSES, INBOXES, Chance
from tests.audit.replays import Replay
from tests.audit.test_access import BOB, HELP, alias, members, support
from tests.inbox_views.stories import Story, beginning, personal, team, time_at
from tests.projections.histories import UNKNOWN

Line = tuple[str, str, str, str | None, int, int | None]


def lines(items: list[Item]) -> list[Line]:
    return [
        (one["user"], one["can"], one["rule"], one["via"], one["from"]["position"], (one["to"] or {}).get("position"))
        for one in items
    ]


def reading(items: list[Item]) -> list[Line]:
    return [one for one in lines(items) if one[1] == "read"]


def team_story() -> Story:
    return beginning().tell(
        support("bob"),  # 6
        team(HELP, "support"),  # 7
        members("cleo"),  # 8
        members("cleo", "bob"),  # 9
    )


async def test_an_interval_names_the_events_that_gave_and_took_access(database: str) -> None:
    told = team_story()
    async with audit_of(database, told.recorded) as audit:
        items = await audit.items("Access", address=HELP, **{"from": 1})
    bob = next(one for one in items if (one["user"], one["can"], one["from"]["position"]) == ("bob", "read", 7))
    given, taken = told.recorded[6], told.recorded[7]
    assert bob["from"] == {
        "position": 7,
        "time": given.time,
        "event": given.id,
        "type": "TeamConnected",
        "actor": "ana",
        "command_id": given.command_id,
    }
    assert (bob["to"]["event"], bob["to"]["type"]) == (taken.id, "InboxAccessChanged")
    assert (bob["name"], bob["added"], bob["address"], bob["inbox"]) == ("Bob", 4, HELP, None)


async def test_without_a_moment_it_answers_for_now(database: str) -> None:
    async with audit_of(database, team_story().recorded) as audit:
        now = [("bob", "read", "member", "support", 9, None), ("cleo", "read", "member", "support", 8, None)]
        assert reading(await audit.items("Access", address="Help@Acme.example")) == now
        then = [("bob", "read", "member", "support", 7, 8)]
        assert reading(await audit.items("Access", address=HELP, at=7)) == then
        assert reading(await audit.items("Access", address=HELP, at=6)) == []


async def test_a_range_that_cuts_an_interval_says_so(database: str) -> None:
    async with audit_of(database, team_story().recorded) as audit:
        found = {
            (one["user"], one["began_before"], one["goes_on_after"])
            for one in await audit.items("Access", inbox="support", **{"from": 7, "to": 8})
            if one["can"] == "read"
        }
        assert found == {("bob", True, False), ("cleo", False, True)}
        # The moment of its first event is not before it; that of its last is after it.
        (first,) = [one for one in await audit.items("Access", inbox="support", at=6) if one["can"] == "read"]
        assert (first["began_before"], first["goes_on_after"]) == (False, True)


@dataclass(frozen=True)
class Clock:
    """Events at these times, by position; each is a commit of its own but for those with the command of another."""

    times: dict[int, str]
    together: tuple[int, ...] = ()

    def of(self, recorded: list[Recorded]) -> list[Recorded]:
        commands = {one.position: one.command_id for one in recorded}
        return [
            one._replace(
                time=self.times.get(one.position, one.time),
                command_id=commands[self.together[0]] if one.position in self.together else one.command_id,
            )
            for one in recorded
        ]


async def test_a_time_is_the_last_position_up_to_which_no_event_is_later(database: str) -> None:
    async with audit_of(database, team_story().recorded) as audit:

        async def readers(at: str) -> list[str]:
            return [one[0] for one in reading(await audit.items("Access", address=HELP, at=at))]

        # Exactly at a commit, then between two.
        assert await readers(time_at(7)) == ["bob"]
        assert await readers(time_at(7).replace(".000", ".999")) == ["bob"]
        assert await readers(time_at(8)) == ["cleo"]
        assert await readers(time_at(6)) == []
        early = await audit.refused("Access", address=HELP, at="2026-10-31T00:00:00Z")
        late = await audit.refused("Access", address=HELP, at="2100-01-01T00:00:00Z")
        beyond = await audit.refused("Access", address=HELP, at=10)
        assert [one.error for one in (early, late, beyond)] == [
            QuestionError.AS_OF_TOO_EARLY, QuestionError.AS_OF_TOO_LATE, QuestionError.AS_OF_TOO_LATE,
        ]  # fmt: skip
        assert (early.details["first"]["position"], early.details["last"]["position"]) == (1, 9)
        # A range may begin before the log does.
        whole = await audit.items("Access", address=HELP, **{"from": "2026-10-31T00:00:00Z"})
        assert lines(whole) == lines(await audit.items("Access", address=HELP, **{"from": 1}))


async def test_changes_of_one_commit_count_together_for_a_time_and_one_by_one_for_positions(database: str) -> None:
    told = beginning().tell(support("bob"), team(HELP, "support"), e.Disconnected(address=HELP, kind="team"))
    clock = Clock({7: time_at(7), 8: time_at(7)}, together=(7, 8))
    async with audit_of(database, clock.of(told.recorded)) as audit:
        assert reading(await audit.items("Access", address=HELP, at=time_at(7))) == []
        (one,) = [one for one in await audit.items("Access", address=HELP, at=7) if one["can"] == "read"]
        assert (one["from"]["time"], one["to"]["time"]) == (time_at(7), time_at(7))
        assert one["from"]["command_id"] == one["to"]["command_id"]


async def test_positions_rule_where_a_clock_ran_back_by_an_hour(database: str) -> None:
    # bob is a member from 10:00 on, and no more by a command whose writer's clock says 09:30.
    clock = Clock({6: "2026-11-01T10:00:00.000Z", 7: "2026-11-01T10:00:01.000Z", 8: "2026-11-01T09:30:00.000Z"})
    told = beginning().tell(support("bob"), team(HELP, "support"), members("cleo"))
    async with audit_of(database, clock.of(told.recorded)) as audit:
        (bob,) = [one for one in await audit.items("Access", address=HELP, at=7) if one["can"] == "read"]
        assert (bob["from"]["time"], bob["to"]["time"]) == ("2026-11-01T10:00:01.000Z", "2026-11-01T09:30:00.000Z")
        # As of 09:45 neither has happened, since an event before them is later.
        assert await audit.items("Access", address=HELP, at="2026-11-01T09:45:00Z") == []
        assert [one[0] for one in reading(await audit.items("Access", address=HELP, at="2026-11-01T10:00:01Z"))] == [
            "cleo"
        ]


async def test_the_hour_that_comes_twice_in_autumn_is_told_apart_by_its_offset(database: str) -> None:
    clock = Clock({1: "2026-10-24T00:00:00.000Z", 7: "2026-10-25T00:30:00.000Z", 8: "2026-10-25T01:30:00.000Z"})
    before = dict.fromkeys(range(1, 7), "2026-10-24T00:00:00.000Z")
    told = beginning().tell(support("bob"), team(HELP, "support"), members("cleo"))
    async with audit_of(database, Clock(before | clock.times).of(told.recorded)) as audit:
        summer = await audit.items("Access", address=HELP, at="2026-10-25T02:30:00+02:00")
        winter = await audit.items("Access", address=HELP, at="2026-10-25T02:30:00+01:00")
        assert [one[0] for one in reading(summer)] == ["bob"]
        assert [one[0] for one in reading(winter)] == ["cleo"]


async def test_an_answer_about_a_dead_letter_says_since_when_it_is_incomplete(database: str) -> None:
    # An event of a later release changes who may read the inbox.
    told = team_story()
    async with audit_of(database, told.recorded, topics={8: UNKNOWN}) as audit:
        body = await audit.ask("Access", address=HELP, **{"from": 1})
        assert body["incomplete_since"] == 8
        assert reading(body["result"]) == [("bob", "read", "member", "support", 7, None)]
        assert "incomplete_since" not in await audit.ask("Access", inbox="inbox", **{"from": 1})


async def test_two_persons_with_one_id_are_told_apart_by_name_and_position(database: str) -> None:
    told = beginning().tell(
        support("bob"),  # 6
        e.UserDeactivated(user="bob"),  # 7
        e.UserReactivated(user="bob"),  # 8
        e.UserDeactivated(user="bob"),  # 9
        e.UserRemoved(user="bob", policy="orphan"),  # 10
        e.UserReactivated(user="bob"),  # 11
        e.UserDeactivated(user="bob"),  # 12
        e.UserRemoved(user="bob", policy="orphan"),  # 13
        e.UserAdded(user="bob", name="Robert", permissions=()),  # 14
    )
    async with audit_of(database, told.recorded) as audit:
        items = [one for one in await audit.items("Access", inbox="support", **{"from": 1}) if one["can"] == "read"]
    assert [(one["name"], one["added"], one["from"]["position"]) for one in items] == [
        ("Bob", 4, 6), ("Bob", 4, 8), ("Bob", 4, 11), ("Robert", 14, 14),
    ]  # fmt: skip


async def test_nobody_had_access_to_an_address_that_was_never_connected(database: str) -> None:
    async with audit_of(database, team_story().recorded) as audit:
        assert await audit.items("Access", address="nobody@acme.example", **{"from": 1}) == []
        assert (await audit.refused("Access", address="no address")).error is QuestionError.ADDRESS_INVALID
        assert (await audit.refused("Access", inbox="nowhere")).error is QuestionError.INBOX_NOT_FOUND
        assert (
            await audit.refused("Access", address=HELP, **{"from": 8, "to": 7})
        ).error is QuestionError.QUERY_INVALID


async def test_only_auditors_and_super_admins_may_ask(database: str) -> None:
    async with audit_of(database, team_story().recorded) as audit:
        assert await audit.items("Access", address=HELP, actor="ana")
        for actor in ("bob", "service:crm"):
            error = await audit.refused("Access", address=HELP, actor=actor)
            assert error.error is QuestionError.PERMISSION_MISSING


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_pages_have_every_interval_once(limit: int, database: str) -> None:
    told = beginning().tell(personal(BOB, "bob"), alias("b@acme.example", BOB))
    for name in ("dora", "eve", "fay"):
        told.tell(e.UserAdded(user=name, name=name.title(), permissions=("super_admin",)))
    async with audit_of(database, told.recorded) as audit:
        for place in ({"inbox": "inbox"}, {"address": "b@acme.example"}):
            whole = lines(await audit.items("Access", **place, **{"from": 1}))
            assert lines(await audit.items("Access", **place, limit=limit, **{"from": 1})) == whole
            assert len(whole) == len(set(whole)) > 3


@pytest.mark.parametrize("seed", range(4))
async def test_the_rows_of_a_database_give_the_same_intervals_as_a_replay(seed: int, database: str) -> None:
    told = Chance(seed).story(180)
    # The history has further events; the position of an answer is that of the index, which is behind.
    replay, moment = Replay(told.recorded[:160]), random.Random(seed).randint(100, 160)  # noqa: S311
    async with audit_of(database, told.recorded) as audit:
        audit.reached = 160
        for name in (*ADDRESSES, *INBOXES):
            kind = "address" if "@" in name else "inbox"
            if name not in replay.names(kind):
                continue
            place = replay.at_address(name) if kind == "address" else replay.at_inbox(name)
            expected = [(one.user, *one.way, one.start, one.end) for one in replay.intervals(place)]
            assert lines(await audit.items("Access", **{kind: name, "from": 1})) == expected
            covering = [
                (one.user, *one.way, one.start, one.end) for one in replay.intervals(place) if one.covers(moment)
            ]
            assert lines(await audit.items("Access", **{kind: name}, at=moment)) == covering
