"""One inbox: its members, the readers of its mail, and its routing rule, in words too."""

from collections.abc import Collection
from typing import Any

from pydantic import TypeAdapter

from services.inbox_views.domain.rows import AccountRow, InboxRow, require_started
from shared.core.policies import Membership
from shared.core.rule_words import in_words
from shared.language.events import (
    InboxAccessChanged,
    InboxArchived,
    InboxCreated,
    InboxEvent,
    InboxRenamed,
    InboxRestored,
    RoutingChanged,
)
from shared.language.rules import Rule

RULE: TypeAdapter[Rule] = TypeAdapter(Rule)


def fold(row: InboxRow | None, event: InboxEvent) -> InboxRow:
    match event:
        case InboxCreated():
            return {
                "inbox": event.inbox,
                "name": event.name,
                "archived": False,
                "access": event.access,
                "members": list(event.members),
                "teams": list(event.teams),
                "rule": {"kind": "unassigned"},
            }
        case InboxRenamed(name=name):
            return require_started(row) | {"name": name}
        case InboxAccessChanged(access=access, members=members, teams=teams):
            return require_started(row) | {"access": access, "members": list(members), "teams": list(teams)}
        case RoutingChanged():
            changed: InboxRow = require_started(row) | {"rule": event.rule.model_dump(mode="json")}
            return changed
        case InboxArchived():
            return require_started(row) | {"archived": True}
        case InboxRestored():
            return require_started(row) | {"archived": False}
        case _:
            return require_started(row)


def membership(row: InboxRow, account: AccountRow) -> Membership:
    """Return the members of the inbox, with each team looked up once."""
    teams = {name: account["teams"][name]["members"] for name in row["teams"] if name in account["teams"]}
    return Membership(row["access"], row["members"], row["teams"], teams)


def routing(row: InboxRow) -> dict[str, Any]:
    """Return the rule, and the same in words."""
    return {**row["rule"], "words": in_words(RULE.validate_python(row["rule"], strict=False))}


def to_answer(
    row: InboxRow, addresses: list[dict[str, Any]], inactive: list[str], readers: list[str]
) -> dict[str, Any]:
    return {
        "inbox": row["inbox"],
        "name": row["name"],
        "archived": row["archived"],
        "access": row["access"],
        "members": row["members"],
        "inactive": inactive,
        "addresses": addresses,
        "routing": routing(row),
        "readers": readers,
    }


def names(row: InboxRow, user: str, teams: Collection[str]) -> bool:
    """Return whether the inbox names the user, or one of the user's teams."""
    return user in row["members"] or not set(row["teams"]).isdisjoint(teams)


def rule_names(row: InboxRow, user: str, teams: Collection[str]) -> bool:
    """Return whether the routing rule, or its fallback, names the user or one of the user's teams."""
    parts = (row["rule"], row["rule"].get("fallback") or {})
    return any(user in part.get("users", ()) or not set(part.get("teams", ())).isdisjoint(teams) for part in parts)
