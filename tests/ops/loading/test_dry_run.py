"""For random directories and changes in between, the load does exactly what the dry run says."""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from services.ops.loading.directory_run import Comparison, compare, source_of
from services.ops.loading.dry_run import DryRun, DryRunResult
from shared.client import connect
from shared.process.clock import new_id
from tests.journeys.wire import Account, connected
from tests.ops.loading.command_line import put
from tests.real_servers import RunningSwitchboard

USERS = ("bob", "cleo", "dora", "eli")
INBOXES = ("support", "sales", "press")
TEAMS = ("t1", "t2")
ADDRESSES = tuple(f"{name}@acme.example" for name in "abcde")
PERMISSIONS = ("personal_email_access", "account_access", "super_admin")
NIGHTS = 3


def some(chance: random.Random, names: Iterable[str], most: int, least: int = 0) -> list[str]:
    return chance.sample(list(names), chance.randint(least, most))


def a_directory(chance: random.Random) -> dict[str, str]:
    """Files that contradict what is there, and themselves now and then."""
    users = some(chance, USERS, 4, 1)
    users += [users[0]] if chance.random() < 0.1 else []
    people = [
        [user, chance.choice([user, user, "Other"]), ";".join(some(chance, PERMISSIONS, 2)),
         chance.choice(["true", "false", ""]), chance.choice(["true", "true", "false", ""])]
        for user in users
    ]  # fmt: skip
    width = chance.choice([3, 4, 5])
    teams = [[team, team, ";".join(some(chance, USERS, 2))] for team in some(chance, TEAMS, 2, 1)]
    inboxes = [
        [inbox, chance.choice(["Support", "Sales", "Press", "Mail"]),
         chance.choice(["", ";", ";".join(some(chance, USERS, 2, 2))]), ";".join(some(chance, TEAMS, 1))]
        for inbox in some(chance, INBOXES, 3, 1)
    ]  # fmt: skip
    addresses = []
    for address in some(chance, ADDRESSES, 5, 1):
        team = chance.random() < 0.3
        aliases = ";".join(some(chance, [*ADDRESSES, "x@acme.example", "y@acme.example"], 2))
        holder = ["", chance.choice([*INBOXES, "inbox"])] if team else [chance.choice(USERS), ""]
        addresses.append([address, "team" if team else "personal", *holder, chance.choice(["", "Nice"]), aliases])
    return {
        "users.csv": table(["user", "name", "permissions", "seat", "active"][:width], people),
        "teams.csv": table(["team", "name", "members"], teams),
        "inboxes.csv": table(["inbox", "name", "members", "teams"][: chance.choice([3, 4])], inboxes),
        "addresses.csv": table(["address", "kind", "owner", "inbox", "from_name", "aliases"], addresses),
    }


def table(header: list[str], rows: list[list[str]]) -> str:
    return "".join(f"{','.join(row[: len(header)])}\n" for row in (header, *rows))


async def meddle(chance: random.Random, account: Account) -> None:
    """What people do by day; some of it is refused."""
    for _ in range(chance.randint(0, 5)):
        user, address, inbox = chance.choice(USERS), chance.choice(ADDRESSES), chance.choice(INBOXES)
        same = {"provider": "google", "provider_identity": chance.choice(["g-1", "g-2"])}
        day: list[tuple[str, dict[str, Any]]] = [
            ("DeactivateUser", {"user": user}), ("RemoveUser", {"user": user}), ("RemoveUser", {"user": user}),
            ("ReactivateUser", {"user": user}), ("SetPermissions", {"user": user, "permissions": []}),
            ("Pause", {"address": address}), ("Disconnect", {"address": address}),
            ("RequireReauthentication", {"address": address, "cause": "expired"}),
            ("ConnectPersonal", {"address": address, "owner": user, **same}),
            ("BindTool", {"address": address, "tool": "meetings"}),
            ("ArchiveInbox", {"inbox": inbox, "cascade": True}), ("RestoreInbox", {"inbox": inbox}),
            ("SetInboxAccess", {"inbox": inbox, "access": "members", "teams": [chance.choice(TEAMS)]}),
        ]  # fmt: skip
        command, fields = chance.choice(day)
        await account.attempt(command, **fields)


async def in_small_batches(comparison: Comparison, account: str, url: str) -> DryRunResult:
    """The same dry run, in batches that hold little more than what a step depends on."""
    async with connect(url) as switchboard:
        return await DryRun(switchboard, account, "service:directory", most=16).run(comparison.plan)


async def a_night(account: Account, folder: Path, url: str) -> Comparison:
    """Compare, and give the commands that the dry run accepts."""
    comparison = await compare(source_of([folder], None), account.name, "service:directory", url, account.position)
    dry_run = comparison.dry_run
    small = await in_small_batches(comparison, account.name, url)
    assert (small.steps, small.accepted, small.unchanged) == (dry_run.steps, dry_run.accepted, dry_run.unchanged)
    assert [one[:3] for one in small.clashes] == [one[:3] for one in dry_run.clashes]
    outcomes = []
    for step in dry_run.steps:
        reply = await account.attempt(step.command, "service:directory", **step.fields)
        assert reply.outcome != "refused", (step, reply.body)
        outcomes.append(reply.outcome)
    done = (outcomes.count("accepted"), comparison.plan.unchanged + outcomes.count("unchanged"))
    assert done == (dry_run.accepted, dry_run.unchanged)
    return comparison


@pytest.mark.parametrize("seed", range(8))
async def test_the_load_does_what_the_dry_run_says(seed: int, running: RunningSwitchboard, folder: Path) -> None:
    chance = random.Random(seed)  # noqa: S311  nothing secret
    async with connected(running.nats_url) as wire:
        account = Account(wire, f"fore-{new_id()[-12:]}")
        plan = chance.choice(["starter", "professional"])
        await account.do("RegisterAccount", plan=plan, admin="ana")
        for _ in range(NIGHTS):
            put(folder, a_directory(chance))
            first = await a_night(account, folder, running.nats_url)
            again = await a_night(account, folder, running.nats_url)
            # What clashed may be possible once the rest is done; where nothing did, nothing is left to do.
            assert first.plan.clashes or not again.dry_run.steps
            await meddle(chance, account)
