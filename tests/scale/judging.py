"""What is given to a fleet, and the verdict over it: counts printed, and no set of wrong things with a member."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import product

from shared.process.clock import new_id
from tests.faults import verdict
from tests.faults.workload import Given, Workload, until_answered
from tests.journeys.wire import Reply, Wire, body, command_subject
from tests.scale.fleet import Fleet

CLAIMANTS = ("bob", "cleo", "dora")
RACED_ADDRESSES = 30


async def race(wire: Wire, work: Workload) -> dict[str, list[Reply]]:
    """Three people claim each of many addresses at the same time, over all ways; their commands join the workload's."""
    claims = list(product(work.accounts, range(RACED_ADDRESSES // len(work.accounts)), CLAIMANTS))
    given = [claim(account, number, owner, work) for account, number, owner in claims]
    work.given |= {one.id: one for one in given}
    replies = await asyncio.gather(*(answered(wire, one) for one in given))
    told: dict[str, list[Reply]] = {}
    for (account, number, _), reply in zip(claims, replies, strict=True):
        told.setdefault(f"{account} {number}", []).append(reply)
    return told


def claim(account: str, number: int, owner: str, work: Workload) -> Given:
    """The claimants go different ways, where there are several."""
    way = [lambda subject: subject, *work.ways][CLAIMANTS.index(owner) % (1 + len(work.ways))]
    command_id = new_id()
    fields = {"address": f"raced-{number}@acme.example", "owner": owner, "command_id": command_id}
    return Given(command_id, way(command_subject(account, "ConnectPersonal")), body(owner, fields))


async def answered(wire: Wire, given: Given) -> Reply:
    given.reply = await until_answered(wire, given)
    return given.reply


async def judged(fleet: Fleet, wire: Wire, work: Workload, races: Mapping[str, Sequence[Reply]], title: str) -> bool:
    """Whether nothing is wrong with what was given to the fleet."""
    given = list(work.given.values())
    stored = await asyncio.to_thread(verdict.stored_events, fleet.postgres_url)
    facts = await wire.facts(stored[-1].position, seconds=30)
    counts = {
        "commands": len(given),
        "answers by another writer": sum(len(one.elsewhere) for one in given),
        "races": len(races),
        "asked more than once": sum(one.tries > 1 for one in given),
        "accepted": sum(one.reply is not None and one.reply.outcome == "accepted" for one in given),
        "refused": sum(one.reply is not None and one.reply.outcome == "refused" for one in given),
        "stored": len(stored),
        "told": len(facts),
    }
    print(f"\n{title}")
    right = verdict.passed(
        counts,
        verdict.of_commands(given, stored),
        verdict.of_many_writers(given, facts),
        verdict.of_the_races(races),
        verdict.of_the_stream(stored, facts),
        await verdict.of_the_answers(wire, given),
    )
    # As often as there are processes, so that hardly one is not asked.
    for _ in fleet.members["routing"]:
        right &= verdict.passed({}, await verdict.of_the_views(wire, work.accounts, facts))
    after = await asyncio.to_thread(verdict.stored_events, fleet.postgres_url)
    assert after == stored, "asking again wrote something"
    return right


async def requests_taken(wire: Wire, writers: int) -> dict[str, int]:
    """How many commands each writer has taken, by its id in the NATS micro protocol; asks until so many tell."""
    async with asyncio.timeout(20):
        while len(found := await _stats(wire, writers)) != writers:
            pass
    return found


async def _stats(wire: Wire, writers: int) -> dict[str, int]:
    inbox = wire.client.new_inbox()
    subscription = await wire.client.subscribe(inbox)
    await wire.client.publish("$SRV.STATS.switchboard-connections", reply=inbox)
    found: dict[str, int] = {}
    try:
        while len(found) < writers:
            told = json.loads((await subscription.next_msg(timeout=0.3)).data)
            found[told["id"]] = told["endpoints"][0]["num_requests"]
    except TimeoutError:
        return found
    finally:
        await subscription.unsubscribe()
    return found


async def takers(wire: Wire, account: str, writers: int, commands: int = 8) -> set[str]:
    """The writers, of so many, that take an account's commands."""
    before = await requests_taken(wire, writers)
    for _ in range(commands):
        await wire.command(account, "RenameInbox", inbox="inbox", name="any")
    after = await requests_taken(wire, writers)
    return {writer for writer in after if after[writer] > before[writer]}
