"""The rules by which people had access to one address or inbox, and when each of them applied."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from services.audit.domain.facts import AddressFacts, InboxFacts, Teams
from services.audit.domain.spans import NEVER, Spans, intersection, union

Rule = Literal["member", "team", "everyone", "owner", "alias", "administrator"]


class Use(NamedTuple):
    """When an address or inbox could be read, and sent from, by everybody with a grant."""

    reading: Spans
    sending: Spans


class Grant(NamedTuple):
    """A rule that gave access to the users whom it named; `via` is the inbox or team through which it did.

    It did so while all of `when` held, and the user was active. The rule of an owner needs their permission for
    personal addresses, too.
    """

    rule: Rule
    via: str | None
    when: tuple[Spans, ...]
    use: Use

    def overlaps(self, first: int, last: int) -> bool:
        """Return whether it may have given access at any position from `first` to `last`."""
        return all(any(span.overlaps(first, last) for span in spans) for spans in (*self.when, self.use.reading))


class Following(NamedTuple):
    """The time in which an address was the alias of a primary, and the primary's own place."""

    primary: str
    during: Spans
    place: "Place"


@dataclass(slots=True)
class Place:
    """The grants of one address or inbox, by user and for everyone; `there` is when it could be administered."""

    there: Spans = NEVER
    named: defaultdict[str, list[Grant]] = field(default_factory=lambda: defaultdict(list))
    everyone: list[Grant] = field(default_factory=list)
    following: list[Following] = field(default_factory=list)

    def users(self, first: int, last: int) -> set[str]:
        """Return the users whom a grant names that may have given access in a range, of primaries too."""
        own = {user for user, grants in self.named.items() if any(one.overlaps(first, last) for one in grants)}
        return own.union(*(one.place.users(first, last) for one in self.following))

    def open_to_everyone(self) -> bool:
        return bool(self.everyone) or any(one.place.open_to_everyone() for one in self.following)


def place_of_inbox(name: str, inbox: InboxFacts, teams: Teams, sends: Spans) -> Place:
    """Return the place of an inbox; `sends` is when at least one of its addresses could send."""
    place = Place(inbox.there)
    _admit(place, name, inbox, teams, inbox.there, sends)
    return place


def place_of_address(
    address: AddressFacts,
    inboxes: Mapping[str, InboxFacts],
    teams: Teams,
    primaries: Iterable[tuple[str, AddressFacts]],
) -> Place:
    """Return the place of an address; `primaries` are those whose alias it was, with the facts of each."""
    place = _place_of_claims(address, inboxes, teams)
    for primary, facts in primaries:
        followed = _place_of_claims(facts, inboxes, teams)
        place.following.append(Following(primary, address.primaries.get(primary, NEVER), followed))
    return place


def _place_of_claims(address: AddressFacts, inboxes: Mapping[str, InboxFacts], teams: Teams) -> Place:
    place = Place(address.held)
    for owner, spans in address.owners.items():
        place.named[owner].append(Grant("owner", None, (spans,), Use(spans, address.sends)))
    for name, spans in address.inboxes.items():
        if name in inboxes:
            _admit(place, name, inboxes[name], teams, spans, address.sends)
    return place


def _admit(place: Place, name: str, inbox: InboxFacts, teams: Teams, during: Spans, sends: Spans) -> None:
    """Add the grants of an inbox in a time; an archived inbox can be read and does not send."""
    use = Use(during, intersection(intersection(during, sends), inbox.open))
    if inbox.everyone:
        place.everyone.append(Grant("everyone", name, (inbox.everyone,), use))
    for user, spans in inbox.members.items():
        place.named[user].append(Grant("member", name, (spans,), use))
    for team, spans in inbox.teams.items():
        for user, in_team in teams.get(team, {}).items():
            place.named[user].append(Grant("team", team, (spans, in_team), use))


def sends_of_inbox(inbox: str, addresses: Iterable[AddressFacts]) -> Spans:
    """Return when at least one of these addresses was in the inbox and could send."""
    return union(intersection(address.inboxes.get(inbox, NEVER), address.sends) for address in addresses)
