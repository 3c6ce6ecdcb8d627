"""The identities of a user as answers show them: their own addresses, those of their inboxes, the aliases of both."""

from collections.abc import Iterable, Iterator
from typing import Any

from services.inbox_views.domain.address import why_not_sending
from services.inbox_views.domain.document import Doc
from shared.core.sending import Identity, best_first, why_not_sender


def senders(own: Iterable[Doc], team: Iterable[Doc], aliases: Iterable[Doc]) -> Iterator[Identity[Doc]]:
    """All of one user's, best first.

    `own` are the user's personal addresses, `team` those of the user's inboxes, `aliases` of all these by name.
    """
    return best_first(
        ((doc["since"], doc["address"], doc) for doc in own),
        ((doc["address"], doc) for doc in team),
        ((doc["primary"], doc["address"]) for doc in aliases),
    )


def to_answer(user: Doc, sender: Identity[Doc], inbox: Doc | None, default: str | None) -> dict[str, Any]:
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


def why_not_usable(user: Doc, claim: Doc) -> str | None:
    """The reason why the user cannot send as this address now."""
    lacks = why_not_sender(user["status"], user["permissions"], personal=claim["kind"] == "personal")
    return lacks or why_not_sending(claim)
