"""One inbox: who is in it, who reads the mail that arrives, who gets what, in plain words."""

from collections.abc import Collection
from typing import Any

from pydantic import TypeAdapter

from services.inbox_views.domain.document import Doc, require_started
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


def fold(doc: Doc | None, event: InboxEvent) -> Doc:
    if isinstance(event, InboxCreated):
        return (
            {"inbox": event.inbox, "name": event.name, "archived": False}
            | access_of(event)
            | {"rule": {"kind": "unassigned"}}
        )
    return require_started(doc) | changes(event)


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


def membership(doc: Doc, account: Doc) -> Membership:
    """Who is in the inbox, their teams looked up once."""
    teams = {name: account["teams"].get(name, {}).get("members", ()) for name in doc["teams"]}
    return Membership(doc["access"], doc["members"], doc["teams"], teams)


def routing(doc: Doc) -> dict[str, Any]:
    """The rule, and the same in words."""
    return {**doc["rule"], "words": in_words(RULE.validate_python(doc["rule"], strict=False))}


def to_answer(doc: Doc, addresses: list[Doc], inactive: list[str], readers: list[str]) -> Doc:
    return {
        "inbox": doc["inbox"],
        "name": doc["name"],
        "archived": doc["archived"],
        "access": doc["access"],
        "members": doc["members"],
        "inactive": inactive,
        "addresses": addresses,
        "routing": routing(doc),
        "readers": readers,
    }


def names(doc: Doc, user: str, teams: Collection[str]) -> bool:
    """Whether the inbox counts on the user, by name or through one of these teams, which are the user's."""
    return user in doc["members"] or not set(doc["teams"]).isdisjoint(teams)


def rule_names(doc: Doc, user: str, teams: Collection[str]) -> bool:
    """Whether the routing rule, or its fallback, names the user or one of the user's teams."""
    parts = (doc["rule"], doc["rule"].get("fallback") or {})
    return any(user in part.get("users", ()) or not set(part.get("teams", ())).isdisjoint(teams) for part in parts)
