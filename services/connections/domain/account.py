"""One account is one tenant: its plan with its limits, its teams, the senders that nobody's log may keep."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, assert_never

from shared.core.refusal import Refused, next_action
from shared.language.commands import ChangePlan, CreateTeam, RegisterAccount, SetAccountNeverLog, SetTeamMembers
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


# ---- situations


@dataclass(frozen=True, slots=True)
class UnknownAccount:
    """Nothing is registered under this id."""


@dataclass(frozen=True, slots=True)
class RegisteredAccount:
    plan: Plan
    teams: Mapping[str, frozenset[str]]
    never_log: frozenset[str]

    @property
    def inbox_limit(self) -> int:
        return INBOX_LIMITS[self.plan]


AccountState: TypeAlias = UnknownAccount | RegisteredAccount


def require_account(account: AccountState, name: str) -> RegisteredAccount:
    match account:
        case RegisteredAccount():
            return account
        case UnknownAccount():
            raise Refused(
                Reason.ACCOUNT_NOT_FOUND,
                f"There is no account {name}.",
                {"account": name},
                [next_action(RegisterAccount, "Register the account first.")],
            )
        case _:
            assert_never(account)


def require_team(account: RegisteredAccount, team: str) -> frozenset[str]:
    if team not in account.teams:
        raise Refused(
            Reason.TEAM_NOT_FOUND,
            f"There is no team {team}.",
            {"team": team},
            [next_action(CreateTeam, "Create the team first.")],
        )
    return account.teams[team]


# ---- decisions


def register(command: RegisterAccount, name: str, account: AccountState) -> list[Event]:
    if isinstance(account, RegisteredAccount):
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


def change_plan(command: ChangePlan, account: RegisteredAccount) -> list[Event]:
    """A downgrade below what is in use is allowed; nothing new fits until under the limit (C1)."""
    return [] if command.plan == account.plan else [PlanChanged(plan=command.plan)]


def create_team(command: CreateTeam, account: RegisteredAccount) -> list[Event]:
    if command.team in account.teams:
        raise Refused(Reason.TEAM_EXISTS, f"The team {command.team} exists already.", {"team": command.team})
    return [TeamCreated(team=command.team, name=command.name, members=tuple(sorted(set(command.members))))]


def set_team_members(command: SetTeamMembers, account: RegisteredAccount) -> list[Event]:
    if require_team(account, command.team) == frozenset(command.members):
        return []
    return [TeamMembersChanged(team=command.team, members=tuple(sorted(set(command.members))))]


def set_never_log(_: SetAccountNeverLog, account: RegisteredAccount, entries: Sequence[str]) -> list[Event]:
    """`entries` are canonical addresses and domains."""
    if account.never_log == frozenset(entries):
        return []
    return [AccountNeverLogChanged(entries=tuple(sorted(set(entries))))]


# ---- evolve


def evolve(account: AccountState, event: AccountEvent, _: str) -> AccountState:
    match account, event:
        case UnknownAccount(), AccountRegistered(plan=plan):
            return RegisteredAccount(plan=plan, teams={}, never_log=frozenset())
        case RegisteredAccount(), PlanChanged(plan=plan):
            return replace(account, plan=plan)
        case RegisteredAccount(), TeamCreated(team=team, members=members) | TeamMembersChanged(
            team=team, members=members
        ):
            return with_team(account, team, members)
        case RegisteredAccount(), AccountNeverLogChanged(entries=entries):
            return replace(account, never_log=frozenset(entries))
        case _:
            return account


def with_team(account: RegisteredAccount, team: str, members: Iterable[str]) -> RegisteredAccount:
    return replace(account, teams={**account.teams, team: frozenset(members)})


# ---- constraint sets


def constraint_sets(_: AccountState) -> frozenset[str]:
    return frozenset()
