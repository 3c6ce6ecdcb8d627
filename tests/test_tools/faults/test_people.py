"""Who comes and goes: what it is answered, and that no address of his is left behind."""

from typing import Any

import pytest

from tests.faults.left_behind import of_who_left
from tests.faults.linearizable import of_the_order
from tests.faults.people import LEAVER, as_owner, of_a_life
from tests.faults.verdict import Stored
from tests.test_tools.faults.test_linearizable import accepted, command, refused

OWNER = {"owner": LEAVER}


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        # Of somebody who never was, is active, deactivated, removed.
        ("AddUser", ("accepted", "USER_EXISTS", "USER_EXISTS", "accepted")),
        ("DeactivateUser", ("USER_NOT_FOUND", "accepted", "unchanged", "USER_NOT_FOUND")),
        ("ReactivateUser", ("USER_NOT_FOUND", "unchanged", "accepted", "accepted")),
        ("RemoveUser", ("USER_NOT_FOUND", "USER_NOT_DEACTIVATED", "accepted", "unchanged")),
    ],
)
def test_a_life_is_answered_as_the_contract_says(name: str, answers: tuple[str, ...]) -> None:
    statuses = (None, "active", "deactivated", "removed")
    assert tuple(of_a_life(name, status) for status in statuses) == answers


def test_only_who_is_active_is_given_an_address() -> None:
    statuses = (None, "active", "deactivated", "removed")
    assert [as_owner(status) for status in statuses] == ["USER_NOT_FOUND", None, "OWNER_NOT_ACTIVE", "USER_NOT_FOUND"]


def stored(position: int, command_id: str, name: str, **data: Any) -> Stored:
    return Stored(position, "s", position, f"e{position}", "acme", command_id, "", name, data)


def address(position: int, command_id: str, name: str, of: str = "a@acme.example", **data: Any) -> Stored:
    return stored(position, command_id, name, address=of, **data)


ADDED = stored(1, "1", "UserAdded", user=LEAVER)
CONNECTED = [
    address(2, "2", "PersonalConnected", **OWNER),
    address(3, "3", "PersonalConnected", "b@x.example", **OWNER),
]
GONE = stored(4, "4", "UserRemoved", user=LEAVER, policy="orphan")
ORPHANED = [address(5, "4", "AddressOrphaned", **OWNER), address(6, "4", "AddressOrphaned", "b@x.example", **OWNER)]
BACK = stored(7, "7", "UserReactivated", user=LEAVER)
RETURNED = {"from": LEAVER, "owner": LEAVER, "cause": "owner_returned"}
RECLAIMED = [
    address(8, "7", "AddressReclaimed", **RETURNED),
    address(9, "7", "AddressReclaimed", "b@x.example", **RETURNED),
]
LEFT = [ADDED, *CONNECTED, GONE, *ORPHANED]


@pytest.mark.parametrize(
    ("log", "left"),
    [
        ([*LEFT, BACK, *RECLAIMED], []),
        ([ADDED, *CONNECTED, GONE, ORPHANED[0]], [(4, "UserRemoved", ["b@x.example"])]),
        ([*LEFT, BACK, RECLAIMED[1]], [(7, "UserReactivated", ["a@acme.example"])]),
        # One was reclaimed for somebody else meanwhile.
        ([*LEFT, address(6, "6", "AddressReclaimed", **{**RETURNED, "owner": "bob"}), BACK, RECLAIMED[1]], []),
        ([*LEFT, address(6, "6", "AddressReleased", **OWNER), BACK, *RECLAIMED],
         [(7, "UserReactivated", ["a@acme.example"])]),
        ([ADDED, GONE._replace(data={"user": LEAVER, "policy": "release"})], []),
    ],
)  # fmt: skip
def test_what_is_left_behind_is_named(log: list[Stored], left: list[Any]) -> None:
    assert of_who_left(log)["left behind by who left or came back"] == left


def test_who_is_away_connects_nothing_and_is_given_nothing() -> None:
    log = [ADDED, stored(2, "2", "UserDeactivated", user=LEAVER)]
    to_him = {"address": "a@acme.example", "new_owner": LEAVER}
    given = [
        command("AddUser", "1", "ana", {"user": LEAVER}, 1, 2, accepted(1)),
        command("DeactivateUser", "2", "ana", {"user": LEAVER}, 3, 4, accepted(2)),
    ]
    away = command("TransferOwnership", "t", "ana", to_him, 5, 6, refused("OWNER_NOT_ACTIVE"))
    missing = command(
        "ConnectPersonal", "c", LEAVER, {"address": "a@acme.example", **OWNER}, 5, 6, refused("PERMISSION_MISSING")
    )
    assert not any(of_the_order([*given, away, missing], log).verdict.values())
    free = command("TransferOwnership", "t", "ana", to_him, 5, 6, refused("NOT_CONNECTED"))
    assert of_the_order([*given, free], log).verdict["refused for what was never true"] != []
