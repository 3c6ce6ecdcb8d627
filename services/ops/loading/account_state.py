"""The account before a load: answers of questions, and what only dry runs of commands can say."""

from collections.abc import Mapping
from typing import Any

from services.ops.loading.directory import Directory, InboxRow
from services.ops.loading.plan import AccountState
from shared.client import (
    Accepted,
    Account,
    QuestionError,
    QuestionFailed,
    Refused,
    Reply,
    Unchanged,
    iterate,
)
from shared.language.answers import InboxEntry


async def read_account(account: Account) -> AccountState:
    """Read the account; an account that is not registered is empty.

    Raises:
        QuestionFailed: a question was not answered.
    """
    try:
        users = {user.user: user async for user in iterate(account.users, limit=500)}
    except QuestionFailed as error:
        if error.failure.error == QuestionError.ACCOUNT_NOT_FOUND:
            return AccountState({}, {}, {}, {}, registered=False)
        raise
    teams = {team.team: team async for team in iterate(account.teams, limit=500)}
    inboxes = {inbox.inbox: inbox async for inbox in iterate(account.inboxes)}
    entries = [one async for one in iterate(account.addresses, limit=1_000)]
    return AccountState(
        users, teams, inboxes, {one.address: one for one in entries if one.state != "free"},
    )  # fmt: skip


async def with_dry_runs(account: Account, directory: Directory, state: AccountState) -> AccountState:
    """Add the access of inboxes and the addresses that come back with a user, which only the write side knows.

    Raises:
        QuestionFailed: a question was not answered.
    """
    back, access = {}, {}
    orphans = {one.owner for one in state.addresses.values() if one.state == "orphaned"}
    for row in directory.users:
        entry = state.users.get(row.user)
        if entry is not None and entry.status == "removed" and row.user in orphans and row.active is not False:
            fields = {"user": row.user, "name": row.name, "permissions": list(row.permissions or row.at_first)}
            reply = await dry_run(account, "AddUser", fields)
            back[row.user] = reply.event_count - 1 if isinstance(reply, Accepted) else 0
    for inbox in directory.inboxes:
        entry_ = state.inboxes.get(inbox.inbox)
        if entry_ is not None and not inbox.at_first and (inbox.members, inbox.teams) != (None, None):
            access[inbox.inbox] = await _access(account, inbox, entry_)
    return state._replace(come_back=back, access={name: how for name, how in access.items() if how})


async def _access(account: Account, row: InboxRow, entry: InboxEntry) -> str | None:
    """None when it matches the row; `teams` when it admits teams beside the present members, else `other`."""
    reply = await dry_run(account, "SetInboxAccess", {"inbox": row.inbox, **row.access})
    if isinstance(reply, Unchanged):
        return None
    if row.teams is None and entry.access == "members":
        fields = {"inbox": row.inbox, "access": "members", "members": list(entry.members)}
        reply = await dry_run(account, "SetInboxAccess", fields)
        # Refused: a member was removed since, so that only further readers reveal teams.
        if isinstance(reply, Accepted) or (isinstance(reply, Refused) and set(entry.readers) - set(entry.members)):
            return "teams"
    return "other"


async def dry_run(account: Account, command: str, fields: Mapping[str, Any]) -> Reply:
    return await account.send(command, {**fields, "dry_run": True})
