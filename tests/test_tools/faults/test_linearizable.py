"""Answers are judged in the order of real time: what is possible passes, what is not is named."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.faults.history import Answer, Command, Try
from tests.faults.linearizable import of_raced_addresses, of_the_order
from tests.faults.verdict import Stored

ADDRESS = "raced-1@acme.example"
UNANSWERED = 0


def claim(id_: str, owner: str, began: int, ended: int, told: Mapping[str, Any] | None) -> Command:
    return command("ConnectPersonal", id_, owner, {"address": ADDRESS, "owner": owner}, began, ended, told)


def command(
    name: str, id_: str, actor: str, fields: Mapping[str, Any], began: int, ended: int, told: Mapping[str, Any] | None
) -> Command:
    answer = None if told is None else Answer(json.dumps(told).encode())
    tries = [Try(began, ended, "reply" if answer else "timeout", answer)]
    return Command(len(id_), id_, "acme", name, actor, fields, began, ended, tries)


def accepted(position: int) -> dict[str, Any]:
    return {"outcome": "accepted", "position": position}


def unchanged(position: int) -> dict[str, Any]:
    return {"outcome": "unchanged", "position": position}


def refused(reason: str, **details: Any) -> dict[str, Any]:
    return {"outcome": "refused", "reason": reason, "details": details}


TAKEN = refused("ADDRESS_ALREADY_PERSONAL", kind="personal", advice="ask an administrator")
FREE = refused("NOT_CONNECTED", address=ADDRESS)


def stored(position: int, command_id: str, name: str, **data: Any) -> Stored:
    told = {"address": ADDRESS, **data}
    return Stored(position, "s", position, f"e{position}", "acme", command_id, "", name, told)


def connected(position: int, command_id: str, owner: str) -> Stored:
    return stored(position, command_id, "PersonalConnected", owner=owner)


def freed(position: int, command_id: str) -> Stored:
    return stored(position, command_id, "Disconnected", kind="personal")


def pause(began: int, ended: int, told: Mapping[str, Any]) -> Command:
    return command("Pause", "pause", "service:work", {"address": ADDRESS}, began, ended, told)


def disconnect(id_: str, began: int, ended: int, told: Mapping[str, Any] | None) -> Command:
    return command("Disconnect", id_, "ana", {"address": ADDRESS}, began, ended, told)


BOB = claim("b", "bob", 10, 20, accepted(1))
GONE = disconnect("d", 30, 40, accepted(2))
LOG = [connected(1, "b", "bob"), freed(2, "d")]


def found(log: list[Stored], *commands: Command) -> set[str]:
    ruling = of_the_order(commands, log)
    return {name for name, members in ruling.verdict.items() if members}


@pytest.mark.parametrize(
    "other",
    [
        claim("c", "cleo", 15, 18, TAKEN),  # at the same time, behind
        claim("c", "cleo", 25, 28, TAKEN),
        claim("c", "cleo", 35, 38, TAKEN),  # while it is given back
        claim("c", "bob", 25, 28, unchanged(1)),
        pause(5, 12, FREE),
        pause(15, 18, FREE),  # before it in the same moment
        pause(35, 45, FREE),
        claim("c", "cleo", 5, UNANSWERED, None),
    ],
)
def test_what_some_order_explains_is_right(other: Command) -> None:
    assert found(LOG, BOB, GONE, other) == set()


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (claim("c", "cleo", 5, 8, TAKEN), "refused for what was never true"),  # before anybody had it
        (claim("c", "cleo", 45, 48, TAKEN), "refused for what was never true"),  # after it was given back
        (pause(22, 28, FREE), "refused for what was never true"),
        (claim("c", "cleo", 25, 28, unchanged(1)), "unchanged and it was not so"),
        (claim("c", "bob", 45, 48, unchanged(2)), "unchanged and it was not so"),
        (disconnect("e", 45, 48, unchanged(3)), "unchanged and it was not so"),  # the log has lost its end
        (claim("c", "bob", 45, 48, unchanged(1)), "against the order of real time"),
        (claim("c", "cleo", 25, 28, refused("ADDRESS_ALREADY_TEAM", kind="team")), "refused for what was never true"),
        (claim("c", "cleo", 25, 28, TAKEN | {"details": {"holder": "dora"}}), "refused for what was never true"),
    ],
)
def test_what_no_order_explains_is_named(other: Command, name: str) -> None:
    assert name in found(LOG, BOB, GONE, other)


def test_a_second_claim_of_a_held_address_is_not_possible() -> None:
    other = claim("c", "cleo", 25, 28, accepted(2))
    assert found([LOG[0], connected(2, "c", "cleo")], BOB, other) == {"accepted what was not possible"}


def test_an_unknown_claim_has_effect_where_its_events_stand() -> None:
    late = claim("c", "cleo", 5, UNANSWERED, None)
    log = [*LOG, connected(3, "c", "cleo")]
    assert found(log, BOB, GONE, late, claim("e", "dora", 60, 70, TAKEN)) == set()
    assert found([*log[:1], connected(2, "c", "cleo")], BOB, late) == {"accepted what was not possible"}


def test_an_unknown_claim_has_no_effect_before_it_was_given() -> None:
    early = claim("c", "cleo", 50, UNANSWERED, None)
    log = [connected(1, "c", "cleo"), freed(2, "d")]
    assert found(log, disconnect("d", 30, 40, accepted(2)), early) == {"against the order of real time"}


def test_two_refusals_that_no_one_order_explains_are_named() -> None:
    """Each alone is true at some time; the second was begun after the first was answered."""
    during = 30, 40
    taken, free = claim("c", "cleo", 36, 38, TAKEN), pause(32, 34, FREE)
    assert found(LOG, BOB, disconnect("d", *during, accepted(2)), taken) == set()
    assert found(LOG, BOB, disconnect("d", *during, accepted(2)), free) == set()
    assert found(LOG, BOB, disconnect("d", *during, accepted(2)), taken, free) == {"refused for what was never true"}


def test_nobody_decides_in_the_middle_of_one_command() -> None:
    """A command that frees an address and its alias: they are seen together or not at all."""
    alias = "a@acme.example"
    log = [
        connected(1, "b", "bob"),
        Stored(2, "t", 1, "e2", "acme", "x", "", "AliasAdded", {"address": alias, "primary": ADDRESS}),
        freed(3, "d"),
        Stored(4, "t", 2, "e4", "acme", "d", "", "AliasRemoved", {"address": alias, "primary": ADDRESS}),
    ]
    given = {"address": ADDRESS, "alias": alias}
    added = command("AddAlias", "x", "service:work", given, 21, 25, accepted(2))
    gone = disconnect("d", 30, 40, accepted(4))
    between = command("AddAlias", "y", "service:work", given, 32, 34, unchanged(3))
    assert found(log, BOB, added, gone) == set()
    assert found(log, BOB, added, gone, between) == {"unchanged and it was not so"}


def test_what_the_model_does_not_know_is_told_and_not_judged() -> None:
    unknown = command("RemoveUser", "r", "ana", {"user": "bob"}, 50, 60, refused("USER_NOT_DEACTIVATED"))
    ruling = of_the_order([BOB, GONE, unknown], LOG)
    assert ruling.counts == {"judged by the model": 2}
    assert {name: wrong for name, wrong in ruling.verdict.items() if wrong} == {"not judged": [("r", "RemoveUser")]}


@pytest.mark.parametrize(
    ("log", "told", "right"),
    [
        (LOG[:1], [accepted(1), TAKEN], True),
        ([*LOG[:1], connected(2, "c2", "cleo")], [accepted(1), accepted(2)], False),
        ([], [TAKEN, TAKEN], False),
        ([], [None, None], True),
        (LOG[:1], [None, TAKEN], True),  # the winner never heard of it
        ([], [None, TAKEN], False),
    ],
)
def test_a_race_has_exactly_one_winner(log: list[Stored], told: list[Any], right: bool) -> None:
    claims = [claim("b", "bob", 10, 20, told[0]), claim("c2", "cleo", 15, 25, told[1])]
    ruling = of_raced_addresses(claims, log, "raced-")
    assert ruling.counts == {"races": 1, "claims in races": 2, "races at the same time": 1}
    assert (not any(ruling.verdict.values())) == right
