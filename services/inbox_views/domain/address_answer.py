"""What is shown of an address: its state, its holder, and its health, which looks at the people behind it, too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.inbox_views.domain.address import FREE
from services.inbox_views.domain.document import Doc
from shared.core.policies import why_without_effect
from shared.language.text import SERVICE

ADVICE: Final = "ask an administrator"


@dataclass(frozen=True)
class AddressContext:
    """What an address is shown with: what it follows when it is an alias, and the people behind it.

    `owner` and `connector` are their status, None of somebody whom nobody knows; `unread`: nobody reads the inbox.
    """

    primary: Doc | None = None
    owner: str | None = None
    permissions: Sequence[str] = ()
    connector: str | None = None
    aliases: tuple[str, ...] = ()
    unread: bool = False


def claim_of(doc: Doc, around: AddressContext) -> Doc:
    """Where the state stands: on the address itself, or on its primary."""
    return around.primary if doc["primary"] is not None and around.primary is not None else doc


def to_answer(doc: Doc, around: AddressContext) -> Doc:
    """The answer's object, in the order of the wire."""
    claim = claim_of(doc, around)
    if claim["kind"] is None:
        return free(doc["address"], doc["display"])
    alias = claim is not doc
    return {
        "address": doc["address"],
        "display": doc["display"],
        "state": claim["state"],
        "kind": claim["kind"],
        "owner": claim["owner"],
        "inbox": claim["inbox"],
        "since": max(doc["since"], claim["since"]),
        "tools": [] if alias else claim["tools"],
        "aliases": list(around.aliases),
        "primary": doc["primary"],
        "from_name": claim["from_name"],
        "receiving": claim["receiving"],
        "sending": claim["sending"],
        "connector": claim["connector"],
        "connector_gone": connector_gone(claim, around.connector),
        "health": health(claim, around),
    }


def free(address: str, display: str) -> Doc:
    names = ("state", "kind", "owner", "inbox", "since", "tools")
    rest = ("from_name", "receiving", "sending", "connector")
    return (
        {"address": address, "display": display}
        | {name: FREE[name] for name in names}
        | {"aliases": [], "primary": None}
        | {name: FREE[name] for name in rest}
        | {"connector_gone": False, "health": "disconnected"}
    )


def redacted(claim: Doc) -> Doc:
    """What everybody may know of an address that somebody holds."""
    return {"kind": claim["kind"], "advice": ADVICE}


def connector_gone(claim: Doc, status: str | None) -> bool:
    """Whether the one who connected a team address is no longer an active user; of a service it is never so."""
    name = claim["connector"]
    return claim["kind"] == "team" and name is not None and not name.startswith(SERVICE) and status != "active"


def health(claim: Doc, around: AddressContext) -> str:
    """The worst that is the matter with a connection."""
    if claim["kind"] is None:
        return "disconnected"
    if claim["state"] in ("orphaned", "reauth_required"):
        return str(claim["state"])
    if not claim["receiving"] and not claim["sending"]:
        return "paused"
    if claim["state"] == "paused" or lost_a_condition(claim, around):
        return "degraded"
    return "healthy"


def lost_a_condition(claim: Doc, around: AddressContext) -> bool:
    """Whether a condition that held when it was connected was lost since (A4)."""
    if claim["kind"] == "personal":
        return why_without_effect(around.owner, around.permissions) is not None
    return around.unread or connector_gone(claim, around.connector)


def to_inbox_answer(doc: Doc, around: AddressContext) -> Doc:
    """An address as its inbox shows it."""
    claim = claim_of(doc, around)
    return {
        "address": doc["address"],
        "health": health(claim, around),
        "from_name": claim["from_name"],
        "aliases": list(around.aliases),
    }
