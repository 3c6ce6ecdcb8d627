"""One account: how its events change its row."""

from shared.core.state.rows import AccountRow, Team, require_started
from shared.language.events import (
    AccountEvent,
    AccountNeverLogChanged,
    AccountRegistered,
    PlanChanged,
    TeamCreated,
    TeamMembersChanged,
)


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
