"""One account: its plan with its limits, its teams, the senders that nobody's log may keep."""

from collections.abc import Collection

from services.inbox_views.domain.document import Doc, require_started
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
            return require_started(doc) | {"plan": plan}
        case TeamCreated():
            team = {"name": event.name, "members": list(event.members)}
            return with_team(require_started(doc), event.team, team)
        case TeamMembersChanged(team=name, members=members):
            team = require_started(doc)["teams"].get(name, {"name": name})
            return with_team(require_started(doc), name, team | {"members": list(members)})
        case AccountNeverLogChanged(entries=entries):
            return require_started(doc) | {"never_log": list(entries)}
        case _:
            return require_started(doc)


def with_team(doc: Doc, name: str, team: Doc) -> Doc:
    return doc | {"teams": doc["teams"] | {name: team}}


def to_answer(doc: Doc) -> Doc:
    return {"plan": doc["plan"], "limits": {"inboxes": inbox_limit(doc)}, "never_log": doc["never_log"]}


def inbox_limit(doc: Doc) -> int:
    return INBOX_LIMITS[doc["plan"]]


def usage(doc: Doc, used: int) -> Doc:
    return {"plan": doc["plan"], "inboxes": {"used": used, "limit": inbox_limit(doc)}}


def team_list(doc: Doc, after: str) -> list[tuple[str, Doc]]:
    """The teams with their ids, by id."""
    return sorted((name, team) for name, team in doc["teams"].items() if name > after)


def team_answer(name: str, team: Doc, active: Collection[str]) -> Doc:
    """`active` are those of the members who are active users."""
    inactive = [member for member in team["members"] if member not in active]
    return {"team": name, "name": team["name"], "members": team["members"], "inactive": inactive}
