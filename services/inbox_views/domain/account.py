"""One account: its plan with its limits, its teams, the senders that nobody's log may keep."""

from collections.abc import Iterable
from typing import Any

from services.inbox_views.domain.document import Doc, begun
from shared.language.events import (
    AccountEvent,
    AccountNeverLogChanged,
    AccountRegistered,
    PlanChanged,
    TeamCreated,
    TeamMembersChanged,
)
from shared.language.plans import INBOX_LIMITS


def fold(doc: Doc | None, event: AccountEvent) -> Doc:
    match event:
        case AccountRegistered(plan=plan):
            return {"plan": plan, "teams": {}, "never_log": []}
        case PlanChanged(plan=plan):
            return begun(doc) | {"plan": plan}
        case TeamCreated():
            team = {"name": event.name, "members": list(event.members)}
            return with_team(begun(doc), event.team, team)
        case TeamMembersChanged(team=name, members=members):
            team = begun(doc)["teams"].get(name, {"name": name})
            return with_team(begun(doc), name, team | {"members": list(members)})
        case AccountNeverLogChanged(entries=entries):
            return begun(doc) | {"never_log": list(entries)}
        case _:
            return begun(doc)


def with_team(doc: Doc, name: str, team: Doc) -> Doc:
    return doc | {"teams": doc["teams"] | {name: team}}


def shown(doc: Doc) -> Doc:
    return {"plan": doc["plan"], "limits": {"inboxes": inbox_limit(doc)}, "never_log": doc["never_log"]}


def inbox_limit(doc: Doc) -> int:
    return INBOX_LIMITS[doc["plan"]]


def usage(doc: Doc, used: int) -> Doc:
    return {"plan": doc["plan"], "inboxes": {"used": used, "limit": inbox_limit(doc)}}


def teams_of(doc: Doc, user: str) -> list[str]:
    """The teams that name the user, by id."""
    return sorted(name for name, team in doc["teams"].items() if user in team["members"])


def members_of(doc: Doc, teams: Iterable[str]) -> set[str]:
    """Everybody in any of these teams."""
    return {member for team in teams for member in doc["teams"].get(team, {}).get("members", ())}


def team_list(doc: Doc) -> list[dict[str, Any]]:
    """All teams, by id."""
    return [
        {"team": name, "name": team["name"], "members": team["members"]} for name, team in sorted(doc["teams"].items())
    ]
