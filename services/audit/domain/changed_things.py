"""The difference of two moments for one thing: added, removed or changed, and which fields."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from services.audit.domain.differences import FieldChange, Row, difference
from shared.language.events import Aggregate

Change = Literal["added", "removed", "changed"]


class ChangedThing(NamedTuple):
    change: Change
    fields: list[FieldChange]


def changed_thing(
    aggregate: Aggregate, before: Row | None, after: Row | None, team: str | None = None
) -> ChangedThing | None:
    """Return how a thing differs; None when it is the same. With `team`, of an account only this team counts."""
    fields = difference(aggregate, before, after)
    if team is not None:
        fields = [one for one in fields if one.field.startswith(f"teams.{team}.")]
    there_before, there_after = _there(aggregate, before, team), _there(aggregate, after, team)
    if there_before and there_after:
        return ChangedThing("changed", fields) if fields else None
    if not there_before and not there_after:
        return None
    return ChangedThing("added" if there_after else "removed", fields)


def _there(aggregate: Aggregate, row: Row | None, team: str | None) -> bool:
    """Return whether a thing is there as people see it: an address while it is held, a user until they are removed."""
    if row is None:
        return False
    if team is not None:
        return team in row["teams"]
    return IS_THERE[aggregate](row) if aggregate in IS_THERE else True


def _held(row: Mapping[str, Any]) -> bool:
    return row["kind"] is not None or row["primary"] is not None


def _not_removed(row: Mapping[str, Any]) -> bool:
    return bool(row["status"] != "removed")


IS_THERE = {"address": _held, "user": _not_removed}
