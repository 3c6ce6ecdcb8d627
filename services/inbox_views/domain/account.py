"""One account in an answer: its plan with its limits, its teams, the senders that no user's log may keep."""

from collections.abc import Collection
from typing import Any

from shared.core.state.rows import AccountRow, Team
from shared.language.plans import INBOX_LIMITS


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
