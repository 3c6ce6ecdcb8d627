"""Commands that touch the same thing wait for each other; all others go side by side."""

import asyncio
import itertools
from typing import Any

import pytest

from services.ops.loading.order import Order, touched

Given = tuple[str, dict[str, Any]]
ADD_BOB: Given = ("AddUser", {"actor": "ana", "user": "bob"})
ADD_CLEO: Given = ("AddUser", {"actor": "ana", "user": "cleo"})
BOBS: Given = ("ConnectPersonal", {"actor": "bob", "owner": "bob", "address": "b@acme.example"})
BOBS_OTHER: Given = ("ConnectPersonal", {"actor": "bob", "owner": "bob", "address": "c@acme.example"})
CREATE: Given = ("CreateInbox", {"actor": "ana", "inbox": "help", "members": ["bob"]})
TEAM: Given = ("ConnectTeam", {"actor": "ana", "address": "h@acme.example", "inbox": "help"})
NAMED: Given = ("CreateInbox", {"actor": "ana", "inbox": "a", "name": "Help"})
MAILBOX: Given = (
    "ConnectTeam",
    {"actor": "dan", "address": "d@a.example", "provider": "google", "provider_identity": "m"},
)
BOX = "E@Box.example"
NAMED_BOX: Given = ("ConnectPersonal", {"address": "e@a.example", "provider": "google", "provider_identity": BOX})
ADD_ADMIN: Given = ("AddUser", {"actor": "service:x", "user": "dan", "permissions": ["super_admin"]})
ROUTE: Given = ("SetRouting", {"actor": "ana", "inbox": "help", "rule": {"kind": "users_and_teams", "users": ["bob"]}})


@pytest.mark.parametrize(
    ("first", "second", "waits"),
    [
        (("RegisterAccount", {"admin": "ana"}), ADD_BOB, True),
        (ADD_BOB, ADD_CLEO, False),
        (ADD_BOB, BOBS, True),
        (BOBS, BOBS_OTHER, False),
        (BOBS, ("Disconnect", {"actor": "ana", "address": " B@ACME.example "}), True),
        (BOBS, ("AddAlias", {"actor": "bob", "address": "x@acme.example", "alias": "b@acme.example"}), True),
        (ADD_BOB, CREATE, True),
        (CREATE, TEAM, True),
        (CREATE, ROUTE, True),
        (ADD_BOB, ROUTE, True),
        (BOBS, ("DeactivateUser", {"actor": "ana", "user": "bob"}), True),
        (
            NAMED_BOX,
            ("ConnectTeam", {"actor": "f", "address": "f@a.example", "provider_identity": "e@BOX.example"}),
            True,
        ),
        (
            NAMED_BOX,
            ("ConnectTeam", {"actor": "f", "address": "f@a.example", "provider_identity": "f@Box.example"}),
            False,
        ),
        (MAILBOX, ("ConnectTeam", {"actor": "f", "address": "f@a.example", "provider_identity": "m"}), False),
        (BOBS, ("RemoveUser", {"actor": "ana", "user": "cleo"}), True),
        (("ChangePlan", {"actor": "ana", "plan": "free"}), BOBS, True),
        (("SetDefaultSender", {"actor": "bob", "user": "bob", "address": "b@acme.example"}), ADD_CLEO, False),
        (("ReactivateUser", {"actor": "ana", "user": "cleo"}), BOBS, True),
        (("RenameInbox", {"actor": "ana", "inbox": "help", "name": "Old"}), NAMED, True),
        (NAMED, ("CreateInbox", {"actor": "cleo", "inbox": "b", "name": " HELP"}), True),
        (NAMED, ("CreateInbox", {"actor": "cleo", "inbox": "b", "name": "Sales"}), False),
        (MAILBOX, ("ConnectTeam", {**MAILBOX[1], "actor": "cleo", "address": "t@a.example"}), True),
        (
            MAILBOX,
            ("ConnectTeam", {**MAILBOX[1], "actor": "cleo", "address": "t@a.example", "provider": "imap"}),
            False,
        ),
        (ADD_ADMIN, ("DeactivateUser", {"actor": "service:x", "user": "ana"}), True),
        (ADD_BOB, ("SetPermissions", {"actor": "ana", "user": "cleo", "permissions": []}), False),
        (("AddUser", {"permissions": None, "user": "bob"}), ("CreateInbox", {"inbox": "b", "name": 3}), False),
        (("Disconnect", {"address": "no address"}), ("Pause", {"address": "no address"}), True),
    ],
)
def test_one_waits_for_what_it_needs_and_for_no_other(first: Given, second: Given, waits: bool) -> None:
    order, before, after = Order(), asyncio.Event(), asyncio.Event()
    assert order.enter(touched("acme", *first), before) == set()
    found = order.enter(touched("acme", *second), after)
    assert found == ({before} if waits else set())
    elsewhere = order.enter(touched("other", *second), asyncio.Event())
    assert elsewhere == set()


def test_what_is_through_holds_nobody_up_and_is_forgotten() -> None:
    order, things = Order(), touched("acme", *ADD_BOB)
    done = asyncio.Event()
    order.enter(things, done)
    order.leave(things, done)
    assert done.is_set()
    assert order.enter(touched("acme", *BOBS), asyncio.Event()) == set()
    for given in (ADD_BOB, BOBS, CREATE, TEAM):
        once = asyncio.Event()
        order.enter(touched("x", *given), once)
        order.leave(touched("x", *given), once)
    assert not {thing for thing in order.things if thing[0] == "x"}


def test_whoever_changes_waits_for_all_who_look() -> None:
    order, lookers = Order(), [asyncio.Event() for _ in range(3)]
    for number, looker in enumerate(lookers):
        order.enter(touched("acme", "ConnectPersonal", {"owner": "bob", "address": f"{number}@a.example"}), looker)
    assert order.enter(touched("acme", "UnassignSeat", {"user": "bob"}), asyncio.Event()) == set(lookers)


async def test_any_mix_comes_to_an_end() -> None:
    given = [ADD_BOB, BOBS, CREATE, TEAM, ROUTE, BOBS_OTHER, ("RemoveUser", {"user": "bob"})]
    for mix in itertools.islice(itertools.permutations(given), 0, 5_040, 97):
        order, through = Order(), list[str]()

        async def give(name: str, fields: dict[str, Any], order: Order = order, through: list[str] = through) -> None:
            done, things = asyncio.Event(), touched("acme", name, fields)
            for one in order.enter(things, done):
                await one.wait()
            await asyncio.sleep(0)
            through.append(name)
            order.leave(things, done)

        async with asyncio.timeout(5):
            await asyncio.gather(*(give(*one) for one in mix))
        assert len(through) == len(given)
