"""What is there already, as the questions answer it, and what only the write side can say by a dry run."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from services.ops.loading.address_plan import plan_addresses
from services.ops.loading.directory import Directory, InboxRow
from services.ops.loading.draft import Draft
from services.ops.loading.people_plan import plan_inboxes, plan_leaving, plan_teams, plan_users
from services.ops.loading.plan import ORDER, Plan, Present, beside
from shared.client import (
    Accepted,
    Account,
    QuestionError,
    QuestionFailed,
    Refused,
    Reply,
    Unchanged,
    iterate,
    require,
)
from shared.language.answers import InboxEntry

AT_ONCE: Final = 64


def plan(found: Directory, there: Present) -> Plan:
    """The commands that make the directory so, in an order in which they can be given, and what clashes."""
    draft = Draft(there)
    plan_users(draft, found)
    plan_teams(draft, found)
    plan_inboxes(draft, found)
    plan_addresses(draft, found)
    plan_leaving(draft, found)
    made = draft.plan
    made.beside = beside(found, there)
    made.clashes.sort(key=lambda one: (ORDER.index(one.told.file) if one.told.file in ORDER else 0, one.told.line))
    return made


async def present(account: Account) -> Present:
    """What the account has now; nothing when it is not registered yet.

    Raises:
        QuestionFailed: a question was not answered.
    """
    try:
        users = {user.user: user async for user in iterate(account.users, limit=500)}
    except QuestionFailed as error:
        if error.failure.error == QuestionError.ACCOUNT_NOT_FOUND:
            return Present({}, {}, {}, {}, 0, registered=False)
        raise
    teams = {team.team: team async for team in iterate(account.teams, limit=500)}
    inboxes = {inbox.inbox: inbox async for inbox in iterate(account.inboxes)}
    entries = [one async for one in iterate(account.addresses, limit=1_000)]
    used = require(await account.usage()).result.inboxes
    return Present(
        users, teams, inboxes, {one.address: one for one in entries if one.state != "free"},
        max(used.limit - used.used, 0),
    )  # fmt: skip


async def asked(account: Account, found: Directory, there: Present) -> Present:
    """What only the write side knows of the rows: whom an inbox admits, and which addresses come back with a user.

    Raises:
        QuestionFailed: a question was not answered.
    """
    back, access = {}, {}
    orphans = {one.owner for one in there.addresses.values() if one.state == "orphaned"}
    for row in found.users:
        entry = there.users.get(row.user)
        if entry is not None and entry.status == "removed" and row.user in orphans and row.active is not False:
            fields = {"user": row.user, "name": row.name, "permissions": list(row.permissions or row.at_first)}
            reply = await dry_run(account, "AddUser", fields)
            back[row.user] = reply.event_count - 1 if isinstance(reply, Accepted) else 0
    for inbox in found.inboxes:
        entry_ = there.inboxes.get(inbox.inbox)
        if entry_ is not None and not inbox.at_first and (inbox.members, inbox.teams) != (None, None):
            access[inbox.inbox] = await _access(account, inbox, entry_)
    return there._replace(come_back=back, access={name: said for name, said in access.items() if said})


async def _access(account: Account, row: InboxRow, entry: InboxEntry) -> str | None:
    """None when it is as the row says; `teams` when teams are admitted beside the present members, else `other`."""
    reply = await dry_run(account, "SetInboxAccess", {"inbox": row.inbox, **row.access})
    if isinstance(reply, Unchanged):
        return None
    if row.teams is None and entry.access == "members":
        fields = {"inbox": row.inbox, "access": "members", "members": list(entry.members)}
        reply = await dry_run(account, "SetInboxAccess", fields)
        # Refused: one of the members was removed since, so that only those who read it tell of teams.
        if isinstance(reply, Accepted) or (isinstance(reply, Refused) and set(entry.readers) - set(entry.members)):
            return "teams"
    return "other"


async def dry_run(account: Account, command: str, fields: Mapping[str, Any]) -> Reply:
    return await account.send(command, {**fields, "dry_run": True})


async def dry_runs(account: Account, commands: Mapping[int, tuple[str, Mapping[str, Any]]]) -> dict[int, Reply]:
    """The replies to many commands that do not depend on one another."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, command: str, fields: Mapping[str, Any]) -> tuple[int, Reply]:
        async with room:
            return number, await dry_run(account, command, fields)

    return dict(await asyncio.gather(*(one(number, *command) for number, command in commands.items())))
