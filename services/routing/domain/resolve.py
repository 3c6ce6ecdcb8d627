"""Where one mail goes, who gets it, and why: the same mail in the same state has the same answer."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter

from services.routing.domain.folds import Doc
from shared.core.address import matches_never_log
from shared.language.rules import ContactOwner, Rule, Unassigned, UsersAndTeams

RULE: Final[TypeAdapter[Rule]] = TypeAdapter(Rule)


@dataclass(frozen=True)
class Mail:
    """`sender` is canonical; `turn` replaces the stable choice per sender."""

    sender: str
    contact_owner: str | None = None
    turn: int | None = None


@dataclass(frozen=True)
class Candidate:
    user: str
    why_not: str | None

    @property
    def eligible(self) -> bool:
        return self.why_not is None

    def shown(self) -> dict[str, Any]:
        return {"user": self.user, "eligible": self.eligible, "why_not": self.why_not}


class Inbox:
    """An inbox with the people it may choose from; who they are is looked up once, however many mails."""

    def __init__(self, doc: Doc, account: Doc, users: Mapping[str, Doc]) -> None:
        self.name: str = doc["inbox"]
        self.rule = RULE.validate_python(doc["rule"], strict=False)
        self._everyone = doc["access"] == "everyone"
        self._members = set(doc["members"]) | members_of(account, doc["teams"])
        self._account = account
        self._users = users
        self.targets = [self.candidate(user) for user in self._named(self.rule)]

    def admits(self, user: str) -> bool:
        """Whether the user is a member: named, through a team, or because it is open to everyone."""
        return self._everyone or user in self._members

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
                return list(dict.fromkeys([*users, *sorted(members_of(self._account, teams))]))
            case ContactOwner(fallback=UsersAndTeams() as fallback):
                return self._named(fallback)
            case _:
                return []


def members_of(account: Doc, teams: Iterable[str]) -> set[str]:
    """Everybody in any of these teams."""
    return {member for team in teams for member in account["teams"].get(team, ())}


def needed_users(rules: Iterable[Doc], account: Doc) -> set[str]:
    """Everybody whom these rules, as stored, name directly or through a team."""
    found: set[str] = set()
    for rule in rules:
        for part in (rule, rule.get("fallback") or {}):
            found.update(part.get("users", ()))
            found |= members_of(account, part.get("teams", ()))
    return found


# ---- one recipient


def nowhere(recipient: str, reason: str) -> dict[str, Any]:
    return destination(recipient, "none", reason=reason)


def to_owner(recipient: str, owner: str) -> dict[str, Any]:
    return destination(recipient, "personal", owner=owner, rule="personal")


def destination(recipient: str, where: str, **told: Any) -> dict[str, Any]:
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
    } | told


def why_nowhere(claim: Doc) -> str | None:
    """What keeps mail to a held address from arriving."""
    if claim["orphaned"]:
        return "ORPHANED"
    if claim["reauthenticate"]:
        return "REAUTH_REQUIRED"
    return None if claim["receiving"] else "RECEIVING_PAUSED"


def why_not_logged(owner: Doc | None, account: Doc, sender: str) -> str | None:
    """What keeps a mail out of its owner's log."""
    if owner is None or owner["status"] != "active":
        return "OWNER_NOT_ACTIVE"
    if matches_never_log(sender, account["never_log"]) or matches_never_log(sender, owner["never_log"]):
        return "NEVER_LOG"
    return None if owner["log_replies"] else "LOGGING_OFF"


def to_inbox(recipient: str, address: str, inbox: Inbox, mail: Mail) -> dict[str, Any]:
    """`address` is the connected one: of an alias, its primary."""
    rule, candidates, chosen = assign(inbox, address, mail)
    return destination(
        recipient,
        "inbox",
        inbox=inbox.name,
        assignee=chosen,
        rule=rule,
        candidates=[candidate.shown() for candidate in candidates],
    )


def assign(inbox: Inbox, address: str, mail: Mail) -> tuple[str, Sequence[Candidate], str | None]:
    """The rule that decided, everybody considered, and who was chosen."""
    match inbox.rule:
        case UsersAndTeams():
            return "users_and_teams", inbox.targets, choose(inbox.targets, address, mail)
        case ContactOwner(fallback=fallback):
            owner = [inbox.candidate(mail.contact_owner)] if mail.contact_owner else []
            if owner and owner[0].eligible:
                return "contact_owner", owner, owner[0].user
            others = [target for target in inbox.targets if target.user != mail.contact_owner]
            rule = "contact_owner" if fallback is None else "fallback"
            return rule, [*owner, *others], choose(others, address, mail)
        case Unassigned():
            return "unassigned", [], None


def choose(candidates: Iterable[Candidate], address: str, mail: Mail) -> str | None:
    """A sender keeps his person while that one is eligible; or whose turn it is."""
    eligible = [candidate.user for candidate in candidates if candidate.eligible]
    if not eligible:
        return None
    if mail.turn is not None:
        return eligible[mail.turn % len(eligible)]
    digest = hashlib.sha256(f"{address}\n{mail.sender}".encode()).digest()
    return eligible[int.from_bytes(digest) % len(eligible)]
