"""The default sender of a user: the chosen address while it is usable, else the first usable one (D2).

A choice is of a claim and ends with it: the same address under another claim is not chosen. When an alias becomes the
primary of a mailbox, the choice moves to it.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from services.inbox_views.domain.identities import why_not_usable
from shared.core.policies import Membership
from shared.core.sending import by_claim, is_identity_of
from shared.core.state.rows import AddressRow, UserRow


class Choice(NamedTuple):
    """An address, and the position at which it was the chosen one."""

    address: str
    at: int


def choice_of(user: UserRow) -> Choice | None:
    chosen = user["default_sender"]
    return None if chosen is None else Choice(chosen["address"], chosen["at"])


def moved_choice(choice: Choice, row: AddressRow) -> Choice | None:
    """Return where the choice went with the claim of the chosen address `row`; None when it did not move."""
    for moved in row.get("moved", ()):
        if moved["since"] < choice.at < moved["at"]:
            return Choice(moved["to"], moved["at"])
    return None


def is_valid(choice: Choice, row: AddressRow, claim: AddressRow) -> bool:
    """Return whether the claim that was chosen still exists; `claim` is the primary's when `row` is an alias."""
    return claim["kind"] is not None and max(row["claimed"], claim["held"]) < choice.at


def may_send_as(user: UserRow, claim: AddressRow, members_by_inbox: Mapping[str, Membership]) -> bool:
    """Return whether the user may send as the address now; `members_by_inbox` has the open inboxes."""
    if why_not_usable(user, claim) is not None:
        return False
    inbox = claim["inbox"]
    return is_identity_of(user["user"], claim["owner"], members_by_inbox.get(inbox) if inbox else None)


def first_usable(user: UserRow, own: Iterable[AddressRow], inboxes: Iterable[tuple[str, Membership]]) -> str | None:
    """Return the first address that the user may send as.

    An alias is usable when its primary is, and comes after it: it is never the first one.

    Args:
        own: the user's personal addresses.
        inboxes: the first usable address of each open inbox, by that address.
    """
    if user["status"] != "active":
        return None
    for _, address, row in by_claim((row["since"] or "", row["address"], row) for row in own):
        if why_not_usable(user, row) is None:
            return address
    return next((address for address, membership in inboxes if membership.admits(user["user"])), None)
