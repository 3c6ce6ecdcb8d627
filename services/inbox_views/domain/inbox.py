"""One inbox: who is in it, who reads the mail that arrives, who gets what, in plain words."""

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter

from services.inbox_views.domain import account as accounts
from services.inbox_views.domain.document import Doc, begun
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


def fold(doc: Doc | None, event: InboxEvent) -> Doc:
    if isinstance(event, InboxCreated):
        return (
            {"inbox": event.inbox, "name": event.name, "archived": False}
            | access_of(event)
            | {"rule": {"kind": "unassigned"}}
        )
    return begun(doc) | changes(event)


def access_of(event: InboxCreated | InboxAccessChanged) -> Doc:
    return {"access": event.access, "members": list(event.members), "teams": list(event.teams)}


def changes(event: InboxEvent) -> Doc:
    """The fields that an event sets."""
    match event:
        case InboxRenamed(name=name):
            return {"name": name}
        case InboxAccessChanged():
            return access_of(event)
        case RoutingChanged(rule=rule):
            return {"rule": rule.model_dump(mode="json")}
        case InboxArchived():
            return {"archived": True}
        case InboxRestored():
            return {"archived": False}
        case _:
            return {}


def admits(doc: Doc, user: str, account: Doc) -> bool:
    """Whether the user is a member: named, through a team, or because it is open to everyone."""
    return doc["access"] == "everyone" or user in doc["members"] or user in accounts.members_of(account, doc["teams"])


def readers(doc: Doc, account: Doc, active_users: Iterable[str]) -> list[str]:
    """The active users who see the mail that arrives, by id; administrators only if they are members."""
    if doc["access"] == "everyone":
        return sorted(active_users)
    members = set(doc["members"]) | accounts.members_of(account, doc["teams"])
    return sorted(members.intersection(active_users))


def routing(doc: Doc) -> dict[str, Any]:
    """The rule, and the same in words."""
    return {**doc["rule"], "words": in_words(RULE.validate_python(doc["rule"], strict=False))}


def shown(doc: Doc, addresses: list[Doc], readers_of_it: list[str]) -> Doc:
    return {
        "inbox": doc["inbox"],
        "name": doc["name"],
        "archived": doc["archived"],
        "access": doc["access"],
        "members": doc["members"],
        "addresses": addresses,
        "routing": routing(doc),
        "readers": readers_of_it,
    }


def names(doc: Doc, user: str) -> bool:
    """Whether the user stands in the list of members by name."""
    return user in doc["members"]


def rule_names(doc: Doc, user: str) -> bool:
    """Whether the routing rule, or its fallback, names the user."""
    rule = doc["rule"]
    return user in rule.get("users", ()) or user in (rule.get("fallback") or {}).get("users", ())
