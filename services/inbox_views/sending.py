"""What users may send as, and which of it by default: what several users share is looked up once for all of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice

from services.inbox_views.domain import inbox as inboxes
from services.inbox_views.domain.default_sender import (
    Choice,
    choice_of,
    first_usable,
    is_valid,
    may_send_as,
    moved_choice,
)
from services.inbox_views.domain.document import Doc
from services.inbox_views.domain.identities import senders, to_answer
from services.inbox_views.read_model import ReadModel
from shared.core.policies import Membership
from shared.projections.cooperative import cooperatively


async def default_senders(model: ReadModel, docs: Sequence[Doc]) -> dict[str, str | None]:
    """Each user's default sender, by user; None of those who cannot send."""
    open_members = {name: membership for name, (_, membership) in (await open_inboxes(model)).items()}
    own: defaultdict[str, list[Doc]] = defaultdict(list)
    async for doc in cooperatively(await model.owned(doc["user"] for doc in docs)):
        own[doc["owner"]].append(doc)
    first = [(address, open_members[inbox]) for address, inbox in await model.first_senders() if inbox in open_members]
    chosen = await chosen_senders(model, docs, open_members)
    return {
        doc["user"]: chosen.get(doc["user"]) or first_usable(doc, own[doc["user"]], first)
        async for doc in cooperatively(docs)
    }


async def open_inboxes(model: ReadModel) -> dict[str, tuple[Doc, Membership]]:
    return {
        doc["inbox"]: (doc, inboxes.membership(doc, model.account))
        async for doc in cooperatively(await model.inboxes())
        if not doc["archived"]
    }


async def chosen_senders(
    model: ReadModel, docs: Sequence[Doc], open_members: Mapping[str, Membership]
) -> dict[str, str]:
    """What each user chose, as far as it is of a claim that stands and usable, by user."""
    found: dict[str, str] = {}
    pending = [(doc, choice) for doc in docs if (choice := choice_of(doc)) is not None]
    while pending:
        claims = await model.claims({choice.address for _, choice in pending})
        further: list[tuple[Doc, Choice]] = []
        async for user, choice in cooperatively(pending):
            if choice.address not in claims:
                continue
            doc, claim = claims[choice.address]
            if moved := moved_choice(choice, doc):
                further.append((user, moved))
            elif is_valid(choice, doc, claim) and may_send_as(user, claim, open_members):
                found[user["user"]] = choice.address
        pending = further
    return found


async def identities_of(model: ReadModel, user: Doc, start: int, limit: int) -> list[tuple[str, Doc]]:
    """What a user may send as, best first, each with its place in the list; `limit` of those after `start`."""
    name = user["user"]
    open_members = {
        inbox: (doc, membership)
        for inbox, (doc, membership) in (await open_inboxes(model)).items()
        if membership.admits(name)
    }
    own, team = await model.owned([name]), await model.team(open_members)
    aliases = await model.aliases(doc["address"] for doc in (*own, *team))
    chosen = await chosen_senders(model, [user], {inbox: membership for inbox, (_, membership) in open_members.items()})
    first = ((doc["address"], open_members[doc["inbox"]][1]) for doc in team if doc["sends"])
    default = chosen.get(name) or first_usable(user, own, first)
    found: list[tuple[str, Doc]] = []
    async for place, sender in cooperatively(islice(enumerate(senders(own, team, aliases), 1), start, start + limit)):
        inbox, _ = open_members.get(sender.claim["inbox"], (None, None))
        found.append((str(place), to_answer(user, sender, inbox, default)))
    return found
