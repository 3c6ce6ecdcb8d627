"""What users may send as, and which of it by default: what several users share is looked up once for all of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice

from services.inbox_views.asked import Asked
from services.inbox_views.domain import inbox as inboxes
from services.inbox_views.domain.default_sender import (
    Choice,
    choice_of,
    first_usable,
    gone_along,
    may_send_as,
    stands,
)
from services.inbox_views.domain.document import Doc
from services.inbox_views.domain.identities import senders, shown
from shared.core.policies import Membership
from shared.projections.turns import in_turns


async def default_senders(asked: Asked, docs: Sequence[Doc]) -> dict[str, str | None]:
    """Each user's default sender, by user; None of those who cannot send."""
    opened = {name: membership for name, (_, membership) in (await open_inboxes(asked)).items()}
    own: defaultdict[str, list[Doc]] = defaultdict(list)
    async for doc in in_turns(await asked.owned(doc["user"] for doc in docs)):
        own[doc["owner"]].append(doc)
    first = [(address, opened[inbox]) for address, inbox in await asked.first_senders() if inbox in opened]
    chosen = await chosen_senders(asked, docs, opened)
    return {
        doc["user"]: chosen.get(doc["user"]) or first_usable(doc, own[doc["user"]], first)
        async for doc in in_turns(docs)
    }


async def open_inboxes(asked: Asked) -> dict[str, tuple[Doc, Membership]]:
    return {
        doc["inbox"]: (doc, inboxes.membership(doc, asked.account))
        async for doc in in_turns(await asked.inboxes())
        if not doc["archived"]
    }


async def chosen_senders(asked: Asked, docs: Sequence[Doc], opened: Mapping[str, Membership]) -> dict[str, str]:
    """What each user chose, as far as it is of a claim that stands and usable, by user."""
    found: dict[str, str] = {}
    pending = [(doc, choice) for doc in docs if (choice := choice_of(doc)) is not None]
    while pending:
        claims = await asked.claims({choice.address for _, choice in pending})
        further: list[tuple[Doc, Choice]] = []
        async for user, choice in in_turns(pending):
            if choice.address not in claims:
                continue
            doc, claim = claims[choice.address]
            if went := gone_along(choice, doc):
                further.append((user, went))
            elif stands(choice, doc, claim) and may_send_as(user, claim, opened):
                found[user["user"]] = choice.address
        pending = further
    return found


async def identities_of(asked: Asked, user: Doc, start: int, limit: int) -> list[tuple[str, Doc]]:
    """What a user may send as, best first, each with its place in the list; `limit` of those after `start`."""
    name = user["user"]
    opened = {
        inbox: (doc, membership)
        for inbox, (doc, membership) in (await open_inboxes(asked)).items()
        if membership.admits(name)
    }
    own, team = await asked.owned([name]), await asked.team(opened)
    aliases = await asked.aliases(doc["address"] for doc in (*own, *team))
    chosen = await chosen_senders(asked, [user], {inbox: membership for inbox, (_, membership) in opened.items()})
    first = ((doc["address"], opened[doc["inbox"]][1]) for doc in team if doc["sends"])
    default = chosen.get(name) or first_usable(user, own, first)
    found: list[tuple[str, Doc]] = []
    async for place, sender in in_turns(islice(enumerate(senders(own, team, aliases), 1), start, start + limit)):
        inbox, _ = opened.get(sender.claim["inbox"], (None, None))
        found.append((str(place), shown(user, sender, inbox, default)))
    return found
