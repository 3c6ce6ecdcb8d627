"""Identities and default senders of users; rows that several users share are read once for all of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from services.inbox_views.domain.default_sender import (
    Choice,
    choice_of,
    first_usable,
    is_valid,
    may_send_as,
    moved_choice,
)
from services.inbox_views.domain.identities import senders, to_answer
from services.inbox_views.read_model import ReadModel
from shared.core.policies import Membership
from shared.core.state.inbox import membership as membership_of
from shared.core.state.rows import AddressRow, InboxRow, UserRow
from shared.projections.cooperative import cooperatively


async def default_senders(model: ReadModel, rows: Sequence[UserRow]) -> dict[str, str | None]:
    """Return each user's default sender, by user; None for those who cannot send."""
    open_members = {name: membership for name, (_, membership) in (await open_inboxes(model)).items()}
    own: defaultdict[str, list[AddressRow]] = defaultdict(list)
    async for row in cooperatively(await model.owned(user["user"] for user in rows)):
        own[row["owner"] or ""].append(row)
    first = [(address, open_members[inbox]) for address, inbox in await model.first_senders() if inbox in open_members]
    chosen = await chosen_senders(model, rows, open_members)
    return {
        user["user"]: chosen.get(user["user"]) or first_usable(user, own[user["user"]], first)
        async for user in cooperatively(rows)
    }


async def open_inboxes(model: ReadModel) -> dict[str, tuple[InboxRow, Membership]]:
    return {
        row["inbox"]: (row, membership_of(row, model.account))
        async for row in cooperatively(await model.inboxes())
        if not row["archived"]
    }


async def chosen_senders(
    model: ReadModel, rows: Sequence[UserRow], open_members: Mapping[str, Membership]
) -> dict[str, str]:
    """Return the chosen address of each user who chose one that is usable and still of the same claim."""
    found: dict[str, str] = {}
    pending = [(user, choice) for user in rows if (choice := choice_of(user)) is not None]
    while pending:
        claims = await model.claims({choice.address for _, choice in pending})
        further: list[tuple[UserRow, Choice]] = []
        async for user, choice in cooperatively(pending):
            if choice.address not in claims:
                continue
            row, claim = claims[choice.address]
            if moved := moved_choice(choice, row):
                further.append((user, moved))
            elif is_valid(choice, row, claim) and may_send_as(user, claim, open_members):
                found[user["user"]] = choice.address
        pending = further
    return found


async def identities_of(model: ReadModel, user: UserRow, start: int, limit: int) -> list[tuple[str, dict[str, Any]]]:
    """Return identities of a user, best first, each with its place in the list; `limit` of those after `start`."""
    name = user["user"]
    open_members = {
        inbox: (row, membership)
        for inbox, (row, membership) in (await open_inboxes(model)).items()
        if membership.admits(name)
    }
    own, team = await model.owned([name]), await model.team(open_members)
    aliases = await model.aliases(row["address"] for row in (*own, *team))
    chosen = await chosen_senders(model, [user], {inbox: membership for inbox, (_, membership) in open_members.items()})
    first = ((row["address"], open_members[row["inbox"] or ""][1]) for row in team if row["sends"])
    default = chosen.get(name) or first_usable(user, own, first)
    found: list[tuple[str, dict[str, Any]]] = []
    async for place, sender in cooperatively(islice(enumerate(senders(own, team, aliases), 1), start, start + limit)):
        inbox, _ = open_members.get(sender.claim["inbox"] or "", (None, None))
        found.append((str(place), to_answer(user, sender, inbox, default)))
    return found
