"""Each question is read from one snapshot: rows by SQL, everything derived by the functions of `domain/`."""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from services.inbox_views.domain import account as accounts
from services.inbox_views.domain import address_answer as address_answers
from services.inbox_views.domain import inbox as inboxes
from services.inbox_views.domain import user as users
from services.inbox_views.domain.address_answer import AddressContext
from services.inbox_views.read_model import ReadModel
from services.inbox_views.sending import default_senders, identities_of
from shared.core.policies import Membership
from shared.core.state.inbox import membership as membership_of
from shared.core.state.rows import AddressRow, InboxRow, UserRow
from shared.language import questions as q
from shared.projections.answers import Page, canonical_or_refused, cursor_key, not_allowed
from shared.projections.cooperative import cooperatively
from shared.projections.snapshot import Snapshot

Answer = dict[str, Any]


async def answer(snapshot: Snapshot, question: q.Question) -> Any:
    """Return the result of any question of this service.

    Raises:
        QuestionRefusedError: the actor may not ask it, or it names something that does not exist.
    """
    return await ANSWERS[type(question)](ReadModel(snapshot, question.actor), question)


async def address(model: ReadModel, question: q.Address) -> Answer:
    name = canonical_or_refused("address", question.address)
    row, context, inbox = await model.address(name)
    claim = address_answers.claim_of(row, context)
    if claim["kind"] is None:
        return address_answers.free(name.address, name.display)
    # The inbox is missing when its first event is parked; its members are unknown then.
    members_by_inbox = {} if inbox is None else {inbox["inbox"]: membership_of(inbox, model.account)}
    if not may_see(model, claim, members_by_inbox):
        return address_answers.redacted(claim)
    unread = claim["inbox"] in await model.unread_inboxes(members_by_inbox)
    return address_answers.to_answer(row, replace(context, unread=unread))


def may_see(model: ReadModel, claim: AddressRow, members_by_inbox: Mapping[str, Membership]) -> bool:
    """Return whether the actor is an administrator, the holder, or a member of the inbox of a team address."""
    if model.administers:
        return True
    if claim["kind"] == "personal":
        return claim["state"] != "orphaned" and claim["owner"] == model.actor
    members = members_by_inbox.get(claim["inbox"] or "")
    return members is not None and members.admits(model.actor)


async def address_list(model: ReadModel, question: q.Addresses) -> Page:
    model.require_administrator()
    found = await model.addresses(question)
    listed = found[: question.limit]
    names = {name for row, context in listed if (name := address_answers.claim_of(row, context)["inbox"])}
    unread_inboxes = await model.unread_inboxes(await read_members(model, await model.inboxes_named(names)))
    items = [
        (row["address"], address_answers.to_answer(row, with_unread(row, context, unread_inboxes)))
        async for row, context in cooperatively(listed)
    ]
    return Page(items, more=len(found) > question.limit)


def with_unread(row: AddressRow, context: AddressContext, unread_inboxes: Collection[str]) -> AddressContext:
    """Return the context with `unread` set when the claim's inbox is one of these."""
    if unread_inboxes and address_answers.claim_of(row, context)["inbox"] in unread_inboxes:
        return replace(context, unread=True)
    return context


async def read_members(model: ReadModel, rows: Iterable[InboxRow]) -> dict[str, Membership]:
    """Return the members of these inboxes, by inbox."""
    return {row["inbox"]: membership_of(row, model.account) async for row in cooperatively(rows)}


async def inbox(model: ReadModel, question: q.Inbox) -> Answer:
    found = await model.inbox(question.inbox)
    membership = membership_of(found, model.account)
    if not model.administers and not membership.admits(model.actor):
        raise not_allowed("member", "Only members of the inbox and administrators may ask this.")
    (one,) = await inbox_answers(model, [found], {question.inbox: membership})
    return one


async def inbox_list(model: ReadModel, question: q.Inboxes) -> Page:
    start = cursor_key(question)
    rows = [row for row in await model.inboxes() if row["inbox"] > start]
    members_by_inbox = await read_members(model, rows)
    found = [row for row in rows if model.administers or members_by_inbox[row["inbox"]].admits(model.actor)]
    page = await inbox_answers(model, found[: question.limit], members_by_inbox)
    return Page([(one["inbox"], one) for one in page], more=len(found) > question.limit)


async def inbox_answers(
    model: ReadModel, rows: Sequence[InboxRow], members_by_inbox: Mapping[str, Membership]
) -> list[Answer]:
    """Return these inboxes with their addresses and readers; `members_by_inbox` has their members."""
    active = await model.active_among(members_by_inbox[row["inbox"]] for row in rows)
    members = await model.active({member for row in rows for member in row["members"]}.difference(active))
    active_members = members.union(active)
    connected: dict[str, list[tuple[AddressRow, AddressContext]]] = {row["inbox"]: [] for row in rows}
    for row, context in await model.addresses_in(connected):
        connected[row["inbox"] or ""].append((row, context))
    answers: list[Answer] = []
    async for inbox in cooperatively(rows):
        readers = members_by_inbox[inbox["inbox"]].readers(active)
        unread_inboxes = () if readers else (inbox["inbox"],)
        addresses = [
            address_answers.to_inbox_answer(one, with_unread(one, context, unread_inboxes))
            async for one, context in cooperatively(connected[inbox["inbox"]])
        ]
        inactive = [member for member in inbox["members"] if member not in active_members]
        answers.append(inboxes.to_answer(inbox, addresses, inactive, readers))
    return answers


async def identity_list(model: ReadModel, question: q.Identities) -> Page:
    """Return identities best first, so the cursor is the place in the list."""
    model.require_self(question.user)
    found = await identities_of(model, await model.user(question.user), place_in_list(question), question.limit + 1)
    return Page(found[: question.limit], more=len(found) > question.limit)


def place_in_list(question: q.ListQuestion) -> int:
    text = cursor_key(question)
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


async def user(model: ReadModel, question: q.User) -> Answer:
    model.require_self(question.user)
    (one,) = await user_answers(model, [await model.user(question.user)])
    return one


async def user_answers(model: ReadModel, rows: Sequence[UserRow]) -> list[Answer]:
    teams = await teams_by_user(model)
    default = await default_senders(model, rows)
    return [users.to_answer(row, teams.get(row["user"], []), default[row["user"]]) async for row in cooperatively(rows)]


async def teams_by_user(model: ReadModel) -> dict[str, list[str]]:
    """Return the teams of each user, by id."""
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


async def account(model: ReadModel, _: q.Account) -> Answer:
    model.require_administrator()
    return accounts.to_answer(model.account)


async def orphan_list(model: ReadModel, question: q.Orphans) -> Page:
    model.require_administrator()
    found = await model.orphans(cursor_key(question), question.limit + 1)
    items = [
        (row["address"], {"address": row["address"], "former_owner": row["owner"], "since": row["since"]})
        for row in found[: question.limit]
    ]
    return Page(items, more=len(found) > question.limit)


async def usage(model: ReadModel, _: q.Usage) -> Answer:
    model.require_administrator()
    return accounts.usage(model.account, await model.open_inboxes())


async def removal_impact(model: ReadModel, question: q.RemovalImpact) -> Mapping[str, list[str]]:
    """Return everything that names the user, and the inboxes that would lose their last reader."""
    model.require_administrator()
    name = (await model.user(question.user))["user"]
    own = [one["address"] for one in await model.owned([name])]
    aliases = [one["address"] for one in await model.aliases(own)]
    teams = (await teams_by_user(model)).get(name, [])
    rows = await model.inboxes()
    members_by_inbox = await read_members(model, (one for one in rows if not one["archived"]))
    admitting = {inbox: place for inbox, place in members_by_inbox.items() if place.admits(name)}
    return {
        "addresses": sorted([*own, *aliases]),
        "inboxes": [one["inbox"] async for one in cooperatively(rows) if inboxes.names(one, name, teams)],
        "teams": teams,
        "rules": [one["inbox"] async for one in cooperatively(rows) if inboxes.rule_names(one, name, teams)],
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
