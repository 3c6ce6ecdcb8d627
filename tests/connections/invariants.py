"""What is true of an account after any commands in any order: rules A1 to D3, as a list of what is broken."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from services.connections.commands import PAGES
from services.connections.domain.account import DEFAULT_INBOX, RegisteredAccount
from services.connections.domain.address.state import Alias, Free, Orphaned, Personal, Team
from services.connections.domain.inbox import Inbox
from services.connections.domain.user import User
from shared.core.names import name_key
from shared.language.events import Aggregate

States: TypeAlias = Mapping[tuple[str, Aggregate, str], Any]
Sets: TypeAlias = Mapping[tuple[str, str], set[tuple[str, Aggregate, str]]]


def broken(states: States, sets: Sets, account: str) -> list[str]:
    """One sentence for each rule that does not hold; none is as it should be."""
    if not isinstance(states.get((account, "account", account)), RegisteredAccount):
        return [] if not states else ["there are facts without an account"]
    users = {n: s for (_, kind, n), s in states.items() if kind == "user" and isinstance(s, User)}
    inboxes = {n: s for (_, kind, n), s in states.items() if kind == "inbox" and isinstance(s, Inbox)}
    addresses = {n: s for (_, kind, n), s in states.items() if kind == "address" and not isinstance(s, Free)}
    return [
        *about_sets(states, sets),
        *about_addresses(addresses, users, inboxes),
        *about_mailboxes(addresses),
        *about_inboxes(inboxes),
        *about_users(users),
    ]


def about_sets(states: States, sets: Sets) -> list[str]:
    """The kept sets equal those made anew from all states."""
    anew: dict[tuple[str, str], set[tuple[str, Aggregate, str]]] = {}
    for key, state in states.items():
        for name in PAGES[key[1]].constraint_sets(state):
            anew.setdefault((key[0], name), set()).add(key)
    kept = {name: members for name, members in sets.items() if members}
    return [] if kept == anew else [f"sets: kept {kept}, anew {anew}"]


def about_addresses(addresses: Mapping[str, Any], users: Mapping[str, User], inboxes: Mapping[str, Inbox]) -> list[str]:
    found = []
    for name, claim in addresses.items():
        if claim.address != name:
            found.append(f"{name} is kept under another name")
        match claim:
            case Personal(owner=owner):
                if owner not in users or users[owner].status == "removed":
                    found.append(f"A4: {name} belongs to {owner}, who is not there")
            case Team(inbox=inbox, tools=tools):
                if inbox not in inboxes or inboxes[inbox].archived:
                    found.append(f"A3: {name} is in {inbox}, which is not open")
                if tools:
                    found.append(f"A5, A6: the team address {name} has tools")
            case Orphaned(owner=owner):
                if owner not in users:
                    found.append(f"A10: {name} is orphaned from {owner}, who never was")
            case Alias(primary=primary):
                if not isinstance(addresses.get(primary), Personal | Team | Orphaned):
                    found.append(f"A7: the alias {name} outlived its primary {primary}")
    return found


def about_mailboxes(addresses: Mapping[str, Any]) -> list[str]:
    """A mailbox is never personal and team, never of two owners; what is orphaned waits and holds nothing up."""
    holders: dict[tuple[str | None, str], set[str]] = {}
    for claim in addresses.values():
        if isinstance(claim, Personal | Team) and claim.provider_identity is not None:
            holder = claim.owner if isinstance(claim, Personal) else "(team)"
            holders.setdefault((claim.provider, claim.provider_identity), set()).add(holder)
    return [f"S2: the mailbox {mailbox} is held by {who}" for mailbox, who in holders.items() if len(who) > 1]


def about_inboxes(inboxes: Mapping[str, Inbox]) -> list[str]:
    found = []
    if DEFAULT_INBOX not in inboxes or inboxes[DEFAULT_INBOX].archived:
        found.append("B3: the default inbox is gone")
    names = [name_key(inbox.name) for inbox in inboxes.values()]
    if len(set(names)) != len(names):
        found.append(f"B1: names of inboxes are not unique: {sorted(names)}")
    return found


def about_users(users: Mapping[str, User]) -> list[str]:
    if any(user.active and "super_admin" in user.permissions for user in users.values()):
        return []
    return ["D1: there is no active super admin"]
