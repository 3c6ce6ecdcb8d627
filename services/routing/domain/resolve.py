"""Where one mail goes, who gets it, and why: the same mail in the same state has the same answer."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter

from services.routing.domain.projection import Doc
from shared.core.policies import Membership, members_of, why_without_effect
from shared.core.sender import Sender
from shared.language.rules import ContactOwner, Rule, Unassigned, UsersAndTeams

RULE: Final[TypeAdapter[Rule]] = TypeAdapter(Rule)


@dataclass(frozen=True)
class Mail:
    """`contact_owner` is somebody of the account; `turn` replaces the stable choice per sender."""

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
    """An inbox with the people it may choose from; who they are is looked up once, however many mails."""

    def __init__(self, doc: Doc, account: Doc, users: Mapping[str, Doc]) -> None:
        self.name: str = doc["inbox"]
        self.rule = RULE.validate_python(doc["rule"], strict=False)
        self.membership = Membership(doc["access"], doc["members"], doc["teams"], account["teams"])
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
        """Those a rule names, its users in order, then the members of its teams by id, each once."""
        match rule:
            case UsersAndTeams(users=users, teams=teams):
                return list(dict.fromkeys([*users, *sorted(members_of(self._account["teams"], teams))]))
            case ContactOwner(fallback=UsersAndTeams() as fallback):
                return self._named(fallback)
            case _:
                return []


def needed_users(rules: Iterable[Doc], account: Doc) -> set[str]:
    """Everybody whom these rules, as stored, name directly or through a team."""
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
    """One entry of the answer; what is not told is null, or an empty list."""
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


def why_nowhere(claim: Doc) -> str | None:
    """What keeps mail to a held address from arriving."""
    if claim["orphaned"]:
        return "ORPHANED"
    if claim["reauthenticate"]:
        return "REAUTH_REQUIRED"
    return None if claim["receiving"] else "RECEIVING_PAUSED"


def why_not_logged(owner: Doc | None, account: Doc, sender: Sender) -> str | None:
    """What keeps a mail out of its owner's log."""
    if owner is None:
        return "OWNER_NOT_ACTIVE"
    if reason := why_without_effect(owner["status"], owner["permissions"]):
        return reason
    if sender.is_in(account["never_log"]) or sender.is_in(owner["never_log"]):
        return "NEVER_LOG"
    return None if owner["log_replies"] else "LOGGING_OFF"


def without_tag(address: str) -> str | None:
    """The same mailbox without the `+tag` of its local part; None when there is none."""
    local, _, domain = address.partition("@")
    name, tagged, _ = local.partition("+")
    return f"{name}@{domain}" if name and tagged else None


@dataclass(frozen=True)
class Assignment:
    """The rule that decided, everybody considered, and who was chosen."""

    rule: str
    candidates: Sequence[Candidate]
    chosen: str | None


def to_inbox(recipient: str, inbox: Inbox, assignment: Assignment, *, read: bool) -> dict[str, Any]:
    """`read` is whether anybody reads the inbox."""
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
    """Who of an inbox gets a mail, whichever of its addresses it came to."""
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
    """A sender keeps one person while that one is eligible; or whose turn it is."""
    eligible = [candidate.user for candidate in candidates if candidate.eligible]
    if not eligible:
        return None
    if mail.turn is not None:
        return eligible[mail.turn % len(eligible)]
    # A sender that is no address may be any text, one that is no Unicode text too.
    digest = hashlib.sha256(f"{inbox}\n{mail.sender.key}".encode(errors="surrogatepass")).digest()
    return eligible[int.from_bytes(digest) % len(eligible)]
