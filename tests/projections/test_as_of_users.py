"""Questions of users as of a moment: each hears what they heard live then, or nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from shared.core.policies import holds
from shared.core.state.fold import fold
from shared.language import events as e
from shared.language.recorded import Recorded
from tests.audit.random_histories import Chance
from tests.inbox_views.stories import Bus, Story, beginning, eventually, personal
from tests.projections.test_as_of import NOT_NOW, SERVICE, add, both_views, follows, publish, questions, stopped
from tests.real_servers import RunningNats

# Zoe holds nothing and is a member nowhere, nobody knows Yan.
USERS = ("ana", "bob", "cleo", "dora", "zoe", "yan")
REFUSED = (403, "PERMISSION_MISSING")


# ---- the same answer as live


@pytest.mark.parametrize("seed", [4, 5])
async def test_a_user_hears_what_they_heard_then_or_nothing(
    seed: int, private_nats: RunningNats, database: str
) -> None:
    story, live, equal = Story("acme"), dict[int, dict[str, list[Any]]](), 0
    async with both_views(private_nats, database) as bus:
        for one in with_zoe(Chance(seed).story(40).recorded):
            story.recorded.append(one)
            await publish(bus, database, story, len(story.recorded) - 1)
            live[one.position] = {
                user: await answers(bus, one.position, user, {"at_least": one.position}) for user in USERS
            }
        for position in live:
            for user in USERS:
                told = await answers(bus, position, user, {"as_of": position})
                match rightly(story.recorded, position, user):
                    case "nothing":
                        assert {error for _, error in told} == {REFUSED}, (position, user)
                    case "as then":
                        assert told == live[position][user], (position, user)
                        equal += 1
    assert equal > 40


def with_zoe(recorded: Sequence[Recorded]) -> list[Recorded]:
    (zoe,) = Story("acme").tell(e.UserAdded(user="zoe", name="Zoe", permissions=())).recorded
    told = [*recorded[:5], zoe._replace(time=recorded[4].time), *recorded[5:]]
    return [one._replace(position=position) for position, one in enumerate(told, 1)]


async def answers(bus: Bus, position: int, actor: str, moment: dict[str, Any]) -> list[Any]:
    """The body and the error of each question; of a refusal, only the error. A busy service is asked again."""
    asked = questions(position)
    while True:
        told = await asyncio.gather(*(bus.ask(name, actor=actor, wait_ms=10_000, **fields, **moment)
                                      for name, fields in asked))  # fmt: skip
        if not NOT_NOW.intersection(one.error[1] for one in told if one.error):
            return [(one.body if one.error is None else None, one.error) for one in told]


def rightly(recorded: Sequence[Recorded], position: int, user: str) -> str:
    """What a user hears as of a position, from each state that they were in since."""
    states: dict[int, dict[str, Any]] = {}
    row = None
    for one in recorded:
        if getattr(one.event, "user", None) == user and one.event.aggregate == "user":
            row = dict(fold(row, one))
        states[one.position] = row or {"status": "unknown", "permissions": ()}
    then, now = states[position], states[len(recorded)]
    if now["status"] != "active":
        return "nothing"
    if holds(now["permissions"], "account_access"):
        return "all of it"
    removed = any(states[later]["status"] == "removed" for later in range(position, len(recorded)))
    if then["status"] != "active" or removed:
        return "nothing"
    return "less" if holds(then["permissions"], "account_access") else "as then"


# ---- who was not there


async def test_who_was_away_then_or_came_later_hears_nothing(private_nats: RunningNats, database: str) -> None:
    story = beginning().tell(personal("bob@acme.example", "bob"), e.UserDeactivated(user="bob"))
    then = story.end
    story.tell(e.UserReactivated(user="bob"), e.UserAdded(user="fay", name="Fay", permissions=()))
    async with both_views(private_nats, database) as bus:
        await publish(bus, database, story)
        for user in ("bob", "fay"):
            for name, fields in questions(then):
                told = await bus.ask(name, actor=user, as_of=then, wait_ms=10_000, **fields)
                assert told.error == REFUSED, (user, name)
        told = await bus.ask("Inbox", actor="bob", inbox="inbox", as_of=then)
        assert "were not an active user at that moment" in told.body["message"]
        assert (await bus.ask("Inbox", actor="bob", inbox="inbox", as_of=then - 1)).error is None


async def test_a_change_that_the_history_does_not_have_yet_is_waited_for(
    private_nats: RunningNats, database: str
) -> None:
    """Bob might have been removed in it; of Ana, an administrator, nothing more need be known."""
    story = beginning()
    then = story.end
    async with both_views(private_nats, database) as bus:
        await publish(bus, database, story)
        await eventually(lambda: follows(bus, then))
        async with stopped(database):
            await add(bus, database, story, e.SignatureChanged(user="bob", signature="Regards"))
            told = await bus.ask("Inbox", actor="bob", inbox="inbox", as_of=then, wait_ms=100)
            assert told.error == (503, "BUSY")
            assert told.body["details"]["retry_after_ms"] > 0
            for actor in ("ana", "cleo", SERVICE):
                assert (await bus.ask("Inbox", actor=actor, inbox="inbox", as_of=then)).error is None
        await eventually(lambda: follows(bus, story.end))
        assert (await bus.ask("Inbox", actor="bob", inbox="inbox", as_of=then)).error is None
