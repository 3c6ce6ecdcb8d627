"""The things that an event or an attempt may concern, and the fields that name them."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from shared.core.address import InvalidAddressError, canonical
from shared.language import events as e
from shared.language.events import Event
from shared.language.rules import Rule
from shared.language.text import SERVICE

# `actor` gave the command; `correlation` is its correlation id. All others are concerned by it.
Kind = Literal["account", "address", "inbox", "user", "team", "actor", "correlation"]


class Thing(NamedTuple):
    """One thing of an account; an address by its canonical form."""

    kind: Kind
    name: str


# The fields with one name, and the kind of thing that they name, in events, commands and routing rules.
NAMES: Final[Mapping[str, Kind]] = {
    "account": "account",
    "address": "address",
    "alias": "address",
    "primary": "address",
    "former_primary": "address",
    "inbox": "inbox",
    "to_inbox": "inbox",
    "user": "user",
    "owner": "user",
    "new_owner": "user",
    "admin": "user",
    "connector": "user",
    "team": "team",
}
# The fields with several names.
LISTS: Final[Mapping[str, Kind]] = {"members": "user", "users": "user", "teams": "team"}
# Events in which `from` and `to` name a thing.
FORMER_AND_NEW: Final[Mapping[type[Event], Mapping[str, Kind]]] = {
    e.TeamAddressMoved: {"from_": "inbox", "to": "inbox"},
    e.OwnershipTransferred: {"from_": "user", "to": "user"},
    e.AddressReclaimed: {"from_": "user"},
}


def named_by(fields: Mapping[str, Any]) -> Iterator[Thing]:
    """Yield the things that the fields of a JSON object name, those within a rule too."""
    for field, value in fields.items():
        if isinstance(value, str) and (kind := NAMES.get(field)):
            yield from thing_of(kind, value)
        elif isinstance(value, (list, tuple)) and (kind := LISTS.get(field)):
            yield from (Thing(kind, name) for name in value if isinstance(name, str))
        elif isinstance(value, Mapping):
            yield from named_by(value)


def thing_of(kind: Kind, name: str) -> Iterator[Thing]:
    """Yield the thing; nothing for a service in place of a user, nor for a text that is not an address."""
    if kind == "address":
        try:
            yield Thing(kind, canonical(name).address)
        except InvalidAddressError:
            return
    elif not name.startswith(SERVICE):
        yield Thing(kind, name)


def named_by_event(event: Event) -> set[Thing]:
    """Return the things that single fields of an event name; its addresses are canonical."""
    found: set[Thing] = set()
    for field, kind in _naming_fields(type(event)):
        name = getattr(event, field)
        if name is not None and not name.startswith(SERVICE):
            found.add(Thing(kind, name))
    return found


@cache
def _naming_fields(message: type[Event]) -> tuple[tuple[str, Kind], ...]:
    kinds = {**NAMES, **FORMER_AND_NEW.get(message, {})}
    return tuple((field, kinds[field]) for field in message.model_fields if field in kinds)


def things_of_rule(rule: Rule) -> set[Thing]:
    """Return the users and teams that a routing rule, or its fallback, names."""
    return set(named_by(rule.model_dump()))


def users(names: Iterable[str]) -> set[Thing]:
    return {Thing("user", name) for name in names}


def teams(names: Iterable[str]) -> set[Thing]:
    return {Thing("team", name) for name in names}
