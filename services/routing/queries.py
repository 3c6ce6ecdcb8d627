"""Each question is read from one snapshot: rows by SQL, the choice by the pages of the domain."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from services.routing.domain import resolve
from services.routing.domain.folds import Doc
from services.routing.domain.resolve import Inbox, Mail
from shared.core.address import AddressInvalid, canonical
from shared.core.rule_words import in_words
from shared.language import questions as q
from shared.language.reasons import QuestionError
from shared.language.text import SERVICE
from shared.runtime.views.replying import NotAnswered, not_allowed
from shared.runtime.views.view import Snapshot


async def answer(snapshot: Snapshot, question: q.Question) -> Any:
    """The result of any question of this room.

    Raises:
        NotAnswered: it may not be asked by this actor, or what it names is not there.
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
    held = (snapshot.actor_doc or {}).get("permissions", ())
    return "super_admin" in held or "account_access" in held


async def rows(snapshot: Snapshot, aggregate: str, names: Iterable[str]) -> dict[str, Doc]:
    """Documents by name, all in one statement."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    match aggregate:
        case "address":
            query = "SELECT key, doc FROM addresses WHERE account = %(account)s AND key = ANY(%(names)s)"
            snapshot.looked_at("address", *wanted)
        case "inbox":
            query = "SELECT key, doc FROM inboxes WHERE account = %(account)s AND key = ANY(%(names)s)"
            snapshot.looked_at("inbox", *wanted)
        case _:
            query = "SELECT key, doc FROM users WHERE account = %(account)s AND key = ANY(%(names)s)"
            snapshot.looked_at("user", *wanted)
    return dict(cast(list[tuple[str, Doc]], await snapshot.select(query, {"names": wanted})))


async def open_inboxes(
    snapshot: Snapshot, names: Iterable[str], more_users: Iterable[str] = ()
) -> tuple[dict[str, Inbox], dict[str, Doc]]:
    """Inboxes with everybody whom their rules name, and these people with `more_users`."""
    account = cast(Doc, snapshot.account_doc)
    docs = await rows(snapshot, "inbox", names)
    wanted = resolve.needed_users((doc["rule"] for doc in docs.values()), account)
    users = await rows(snapshot, "user", {*wanted, *more_users})
    return {name: Inbox(doc, account, users) for name, doc in docs.items()}, users


async def routing(snapshot: Snapshot, question: q.Routing) -> Mapping[str, Any]:
    """The rule, in words too, and its targets as they stand; of `contact_owner`, those of its fallback."""
    found, _ = await open_inboxes(snapshot, [question.inbox])
    inbox = found.get(question.inbox)
    if inbox is None:
        details = {"inbox": question.inbox}
        raise NotAnswered(QuestionError.INBOX_NOT_FOUND, f"There is no inbox {question.inbox}.", details)
    if not administers(snapshot, question.actor) and not inbox.admits(question.actor):
        raise not_allowed("member", "Only members of the inbox and administrators may ask this.")
    return {
        "inbox": inbox.name,
        "rule": inbox.rule.model_dump(mode="json"),
        "words": in_words(inbox.rule),
        "targets": [target.shown() for target in inbox.targets],
    }


class Resolution:
    """One mail with all its recipients."""

    def __init__(self, snapshot: Snapshot, question: q.Resolve) -> None:
        self._snapshot = snapshot
        self._question = question
        self._account = cast(Doc, snapshot.account_doc)
        self._sees_all = administers(snapshot, question.actor)
        self._mail = Mail(sender_of(question), question.contact_owner, question.turn)
        self._addresses: dict[str, Doc] = {}
        self._inboxes: dict[str, Inbox] = {}
        self._users: dict[str, Doc] = {}

    async def entries(self) -> list[Mapping[str, Any]]:
        """One per recipient, in order, duplicates too."""
        recipients = [canonical_or_none(text) for text in self._question.recipients]
        await self._read({recipient for recipient in recipients if recipient is not None})
        return [
            resolve.nowhere(typed, "ADDRESS_INVALID") if recipient is None else self._entry(recipient)
            for typed, recipient in zip(self._question.recipients, recipients, strict=True)
        ]

    async def _read(self, recipients: set[str]) -> None:
        self._addresses = await rows(self._snapshot, "address", recipients)
        primaries = {doc["primary"] for doc in self._addresses.values() if doc["primary"]}
        self._addresses |= await rows(self._snapshot, "address", primaries - recipients)
        claims = [doc for doc in self._addresses.values() if doc["kind"]]
        people = {doc["owner"] for doc in claims if doc["owner"]}
        if self._mail.contact_owner:
            people.add(self._mail.contact_owner)
        self._inboxes, self._users = await open_inboxes(
            self._snapshot, {doc["inbox"] for doc in claims if doc["inbox"]}, people
        )

    def _entry(self, recipient: str) -> Mapping[str, Any]:
        found = self._addresses.get(recipient)
        if found and found["primary"]:
            found = self._addresses.get(found["primary"])
        if not found or not found["kind"]:
            return resolve.nowhere(recipient, "NOT_CONNECTED")
        inbox = self._inboxes.get(found["inbox"]) if found["kind"] == "team" else None
        if not self._may_see(found, inbox):
            return resolve.nowhere(recipient, "NOT_VISIBLE")
        if reason := resolve.why_nowhere(found):
            return resolve.nowhere(recipient, reason)
        if found["kind"] == "personal":
            return self._to_owner(recipient, found["owner"])
        if inbox is None:
            # Its inbox is parked: the answer says so by `incomplete_since`.
            return resolve.nowhere(recipient, "NOT_CONNECTED")
        return resolve.to_inbox(recipient, found["address"], inbox, self._mail)

    def _may_see(self, claim: Doc, inbox: Inbox | None) -> bool:
        if self._sees_all:
            return True
        if inbox is not None:
            return inbox.admits(self._question.actor)
        return bool(claim["owner"] == self._question.actor and not claim["orphaned"])

    def _to_owner(self, recipient: str, owner: str) -> Mapping[str, Any]:
        reason = resolve.why_not_logged(self._users.get(owner), self._account, self._mail.sender)
        return resolve.nowhere(recipient, reason) if reason else resolve.to_owner(recipient, owner)


def sender_of(question: q.Resolve) -> str:
    try:
        return canonical(question.sender).address
    except AddressInvalid as error:
        details = {"field": "sender", "what": error.what, "at": error.at}
        raise NotAnswered(
            QuestionError.ADDRESS_INVALID, f"sender is no e-mail address: {error.what}.", details
        ) from None


def canonical_or_none(text: str) -> str | None:
    try:
        return canonical(text).address
    except AddressInvalid:
        return None
