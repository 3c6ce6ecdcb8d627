"""What a user may send as: his own addresses, their aliases, the addresses of his inboxes; one of them by default."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.inbox_views.domain.document import Doc


def identities(
    user: Doc, own: Iterable[Doc], inboxes: Mapping[str, Doc], team: Iterable[Doc], aliases: Iterable[Doc]
) -> list[dict[str, Any]]:
    """All of them, best first: personal by time of claim, aliases, inbox addresses by name.

    `own` are his personal addresses, `inboxes` those he is in by id, `team` their addresses, `aliases` of all these.
    """
    mine = [identity(user, doc, "personal", None) for doc in sorted(own, key=lambda d: (d["since"], d["address"]))]
    ours = [identity(user, doc, "inbox", inboxes[doc["inbox"]]) for doc in sorted(team, key=lambda d: d["address"])]
    names: dict[str, list[str]] = {}
    for alias in sorted(aliases, key=lambda d: d["address"]):
        names.setdefault(alias["primary"], []).append(alias["address"])
    others = [
        primary | {"address": name, "via": "alias"}
        for primary in (*mine, *ours)
        for name in names.get(primary["address"], ())
    ]
    return with_default([*mine, *others, *ours], user["default_sender"])


def identity(user: Doc, claim: Doc, via: str, inbox: Doc | None) -> dict[str, Any]:
    why_not = why_not_usable(user, claim)
    return {
        "address": claim["address"],
        "from_name": claim["from_name"] or (user["name"] if inbox is None else inbox["name"]),
        "signature": user["signature"],
        "via": via,
        "inbox": claim["inbox"],
        "default": False,
        "usable": why_not is None,
        "why_not": why_not,
    }


def why_not_usable(user: Doc, claim: Doc) -> str | None:
    """What keeps the user from sending as this address now."""
    if user["status"] != "active":
        return "OWNER_NOT_ACTIVE"
    if claim["kind"] == "personal" and "personal_email_access" not in user["permissions"]:
        return "PERMISSION_MISSING"
    if claim["orphaned"]:
        return "ADDRESS_ORPHANED"
    if claim["reauthenticate"]:
        return "REAUTH_REQUIRED"
    return None if claim["sending"] else "CONNECTION_PAUSED"


def with_default(found: Sequence[dict[str, Any]], chosen: str | None) -> list[dict[str, Any]]:
    """The chosen one while it is usable, else the first usable one (D2)."""
    usable = [one["address"] for one in found if one["usable"]]
    default = chosen if chosen in usable else next(iter(usable), None)
    return [one | {"default": one["address"] == default} for one in found]


def default_of(found: Iterable[Mapping[str, Any]]) -> str | None:
    return next((one["address"] for one in found if one["default"]), None)
