"""One inbox in an answer: its members, the readers of its mail, and its routing rule, in words too."""

from collections.abc import Collection
from typing import Any

from pydantic import TypeAdapter

from shared.core.rule_words import in_words
from shared.core.state.rows import InboxRow
from shared.language.rules import Rule

RULE: TypeAdapter[Rule] = TypeAdapter(Rule)


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
