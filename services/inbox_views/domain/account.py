"""One account: its plan with its limits, its teams, the senders that no user's log may keep."""

from collections.abc import Collection
from typing import Any

from services.inbox_views.domain.rows import AccountRow, Team, require_started
from shared.language.events import (
    AccountEvent,
    AccountNeverLogChanged,
    AccountRegistered,
    PlanChanged,
    TeamCreated,
    TeamMembersChanged,
)
from shared.language.plans import INBOX_LIMITS


def fold(row: AccountRow | None, event: AccountEvent) -> AccountRow:
    match event:
        case AccountRegistered(plan=plan):
            return {"plan": plan, "teams": {}, "never_log": []}
        case PlanChanged(plan=plan):
            return require_started(row) | {"plan": plan}
        case TeamCreated():
            return with_team(require_started(row), event.team, {"name": event.name, "members": list(event.members)})
        case TeamMembersChanged(team=name, members=members):
            former = require_started(row)["teams"].get(name)
            team: Team = {"name": former["name"] if former else name, "members": list(members)}
            return with_team(require_started(row), name, team)
        case AccountNeverLogChanged(entries=entries):
            return require_started(row) | {"never_log": list(entries)}
        case _:
            return require_started(row)


def with_team(row: AccountRow, name: str, team: Team) -> AccountRow:
    return row | {"teams": row["teams"] | {name: team}}


def to_answer(row: AccountRow) -> dict[str, Any]:
    return {"plan": row["plan"], "limits": {"inboxes": inbox_limit(row)}, "never_log": row["never_log"]}


def inbox_limit(row: AccountRow) -> int:
    return INBOX_LIMITS[row["plan"]]


def usage(row: AccountRow, used: int) -> dict[str, Any]:
    return {"plan": row["plan"], "inboxes": {"used": used, "limit": inbox_limit(row)}}


def team_list(row: AccountRow, after: str) -> list[tuple[str, Team]]:
    """Return the teams with their ids, by id."""
    return sorted(((name, team) for name, team in row["teams"].items() if name > after), key=lambda one: one[0])


def team_answer(name: str, team: Team, active: Collection[str]) -> dict[str, Any]:
    """`active` are those of the members who are active users."""
    inactive = [member for member in team["members"] if member not in active]
    return {"team": name, "name": team["name"], "members": team["members"], "inactive": inactive}
