"""One account is one tenant: its plan with its limits, its teams, the senders that nobody's log may keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, assert_never

from shared.core.refusal import Refused, next_action
from shared.language.commands import ChangePlan, CreateTeam, RegisterAccount, SetTeamMembers
from shared.language.events import (
    AccountEvent,
    AccountNeverLogChanged,
    AccountRegistered,
    Event,
    InboxCreated,
    PlanChanged,
    TeamCreated,
    TeamMembersChanged,
    UserAdded,
)
from shared.language.plans import INBOX_LIMITS
from shared.language.reasons import Reason
from shared.language.text import Plan

DEFAULT_INBOX: Final = "inbox"


@dataclass(frozen=True, slots=True)
class NoAccount:
    """Nothing is registered under this id."""


@dataclass(frozen=True, slots=True)
class Account:
    plan: Plan
    teams: Mapping[str, frozenset[str]]
    never_log: frozenset[str]

    @property
    def inbox_limit(self) -> int:
        return INBOX_LIMITS[self.plan]


AccountState: TypeAlias = NoAccount | Account


def found(account: AccountState, name: str) -> Account:
    match account:
        case Account():
            return account
        case NoAccount():
            raise Refused(
                Reason.ACCOUNT_NOT_FOUND,
                f"There is no account {name}.",
                {"account": name},
                [next_action(RegisterAccount, "Register the account first.")],
            )
        case _:
            assert_never(account)


def team_found(account: Account, team: str) -> frozenset[str]:
    if team not in account.teams:
        raise Refused(
            Reason.TEAM_NOT_FOUND,
            f"There is no team {team}.",
            {"team": team},
            [next_action(CreateTeam, "Create the team first.")],
        )
    return account.teams[team]


def register(account: AccountState, name: str, command: RegisterAccount) -> list[Event]:
    if isinstance(account, Account):
        raise Refused(Reason.ACCOUNT_EXISTS, f"The account {name} exists already.", {"account": name})
    return [
        AccountRegistered(plan=command.plan, admin=command.admin),
        UserAdded(
            user=command.admin,
            name=command.admin,
            permissions=("account_access", "personal_email_access", "super_admin"),
        ),
        InboxCreated(inbox=DEFAULT_INBOX, name="Inbox", access="everyone"),
    ]


def change_plan(account: Account, command: ChangePlan) -> list[Event]:
    """A downgrade below what is in use is allowed; nothing new fits until under the limit (C1)."""
    return [] if command.plan == account.plan else [PlanChanged(plan=command.plan)]


def create_team(account: Account, command: CreateTeam) -> list[Event]:
    if command.team in account.teams:
        raise Refused(Reason.TEAM_EXISTS, f"The team {command.team} exists already.", {"team": command.team})
    return [TeamCreated(team=command.team, name=command.name, members=tuple(sorted(set(command.members))))]


def set_team_members(account: Account, command: SetTeamMembers) -> list[Event]:
    if team_found(account, command.team) == frozenset(command.members):
        return []
    return [TeamMembersChanged(team=command.team, members=tuple(sorted(set(command.members))))]


def set_never_log(account: Account, entries: Sequence[str]) -> list[Event]:
    """`entries` are canonical addresses and domains."""
    if account.never_log == frozenset(entries):
        return []
    return [AccountNeverLogChanged(entries=tuple(sorted(set(entries))))]


def evolve(account: AccountState, event: AccountEvent, _: str) -> AccountState:
    match account, event:
        case NoAccount(), AccountRegistered(plan=plan):
            return Account(plan=plan, teams={}, never_log=frozenset())
        case Account(), PlanChanged(plan=plan):
            return replace(account, plan=plan)
        case Account(), TeamCreated(team=team, members=members) | TeamMembersChanged(team=team, members=members):
            return replace(account, teams={**account.teams, team: frozenset(members)})
        case Account(), AccountNeverLogChanged(entries=entries):
            return replace(account, never_log=frozenset(entries))
        case _:
            return account


def memberships(_: AccountState) -> frozenset[str]:
    return frozenset()
