"""Which inboxes nobody reads any more, once a command has taken effect: an accepted command warns of them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from services.connections.context import DecisionContext
from services.connections.domain.account import Account
from services.connections.domain.inbox import Inbox
from services.connections.domain.user import User
from shared.core.refusal import LISTED

# So many members of each inbox are looked at first; four times as many each time that none of them is active.
FIRST_LOOK: Final = 4
# Names in a sentence; the fields beside it have more.
MENTIONED: Final = 5


def unread(
    context: DecisionContext,
    inboxes: Iterable[Inbox],
    account: Account,
    *,
    without: str | None = None,
    empty_too: bool = False,
) -> Sequence[Mapping[str, Any]]:
    """The warning, if there is reason for it.

    Args:
        inboxes: as the command leaves them; archived ones are passed over.
        account: as the command leaves it.
        without: the user who is no longer active.
        empty_too: warn of inboxes without an address, too.
    """
    found = [inbox.id for inbox in without_readers(context, inboxes, account, without)]
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
    context: DecisionContext, inboxes: Iterable[Inbox], account: Account, without: str | None
) -> list[Inbox]:
    """Those without an active member. `everyone` always has one: the last active super admin stays."""
    closed = [inbox for inbox in inboxes if not inbox.archived and inbox.access == "members"]
    waiting = [(inbox, iter([name for name in inbox.named(account) if name != without])) for inbox in closed]
    found, size = [], FIRST_LOOK
    while waiting:
        looked_at = [(inbox, names, list(islice(names, size))) for inbox, names in waiting]
        context.look_at_users(name for _, _, some in looked_at for name in some)
        found += [inbox for inbox, _, some in looked_at if not some]
        waiting = [(inbox, names) for inbox, names, some in looked_at if some and not any(map(context.is_active, some))]
        size *= 4
    return found


def of_team(context: DecisionContext, team: str) -> list[Inbox]:
    """The open inboxes whose members a team is."""
    return [inbox for inbox in context.open_inboxes() if team in inbox.teams]


def of_user(context: DecisionContext, user: str) -> list[Inbox]:
    """The open inboxes that a user is a member of by name or through a team."""
    account = context.account()
    return [inbox for inbox in context.open_inboxes() if inbox.access == "members" and inbox.admits(user, account)]


def places(context: DecisionContext, user: User) -> Sequence[Mapping[str, Any]]:
    """The warning that inboxes, teams and rules still name the id of a user who was removed."""
    inboxes = [*context.open_inboxes(), *context.archived_inboxes()]
    named = sorted(inbox.id for inbox in inboxes if user.id in inbox.members)
    rules = sorted(inbox.id for inbox in inboxes if inbox.rule_names(user.id))
    teams = sorted(team for team, members in context.account().teams.items() if user.id in members)
    count = len(named) + len(teams) + len(rules)
    if not count:
        return ()
    return [
        {
            "code": "PLACES_RETURNED",
            "message": f"What named the former user {user.id} counts for the new one: "
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
