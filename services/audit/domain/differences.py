"""The difference of two versions of a row, field by field, in the names of the published language.

Fields that only serve the rows are left out: the positions of claims, and values that follow from others.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from shared.language.events import Aggregate

Row = Mapping[str, Any]

# The fields of each row that a person knows, with their published names where these differ.
FIELDS: Final[Mapping[Aggregate, Mapping[str, str]]] = {
    "account": {"plan": "plan", "never_log": "never_log", "teams": "teams"},
    "user": {
        "name": "name",
        "status": "status",
        "permissions": "permissions",
        "seat": "seat",
        "availability": "availability",
        "signature": "signature",
        "font": "font",
        "logging": "logging",
        "default_sender": "default_sender",
    },
    "inbox": {
        "name": "name",
        "archived": "archived",
        "access": "access",
        "members": "members",
        "teams": "teams",
        "rule": "rule",
    },
    "address": {
        "state": "state",
        "kind": "kind",
        "owner": "owner",
        "inbox": "inbox",
        "primary": "primary",
        "connector": "connector",
        "from_name": "from_name",
        "tools": "tools",
        "receiving": "receiving",
        "sending": "sending",
        "reauthenticate": "reauthentication_required",
    },
}
# Fields whose parts are compared one by one.
PARTS: Final = frozenset({"logging", "teams"})
EMPTY: Final[tuple[Any, ...]] = (None, "", [], {}, False)


class FieldChange(NamedTuple):
    """A field with its value before and after; None for a value that is not there."""

    field: str
    before: Any
    after: Any


def difference(aggregate: Aggregate, before: Row | None, after: Row | None) -> list[FieldChange]:
    """Return the fields that differ; where one of the rows is not there, the fields of the other that have a value."""
    old, new = _public(aggregate, before), _public(aggregate, after)
    changes = [FieldChange(name, old.get(name), new.get(name)) for name in {**old, **new}]
    if before is None or after is None:
        return [one for one in changes if one.before not in EMPTY or one.after not in EMPTY]
    return [one for one in changes if one.before != one.after]


def _public(aggregate: Aggregate, row: Row | None) -> dict[str, Any]:
    if row is None:
        return {}
    return {
        name: value
        for field, published in FIELDS[aggregate].items()
        if field in row
        for name, value in _parts(published, row[field])
    }


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if name == "default_sender":
        yield name, value and value["address"]
    elif name in PARTS and isinstance(value, Mapping):
        for part, one in value.items():
            inner = one if name == "teams" else {"": one}
            yield from ((".".join(filter(None, (name, part, field))), of_it) for field, of_it in inner.items())
    else:
        yield name, value
