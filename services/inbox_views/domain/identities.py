"""The identities of a user as answers show them: their own addresses, those of their inboxes, the aliases of both."""

from collections.abc import Iterable, Iterator
from typing import Any

from shared.core.sending import Identity, best_first, why_not_sender
from shared.core.state.address import why_not_sending
from shared.core.state.rows import AddressRow, InboxRow, UserRow


def senders(
    own: Iterable[AddressRow], team: Iterable[AddressRow], aliases: Iterable[AddressRow]
) -> Iterator[Identity[AddressRow]]:
    """Return all identities of one user, best first.

    `own` are the user's personal addresses, `team` those of the user's inboxes, `aliases` of all these by name.
    """
    return best_first(
        ((row["since"] or "", row["address"], row) for row in own),
        ((row["address"], row) for row in team),
        ((row["primary"] or "", row["address"]) for row in aliases),
    )


def to_answer(
    user: UserRow, sender: Identity[AddressRow], inbox: InboxRow | None, default: str | None
) -> dict[str, Any]:
    why_not = why_not_usable(user, sender.claim)
    return {
        "address": sender.address,
        "from_name": sender.claim["from_name"] or (user["name"] if inbox is None else inbox["name"]),
        "signature": user["signature"],
        "via": sender.via,
        "inbox": sender.claim["inbox"],
        "default": sender.address == default,
        "usable": why_not is None,
        "why_not": why_not,
    }


def why_not_usable(user: UserRow, claim: AddressRow) -> str | None:
    """Return the reason why the user cannot send as this address now."""
    lacks = why_not_sender(user["status"], user["permissions"], personal=claim["kind"] == "personal")
    return lacks or why_not_sending(claim)
