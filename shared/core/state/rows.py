"""The rows of the view: one document per account, user, inbox and address, stored as JSON.

A field never changes its name or its meaning without a higher version of the projection.
"""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict, TypeVar

from shared.language.questions import State
from shared.language.text import Access, Availability, Kind, Permission, Plan, Tool

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


class Team(TypedDict):
    name: str
    members: list[str]


class AccountRow(TypedDict):
    """Teams are by id."""

    plan: Plan
    teams: dict[str, Team]
    never_log: list[str]


class Font(TypedDict):
    font: str
    size: int | None


class Logging(TypedDict):
    log_replies: bool
    track_opens: bool
    track_clicks: bool
    never_log: list[str]


class ChosenSender(TypedDict):
    """An address, and the position at which the user chose it."""

    address: str
    at: int


class UserRow(TypedDict):
    user: str
    name: str
    permissions: list[Permission]
    status: Literal["active", "deactivated", "removed"]
    seat: bool
    availability: Availability
    signature: str
    font: Font | None
    logging: Logging
    default_sender: ChosenSender | None


class InboxRow(TypedDict):
    """`rule` is a routing rule of the language, as JSON."""

    inbox: str
    name: str
    archived: bool
    access: Access
    members: list[str]
    teams: list[str]
    rule: Mapping[str, Any]


class MovedClaim(TypedDict):
    """A claim, by the position `since` at which it began, went to another address at a position."""

    to: str
    at: int
    since: int


class AddressRow(TypedDict):
    """An alias has no claim of its own: it follows its `primary`.

    `state` and `sends` follow from the other fields; they are stored for the statements. `claimed` is the position at
    which the present claim of the address began, `held` the one at which its holder's did; a default sender chosen
    before either has no effect. `moved` says where the claims went for which this address was the primary.
    """

    address: str
    display: str
    state: State
    sends: bool
    kind: Kind | None
    owner: str | None
    inbox: str | None
    since: str | None
    tools: list[Tool]
    primary: str | None
    from_name: str | None
    receiving: bool
    sending: bool
    connector: str | None
    reauthenticate: bool
    orphaned: bool
    claimed: int
    held: int
    moved: NotRequired[list[MovedClaim]]
