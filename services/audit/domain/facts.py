"""Facts about access, from the versions of rows: holders of addresses, members of inboxes and teams, active users."""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypedDict

from services.audit.domain.spans import Spans, Version, spans_by_name, spans_where
from shared.core.policies import holds, why_without_effect
from shared.core.state.rows import AddressRow, InboxRow
from shared.language.text import Permission

# By team and user: when the user was a member.
Teams = Mapping[str, Mapping[str, Spans]]


class UserFields(TypedDict):
    """The fields of a user's row that decide about access, and the name of the person."""

    name: str
    status: Literal["active", "deactivated", "removed"]
    permissions: list[Permission]


class TeamFields(TypedDict):
    """The field of a team that decides about access."""

    members: list[str]


class Life(NamedTuple):
    """The person who had a user id from a position on: another one may have it later."""

    added: int
    name: str


@dataclass(frozen=True, slots=True)
class UserFacts:
    """When a user was active, could use personal addresses, and was an administrator.

    `lives` are the persons who had this id, one after the other.
    """

    user: str
    active: Spans
    personal: Spans
    administers: Spans
    lives: tuple[Life, ...]

    def life_at(self, position: int) -> Life:
        """Return the person who had this id at a position."""
        return self.lives[max(0, bisect_right(self.lives, position, key=lambda life: life.added) - 1)]


@dataclass(frozen=True, slots=True)
class InboxFacts:
    """When an inbox was there, was not archived, was open to everyone, and named a user or a team."""

    there: Spans
    open: Spans
    everyone: Spans
    members: Mapping[str, Spans]
    teams: Mapping[str, Spans]

    def ever_admitted(self, user: str, teams: Teams) -> bool:
        """Return whether it ever admitted a user; `teams` are those of the user."""
        return bool(self.everyone) or user in self.members or not teams.keys().isdisjoint(self.teams)


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """When an address was of an owner, in an inbox, an alias of a primary; when it was held, and when it could send.

    An orphaned address has no owner, but it is held. `people` are all that its rows ever named.
    """

    owners: Mapping[str, Spans]
    inboxes: Mapping[str, Spans]
    primaries: Mapping[str, Spans]
    held: Spans
    sends: Spans
    people: frozenset[str]


def user_facts(user: str, versions: Sequence[Version[UserFields]], lives: Sequence[Life]) -> UserFacts:
    return UserFacts(
        user,
        active=spans_where(versions, lambda row: row["status"] == "active"),
        personal=spans_where(versions, lambda row: why_without_effect(row["status"], row["permissions"]) is None),
        administers=spans_where(
            versions, lambda row: row["status"] == "active" and holds(row["permissions"], "account_access")
        ),
        lives=tuple(lives),
    )


def inbox_facts(versions: Sequence[Version[InboxRow]], of_users: Collection[str] | None = None) -> InboxFacts:
    """Return the facts of an inbox; `of_users` leaves other members out."""

    def named(row: InboxRow, names: list[str]) -> list[str]:
        return [] if row["access"] == "everyone" else names

    def members(row: InboxRow) -> list[str]:
        names = named(row, row["members"])
        return names if of_users is None else [name for name in names if name in of_users]

    return InboxFacts(
        there=spans_where(versions, lambda row: True),
        open=spans_where(versions, lambda row: not row["archived"]),
        everyone=spans_where(versions, lambda row: row["access"] == "everyone"),
        members=spans_by_name(versions, members),
        teams=spans_by_name(versions, lambda row: named(row, row["teams"])),
    )


def address_facts(versions: Sequence[Version[AddressRow]]) -> AddressFacts:
    def owner(row: AddressRow) -> tuple[str, ...]:
        return (row["owner"],) if row["owner"] is not None and not row["orphaned"] else ()

    def name(text: str | None) -> tuple[str, ...]:
        return () if text is None else (text,)

    return AddressFacts(
        owners=spans_by_name(versions, owner),
        inboxes=spans_by_name(versions, lambda row: name(row["inbox"])),
        primaries=spans_by_name(versions, lambda row: name(row["primary"])),
        held=spans_where(versions, lambda row: row["kind"] is not None or row["primary"] is not None),
        sends=spans_where(versions, lambda row: row["sends"]),
        people=frozenset(name for row, *_ in versions for name in (row["owner"], row["connector"]) if name),
    )


def team_facts(versions: Sequence[Version[TeamFields]]) -> Mapping[str, Spans]:
    """Return when each user was a member of a team."""
    return spans_by_name(versions, lambda row: row["members"])
