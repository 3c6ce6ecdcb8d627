"""Which address a user sends as by default: the chosen one while it is usable, else the first usable one (D2).

A choice is of a claim and ends with it: the same address under another claim is not chosen. When a mailbox gets another
name the choice goes along to its new primary.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from services.inbox_views.domain.document import Doc
from services.inbox_views.domain.identities import why_not_usable
from shared.core.policies import Membership
from shared.core.sending import by_claim, is_identity_of


class Choice(NamedTuple):
    """An address, and the position up to which it is known to be the chosen one."""

    address: str
    at: int


def choice_of(user: Doc) -> Choice | None:
    chosen = user["default_sender"]
    return None if chosen is None else Choice(chosen["address"], chosen["at"])


def moved_choice(choice: Choice, doc: Doc) -> Choice | None:
    """Where the choice went with the mailbox's name; None when it stands where it was made. `doc` is the chosen one."""
    for moved in doc.get("moved", ()):
        if moved["since"] < choice.at < moved["at"]:
            return Choice(moved["to"], moved["at"])
    return None


def is_valid(choice: Choice, doc: Doc, claim: Doc) -> bool:
    """Whether the claim it was made of is there still; `claim` is the primary's when `doc` is an alias."""
    return claim["kind"] is not None and max(doc["claimed"], claim["held"]) < choice.at


def may_send_as(user: Doc, claim: Doc, members_by_inbox: Mapping[str, Membership]) -> bool:
    """Whether the user may send as the address now; `members_by_inbox` has the open inboxes."""
    if why_not_usable(user, claim) is not None:
        return False
    return is_identity_of(user["user"], claim["owner"], members_by_inbox.get(claim["inbox"]))


def first_usable(user: Doc, own: Iterable[Doc], inboxes: Iterable[tuple[str, Membership]]) -> str | None:
    """The first one that the user may send as.

    `own` are the user's personal addresses, `inboxes` the first usable address of each open inbox, by that address. An
    alias is usable when its primary is, and comes after it: it is never the first one.
    """
    if user["status"] != "active":
        return None
    for _, _, doc in by_claim((doc["since"], doc["address"], doc) for doc in own):
        if why_not_usable(user, doc) is None:
            return str(doc["address"])
    return next((address for address, membership in inboxes if membership.admits(user["user"])), None)
