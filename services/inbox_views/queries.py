"""Each question is read from one snapshot: rows by SQL, everything derived by the pages of the domain."""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from services.inbox_views.asked import Asked
from services.inbox_views.domain import account as accounts
from services.inbox_views.domain import address_shown as shown_addresses
from services.inbox_views.domain import inbox as inboxes
from services.inbox_views.domain import user as users
from services.inbox_views.domain.address_shown import Around
from services.inbox_views.domain.document import Doc
from services.inbox_views.sending import default_senders, identities_of
from shared.core.address import AddressInvalid, CanonicalAddress, canonical
from shared.core.policies import Membership
from shared.language import questions as q
from shared.language.reasons import QuestionError
from shared.projections.answers import NotAnswered, Page, after, not_allowed
from shared.projections.turns import in_turns
from shared.projections.view import Snapshot


async def answer(snapshot: Snapshot, question: q.Question) -> Any:
    """The result of any question of this room.

    Raises:
        NotAnswered: it may not be asked by this actor, or what it names is not there.
    """
    return await ANSWERS[type(question)](Asked(snapshot, question.actor), question)


async def address(asked: Asked, question: q.Address) -> Doc:
    name = canonical_or_refused("address", question.address)
    doc, around, inbox = await asked.address(name)
    claim = shown_addresses.follows(doc, around)
    if claim["kind"] is None:
        return shown_addresses.free(name.address, name.display)
    # Without its inbox, whose beginning may be parked, nobody can say who its members are.
    places = {} if inbox is None else {inbox["inbox"]: inboxes.membership(inbox, asked.account)}
    if not may_see(asked, claim, places):
        return shown_addresses.concealed(claim)
    unread = claim["inbox"] in await asked.unread(places)
    return shown_addresses.shown(doc, replace(around, unread=unread))


def may_see(asked: Asked, claim: Doc, places: Mapping[str, Membership]) -> bool:
    """Administrators, the holder, and for a team address the members of its inbox."""
    if asked.administers:
        return True
    if claim["kind"] == "personal":
        return bool(claim["state"] != "orphaned" and claim["owner"] == asked.actor)
    return claim["inbox"] in places and places[claim["inbox"]].admits(asked.actor)


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
    listed = found[: question.limit]
    names = {shown_addresses.follows(doc, around)["inbox"] for doc, around in listed} - {None}
    unread = await asked.unread(await memberships(asked, await asked.inboxes_named(names)))
    items = [
        (doc["address"], shown_addresses.shown(doc, in_light_of(doc, around, unread)))
        async for doc, around in in_turns(listed)
    ]
    return Page(items, more=len(found) > question.limit)


def in_light_of(doc: Doc, around: Around, unread: Collection[str]) -> Around:
    """The same with what is known of the inbox."""
    if unread and shown_addresses.follows(doc, around)["inbox"] in unread:
        return replace(around, unread=True)
    return around


async def memberships(asked: Asked, docs: Iterable[Doc]) -> dict[str, Membership]:
    """Who is in these inboxes, by inbox."""
    return {doc["inbox"]: inboxes.membership(doc, asked.account) async for doc in in_turns(docs)}


async def inbox(asked: Asked, question: q.Inbox) -> Doc:
    found = await asked.inbox(question.inbox)
    membership = inboxes.membership(found, asked.account)
    if not asked.administers and not membership.admits(asked.actor):
        raise not_allowed("member", "Only members of the inbox and administrators may ask this.")
    (shown,) = await shown_inboxes(asked, [found], {question.inbox: membership})
    return shown


async def inbox_list(asked: Asked, question: q.Inboxes) -> Page:
    start = after(question)
    docs = [doc for doc in await asked.inboxes() if doc["inbox"] > start]
    places = await memberships(asked, docs)
    found = [doc for doc in docs if asked.administers or places[doc["inbox"]].admits(asked.actor)]
    shown = await shown_inboxes(asked, found[: question.limit], places)
    return Page([(one["inbox"], one) for one in shown], more=len(found) > question.limit)


async def shown_inboxes(asked: Asked, docs: Sequence[Doc], places: Mapping[str, Membership]) -> list[Doc]:
    """These inboxes with what is connected to them and who reads it; `places` are their memberships."""
    active = await asked.active_among(places[doc["inbox"]] for doc in docs)
    members = await asked.active({member for doc in docs for member in doc["members"]}.difference(active))
    there = members.union(active)
    connected: dict[str, list[tuple[Doc, Around]]] = {doc["inbox"]: [] for doc in docs}
    for doc, around in await asked.addresses_in(connected):
        connected[doc["inbox"]].append((doc, around))
    shown: list[Doc] = []
    async for doc in in_turns(docs):
        readers = places[doc["inbox"]].readers(active)
        unread = () if readers else (doc["inbox"],)
        addresses = [
            shown_addresses.in_inbox(one, in_light_of(one, around, unread))
            async for one, around in in_turns(connected[doc["inbox"]])
        ]
        inactive = [member for member in doc["members"] if member not in there]
        shown.append(inboxes.shown(doc, addresses, inactive, readers))
    return shown


async def identity_list(asked: Asked, question: q.Identities) -> Page:
    """Best first, so that the cursor is the place in the list."""
    asked.require_self(question.user)
    found = await identities_of(asked, await asked.user(question.user), place_in_list(question), question.limit + 1)
    return Page(found[: question.limit], more=len(found) > question.limit)


def place_in_list(question: q.ListQuestion) -> int:
    text = after(question)
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


async def user(asked: Asked, question: q.User) -> Doc:
    asked.require_self(question.user)
    (shown,) = await shown_users(asked, [await asked.user(question.user)])
    return shown


async def shown_users(asked: Asked, docs: Sequence[Doc]) -> list[Doc]:
    teams = await teams_by_user(asked)
    default = await default_senders(asked, docs)
    return [users.shown(doc, teams.get(doc["user"], []), default[doc["user"]]) async for doc in in_turns(docs)]


async def teams_by_user(asked: Asked) -> dict[str, list[str]]:
    """The teams that name each user, by id."""
    found: dict[str, list[str]] = {}
    async for name, team in in_turns(accounts.team_list(asked.account, "")):
        for member in team["members"]:
            found.setdefault(member, []).append(name)
    return found


async def user_list(asked: Asked, question: q.Users) -> Page:
    asked.require_administrator()
    found = await asked.users(after(question), question.limit + 1)
    shown = await shown_users(asked, found[: question.limit])
    return Page([(one["user"], one) for one in shown], more=len(found) > question.limit)


async def team_list(asked: Asked, question: q.Teams) -> Page:
    asked.require_administrator()
    found = accounts.team_list(asked.account, after(question))
    listed = found[: question.limit]
    active = await asked.active({member for _, team in listed for member in team["members"]})
    items = [(name, accounts.team_shown(name, team, active)) async for name, team in in_turns(listed)]
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
    """What would be left behind and what would lose its last reader."""
    asked.require_administrator()
    name = (await asked.user(question.user))["user"]
    own = [one["address"] for one in await asked.owned([name])]
    aliases = [one["address"] for one in await asked.aliases(own)]
    teams = (await teams_by_user(asked)).get(name, [])
    docs = await asked.inboxes()
    places = await memberships(asked, (one for one in docs if not one["archived"]))
    admitting = {inbox: place for inbox, place in places.items() if place.admits(name)}
    return {
        "addresses": sorted([*own, *aliases]),
        "inboxes": [one["inbox"] async for one in in_turns(docs) if inboxes.names(one, name, teams)],
        "teams": teams,
        "rules": [one["inbox"] async for one in in_turns(docs) if inboxes.rule_names(one, name, teams)],
        "connections": await asked.connected_by(name),
        "last_reader_of": sorted(await asked.unread(admitting, besides=name)),
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
