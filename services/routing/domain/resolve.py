"""The destination of one mail, its assignee, and why: the same mail in the same state has the same answer."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter

from services.routing.domain.rows import AccountRow, AddressRow, InboxRow, UserRow
from shared.core.policies import Membership, members_of, why_without_effect
from shared.core.sender import Sender
from shared.language.rules import ContactOwner, Rule, Unassigned, UsersAndTeams

RULE: Final[TypeAdapter[Rule]] = TypeAdapter(Rule)


@dataclass(frozen=True)
class Mail:
    """`contact_owner` is a user of the account; `turn` replaces the stable choice per sender."""

    sender: Sender
    contact_owner: str | None = None
    turn: int | None = None


@dataclass(frozen=True)
class Candidate:
    user: str
    why_not: str | None

    @property
    def eligible(self) -> bool:
        return self.why_not is None

    def to_answer(self) -> dict[str, Any]:
        return {"user": self.user, "eligible": self.eligible, "why_not": self.why_not}


class Inbox:
    """An inbox with the users it may choose from, who are looked up once for all mails."""

    def __init__(self, row: InboxRow, account: AccountRow, users: Mapping[str, UserRow]) -> None:
        self.name = row["inbox"]
        self.rule = RULE.validate_python(row["rule"], strict=False)
        self.membership = Membership(row["access"], row["members"], row["teams"], account["teams"])
        self._account = account
        self._users = users
        self.targets = [self.candidate(user) for user in self._named(self.rule)]

    def admits(self, user: str) -> bool:
        return self.membership.admits(user)

    def candidate(self, user: str) -> Candidate:
        return Candidate(user, self._why_not(user))

    def _why_not(self, user: str) -> str | None:
        found = self._users.get(user)
        if found is None or not self.admits(user):
            return "NOT_MEMBER"
        if found["status"] != "active":
            return "NOT_ACTIVE"
        if not found["seat"]:
            return "NO_SEAT"
        return None if found["availability"] == "available" else "AWAY"

    def _named(self, rule: Rule) -> list[str]:
        """Return the users whom a rule names, in its order, then the members of its teams by id, each once."""
        match rule:
            case UsersAndTeams(users=users, teams=teams):
                return list(dict.fromkeys([*users, *sorted(members_of(self._account["teams"], teams))]))
            case ContactOwner(fallback=UsersAndTeams() as fallback):
                return self._named(fallback)
            case _:
                return []


def needed_users(rules: Iterable[Mapping[str, Any]], account: AccountRow) -> set[str]:
    """Return all users whom these rules, as stored, name directly or through a team."""
    found: set[str] = set()
    for rule in rules:
        for part in (rule, rule.get("fallback") or {}):
            found.update(part.get("users", ()))
            found |= members_of(account["teams"], part.get("teams", ()))
    return found


# ---- one recipient


def nowhere(recipient: str, reason: str, suspected: str | None = None) -> dict[str, Any]:
    return destination(recipient, "none", reason=reason, suspected=suspected)


def to_owner(recipient: str, owner: str) -> dict[str, Any]:
    return destination(recipient, "personal", owner=owner, rule="personal")


def destination(recipient: str, where: str, **fields: Any) -> dict[str, Any]:
    """Return one entry of the answer; fields that are not given are null, or an empty list."""
    return {
        "recipient": recipient,
        "destination": where,
        "inbox": None,
        "owner": None,
        "assignee": None,
        "rule": None,
        "candidates": [],
        "reason": None,
        "suspected": None,
    } | fields


def why_nowhere(claim: AddressRow) -> str | None:
    """Return the reason why mail to a held address does not arrive; None when it does."""
    if claim["orphaned"]:
        return "ORPHANED"
    if claim["reauthenticate"]:
        return "REAUTH_REQUIRED"
    return None if claim["receiving"] else "RECEIVING_PAUSED"


def why_not_logged(owner: UserRow | None, account: AccountRow, sender: Sender) -> str | None:
    """Return the reason why a mail is not in its owner's log; None when it is."""
    if owner is None:
        return "OWNER_NOT_ACTIVE"
    if reason := why_without_effect(owner["status"], owner["permissions"]):
        return reason
    if sender.is_in(account["never_log"]) or sender.is_in(owner["never_log"]):
        return "NEVER_LOG"
    return None if owner["log_replies"] else "LOGGING_OFF"


def without_tag(address: str) -> str | None:
    """Return the same mailbox without the `+tag` of its local part; None when there is none."""
    local, _, domain = address.partition("@")
    name, tagged, _ = local.partition("+")
    return f"{name}@{domain}" if name and tagged else None


@dataclass(frozen=True)
class Assignment:
    """The rule that decided, all candidates, and the chosen one."""

    rule: str
    candidates: Sequence[Candidate]
    chosen: str | None


def to_inbox(recipient: str, inbox: Inbox, assignment: Assignment, *, read: bool) -> dict[str, Any]:
    """`read` says whether the inbox has an active reader."""
    return destination(
        recipient,
        "inbox",
        inbox=inbox.name,
        assignee=assignment.chosen,
        rule=assignment.rule,
        candidates=[candidate.to_answer() for candidate in assignment.candidates],
        reason=None if read else "NO_READERS",
    )


def assign(inbox: Inbox, mail: Mail) -> Assignment:
    """Return the assignee of a mail, the same for all addresses of the inbox."""
    match inbox.rule:
        case UsersAndTeams():
            return Assignment("users_and_teams", inbox.targets, choose(inbox.targets, inbox.name, mail))
        case ContactOwner(fallback=fallback):
            owner = [inbox.candidate(mail.contact_owner)] if mail.contact_owner else []
            if owner and owner[0].eligible:
                return Assignment("contact_owner", owner, owner[0].user)
            others = [target for target in inbox.targets if target.user != mail.contact_owner]
            rule = "contact_owner" if fallback is None else "fallback"
            return Assignment(rule, [*owner, *others], choose(others, inbox.name, mail))
        case Unassigned():
            return Assignment("unassigned", [], None)


def choose(candidates: Iterable[Candidate], inbox: str, mail: Mail) -> str | None:
    """Choose the user whose turn it is, or the sender's: a sender keeps one user while that one is eligible."""
    eligible = [candidate.user for candidate in candidates if candidate.eligible]
    if not eligible:
        return None
    if mail.turn is not None:
        return eligible[mail.turn % len(eligible)]
    # A sender that is not an address may be any text, even one with lone surrogates.
    digest = hashlib.sha256(f"{inbox}\n{mail.sender.key}".encode(errors="surrogatepass")).digest()
    return eligible[int.from_bytes(digest) % len(eligible)]
