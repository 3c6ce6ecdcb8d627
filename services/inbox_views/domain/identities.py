"""What a user may send as: their own addresses, those of their inboxes, and the aliases of both; one is the default."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from services.inbox_views.domain.address import why_not_sending
from services.inbox_views.domain.document import Doc
from shared.core.policies import why_without_effect


class Sender(NamedTuple):
    """An address that a user may send as; of an alias, `claim` is its primary's."""

    address: str
    via: str
    claim: Doc


def by_claim(own: Iterable[Doc]) -> list[Doc]:
    """Personal addresses in the order of their claims."""
    return sorted(own, key=lambda doc: (doc["since"], doc["address"]))


def senders(own: Iterable[Doc], team: Iterable[Doc], aliases: Iterable[Doc]) -> Iterator[Sender]:
    """All of one user's, best first: personal by time of claim, inbox addresses by name, aliases in the same order.

    `own` are the user's personal addresses, `team` those of the user's inboxes by name, `aliases` of all these by name.
    """
    names: dict[str, list[str]] = {}
    for alias in aliases:
        names.setdefault(alias["primary"], []).append(alias["address"])
    primaries = [
        *(Sender(doc["address"], "personal", doc) for doc in by_claim(own)),
        *(Sender(doc["address"], "inbox", doc) for doc in team),
    ]
    yield from primaries
    for one in primaries:
        for name in names.get(one.address, ()):
            yield Sender(name, "alias", one.claim)


def to_answer(user: Doc, sender: Sender, inbox: Doc | None, default: str | None) -> dict[str, Any]:
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
    """What keeps the user from sending as this address now."""
    if user["status"] != "active":
        return "OWNER_NOT_ACTIVE"
    if claim["kind"] == "personal" and (lost := why_without_effect(user["status"], user["permissions"])):
        return lost
    return why_not_sending(claim)
