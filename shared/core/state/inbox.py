"""One inbox: how its events change its row, and its members."""

from shared.core.policies import Membership
from shared.core.state.rows import AccountRow, InboxRow, require_started
from shared.language.events import (
    InboxAccessChanged,
    InboxArchived,
    InboxCreated,
    InboxEvent,
    InboxRenamed,
    InboxRestored,
    RoutingChanged,
)


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
