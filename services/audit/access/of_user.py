"""The question `AccessOf`: the intervals of one user at every address and inbox.

Administration is one list for the whole account, then come the inboxes by id and the addresses by name.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.audit.access.answers import Found, interval_answers, place_in_list
from services.audit.access.rows import AccessRows
from services.audit.bounds import Bounds, bounds_of
from services.audit.domain.access import Interval, account_intervals, intervals
from services.audit.domain.facts import InboxFacts, Teams, UserFacts
from services.audit.domain.places import place_of_address, place_of_inbox
from services.audit.domain.spans import NEVER, Spans
from shared.language.audit import AccessOf
from shared.language.reasons import QuestionError
from shared.projections.answers import Page, QuestionRefusedError, cursor_key
from shared.projections.cooperative import cooperatively
from shared.projections.snapshot import Snapshot

# The sections of the list, in the order of its keys.
ACCOUNT, INBOX, ADDRESS = "account", "inbox", "address"
ADDRESSES_AT_ONCE = 100


@dataclass(frozen=True)
class UserPlaces:
    """A user, with everything through which they ever had access."""

    rows: AccessRows
    user: UserFacts
    teams: Teams
    inboxes: Mapping[str, InboxFacts]
    sends: Mapping[str, Spans]

    async def own_places(self, *, now: bool = False) -> AsyncIterator[Found]:
        """Yield the intervals in the account, at inboxes, and at addresses that the user owned, or owns now.

        Access through an inbox to an address is left out: it is within that to the inbox.
        """
        async for one in self._in_account_and_inboxes("", ""):
            yield one
        after = ""
        while names := await self.rows.owned_by(self.user.user, after, ADDRESSES_AT_ONCE, now=now):
            async for one in self._at_addresses(names, {}):
                yield one
            after = names[-1]

    async def places(self, after: str = "") -> AsyncIterator[Found]:
        """Yield all intervals of the user at each place, from the place of a key on; those before it are left out."""
        section, _, name = after.partition("/")
        async for one in self._in_account_and_inboxes(section, name):
            yield one
        async for names in self._address_names(name if section == ADDRESS else ""):
            async for one in self._at_addresses(names, self.inboxes):
                yield one

    async def _in_account_and_inboxes(self, section: str, name: str) -> AsyncIterator[Found]:
        if section in ("", ACCOUNT):
            for one in self._found(ACCOUNT, account_intervals(self.user)):
                yield one
        if section in ("", ACCOUNT, INBOX):
            first = name if section == INBOX else ""
            async for inbox in cooperatively(sorted(one for one in self.inboxes if one >= first)):
                place = place_of_inbox(inbox, self.inboxes[inbox], self.teams, self.sends.get(inbox, NEVER))
                for one in self._found(f"{INBOX}/{inbox}", intervals(place, self.user)):
                    yield one._replace(inbox=inbox)

    async def _at_addresses(self, names: Sequence[str], inboxes: Mapping[str, InboxFacts]) -> AsyncIterator[Found]:
        addresses = await self.rows.addresses(names)
        primaries = await self.rows.addresses({one for facts in addresses.values() for one in facts.primaries})
        async for name in cooperatively(sorted(addresses)):
            followed = [(one, primaries[one]) for one in addresses[name].primaries if one in primaries]
            place = place_of_address(addresses[name], inboxes, self.teams, followed)
            for one in self._found(f"{ADDRESS}/{name}", intervals(place, self.user)):
                yield one._replace(address=name)

    async def _address_names(self, first: str) -> AsyncIterator[list[str]]:
        if first:
            yield [first]
        while names := await self.rows.addresses_of(self.user.user, self.inboxes, first, ADDRESSES_AT_ONCE):
            yield names
            first = names[-1]

    def _found(self, key: str, listed: Iterable[Interval]) -> Iterable[Found]:
        in_account = key == ACCOUNT
        chosen = [one for one in listed if in_account or one.way.can != "administer"]
        return [Found(f"{key}/{number}", self.user, one) for number, one in enumerate(chosen, 1)]


async def places_of(rows: AccessRows, users: Sequence[UserFacts]) -> list[UserPlaces]:
    """Return what each of these users ever had access to; the inboxes are read once for all of them."""
    names = {one.user for one in users}
    teams, inboxes = await rows.teams_with(names), await rows.all_inboxes(names)
    admitting = {
        user: {name: facts for name, facts in inboxes.items() if facts.ever_admitted(user, teams[user])}
        for user in names
    }
    sends = await rows.sends_of({name for of_one in admitting.values() for name in of_one})
    return [UserPlaces(rows, one, teams[one.user], admitting[one.user], sends) for one in users]


async def access_of(snapshot: Snapshot, question: AccessOf) -> Page:
    """Return a page of intervals."""
    rows, bounds = AccessRows(snapshot), await bounds_of(snapshot, question)
    if not (users := await rows.users([question.user])):
        message, details = f"There never was a user {question.user}.", {"user": question.user}
        raise QuestionRefusedError(QuestionError.USER_NOT_FOUND, message, details)
    (places,) = await places_of(rows, users)
    found = await page(places, bounds, cursor_key(question), question.limit + 1)
    items = await interval_answers(rows.log, found[: question.limit], bounds)
    return Page(items, more=len(found) > question.limit)


async def page(places: UserPlaces, bounds: Bounds, after: str, limit: int) -> Sequence[Found]:
    """Return the intervals within the bounds, after a key."""
    place, last = place_in_list(after)
    found: list[Found] = []
    async for one in places.places(place):
        same, number = place_in_list(one.key)
        if one.interval.overlaps(*bounds) and (same != place or number > last):
            found.append(one)
            if len(found) == limit:
                break
    return found
