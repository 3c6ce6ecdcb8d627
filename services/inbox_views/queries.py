"""Each question is read from one snapshot: rows by SQL, everything derived by the pages of the domain."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from services.inbox_views.asked import Asked
from services.inbox_views.domain import account as accounts
from services.inbox_views.domain import address as addresses
from services.inbox_views.domain import inbox as inboxes
from services.inbox_views.domain import user as users
from services.inbox_views.domain.document import Doc
from services.inbox_views.domain.identities import default_of, identities
from shared.core.address import AddressInvalid, CanonicalAddress, canonical
from shared.language import questions as q
from shared.language.reasons import QuestionError
from shared.runtime.views.replying import NotAnswered, Page, after, not_allowed
from shared.runtime.views.view import ROWS_AT_ONCE, Snapshot


async def answer(snapshot: Snapshot, question: q.Question) -> Any:
    """The result of any question of this room.

    Raises:
        NotAnswered: it may not be asked by this actor, or what it names is not there.
    """
    return await ANSWERS[type(question)](Asked(snapshot, question.actor), question)


async def address(asked: Asked, question: q.Address) -> Doc:
    name = canonical_or_refused("address", question.address)
    doc, around = await asked.address(name)
    claim = addresses.follows(doc, around)
    if claim["kind"] is None:
        return addresses.free(name.address, name.display)
    return addresses.shown(doc, around) if await may_see(asked, claim) else addresses.concealed(claim)


async def may_see(asked: Asked, claim: Doc) -> bool:
    """Administrators, the holder, and for a team address the members of its inbox."""
    if asked.administers:
        return True
    if claim["kind"] == "personal":
        return bool(claim["state"] != "orphaned" and claim["owner"] == asked.actor)
    try:
        return inboxes.admits(await asked.inbox(claim["inbox"]), asked.actor, asked.account)
    except NotAnswered:
        # Its beginning is parked: nobody can say who its members are.
        return False


def canonical_or_refused(field: str, text: str) -> CanonicalAddress:
    try:
        return canonical(text)
    except AddressInvalid as error:
        details = {"field": field, "what": error.what, "at": error.at}
        message = f"{field} is no e-mail address: {error.what}."
        raise NotAnswered(QuestionError.ADDRESS_INVALID, message, details) from None


async def address_list(asked: Asked, question: q.Addresses) -> Page:
    asked.require_administrator()
    found = await asked.addresses(question)
    items: list[tuple[str, Doc]] = []
    for doc, around in found[: question.limit]:
        items.append((doc["address"], addresses.shown(doc, around)))
        if len(items) % ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return Page(items, more=len(found) > question.limit)


async def inbox(asked: Asked, question: q.Inbox) -> Doc:
    found = await asked.inbox(question.inbox)
    if not asked.administers and not inboxes.admits(found, asked.actor, asked.account):
        raise not_allowed("member", "Only members of the inbox and administrators may ask this.")
    (shown,) = await with_addresses(asked, [found])
    return shown


async def inbox_list(asked: Asked, question: q.Inboxes) -> Page:
    start = after(question)
    found = [
        doc
        for doc in await asked.inboxes()
        if doc["inbox"] > start and (asked.administers or inboxes.admits(doc, asked.actor, asked.account))
    ]
    shown = await with_addresses(asked, found[: question.limit])
    return Page([(one["inbox"], one) for one in shown], more=len(found) > question.limit)


async def with_addresses(asked: Asked, found: list[Doc]) -> list[Doc]:
    active = await asked.active_users()
    connected: dict[str, list[Doc]] = {doc["inbox"]: [] for doc in found}
    for doc, around in await asked.addresses_in(connected):
        connected[doc["inbox"]].append(addresses.in_inbox(doc, around))
    return [inboxes.shown(doc, connected[doc["inbox"]], inboxes.readers(doc, asked.account, active)) for doc in found]


async def identities_of(asked: Asked, docs: Sequence[Doc]) -> dict[str, list[dict[str, Any]]]:
    """What each of these users may send as, by user."""
    names = [doc["user"] for doc in docs]
    opened = {doc["inbox"]: doc for doc in await asked.inboxes() if not doc["archived"]}
    places = {name: inboxes_of(name, opened, asked.account) for name in names}
    own = await asked.owned(*names)
    team = [doc for doc, _ in await asked.addresses_in(set().union(*places.values()))]
    aliases = await asked.aliases(doc["address"] for doc in (*own, *team))
    return {
        doc["user"]: identities(
            doc,
            [one for one in own if one["owner"] == doc["user"]],
            places[doc["user"]],
            [one for one in team if one["inbox"] in places[doc["user"]]],
            aliases,
        )
        for doc in docs
    }


def inboxes_of(user: str, opened: Mapping[str, Doc], account: Doc) -> dict[str, Doc]:
    """Those of the inboxes that a user is in, by id."""
    return {name: doc for name, doc in opened.items() if inboxes.admits(doc, user, account)}


async def identity_list(asked: Asked, question: q.Identities) -> Page:
    """Best first, so that the cursor is the place in the list."""
    asked.require_self(question.user)
    found = (await identities_of(asked, [await asked.user(question.user)]))[question.user]
    start = place_in_list(question)
    items = [(str(place), one) for place, one in enumerate(found, 1)][start:]
    return Page(items[: question.limit], more=len(items) > question.limit)


def place_in_list(question: q.ListQuestion) -> int:
    text = after(question)
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


async def user(asked: Asked, question: q.User) -> Doc:
    asked.require_self(question.user)
    (shown,) = await shown_users(asked, [await asked.user(question.user)])
    return shown


async def shown_users(asked: Asked, docs: Sequence[Doc]) -> list[Doc]:
    found = await identities_of(asked, docs)
    return [
        users.shown(doc, accounts.teams_of(asked.account, doc["user"]), default_of(found[doc["user"]])) for doc in docs
    ]


async def user_list(asked: Asked, question: q.Users) -> Page:
    asked.require_administrator()
    found = await asked.users(after(question), question.limit + 1)
    shown = await shown_users(asked, found[: question.limit])
    return Page([(one["user"], one) for one in shown], more=len(found) > question.limit)


async def team_list(asked: Asked, question: q.Teams) -> Page:
    asked.require_administrator()
    start = after(question)
    found = [team for team in accounts.team_list(asked.account) if team["team"] > start]
    items = [(team["team"], team) for team in found[: question.limit]]
    return Page(items, more=len(found) > question.limit)


async def account(asked: Asked, _: q.Account) -> Doc:
    asked.require_administrator()
    return accounts.shown(asked.account)


async def orphan_list(asked: Asked, question: q.Orphans) -> Page:
    asked.require_administrator()
    found = await asked.orphans(after(question), question.limit + 1)
    items = [
        (doc["address"], {"address": doc["address"], "former_owner": doc["owner"], "since": doc["since"]})
        for doc in found[: question.limit]
    ]
    return Page(items, more=len(found) > question.limit)


async def usage(asked: Asked, _: q.Usage) -> Doc:
    asked.require_administrator()
    return accounts.usage(asked.account, await asked.open_inboxes())


async def removal_impact(asked: Asked, question: q.RemovalImpact) -> Mapping[str, list[str]]:
    """What the user holds by name, aliases of his addresses too."""
    asked.require_administrator()
    name = (await asked.user(question.user))["user"]
    own = [doc["address"] for doc in await asked.owned(name)]
    aliases = [doc["address"] for doc in await asked.aliases(own)]
    places = await asked.inboxes()
    return {
        "addresses": sorted([*own, *aliases]),
        "inboxes": [doc["inbox"] for doc in places if inboxes.names(doc, name)],
        "teams": accounts.teams_of(asked.account, name),
        "rules": [doc["inbox"] for doc in places if inboxes.rule_names(doc, name)],
    }


Handler = Callable[[Asked, Any], Awaitable[Any]]
ANSWERS: Final[Mapping[type[q.Question], Handler]] = {
    q.Address: address,
    q.Addresses: address_list,
    q.Inbox: inbox,
    q.Inboxes: inbox_list,
    q.Identities: identity_list,
    q.User: user,
    q.Users: user_list,
    q.Teams: team_list,
    q.Account: account,
    q.Orphans: orphan_list,
    q.Usage: usage,
    q.RemovalImpact: removal_impact,
}
