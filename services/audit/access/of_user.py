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

    async def places(self, after: str = "") -> AsyncIterator[Found]:
        """Yield all intervals of the user at each place, from the place of a key on; those before it are left out."""
        section, _, name = after.partition("/")
        if section in ("", ACCOUNT):
            for one in self._found(ACCOUNT, account_intervals(self.user)):
                yield one
        if section in ("", ACCOUNT, INBOX):
            first = name if section == INBOX else ""
            async for inbox in cooperatively(sorted(one for one in self.inboxes if one >= first)):
                place = place_of_inbox(inbox, self.inboxes[inbox], self.teams, self.sends.get(inbox, NEVER))
                for one in self._found(f"{INBOX}/{inbox}", intervals(place, self.user)):
                    yield one._replace(inbox=inbox)
        async for one in self._at_addresses(name if section == ADDRESS else ""):
            yield one

    async def _at_addresses(self, first: str) -> AsyncIterator[Found]:
        async for names in self._address_names(first):
            addresses = await self.rows.addresses(names)
            primaries = await self.rows.addresses({one for facts in addresses.values() for one in facts.primaries})
            async for name in cooperatively(sorted(addresses)):
                followed = [(one, primaries[one]) for one in addresses[name].primaries if one in primaries]
                place = place_of_address(addresses[name], self.inboxes, self.teams, followed)
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


async def places_of(rows: AccessRows, user: UserFacts) -> UserPlaces:
    teams = await rows.teams_with(user.user)
    inboxes = await rows.inboxes_with(user.user, teams)
    return UserPlaces(rows, user, teams, inboxes, await rows.sends_of(inboxes))


async def access_of(snapshot: Snapshot, question: AccessOf) -> Page:
    """Return a page of intervals."""
    rows, bounds = AccessRows(snapshot), await bounds_of(snapshot, question)
    if not (users := await rows.users([question.user])):
        message, details = f"There never was a user {question.user}.", {"user": question.user}
        raise QuestionRefusedError(QuestionError.USER_NOT_FOUND, message, details)
    places = await places_of(rows, users[0])
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
