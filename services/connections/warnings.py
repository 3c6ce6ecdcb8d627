"""Warnings of an accepted command: inboxes without readers, and places that a former user's id still has."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from services.connections.context import DecisionContext
from services.connections.domain import account as accounts
from services.connections.domain import inbox as inboxes
from services.connections.domain.account import RegisteredAccount
from services.connections.domain.inbox import Inbox
from services.connections.domain.user import User
from shared.core.refusal import LISTED
from shared.language import commands as c
from shared.language.events import Event, InboxAccessChanged, TeamConnected, TeamMembersChanged

# So many members of each inbox are read first; four times as many each time that none of them is active.
FIRST_READ: Final = 4
# Names in a sentence; the fields beside it have more.
MENTIONED: Final = 5

Warnings = Sequence[Mapping[str, Any]]

# ---- by command


def after_team_members(context: DecisionContext, command: c.SetTeamMembers, events: Sequence[Event]) -> Warnings:
    account = context.account()
    for event in events:
        if isinstance(event, TeamMembersChanged):
            account = accounts.with_team(account, event.team, event.members)
    affected = [inbox for inbox in context.open_inboxes() if command.team in inbox.teams]
    return unread(context, affected, account)


def after_leaving(context: DecisionContext, command: c.DeactivateUser | c.RemoveUser, _: Sequence[Event]) -> Warnings:
    account, user = context.account(), command.user
    closed = [inbox for inbox in context.open_inboxes() if inbox.access == "members"]
    return unread(context, [one for one in closed if one.admits(user, account)], account, without=user)


def after_access(context: DecisionContext, command: c.SetInboxAccess, events: Sequence[Event]) -> Warnings:
    inbox = context.open_inbox(command.inbox)
    for event in events:
        if isinstance(event, InboxAccessChanged):
            inbox = inboxes.with_access(inbox, event)
    return unread(context, [inbox], context.account(), empty_too=True)


def after_connecting(context: DecisionContext, command: c.ConnectTeam, events: Sequence[Event]) -> Warnings:
    if not any(isinstance(event, TeamConnected) for event in events):
        return ()
    return of_inbox(context, command.inbox)


def after_moving(context: DecisionContext, command: c.MoveTeamAddress, _: Sequence[Event]) -> Warnings:
    return of_inbox(context, command.to_inbox)


def after_converting(context: DecisionContext, command: c.ConvertConnection, _: Sequence[Event]) -> Warnings:
    return () if command.inbox is None else of_inbox(context, command.inbox)


def of_inbox(context: DecisionContext, name: str) -> Warnings:
    """An address comes to the inbox, which may have no reader."""
    inbox = context.open_inbox(name)
    return () if inbox.access == "everyone" else unread(context, [inbox], context.account(), empty_too=True)


def after_adding(context: DecisionContext, command: c.AddUser, _: Sequence[Event]) -> Warnings:
    former = context.user(command.user)
    return places(context, former) if isinstance(former, User) else ()


# ---- inboxes without readers


def unread(
    context: DecisionContext,
    candidates: Iterable[Inbox],
    account: RegisteredAccount,
    *,
    without: str | None = None,
    empty_too: bool = False,
) -> Warnings:
    """The warning, if there is reason for it.

    Args:
        candidates: as the command leaves them; archived ones are passed over.
        account: as the command leaves it.
        without: the user who is no longer active.
        empty_too: warn of inboxes without an address, too.
    """
    found = [inbox.id for inbox in without_readers(context, candidates, account, without)]
    if not empty_too:
        found = [name for name, addresses in context.connected_to_all(found).items() if addresses]
    if not found:
        return ()
    return [
        {
            "code": "INBOX_WITHOUT_READERS",
            "message": f"Nobody reads {in_words(inboxes=found)}: no member is active. Give access with SetInboxAccess.",
            "count": len(found),
            "inboxes": found[:LISTED],
        }
    ]


def without_readers(
    context: DecisionContext, candidates: Iterable[Inbox], account: RegisteredAccount, without: str | None
) -> list[Inbox]:
    """Those without an active member. `everyone` always has one: the last active super admin stays."""
    closed = [inbox for inbox in candidates if not inbox.archived and inbox.access == "members"]
    waiting = [(inbox, iter([name for name in inbox.named(account) if name != without])) for inbox in closed]
    found, size = [], FIRST_READ
    while waiting:
        read = [(inbox, names, list(islice(names, size))) for inbox, names in waiting]
        context.expect_users(name for _, _, some in read for name in some)
        found += [inbox for inbox, _, some in read if not some]
        waiting = [(inbox, names) for inbox, names, some in read if some and not any(map(context.is_active, some))]
        size *= 4
    return found


def places(context: DecisionContext, user: User) -> Warnings:
    """The warning that inboxes, teams and rules still name the id of a user who was removed."""
    candidates = [*context.open_inboxes(), *context.archived_inboxes()]
    named = sorted(inbox.id for inbox in candidates if user.id in inbox.members)
    rules = sorted(inbox.id for inbox in candidates if inbox.rule_names(user.id))
    teams = sorted(team for team, members in context.account().teams.items() if user.id in members)
    count = len(named) + len(teams) + len(rules)
    if not count:
        return ()
    return [
        {
            "code": "PLACES_RETURNED",
            "message": f"Places of the former user {user.id} count for the new one: "
            f"{in_words(inboxes=named, teams=teams, rules=rules)}. Take the id out if this is another person.",
            "count": count,
            "inboxes": named[:LISTED],
            "teams": teams[:LISTED],
            "rules": rules[:LISTED],
        }
    ]


def in_words(**lists: Sequence[str]) -> str:
    """The first names of each list that is not empty, as part of a sentence."""
    return "; ".join(
        f"{what} {', '.join(names[:MENTIONED])}{' …' if len(names) > MENTIONED else ''}"
        for what, names in lists.items()
        if names
    )
