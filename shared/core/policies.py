"""Rules that several services share, each written once: permissions, members and readers of an inbox."""

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, TypeAlias

from shared.language.text import AUDITOR, SERVICE

WithoutEffect: TypeAlias = Literal["OWNER_NOT_ACTIVE", "PERMISSION_MISSING"]


def holds(permissions: Collection[str], permission: str) -> bool:
    """Whether these permissions suffice: `super_admin` includes `account_access`, not `personal_email_access`."""
    return permission in permissions or (permission == "account_access" and "super_admin" in permissions)


def may_audit(actor: str, permissions: Collection[str]) -> bool:
    """Whether the actor may ask the audit: an auditor, or a user with these permissions; no other service."""
    return actor.startswith(AUDITOR) if actor.startswith(SERVICE) else holds(permissions, "super_admin")


def members_of(teams: Mapping[str, Iterable[str]], names: Iterable[str]) -> set[str]:
    """The members of the named teams; `teams` has the members of each team of the account."""
    return {member for name in names for member in teams.get(name, ())}


class Membership:
    """The members of one inbox: everyone, or the named users and those of its teams."""

    __slots__ = ("everyone", "names")

    def __init__(
        self, access: str, members: Iterable[str], teams: Iterable[str], of_teams: Mapping[str, Iterable[str]]
    ) -> None:
        self.everyone = access == "everyone"
        self.names: frozenset[str] = frozenset() if self.everyone else frozenset(members) | members_of(of_teams, teams)

    def admits(self, user: str) -> bool:
        """Whether the user is a member; administrators only if they are."""
        return self.everyone or user in self.names

    def readers(self, active: Iterable[str]) -> list[str]:
        """The active users who see arriving mail, in the same order."""
        return list(active) if self.everyone else [user for user in active if user in self.names]


def why_without_effect(status: str | None, permissions: Collection[str]) -> WithoutEffect | None:
    """The reason in its owner why a personal connection does not work (A4); an unknown owner has no `status`."""
    if status != "active":
        return "OWNER_NOT_ACTIVE"
    return None if holds(permissions, "personal_email_access") else "PERMISSION_MISSING"
