"""However many writers there are: answers and final state are those of the same commands one after the other."""

import threading
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import orjson
import pytest

from services.connections.decider import Decider
from services.connections.envelope import CommandEnvelope
from services.connections.outcome import Outcome
from services.connections.store.state_cache import set_of
from services.connections.store.unit_of_work import name_of
from shared.language import commands as c
from shared.language.recorded import Recorded, stream_id
from shared.process import stored_events
from shared.process.clock import new_id
from tests.connections.anything import ADMIN, INBOXES, SERVICE, USERS, any_command, dice_of
from tests.connections.conftest import OpenDecider, Store, settle, verbatim
from tests.connections.given_when_then import ACCOUNT, World, read
from tests.connections.invariants import broken

BEGINNING: Sequence[c.Command] = (
    c.RegisterAccount(actor=SERVICE, plan="starter", admin=ADMIN),
    *(c.AddUser(actor=SERVICE, user=user, name=user, permissions=("personal_email_access",)) for user in USERS[1:]),
    *(c.CreateInbox(actor=SERVICE, inbox=inbox, name=inbox) for inbox in INBOXES[1:]),
)


def anything(dice: Random, count: int) -> list[CommandEnvelope]:
    return [read(any_command(dice), command_id=new_id()) for _ in range(count)]


def told(reply: bytes) -> dict[str, Any]:
    """The reply without the ids of events, which are made anew at each attempt."""
    found: dict[str, Any] = orjson.loads(reply)
    found["events"] = [event["type"] for event in found.get("events", ())]
    return found


def one_after_the_other(world: World, pending: CommandEnvelope) -> dict[str, Any]:
    """What a single writer with no cache at all would answer."""
    verdict = world.decide(pending)
    for _, event in verdict.events:
        world.follow(pending.account, event, pending.time, pending)
    answer = told(verdict.reply())
    return answer | ({"position": len(world.happened)} if "position" in answer else {})


def logged(store: Store) -> list[Recorded]:
    rows = store.rows(
        "SELECT originator_id, originator_version, topic, state, notification_id FROM connections.events ORDER BY 5"
    )
    return [stored_events.from_state(*row) for row in rows]


def folded(log: Sequence[Recorded]) -> World:
    world = World()
    for recorded in log:
        world.follow(recorded.account, recorded.event, recorded.time)
    return world


def the_store_is_whole(store: Store, deciders: Sequence[Decider]) -> None:
    """No hole, no version twice, sets as made anew from the log, the writers' caches not wrong, all rules kept."""
    log = logged(store)
    assert store.positions() == list(range(1, len(log) + 1))
    world = folded(log)
    assert broken(world.states, world.sets, ACCOUNT) == []
    names = {stream_id(ACCOUNT, r.event.aggregate, name_of(r.event, ACCOUNT)): r.event.aggregate for r in log}
    rows = store.rows("SELECT set_id, member FROM connections.memberships WHERE present")
    expected = {(set_of(ACCOUNT, name), stream_id(*key)) for (_, name), keys in world.sets.items() for key in keys}
    assert set(rows) == expected
    assert {recorded.stream for recorded in log} == set(names)
    for decider in deciders:
        the_writer_knows(decider, world)


def the_writer_knows(decider: Decider, world: World) -> None:
    """After one more command over everything, no state that it keeps differs from the log's."""
    for key, state in world.states.items():
        decider.store.cache.load([(stream_id(*key), key[1], key[0])], [])
        seen = decider.store.cache.states[stream_id(*key)]
        versions = [r.version for r in world.happened if r.stream == stream_id(*key)]
        assert seen.version <= versions[-1]
        assert seen.version != versions[-1] or seen.state == state


@pytest.mark.parametrize("seed", range(10))
def test_two_writers_with_stale_states_take_turns(open_decider: OpenDecider, store: Store, seed: int) -> None:
    dice, world, deciders = dice_of(seed), World(), (open_decider(), open_decider())
    beginning = [read(command) for command in BEGINNING]
    settle(deciders[0], *beginning)
    for pending in beginning:
        one_after_the_other(world, pending)
    for _ in range(60):
        group = anything(dice, dice.randint(1, 6))
        expected = [one_after_the_other(world, pending) for pending in group]
        answers = settle(dice.choice(deciders), *group)
        assert [told(answer.reply()) for answer in answers] == expected
    assert [r.event for r in logged(store)] == [r.event for r in world.happened]
    the_store_is_whole(store, deciders)


def at_the_same_time(*work: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def watched(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001  told below
            failures.append(error)

    threads = [threading.Thread(target=watched, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class Asked:
    """A command with its answer, and where the log ended before it was sent and after it was answered."""

    def __init__(self, pending: CommandEnvelope, answer: Outcome, before: int, after: int) -> None:
        self.pending, self.answer, self.before, self.after = pending, answer, before, after


def work_of(
    decider: Decider, store: Store, groups: Sequence[Sequence[CommandEnvelope]], done: list[Asked]
) -> Callable[[], None]:
    def work() -> None:
        end = 0
        for group in groups:
            answers = settle(decider, *group)
            after = max(store.rows("SELECT coalesce(max(notification_id), 0) FROM connections.events")[0][0], end)
            done.extend(Asked(p, a, end, after) for p, a in zip(group, answers, strict=True))
            end = after

    return work


@pytest.mark.parametrize("seed", range(4))
def test_writers_at_the_same_time_answer_as_in_the_order_of_the_log(
    open_decider: OpenDecider, store: Store, seed: int
) -> None:
    dice, deciders, done = dice_of(seed), [open_decider() for _ in range(3)], list[Asked]()
    settle(deciders[0], *map(read, BEGINNING))
    at_the_same_time(
        *(
            work_of(decider, store, [anything(dice, dice.randint(1, 8)) for _ in range(25)], done)
            for decider in deciders
        )
    )
    the_store_is_whole(store, deciders)
    is_explained_by_the_log(logged(store), done)


def is_explained_by_the_log(log: Sequence[Recorded], done: Sequence[Asked]) -> None:
    """Decided anew on the log as it stood at its place, each command gets the very answer that it got.

    An accepted or unchanged one names its place. A refused one does not: some place between sending and answer must
    explain it.
    """
    prefixes = Prefixes(log)
    for asked in done:
        answer = told(asked.answer.reply())
        match answer["outcome"]:
            case "accepted":
                place = range(answer["position"] - answer["event_count"], answer["position"])
                assert {log[position].command_id for position in place} == {answer["command_id"]}
                assert prefixes.answer(place.start, asked.pending) == answer | {"position": place.start}
            case "unchanged":
                assert prefixes.answer(answer["position"], asked.pending) == answer
            case _:
                places = range(asked.before, asked.after + 1)
                assert any(prefixes.answer(place, asked.pending) == answer for place in places), answer


class Prefixes:
    """The world as it was at every place of the log."""

    def __init__(self, log: Sequence[Recorded]) -> None:
        world = World()
        self._worlds = [self._copy(world)]
        for recorded in log:
            world.follow(recorded.account, recorded.event, recorded.time)
            self._worlds.append(self._copy(world))

    @staticmethod
    def _copy(world: World) -> World:
        copy = World()
        copy.states = dict(world.states)
        copy.sets = {name: set(members) for name, members in world.sets.items()}
        return copy

    def answer(self, place: int, pending: CommandEnvelope) -> dict[str, Any]:
        answer = told(self._worlds[place].decide(pending).reply())
        return answer | ({"position": place} if "position" in answer else {})


@pytest.mark.parametrize("seed", range(3))
def test_one_command_sent_to_two_writers_at_the_same_time_is_answered_alike(
    open_decider: OpenDecider, store: Store, seed: int
) -> None:
    dice, one, other = dice_of(seed), open_decider(), open_decider()
    settle(one, *map(read, BEGINNING))
    commands = [(any_command(dice), new_id()) for _ in range(120)]
    answers: tuple[dict[str, Outcome], dict[str, Outcome]] = ({}, {})

    def send(decider: Decider, order: Sequence[tuple[c.Command, str]], heard: dict[str, Outcome]) -> Callable[[], None]:
        def work() -> None:
            for start in range(0, len(order), 5):
                group = order[start : start + 5]
                settled = settle(decider, *(read(command, command_id=command_id) for command, command_id in group))
                heard.update({command_id: answer for (_, command_id), answer in zip(group, settled, strict=True)})

        return work

    at_the_same_time(send(one, commands, answers[0]), send(other, commands, answers[1]))
    assert len(answers[0]) == 120
    assert list(answers[0]) == list(answers[1])
    assert verbatim(answers[0].values()) == verbatim(answers[1].values())
    the_store_is_whole(store, (one, other))
    accepted = [answer for answer in answers[0].values() if answer.kind == "accepted"]
    count = sum(told(answer.reply())["event_count"] for answer in accepted)
    assert len(logged(store)) == count + 2 + len(BEGINNING)


def test_of_many_claims_at_the_same_time_one_is_accepted_and_the_others_hear_the_reason(
    open_decider: OpenDecider, store: Store
) -> None:
    deciders, done = [open_decider() for _ in range(3)], list[Asked]()
    settle(deciders[0], *map(read, BEGINNING))
    claims = [
        [[read(c.ConnectPersonal(actor=user, address=f"x{n}@acme.example", owner=user))] for n in range(20)]
        for user in USERS[1:]
    ]
    at_the_same_time(*(work_of(decider, store, mine, done) for decider, mine in zip(deciders, claims, strict=True)))
    outcomes = sorted(asked.answer.reason or asked.answer.kind for asked in done)
    assert outcomes == ["ADDRESS_ALREADY_PERSONAL"] * 40 + ["accepted"] * 20
