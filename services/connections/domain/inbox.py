"""One inbox: its name, its members and their access, its routing rule, and the plan's limit on open inboxes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NoReturn, TypeAlias

from services.connections.domain.account import DEFAULT_INBOX, RegisteredAccount
from services.connections.domain.address.disconnect import disconnected
from services.connections.domain.address.state import Alias, Team
from shared.core.names import name_key
from shared.core.policies import Membership
from shared.core.refusal import LISTED, NextAction, Refused, next_action
from shared.language.commands import (
    ArchiveInbox,
    ChangePlan,
    CreateInbox,
    MoveTeamAddress,
    RenameInbox,
    RestoreInbox,
    SetInboxAccess,
)
from shared.language.events import (
    Event,
    InboxAccessChanged,
    InboxArchived,
    InboxCreated,
    InboxEvent,
    InboxRenamed,
    InboxRestored,
    RoutingChanged,
)
from shared.language.plans import INBOX_LIMITS
from shared.language.reasons import Reason
from shared.language.rules import ContactOwner, Rule, Unassigned, UsersAndTeams
from shared.language.text import Access

OPEN: Final = "inboxes"
ARCHIVED: Final = "archived_inboxes"


# ---- situations


@dataclass(frozen=True, slots=True)
class UnknownInbox:
    """No inbox ever had this id."""


@dataclass(frozen=True, slots=True)
class Inbox:
    id: str
    name: str
    access: Access
    members: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    rule: Rule = Unassigned()
    archived: bool = False

    def admits(self, user: str, account: RegisteredAccount) -> bool:
        return self.membership(account).admits(user)

    def named(self, account: RegisteredAccount) -> list[str]:
        """The users who are members by name or through a team, by id; none when it is open to everyone."""
        return sorted(self.membership(account).names)

    def membership(self, account: RegisteredAccount) -> Membership:
        return Membership(self.access, self.members, self.teams, account.teams)

    def rule_names(self, user: str) -> bool:
        return user in users_of(self.rule)


InboxState: TypeAlias = UnknownInbox | Inbox


def targets_of(rule: Rule) -> UsersAndTeams | None:
    """The people that a rule names, or its fallback."""
    named = rule.fallback if isinstance(rule, ContactOwner) else rule
    return named if isinstance(named, UsersAndTeams) else None


def users_of(rule: Rule) -> Sequence[str]:
    targets = targets_of(rule)
    return () if targets is None else targets.users


def name_set(name: str) -> str:
    return f"inbox_name:{name_key(name)}"


def require_inbox(inbox: InboxState, name: str) -> Inbox:
    if isinstance(inbox, UnknownInbox):
        raise Refused(
            Reason.INBOX_NOT_FOUND,
            f"There is no inbox {name}.",
            {"inbox": name},
            [next_action(CreateInbox, "Create the inbox first.")],
        )
    return inbox


def refuse_archived(inbox: Inbox, account: RegisteredAccount, used: int) -> NoReturn:
    """An archived inbox takes part in nothing new (A3, B2); where there is no place for it, one is to be made first."""
    raise Refused(
        Reason.INBOX_ARCHIVED,
        f"The inbox {inbox.id} is archived.",
        {"inbox": inbox.id, "archived": True},
        [*ways_to_a_place(account, used), next_action(RestoreInbox, "Restore the inbox.")],
    )


def refuse_taken_name(holder: Inbox) -> NoReturn:
    """The other inbox may be archived: it keeps its name, and may be renamed as it is."""
    what = f"{'archived ' if holder.archived else ''}inbox {holder.id}"
    raise Refused(
        Reason.INBOX_NAME_TAKEN,
        f"The {what} has this name; upper and lower case make no difference.",
        {"name": holder.name, "inbox": holder.id, "archived": holder.archived},
        [next_action(RenameInbox, f"Rename the {what}, or choose another name.")],
    )


def require_place(account: RegisteredAccount, used: int) -> None:
    if ways := ways_to_a_place(account, used):
        raise Refused(
            Reason.INBOX_LIMIT_REACHED,
            f"The plan {account.plan} allows {account.inbox_limit} inboxes, and {used} are in use.",
            {"limit": account.inbox_limit, "used": used},
            ways,
        )


def ways_to_a_place(account: RegisteredAccount, used: int) -> list[NextAction]:
    """The commands that make room for one more open inbox; none when there is room."""
    if used < account.inbox_limit:
        return []
    ways = []
    if used < max(INBOX_LIMITS.values()):
        ways.append(next_action(ChangePlan, "Choose a plan that allows more inboxes."))
    if used > 1:
        ways.append(next_action(ArchiveInbox, "Archive an inbox that is no longer needed."))
    return ways


# ---- decisions


def create(
    command: CreateInbox, inbox: InboxState, account: RegisteredAccount, holder: Inbox | None, used: int
) -> list[Event]:
    """`holder` is another inbox that has the name."""
    if isinstance(inbox, Inbox):
        archived = f"The inbox {command.inbox} exists already{' and is archived' if inbox.archived else ''}."
        restore = [
            *ways_to_a_place(account, used),
            next_action(RestoreInbox, "Restore the archived inbox."),
        ]
        raise Refused(
            Reason.INBOX_EXISTS,
            archived,
            {"inbox": command.inbox, "archived": inbox.archived},
            restore if inbox.archived else [],
        )
    if holder is not None:
        refuse_taken_name(holder)
    require_place(account, used)
    return [
        InboxCreated(
            inbox=command.inbox,
            name=command.name,
            access="everyone" if command.members is None else "members",
            members=tuple(sorted(set(command.members or ()))),
        )
    ]


def rename(command: RenameInbox, inbox: Inbox, holder: Inbox | None) -> list[Event]:
    """An archived inbox may be renamed, too; `holder` is another inbox that has the name."""
    if holder is not None:
        refuse_taken_name(holder)
    return [] if inbox.name == command.name else [InboxRenamed(inbox=inbox.id, name=command.name)]


def set_access(command: SetInboxAccess, inbox: Inbox) -> list[Event]:
    members, teams = frozenset(command.members), frozenset(command.teams)
    if (inbox.access, inbox.members, inbox.teams) == (command.access, members, teams):
        return []
    return [
        InboxAccessChanged(
            inbox=inbox.id, access=command.access, members=tuple(sorted(members)), teams=tuple(sorted(teams))
        )
    ]


def archive(
    command: ArchiveInbox, inbox: Inbox, teams: Sequence[Team], aliases: Mapping[str, Sequence[Alias]]
) -> list[Event]:
    """`teams` are connected to it, with `aliases` by primary; cascading disconnects them too (B2, B3)."""
    addresses = [name for one in teams for name in (one.address, *(alias.address for alias in aliases[one.address]))]
    if inbox.id == DEFAULT_INBOX:
        raise Refused(Reason.DEFAULT_INBOX, "The default inbox cannot be archived.", {"inbox": inbox.id})
    if addresses and not command.cascade:
        raise Refused(
            Reason.INBOX_IN_USE,
            f"{len(addresses)} addresses are connected to the inbox {inbox.id}.",
            {"inbox": inbox.id, "addresses": addresses[:LISTED], "address_count": len(addresses)},
            [
                next_action(MoveTeamAddress, "Move its addresses to another inbox."),
                NextAction("Disconnect", ("account_access", "super_admin"), "Disconnect its addresses."),
                next_action(ArchiveInbox, "Or archive it with cascade: true."),
            ],
        )
    ended = [event for one in teams for event in disconnected(one, aliases[one.address])]
    return [*ended, *([] if inbox.archived else [InboxArchived(inbox=inbox.id)])]


def restore(_: RestoreInbox, inbox: Inbox, account: RegisteredAccount, used: int) -> list[Event]:
    if not inbox.archived:
        return []
    require_place(account, used)
    return [InboxRestored(inbox=inbox.id)]


# ---- evolve


def evolve(state: InboxState, event: InboxEvent, _: str) -> InboxState:
    match state, event:
        case UnknownInbox(), InboxCreated():
            return Inbox(
                id=event.inbox,
                name=event.name,
                access=event.access,
                members=frozenset(event.members),
                teams=frozenset(event.teams),
            )
        case Inbox(), InboxRenamed(name=name):
            return replace(state, name=name)
        case Inbox(), InboxAccessChanged():
            return with_access(state, event)
        case Inbox(), RoutingChanged(rule=rule):
            return replace(state, rule=rule)
        case Inbox(), InboxArchived():
            return replace(state, archived=True)
        case Inbox(), InboxRestored():
            return replace(state, archived=False)
        case _:
            return state


def with_access(inbox: Inbox, event: InboxAccessChanged) -> Inbox:
    return replace(inbox, access=event.access, members=frozenset(event.members), teams=frozenset(event.teams))


# ---- constraint sets


def constraint_sets(state: InboxState) -> frozenset[str]:
    """Open inboxes are counted against the plan; archived ones keep their names and their members."""
    if isinstance(state, UnknownInbox):
        return frozenset()
    return frozenset((name_set(state.name), ARCHIVED if state.archived else OPEN))
