"""The rows of the view: one document per account, user, inbox and address, stored as JSON.

A field never changes its name or its meaning without a higher version of the projection.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, TypeVar

from shared.language.text import Access, Availability, Kind, Permission

Row = TypeVar("Row")


class UnknownAggregateError(Exception):
    """An event of an aggregate whose first event was never applied here."""


def require_started(row: Row | None) -> Row:
    """Return the row of an aggregate that has one.

    Raises:
        UnknownAggregateError: there is none.
    """
    if row is None:
        raise UnknownAggregateError("the first event of this aggregate was not applied")
    return row


class AccountRow(TypedDict):
    """`teams` has the members of each team, sorted, by the team's id."""

    teams: dict[str, list[str]]
    never_log: list[str]


class UserRow(TypedDict):
    user: str
    permissions: list[Permission]
    status: Literal["active", "deactivated", "removed"]
    seat: bool
    availability: Availability
    log_replies: bool
    never_log: list[str]


class InboxRow(TypedDict):
    """`rule` is a routing rule of the language, as JSON."""

    inbox: str
    rule: Mapping[str, Any]
    access: Access
    members: list[str]
    teams: list[str]


class AddressRow(TypedDict):
    """An alias has no claim of its own: it follows its `primary`."""

    address: str
    kind: Kind | None
    owner: str | None
    inbox: str | None
    primary: str | None
    receiving: bool
    reauthenticate: bool
    orphaned: bool
