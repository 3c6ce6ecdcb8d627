"""The verdict itself is judged: each kind of loss that it is there to find, it finds."""

import json
from dataclasses import replace

import pytest

from tests.faults.verdict import Stored, of_commands, of_many_writers, of_the_races, of_the_stream, passed
from tests.faults.workload import Given
from tests.journeys.wire import Fact, Reply


def command(number: int, *events: str) -> Given:
    told = {"outcome": "accepted", "events": [{"id": event, "type": "T"} for event in events]}
    return Given(f"command-{number}", "s", b"", 1, Reply(told, None, json.dumps(told).encode()))


GIVEN = [command(1, "a", "b"), command(2, "c")]
STORED = [
    Stored(1, "s1", 1, "a", "acme", "command-1"),
    Stored(2, "s2", 1, "b", "acme", "command-1"),
    Stored(3, "s1", 2, "c", "acme", "command-2"),
]
FACTS = [
    Fact(
        "s",
        {
            "ce-position": str(one.position),
            "ce-id": one.id,
            "ce-type": one.topic,
            "ce-account": one.account,
            "ce-actor": one.actor,
            "ce-causationid": one.command_id,
            "ce-streamversion": str(one.version),
        },
        {},
    )
    for one in STORED
]


def found(given: list[Given], stored: list[Stored], facts: list[Fact]) -> set[str]:
    verdicts = of_commands(given, stored), of_the_stream(stored, facts)
    names = {name for verdict in verdicts for name, members in verdict.items() if members}
    assert passed({}, *verdicts) == (not names)
    return names


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert found(GIVEN, STORED, FACTS) == set()


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        (STORED[:2], "acknowledged and not stored"),
        ([*STORED, STORED[2]._replace(position=4, version=3)], "stored twice"),
        ([*STORED, Stored(4, "s3", 1, "d", "acme", "command-2")], "stored and not acknowledged"),
        ([*STORED[:2], STORED[2]._replace(position=4)], "holes in the log"),
        ([*STORED[:2], STORED[2]._replace(version=3)], "versions twice or missing"),
        ([*STORED[:2], STORED[2]._replace(command_id="command-1")], "stored under another command"),
    ],
)
def test_what_is_wrong_with_the_log_is_found(stored: list[Stored], name: str) -> None:
    assert name in found(GIVEN, stored, FACTS)


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (FACTS[:2], "stored and not told"),
        ([*FACTS, replace(FACTS[2], headers={"ce-position": "4", "ce-id": "d"})], "told and not stored"),
        ([*FACTS, FACTS[2]], "told twice"),
        ([FACTS[0], FACTS[2], FACTS[1]], "told out of order"),
        ([*FACTS[:2], replace(FACTS[2], body={"from_name": "x"})], "told otherwise than stored"),
    ],
)
def test_what_is_wrong_with_the_stream_is_found(facts: list[Fact], name: str) -> None:
    assert name in found(GIVEN, STORED, facts)


def test_a_command_without_an_answer_is_found() -> None:
    assert found([*GIVEN, Given("command-3", "s", b"")], STORED, FACTS) == {"never answered"}


def connected(position: int, name: str, address: str, **told: str) -> Fact:
    headers = {"ce-position": str(position), "ce-subject": "address/x", "ce-account": "acme"}
    return Fact(f"switchboard.event.v1.acme.address.{name}", headers, {"address": address, **told})


def test_an_address_that_was_given_away_twice_is_found() -> None:
    first = connected(1, "PersonalConnected", "a@b.example", owner="bob")
    freed = connected(2, "Disconnected", "a@b.example")
    second = connected(3, "PersonalConnected", "a@b.example", owner="cleo")
    alias = connected(4, "AliasAdded", "a@b.example", primary="c@b.example")
    assert of_many_writers([], [first, freed, second])["claimed while it was another's"] == []
    assert of_many_writers([], [first, second])["claimed while it was another's"] == [(3, "acme", "a@b.example")]
    assert of_many_writers([], [first, freed, alias, second])["claimed while it was another's"] != []


def test_a_command_that_two_writers_answered_otherwise_is_found() -> None:
    same, other = command(1, "a"), command(2, "b")
    same.elsewhere = [reply for reply in [command(1, "a").reply] if reply]
    other.elsewhere = [reply for reply in [command(2, "c").reply] if reply]
    found = of_many_writers([same, other], [])["answered otherwise by another writer"]
    assert [id_ for id_, *_ in found] == ["command-2"]


@pytest.mark.parametrize(
    ("outcomes", "right"),
    [
        (["accepted", "ADDRESS_ALREADY_PERSONAL"], True),
        (["accepted", "accepted"], False),
        (["ADDRESS_ALREADY_PERSONAL", "ADDRESS_ALREADY_PERSONAL"], False),
        (["accepted", "BUSY"], False),
    ],
)
def test_a_race_without_exactly_one_winner_is_found(outcomes: list[str], right: bool) -> None:
    told = [Reply({"outcome": "accepted"} if one == "accepted" else {"reason": one}, None, b"") for one in outcomes]
    assert passed({}, of_the_races({"an address": told})) == right
