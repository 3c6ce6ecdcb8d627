"""The question `Access`: the intervals of all users at one address or inbox, by user."""

from collections.abc import AsyncIterator
from typing import Final

from services.audit.access.answers import SEPARATOR, Found, interval_answers, place_in_list
from services.audit.access.rows import AccessRows
from services.audit.bounds import Bounds, bounds_of
from services.audit.domain.access import intervals
from services.audit.domain.places import Place, place_of_address, place_of_inbox
from services.audit.domain.spans import NEVER
from shared.core.address import CanonicalAddress
from shared.language.audit import Access
from shared.language.reasons import QuestionError
from shared.projections.answers import Page, QuestionRefusedError, canonical_or_refused, cursor_key
from shared.projections.cooperative import cooperatively
from shared.projections.snapshot import Snapshot

# Most users have several: so many users are read at once that they make a page.
INTERVALS_EACH: Final = 3


async def access(snapshot: Snapshot, question: Access) -> Page:
    """Return a page of intervals, by user and then by beginning."""
    rows, bounds = AccessRows(snapshot), await bounds_of(snapshot, question)
    address = None if question.address is None else canonical_or_refused("address", question.address)
    place = await place_at_address(rows, address) if address else await place_at_inbox(rows, question.inbox or "")
    found: list[Found] = []
    async for one in _found(rows, place, bounds, cursor_key(question), question.limit // INTERVALS_EACH + 1):
        found.append(one._replace(address=address.address if address else None, inbox=question.inbox))
        if len(found) > question.limit:
            break
    items = await interval_answers(rows.log, found[: question.limit], bounds)
    return Page(items, more=len(found) > question.limit)


async def place_at_inbox(rows: AccessRows, name: str) -> Place:
    if not (inboxes := await rows.inboxes([name])):
        raise QuestionRefusedError(QuestionError.INBOX_NOT_FOUND, f"There never was an inbox {name}.", {"inbox": name})
    inbox, teams = inboxes[name], await rows.teams_of(inboxes.values())
    return place_of_inbox(name, inbox, teams, (await rows.sends_of([name])).get(name, NEVER))


async def place_at_address(rows: AccessRows, name: CanonicalAddress) -> Place:
    """Return the place of an address; that of nobody, where it was never connected."""
    address = (await rows.addresses([name.address])).get(name.address)
    if address is None:
        return Place()
    primaries = await rows.addresses(address.primaries)
    inboxes = await rows.inboxes({inbox for one in (address, *primaries.values()) for inbox in one.inboxes})
    return place_of_address(address, inboxes, await rows.teams_of(inboxes.values()), primaries.items())


async def _found(
    rows: AccessRows, place: Place, bounds: Bounds, after: str, users_at_once: int
) -> AsyncIterator[Found]:
    """Yield the intervals within the bounds, after a key."""
    user, last = place_in_list(after)
    async for names in _candidates(rows, place, bounds, user, users_at_once):
        async for one in cooperatively(await rows.users(names)):
            listed = [interval for interval in intervals(place, one) if interval.overlaps(*bounds)]
            for number, interval in enumerate(listed, 1):
                if one.user != user or number > last:
                    yield Found(f"{one.user}{SEPARATOR}{number}", one, interval)


async def _candidates(
    rows: AccessRows, place: Place, bounds: Bounds, first: str, at_once: int
) -> AsyncIterator[list[str]]:
    """Yield the users who may have had access to a place, from one on."""
    if not place.open_to_everyone():
        names = sorted(name for name in place.users(*bounds) | await rows.administrators(*bounds) if name >= first)
        for start in range(0, len(names), at_once):
            yield names[start : start + at_once]
        return
    if first:
        yield [first]
    while names := await rows.users_after(first, at_once):
        yield names
        first = names[-1]
