"""Who plays in the journeys: one account with people, inboxes and permissions of every sort."""

import asyncio
from itertools import count

from tests.journeys.wire import Account, Wire

_numbers = count(1)

# ana may everything; dora administers without being super admin; bob and cleo connect addresses; eve may nothing.
PEOPLE = {
    "bob": ["personal_email_access"],
    "cleo": ["personal_email_access"],
    "dora": ["account_access", "personal_email_access"],
    "eve": [],
}
SEATED = ("bob", "cleo", "dora")
INBOXES = {"support": ["bob", "cleo"], "sales": ["dora"]}


def new_account(wire: Wire) -> Account:
    """A name that nobody has registered yet."""
    return Account(wire, f"acme-{next(_numbers)}")


async def furnished(wire: Wire, plan: str = "professional") -> Account:
    """An account with its people, seats, and the inboxes `support` and `sales` beside the default one."""
    account = new_account(wire)
    await account.do("RegisterAccount", plan=plan, admin="ana")
    async with asyncio.TaskGroup() as tasks:
        for user, permissions in PEOPLE.items():
            tasks.create_task(account.do("AddUser", user=user, name=user.title(), permissions=permissions))
    async with asyncio.TaskGroup() as tasks:
        for user in SEATED:
            tasks.create_task(account.do("AssignSeat", user=user))
        for inbox, members in INBOXES.items():
            tasks.create_task(account.do("CreateInbox", inbox=inbox, name=inbox.title(), members=members))
    return account
