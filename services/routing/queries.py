"""Each question is read from one snapshot: rows by SQL, the choice by the functions of `domain/`."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, LiteralString

import orjson

from services.routing.domain import resolve
from services.routing.domain.resolve import Assignment, Inbox, Mail
from services.routing.domain.rows import AccountRow, AddressRow, InboxRow, UserRow
from shared.core.address import InvalidAddressError, canonical
from shared.core.policies import holds
from shared.core.rule_words import in_words
from shared.core.sender import read_sender
from shared.language import questions as q
from shared.language.reasons import QuestionError
from shared.language.text import ID, SERVICE
from shared.projections.answers import QuestionRefusedError, not_allowed
from shared.projections.snapshot import Snapshot

IS_ID: Final = re.compile(ID.removesuffix("$") + r"\Z")

# UTS #46 takes these for a dot.
DOTS: Final = (".", "\u3002", "\uff0e", "\uff61")

# One active member of each inbox, if there is any; the number of members costs nothing.
READ: Final[LiteralString] = """
SELECT inbox, reader.key FROM jsonb_each(%(members)s::jsonb) AS closed (inbox, members) CROSS JOIN LATERAL (
    SELECT u.key FROM jsonb_array_elements_text(closed.members) AS member (key)
    JOIN users u ON u.account = %(account)s AND u.key = member.key COLLATE "C" AND u.doc->>'status' = 'active' LIMIT 1
) AS reader
"""


async def answer(snapshot: Snapshot, question: q.Question) -> Any:
    """Return the result of any question of this service.

    Raises:
        QuestionRefusedError: the actor may not ask it, or it names something that does not exist.
    """
    match question:
        case q.Routing():
            return await routing(snapshot, question)
        case q.Resolve():
            return await Resolution(snapshot, question).entries()
        case _:
            raise TypeError(type(question).__name__)


def administers(snapshot: Snapshot, actor: str) -> bool:
    if actor.startswith(SERVICE):
        return True
    return holds((snapshot.actor_doc or {}).get("permissions", ()), "account_access")


async def read_rows(snapshot: Snapshot, aggregate: str, names: Iterable[str]) -> dict[str, Any]:
    """Return rows by name, all in one statement."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    match aggregate:
        case "address":
            query = "SELECT key, doc FROM addresses WHERE account = %(account)s AND key = ANY(%(names)s)"
            snapshot.depends_on("address", *wanted)
        case "inbox":
            query = "SELECT key, doc FROM inboxes WHERE account = %(account)s AND key = ANY(%(names)s)"
            snapshot.depends_on("inbox", *wanted)
        case _:
            query = "SELECT key, doc FROM users WHERE account = %(account)s AND key = ANY(%(names)s)"
            snapshot.depends_on("user", *wanted)
    return dict(await snapshot.select(query, {"names": wanted}))


async def open_inboxes(
    snapshot: Snapshot, names: Iterable[str], more_users: Iterable[str] = ()
) -> tuple[dict[str, Inbox], dict[str, UserRow]]:
    """Return inboxes with all users whom their rules name, and these users with `more_users`."""
    account: AccountRow = snapshot.account_doc
    rows: dict[str, InboxRow] = await read_rows(snapshot, "inbox", names)
    wanted = resolve.needed_users((row["rule"] for row in rows.values()), account)
    users: dict[str, UserRow] = await read_rows(snapshot, "user", {*wanted, *more_users})
    return {name: Inbox(row, account, users) for name, row in rows.items()}, users


async def read_inboxes(snapshot: Snapshot, inboxes: Collection[Inbox], users: Mapping[str, UserRow]) -> set[str]:
    """Return the names of those inboxes that have an active reader; `users` were read already."""
    active = {name for name, row in users.items() if row["status"] == "active"}
    # An account always has an active super admin, who reads every inbox that is open to everyone.
    closed = [inbox for inbox in inboxes if not inbox.membership.everyone]
    unclear = [inbox for inbox in closed if inbox.membership.names.isdisjoint(active)]
    readers: dict[str, str] = {}
    if unclear:
        members = orjson.dumps({inbox.name: sorted(inbox.membership.names) for inbox in unclear}).decode()
        readers = dict(await snapshot.select(READ, {"members": members}))
    for inbox in unclear:
        reader = readers.get(inbox.name)
        if ids := [reader] if reader else inbox.membership.names:
            snapshot.depends_on("user", *ids)
    return {inbox.name for inbox in inboxes} - {inbox.name for inbox in unclear if inbox.name not in readers}


async def routing(snapshot: Snapshot, question: q.Routing) -> Mapping[str, Any]:
    """Return the rule, in words too, and its targets now; of `contact_owner`, those of its fallback."""
    found, _ = await open_inboxes(snapshot, [question.inbox])
    inbox = found.get(question.inbox)
    if inbox is None:
        details = {"inbox": question.inbox}
        raise QuestionRefusedError(QuestionError.INBOX_NOT_FOUND, f"There is no inbox {question.inbox}.", details)
    if not administers(snapshot, question.actor) and not inbox.admits(question.actor):
        raise not_allowed("member", "Only members of the inbox and administrators may ask this.")
    return {
        "inbox": inbox.name,
        "rule": inbox.rule.model_dump(mode="json"),
        "words": in_words(inbox.rule),
        "targets": [target.to_answer() for target in inbox.targets],
    }


class Resolution:
    """One mail with all its recipients."""

    def __init__(self, snapshot: Snapshot, question: q.Resolve) -> None:
        self._snapshot = snapshot
        self._question = question
        self._account: AccountRow = snapshot.account_doc
        self._sees_all = administers(snapshot, question.actor)
        self._mail = Mail(read_sender(question.sender), turn=question.turn)
        self._addresses: dict[str, AddressRow] = {}
        self._inboxes: dict[str, Inbox] = {}
        self._users: dict[str, UserRow] = {}
        self._read_inboxes: set[str] = set()
        self._assignments: dict[str, Assignment] = {}

    async def entries(self) -> list[Mapping[str, Any]]:
        """Return one entry per recipient, in order, duplicates too."""
        recipients = [recipient_or_none(text) for text in self._question.recipients]
        await self._read({recipient for recipient in recipients if recipient is not None})
        return [
            resolve.nowhere(typed, "ADDRESS_INVALID") if recipient is None else self._entry(recipient)
            for typed, recipient in zip(self._question.recipients, recipients, strict=True)
        ]

    async def _read(self, recipients: set[str]) -> None:
        suspects = {suspect for one in recipients if (suspect := resolve.without_tag(one))}
        self._addresses = await read_rows(self._snapshot, "address", recipients | suspects)
        primaries = {doc["primary"] for doc in self._addresses.values() if doc["primary"]}
        self._addresses |= await read_rows(self._snapshot, "address", primaries - self._addresses.keys())
        claims = [doc for doc in self._addresses.values() if doc["kind"]]
        people = {doc["owner"] for doc in claims if doc["owner"]}
        owner = self._question.contact_owner
        if owner and IS_ID.match(owner):
            people.add(owner)
        self._inboxes, self._users = await open_inboxes(
            self._snapshot, {doc["inbox"] for doc in claims if doc["inbox"]}, people
        )
        self._read_inboxes = await read_inboxes(self._snapshot, self._inboxes.values(), self._users)
        if owner in self._users:
            self._mail = replace(self._mail, contact_owner=owner)

    def _claim(self, address: str) -> AddressRow | None:
        """Return the row with the claim, of an alias its primary's; None when the address is free."""
        found = self._addresses.get(address)
        if found and found["primary"]:
            found = self._addresses.get(found["primary"])
        return found if found and found["kind"] else None

    def _entry(self, recipient: str) -> Mapping[str, Any]:
        claim = self._claim(recipient)
        if claim is None:
            return resolve.nowhere(recipient, "NOT_CONNECTED", self._suspected(recipient))
        if not self._may_see(claim):
            return resolve.nowhere(recipient, "NOT_VISIBLE")
        if reason := resolve.why_nowhere(claim):
            return resolve.nowhere(recipient, reason)
        if claim["kind"] == "personal":
            return self._to_owner(recipient, claim["owner"] or "")
        inbox = self._inboxes.get(claim["inbox"] or "")
        if inbox is None:
            # The first event of its inbox is parked: the answer says so by `incomplete_since`.
            return resolve.nowhere(recipient, "NOT_CONNECTED")
        return resolve.to_inbox(recipient, inbox, self._assignment(inbox), read=inbox.name in self._read_inboxes)

    def _suspected(self, recipient: str) -> str | None:
        """Return the address that was probably meant, for those who may see it."""
        suspect = resolve.without_tag(recipient)
        claim = self._claim(suspect) if suspect else None
        return suspect if claim is not None and self._may_see(claim) else None

    def _may_see(self, claim: AddressRow) -> bool:
        if self._sees_all:
            return True
        if claim["kind"] == "team":
            inbox = self._inboxes.get(claim["inbox"] or "")
            return inbox is not None and inbox.admits(self._question.actor)
        return bool(claim["owner"] == self._question.actor and not claim["orphaned"])

    def _assignment(self, inbox: Inbox) -> Assignment:
        """Assign once for each inbox, also when several of its addresses are recipients."""
        if inbox.name not in self._assignments:
            self._assignments[inbox.name] = resolve.assign(inbox, self._mail)
        return self._assignments[inbox.name]

    def _to_owner(self, recipient: str, owner: str) -> Mapping[str, Any]:
        reason = resolve.why_not_logged(self._users.get(owner), self._account, self._mail.sender)
        return resolve.nowhere(recipient, reason) if reason else resolve.to_owner(recipient, owner)


def recipient_or_none(text: str) -> str | None:
    """Return the canonical address of a recipient, without one dot at the end of its domain, as in DNS."""
    typed = text.strip(" \t")
    return canonical_or_none(typed[:-1] if typed.endswith(DOTS) else typed)


def canonical_or_none(text: str) -> str | None:
    try:
        return canonical(text).address
    except InvalidAddressError:
        return None
