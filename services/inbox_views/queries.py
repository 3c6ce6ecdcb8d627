"""Each question is read from one snapshot: rows by SQL, everything derived by the pages of the domain."""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from services.inbox_views.domain import account as accounts
from services.inbox_views.domain import address_answer as address_answers
from services.inbox_views.domain import inbox as inboxes
from services.inbox_views.domain import user as users
from services.inbox_views.domain.address_answer import AddressContext
from services.inbox_views.domain.document import Doc
from services.inbox_views.read_model import ReadModel
from services.inbox_views.sending import default_senders, identities_of
from shared.core.address import AddressInvalid, CanonicalAddress, canonical
from shared.core.policies import Membership
from shared.language import questions as q
from shared.language.reasons import QuestionError
from shared.projections.answers import Page, QuestionRefusedError, cursor_key, not_allowed
from shared.projections.cooperative import cooperatively
from shared.projections.snapshot import Snapshot


async def answer(snapshot: Snapshot, question: q.Question) -> Any:
    """The result of any question of this room.

    Raises:
        NotAnswered: it may not be asked by this actor, or what it names is not there.
    """
    return await ANSWERS[type(question)](ReadModel(snapshot, question.actor), question)


async def address(model: ReadModel, question: q.Address) -> Doc:
    name = canonical_or_refused("address", question.address)
    doc, around, inbox = await model.address(name)
    claim = address_answers.claim_of(doc, around)
    if claim["kind"] is None:
        return address_answers.free(name.address, name.display)
    # Without its inbox, whose beginning may be parked, nobody can say who its members are.
    members_by_inbox = {} if inbox is None else {inbox["inbox"]: inboxes.membership(inbox, model.account)}
    if not may_see(model, claim, members_by_inbox):
        return address_answers.redacted(claim)
    unread = claim["inbox"] in await model.unread_inboxes(members_by_inbox)
    return address_answers.to_answer(doc, replace(around, unread=unread))


def may_see(model: ReadModel, claim: Doc, members_by_inbox: Mapping[str, Membership]) -> bool:
    """Administrators, the holder, and for a team address the members of its inbox."""
    if model.administers:
        return True
    if claim["kind"] == "personal":
        return bool(claim["state"] != "orphaned" and claim["owner"] == model.actor)
    return claim["inbox"] in members_by_inbox and members_by_inbox[claim["inbox"]].admits(model.actor)


def canonical_or_refused(field: str, text: str) -> CanonicalAddress:
    try:
        return canonical(text)
    except AddressInvalid as error:
        details = {"field": field, "what": error.what, "at": error.at}
        message = f"{field} is no e-mail address: {error.what}."
        raise QuestionRefusedError(QuestionError.ADDRESS_INVALID, message, details) from None


async def address_list(model: ReadModel, question: q.Addresses) -> Page:
    model.require_administrator()
    found = await model.addresses(question)
    listed = found[: question.limit]
    names = {address_answers.claim_of(doc, around)["inbox"] for doc, around in listed} - {None}
    unread_inboxes = await model.unread_inboxes(await read_members(model, await model.inboxes_named(names)))
    items = [
        (doc["address"], address_answers.to_answer(doc, with_unread(doc, around, unread_inboxes)))
        async for doc, around in cooperatively(listed)
    ]
    return Page(items, more=len(found) > question.limit)


def with_unread(doc: Doc, around: AddressContext, unread_inboxes: Collection[str]) -> AddressContext:
    """The same with what is known of the inbox."""
    if unread_inboxes and address_answers.claim_of(doc, around)["inbox"] in unread_inboxes:
        return replace(around, unread=True)
    return around


async def read_members(model: ReadModel, docs: Iterable[Doc]) -> dict[str, Membership]:
    """Who is in these inboxes, by inbox."""
    return {doc["inbox"]: inboxes.membership(doc, model.account) async for doc in cooperatively(docs)}


async def inbox(model: ReadModel, question: q.Inbox) -> Doc:
    found = await model.inbox(question.inbox)
    membership = inboxes.membership(found, model.account)
    if not model.administers and not membership.admits(model.actor):
        raise not_allowed("member", "Only members of the inbox and administrators may ask this.")
    (one,) = await inbox_answers(model, [found], {question.inbox: membership})
    return one


async def inbox_list(model: ReadModel, question: q.Inboxes) -> Page:
    start = cursor_key(question)
    docs = [doc for doc in await model.inboxes() if doc["inbox"] > start]
    members_by_inbox = await read_members(model, docs)
    found = [doc for doc in docs if model.administers or members_by_inbox[doc["inbox"]].admits(model.actor)]
    page = await inbox_answers(model, found[: question.limit], members_by_inbox)
    return Page([(one["inbox"], one) for one in page], more=len(found) > question.limit)


async def inbox_answers(model: ReadModel, docs: Sequence[Doc], members_by_inbox: Mapping[str, Membership]) -> list[Doc]:
    """These inboxes with what is connected to them and who reads it; `places` are their members_by_inbox."""
    active = await model.active_among(members_by_inbox[doc["inbox"]] for doc in docs)
    members = await model.active({member for doc in docs for member in doc["members"]}.difference(active))
    active_members = members.union(active)
    connected: dict[str, list[tuple[Doc, AddressContext]]] = {doc["inbox"]: [] for doc in docs}
    for doc, around in await model.addresses_in(connected):
        connected[doc["inbox"]].append((doc, around))
    answers: list[Doc] = []
    async for doc in cooperatively(docs):
        readers = members_by_inbox[doc["inbox"]].readers(active)
        unread_inboxes = () if readers else (doc["inbox"],)
        addresses = [
            address_answers.to_inbox_answer(one, with_unread(one, around, unread_inboxes))
            async for one, around in cooperatively(connected[doc["inbox"]])
        ]
        inactive = [member for member in doc["members"] if member not in active_members]
        answers.append(inboxes.to_answer(doc, addresses, inactive, readers))
    return answers


async def identity_list(model: ReadModel, question: q.Identities) -> Page:
    """Best first, so that the cursor is the place in the list."""
    model.require_self(question.user)
    found = await identities_of(model, await model.user(question.user), place_in_list(question), question.limit + 1)
    return Page(found[: question.limit], more=len(found) > question.limit)


def place_in_list(question: q.ListQuestion) -> int:
    text = cursor_key(question)
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


async def user(model: ReadModel, question: q.User) -> Doc:
    model.require_self(question.user)
    (one,) = await user_answers(model, [await model.user(question.user)])
    return one


async def user_answers(model: ReadModel, docs: Sequence[Doc]) -> list[Doc]:
    teams = await teams_by_user(model)
    default = await default_senders(model, docs)
    return [users.to_answer(doc, teams.get(doc["user"], []), default[doc["user"]]) async for doc in cooperatively(docs)]


async def teams_by_user(model: ReadModel) -> dict[str, list[str]]:
    """The teams that name each user, by id."""
    found: dict[str, list[str]] = {}
    async for name, team in cooperatively(accounts.team_list(model.account, "")):
        for member in team["members"]:
            found.setdefault(member, []).append(name)
    return found


async def user_list(model: ReadModel, question: q.Users) -> Page:
    model.require_administrator()
    found = await model.users(cursor_key(question), question.limit + 1)
    page = await user_answers(model, found[: question.limit])
    return Page([(one["user"], one) for one in page], more=len(found) > question.limit)


async def team_list(model: ReadModel, question: q.Teams) -> Page:
    model.require_administrator()
    found = accounts.team_list(model.account, cursor_key(question))
    listed = found[: question.limit]
    active = await model.active({member for _, team in listed for member in team["members"]})
    items = [(name, accounts.team_answer(name, team, active)) async for name, team in cooperatively(listed)]
    return Page(items, more=len(found) > question.limit)


async def account(model: ReadModel, _: q.Account) -> Doc:
    model.require_administrator()
    return accounts.to_answer(model.account)


async def orphan_list(model: ReadModel, question: q.Orphans) -> Page:
    model.require_administrator()
    found = await model.orphans(cursor_key(question), question.limit + 1)
    items = [
        (doc["address"], {"address": doc["address"], "former_owner": doc["owner"], "since": doc["since"]})
        for doc in found[: question.limit]
    ]
    return Page(items, more=len(found) > question.limit)


async def usage(model: ReadModel, _: q.Usage) -> Doc:
    model.require_administrator()
    return accounts.usage(model.account, await model.open_inboxes())


async def removal_impact(model: ReadModel, question: q.RemovalImpact) -> Mapping[str, list[str]]:
    """What would be left behind and what would lose its last reader."""
    model.require_administrator()
    name = (await model.user(question.user))["user"]
    own = [one["address"] for one in await model.owned([name])]
    aliases = [one["address"] for one in await model.aliases(own)]
    teams = (await teams_by_user(model)).get(name, [])
    docs = await model.inboxes()
    members_by_inbox = await read_members(model, (one for one in docs if not one["archived"]))
    admitting = {inbox: place for inbox, place in members_by_inbox.items() if place.admits(name)}
    return {
        "addresses": sorted([*own, *aliases]),
        "inboxes": [one["inbox"] async for one in cooperatively(docs) if inboxes.names(one, name, teams)],
        "teams": teams,
        "rules": [one["inbox"] async for one in cooperatively(docs) if inboxes.rule_names(one, name, teams)],
        "connections": await model.connected_by(name),
        "last_reader_of": sorted(await model.unread_inboxes(admitting, besides=name)),
    }


Handler = Callable[[ReadModel, Any], Awaitable[Any]]
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
