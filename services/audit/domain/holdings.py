"""The relations that decide whom an event concerns although it does not name them.

An event with a full list concerns those who were added to it or removed from it. An event or attempt on an address
concerns its holder, on an alias also its primary.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from services.audit.domain.things import Thing, named_by_event, teams, things_of_rule, users
from shared.language import events as e
from shared.language.events import Event

NOTHING: Final[frozenset[Thing]] = frozenset()


class Relation(NamedTuple):
    """The holder of an address, the members of a team, the members and teams of an inbox, or the names in its rule."""

    of: Literal["holder", "team", "inbox", "rule"]
    name: str


@dataclass(slots=True)
class Holdings:
    """The relations of one account, as far as they were loaded; `changed` are those that events have changed."""

    relations: dict[Relation, frozenset[Thing]] = field(default_factory=dict)
    changed: set[Relation] = field(default_factory=set)

    def get(self, relation: Relation) -> frozenset[Thing]:
        return self.relations.get(relation, NOTHING)

    def put(self, relation: Relation, things: frozenset[Thing]) -> None:
        if things != self.get(relation):
            self.relations[relation] = things
            self.changed.add(relation)

    def holders(self, address: str) -> frozenset[Thing]:
        """Return the holder of an address; of an alias its primary, and the holder of that."""
        found = self.get(Relation("holder", address))
        return found.union(*(self.get(Relation("holder", one.name)) for one in found if one.kind == "address"))

    def with_holders(self, things: set[Thing]) -> set[Thing]:
        """Return these things and the holders of the addresses among them."""
        return things.union(*(self.holders(one.name) for one in things if one.kind == "address"))


def concerned_by(event: Event, holdings: Holdings) -> set[Thing]:
    """Return the things that an event concerns, besides its account and actor, and apply it to the relations."""
    listed = _lists_of(event)
    found = holdings.with_holders(named_by_event(event))
    for relation, things in listed.items():
        found |= holdings.get(relation) ^ things
        holdings.put(relation, things)
    if isinstance(event, e.AddressEvent):
        holdings.put(Relation("holder", event.address), _holder_after(event, holdings))
        found = holdings.with_holders(found)
    return found


def _lists_of(event: Event) -> Mapping[Relation, frozenset[Thing]]:
    """Return the full lists of an event, each with its relation."""
    match event:
        case e.TeamCreated(team=team, members=members) | e.TeamMembersChanged(team=team, members=members):
            return {Relation("team", team): frozenset(users(members))}
        case e.InboxCreated() | e.InboxAccessChanged():
            return {Relation("inbox", event.inbox): frozenset(users(event.members) | teams(event.teams))}
        case e.RoutingChanged(inbox=inbox, rule=rule):
            return {Relation("rule", inbox): frozenset(things_of_rule(rule))}
        case _:
            return {}


def _holder_after(event: e.AddressEvent, holdings: Holdings) -> frozenset[Thing]:
    match event:
        case e.PersonalConnected(owner=owner) | e.AddressReclaimed(owner=owner) | e.OwnershipTransferred(to=owner):
            return frozenset({Thing("user", owner)})
        case e.TeamConnected(inbox=inbox) | e.TeamAddressMoved(to=inbox):
            return frozenset({Thing("inbox", inbox)})
        case e.ConnectionConverted(to=kind, owner=owner, inbox=inbox):
            return frozenset({Thing("user", owner) if kind == "personal" else Thing("inbox", inbox)})
        case e.AliasAdded(primary=primary):
            return frozenset({Thing("address", primary)})
        case e.AliasPromoted():
            return _holder_after_promotion(event)
        case e.Disconnected() | e.AddressReleased() | e.AliasRemoved():
            return NOTHING
        case _:
            return holdings.get(Relation("holder", event.address))


def _holder_after_promotion(event: e.AliasPromoted) -> frozenset[Thing]:
    if event.address != event.primary:
        return frozenset({Thing("address", event.primary)})
    holder = Thing("user", event.owner) if event.owner is not None else Thing("inbox", event.inbox or "")
    return frozenset({holder})


def relations_read(event: Event) -> set[Relation]:
    """Return the relations that `concerned_by` reads, without those of the primaries found in them."""
    return set(_lists_of(event)) | relations_of(named_by_event(event))


def relations_of(things: set[Thing]) -> set[Relation]:
    """Return the relations of the addresses among these things."""
    return {Relation("holder", one.name) for one in things if one.kind == "address"}
