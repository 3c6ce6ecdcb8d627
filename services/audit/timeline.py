"""The question `Timeline`: every fact and attempt about one thing or the account, oldest first."""

from collections.abc import Mapping
from typing import Final

from services.audit.domain.things import Kind, Thing
from services.audit.index.pages import is_on_record, place_after, places_of
from services.audit.ranges import range_of
from services.audit.timeline_entries import entries_at
from shared.language.audit import OneThing, Timeline
from shared.language.reasons import QuestionError
from shared.projections.answers import Page, QuestionRefusedError, canonical_or_refused
from shared.projections.snapshot import Snapshot

NOT_FOUND: Final[Mapping[Kind, QuestionError]] = {
    "user": QuestionError.USER_NOT_FOUND,
    "inbox": QuestionError.INBOX_NOT_FOUND,
    "team": QuestionError.TEAM_NOT_FOUND,
}


async def timeline(snapshot: Snapshot, question: Timeline) -> Page:
    """Return a page of entries; new ones come after all that were there before."""
    thing, given_by = thing_of(snapshot, question), question.given_by
    if given_by is not None and thing.kind == "account":
        # Everything that the actor did is a list of its own.
        thing, given_by = Thing("actor", given_by), None
    range_, after, limit = await range_of(snapshot, question), place_after(question), question.limit + 1
    places = await places_of(snapshot, thing, range_, after, limit, given_by=given_by, unchanged=question.unchanged)
    if not places:
        await require_on_record(snapshot, thing)
    listed = places[: question.limit]
    entries = await entries_at(snapshot, listed)
    items = [(place.key, entry.model_dump(mode="json")) for place, entry in zip(listed, entries, strict=True)]
    return Page(items, more=len(places) > question.limit)


async def require_on_record(snapshot: Snapshot, thing: Thing) -> None:
    """Require that a user, an inbox or a team is on record; an address may have no past.

    Raises:
        QuestionRefusedError: USER_NOT_FOUND, INBOX_NOT_FOUND or TEAM_NOT_FOUND, it was never named.
    """
    error = NOT_FOUND.get(thing.kind)
    if error is not None and not await is_on_record(snapshot, thing):
        message = f"Nothing is on record about the {thing.kind} {thing.name}."
        raise QuestionRefusedError(error, message, {thing.kind: thing.name})


def thing_of(snapshot: Snapshot, question: OneThing) -> Thing:
    """Return the thing that a question is about."""
    if question.address is not None:
        return Thing("address", canonical_or_refused("address", question.address).address)
    if question.inbox is not None:
        return Thing("inbox", question.inbox)
    if question.user is not None:
        return Thing("user", question.user)
    if question.team is not None:
        return Thing("team", question.team)
    return Thing("account", snapshot.account)
