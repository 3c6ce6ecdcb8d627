"""Rules hold when two processes decide at once: every outcome is one that some order of the commands would give."""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from services.ops.local.children import Child, Program
from shared.process.clock import new_id
from tests.journeys import cast
from tests.journeys.wire import TRUSTED, Account, Reply, Wire, body, command_subject, connected
from tests.real_servers import ROOT, RunningSwitchboard

RACES = 1_000
ROUNDS = 40


def another_connections(running: RunningSwitchboard, log: Path) -> Child:
    """A second process of the write side, beside the launcher's."""
    environment = {
        "PYTHONPATH": str(ROOT),
        "SWITCHBOARD_NATS_URL": running.nats_url,
        "SWITCHBOARD_POSTGRES_URL": running.postgres_url,
        "SWITCHBOARD_HTTP_PORT": "0",
    }
    argv = (sys.executable, "-m", "services.connections.app")
    return Child(Program("connections-2", argv, environment=environment, cwd=ROOT, log=log))


@pytest.fixture(scope="module")
def second_writer(running: RunningSwitchboard) -> Iterator[Child]:
    child = another_connections(running, running.data_dir / "connections-2.log")
    try:
        yield child
    finally:
        child.stop()


@pytest.fixture
async def two_writers(running: RunningSwitchboard, second_writer: Child) -> AsyncIterator[Wire]:
    """A connection to a Switchboard that two processes decide for; both have answered by the end."""
    async with connected(running.nats_url) as wire:
        before = await served(wire, 2)
        yield wire
        after = await served(wire, 2)
    assert second_writer.poll() is None
    assert all(after[process] > before[process] for process in before), (before, after)


async def served(wire: Wire, processes: int) -> dict[str, int]:
    """How many commands each process of the write side has taken, once that many are there."""
    async with asyncio.timeout(20):
        while len(found := await _ask_all(wire, "$SRV.STATS.switchboard-connections")) < processes:
            pass
    assert len(found) == processes, found
    return {told["id"]: sum(endpoint["num_requests"] for endpoint in told["endpoints"]) for told in found}


async def _ask_all(wire: Wire, subject: str) -> list[dict[str, Any]]:
    inbox = wire.client.new_inbox()
    subscription = await wire.client.subscribe(inbox)
    await wire.client.publish(subject, reply=inbox)
    found = []
    try:
        while True:
            found.append(json.loads((await subscription.next_msg(timeout=0.3)).data))
    except TimeoutError:
        return found
    finally:
        await subscription.unsubscribe()


async def at_once(account: Account, *commands: tuple[str, str, dict[str, Any]]) -> list[Reply]:
    """Gives the commands at the same moment, each as (actor, command, fields)."""
    given = [account.attempt(command, actor, **fields) for actor, command, fields in commands]
    return list(await asyncio.gather(*given))


def personal(number: int) -> tuple[str, str, dict[str, Any]]:
    return "bob", "ConnectPersonal", {"address": race_address(number), "owner": "bob"}


def team(number: int) -> tuple[str, str, dict[str, Any]]:
    fields = {"address": race_address(number), "inbox": "support", "visibility_acknowledged": True}
    return "ana", "ConnectTeam", fields


def race_address(number: int) -> str:
    return f"race-{number:04}@acme.example"


async def test_of_a_personal_and_a_team_claim_on_one_address_exactly_one_wins(two_writers: Wire) -> None:
    account = await cast.furnished(two_writers)
    commands = [claim(number) for number in range(RACES) for claim in (personal, team)]
    for pair in range(0, len(commands), 2):
        if random.Random(pair).random() < 0.5:  # noqa: S311  a seeded shuffle of who comes first
            commands[pair : pair + 2] = commands[pair + 1], commands[pair]
    replies = await account.wire.flood(
        (command_subject(account.name, command), body(actor, fields)) for actor, command, fields in commands
    )
    verdicts: Counter[tuple[str, str | None]] = Counter()
    kinds = {}
    for pair in range(0, len(commands), 2):
        both = {commands[n][1]: replies[n] for n in (pair, pair + 1)}
        assert Counter(reply.outcome for reply in both.values()) == {"accepted": 1, "refused": 1}, both
        (winner,) = (name for name, reply in both.items() if reply.outcome == "accepted")
        (loser,) = (reply for reply in both.values() if reply.outcome == "refused")
        kinds[commands[pair][2]["address"]] = "team" if winner == "ConnectTeam" else "personal"
        verdicts[winner, loser.reason] += 1
    print(verdicts)
    assert set(verdicts) == {
        ("ConnectPersonal", "ADDRESS_ALREADY_PERSONAL"),
        ("ConnectTeam", "ADDRESS_ALREADY_TEAM"),
    }
    account.position = max(reply.body.get("position", 0) for reply in replies)
    shown = {item["address"]: item["kind"] for item in await account.pages("Addresses", limit=1000)}
    assert shown == kinds


async def test_the_same_command_twice_at_once_is_one_command_and_one_answer(two_writers: Wire) -> None:
    account = await cast.furnished(two_writers)
    requests = []
    for number in range(300):
        fields = personal(number // 2)[2] | {"command_id": new_id()}
        requests += [(command_subject(account.name, "ConnectPersonal"), body("bob", fields))] * 3
    replies = await account.wire.flood(requests)
    for first in range(0, len(replies), 3):
        assert len({(reply.raw, reply.error) for reply in replies[first : first + 3]}) == 1, replies[first : first + 3]
    accepted = Counter(reply.outcome for reply in replies[::3])
    assert accepted == {"accepted": 150, "unchanged": 150}
    account.position = max(reply.position for reply in replies)
    facts = [fact for fact in await account.facts() if fact.name == "PersonalConnected"]
    assert len(facts) == 150


async def test_four_claims_on_one_mailbox_leave_one_holder(two_writers: Wire) -> None:
    account = await cast.furnished(two_writers)
    mailbox = {"provider": "google"}
    for number in range(ROUNDS):
        pinned = mailbox | {"provider_identity": f"g-{number}"}
        replies = await at_once(
            account,
            ("bob", "ConnectPersonal", {"address": f"b{number}@acme.example", "owner": "bob", **pinned}),
            ("cleo", "ConnectPersonal", {"address": f"c{number}@acme.example", "owner": "cleo", **pinned}),
            ("dora", "ConnectPersonal", {"address": f"d{number}@acme.example", "owner": "dora", **pinned}),
            ("ana", "ConnectTeam", {"address": f"t{number}@acme.example", "inbox": "sales",
                                    "visibility_acknowledged": True, **pinned}),
        )  # fmt: skip
        assert Counter(reply.outcome for reply in replies) == {"accepted": 1, "refused": 3}, replies
        losers = [reply.body for reply in replies if reply.outcome == "refused"]
        assert {loser["details"]["via"] for loser in losers} == {"provider_identity"}
        assert {loser["reason"] for loser in losers} <= {"ADDRESS_ALREADY_PERSONAL", "ADDRESS_ALREADY_TEAM"}


async def test_no_address_is_connected_to_an_inbox_that_was_archived(two_writers: Wire) -> None:
    account = await cast.furnished(two_writers)
    seen: Counter[tuple[str | None, str | None]] = Counter()
    for number in range(ROUNDS):
        inbox = f"room-{number}"
        await account.do("CreateInbox", "ana", inbox=inbox, name=inbox)
        connect, archive = await at_once(
            account,
            (
                "ana",
                "ConnectTeam",
                {"address": f"{inbox}@acme.example", "inbox": inbox, "visibility_acknowledged": True},
            ),
            ("dora", "ArchiveInbox", {"inbox": inbox}),
        )
        seen[connect.reason or connect.outcome, archive.reason or archive.outcome] += 1
    print(seen)
    assert set(seen) <= {("accepted", "INBOX_IN_USE"), ("INBOX_ARCHIVED", "accepted")}


async def test_nobody_connects_an_address_after_he_was_deactivated(two_writers: Wire) -> None:
    account = await cast.furnished(two_writers)
    seen: Counter[tuple[str | None, bool]] = Counter()
    for number in range(ROUNDS):
        user = f"user-{number}"
        await account.do("AddUser", user=user, name=user, permissions=["personal_email_access"])
        actor = TRUSTED if number % 2 else user
        connect, deactivate = await at_once(
            account,
            (actor, "ConnectPersonal", {"address": f"{user}@acme.example", "owner": user}),
            ("ana", "DeactivateUser", {"user": user}),
        )
        assert deactivate.outcome == "accepted"
        if connect.outcome == "accepted":
            assert connect.position < deactivate.position
        else:
            assert connect.reason == ("OWNER_NOT_ACTIVE" if actor == TRUSTED else "PERMISSION_MISSING")
        seen[connect.reason or connect.outcome, connect.outcome == "accepted"] += 1
    print(seen)


async def test_of_two_last_super_admins_who_deactivate_each_other_one_stays(two_writers: Wire) -> None:
    for _ in range(ROUNDS):
        account = cast.new_account(two_writers)
        await account.do("RegisterAccount", plan="free", admin="ana")
        await account.do("AddUser", user="zoe", name="Zoe", permissions=["super_admin"])
        commands = [("ana", "DeactivateUser", {"user": "zoe"}), ("zoe", "DeactivateUser", {"user": "ana"})]
        replies = await at_once(account, *commands)
        assert Counter(reply.outcome for reply in replies) == {"accepted": 1, "refused": 1}, replies
        # Who was deactivated first may not decide any more.
        assert {reply.reason for reply in replies} == {None, "PERMISSION_MISSING"}
    services = [(TRUSTED, "DeactivateUser", {"user": user}) for user in ("ana", "zoe")]
    for _ in range(ROUNDS):
        account = cast.new_account(two_writers)
        await account.do("RegisterAccount", plan="free", admin="ana")
        await account.do("AddUser", user="zoe", name="Zoe", permissions=["super_admin"])
        replies = await at_once(account, *services)
        assert {reply.reason for reply in replies} == {None, "LAST_SUPER_ADMIN"}, replies


async def test_no_more_inboxes_are_made_at_once_than_the_plan_allows(two_writers: Wire) -> None:
    for _ in range(8):
        account = cast.new_account(two_writers)
        await account.do("RegisterAccount", plan="starter", admin="ana")
        inboxes = [("ana", "CreateInbox", {"inbox": f"i{n}", "name": f"Inbox {n}"}) for n in range(20)]
        replies = await at_once(account, *inboxes)
        outcomes = Counter(reply.reason or reply.outcome for reply in replies)
        assert outcomes == {"accepted": 4, "INBOX_LIMIT_REACHED": 16}, outcomes
        assert await account.see("Usage") == {"plan": "starter", "inboxes": {"used": 5, "limit": 5}}


async def test_a_name_is_given_once_however_many_want_it(two_writers: Wire) -> None:
    account = await cast.furnished(two_writers)
    spellings = ("Straße", "STRASSE", "strasse", " Strasse ", "straße")
    for turn in range(5):
        names = [
            ("ana", "CreateInbox", {"inbox": f"i{turn}-{n}", "name": f"{spellings[n % 5].strip()} {turn}"})
            for n in range(20)
        ]
        replies = await at_once(account, *names)
        assert Counter(reply.reason or reply.outcome for reply in replies) == {"accepted": 1, "INBOX_NAME_TAKEN": 19}


async def test_positions_of_many_writers_at_once_have_no_holes(two_writers: Wire) -> None:
    accounts = [await cast.furnished(two_writers) for _ in range(3)]
    await two_writers.flood(
        (command_subject(account.name, "ConnectPersonal"), body("bob", personal(number)[2]))
        for number in range(100)
        for account in accounts
    )
    last = await accounts[0].do("SetSignature", "bob", user="bob", signature="done")
    facts = await two_writers.facts(last.position)
    assert all(after.position == before.position + 1 for before, after in pairwise(facts))
