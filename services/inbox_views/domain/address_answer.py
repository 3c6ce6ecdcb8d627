"""An address in an answer: its state, its holder, and its health, which depends on the people behind it, too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.core.policies import why_without_effect
from shared.core.state import address as addresses
from shared.core.state.rows import AddressRow
from shared.language.text import SERVICE

ADVICE: Final = "ask an administrator"


@dataclass(frozen=True)
class AddressContext:
    """Other rows that an answer about an address needs: the primary of an alias, and the people behind it.

    `owner` and `connector` are their status, None for an unknown user; `unread`: no active user reads the inbox.
    """

    primary: AddressRow | None = None
    owner: str | None = None
    permissions: Sequence[str] = ()
    connector: str | None = None
    aliases: tuple[str, ...] = ()
    unread: bool = False


def claim_of(row: AddressRow, context: AddressContext) -> AddressRow:
    """Return the row with the claim: the address's own, or its primary's."""
    return context.primary if row["primary"] is not None and context.primary is not None else row


def to_answer(row: AddressRow, context: AddressContext) -> dict[str, Any]:
    """Return the answer's object, in the order of the wire."""
    claim = claim_of(row, context)
    if claim["kind"] is None:
        return free(row["address"], row["display"])
    return _entry(row, claim, context)


def free(address: str, display: str) -> dict[str, Any]:
    row = addresses.free(address, display)
    return _entry(row, row, AddressContext())


def _entry(row: AddressRow, claim: AddressRow, context: AddressContext) -> dict[str, Any]:
    alias = claim is not row
    return {
        "address": row["address"],
        "display": row["display"],
        "state": claim["state"],
        "kind": claim["kind"],
        "owner": claim["owner"],
        "inbox": claim["inbox"],
        "since": max(row["since"] or "", claim["since"] or "") or None,
        "tools": [] if alias else claim["tools"],
        "aliases": list(context.aliases),
        "primary": row["primary"],
        "from_name": claim["from_name"],
        "receiving": claim["receiving"],
        "sending": claim["sending"],
        "connector": claim["connector"],
        "connector_gone": connector_gone(claim, context.connector),
        "health": health(claim, context),
    }


def redacted(claim: AddressRow) -> dict[str, Any]:
    """Return everything that any user may know about a held address."""
    return {"kind": claim["kind"], "advice": ADVICE}


def connector_gone(claim: AddressRow, status: str | None) -> bool:
    """Return whether the connector of a team address is no longer an active user; a service never is gone."""
    name = claim["connector"]
    return claim["kind"] == "team" and name is not None and not name.startswith(SERVICE) and status != "active"


def health(claim: AddressRow, context: AddressContext) -> str:
    """Return the worst fault of a connection, or `healthy`."""
    if claim["kind"] is None:
        return "disconnected"
    if claim["state"] in ("orphaned", "reauth_required"):
        return claim["state"]
    if not claim["receiving"] and not claim["sending"]:
        return "paused"
    if claim["state"] == "paused" or lost_a_condition(claim, context):
        return "degraded"
    return "healthy"


def lost_a_condition(claim: AddressRow, context: AddressContext) -> bool:
    """Return whether a condition that held when it was connected was lost since (A4)."""
    if claim["kind"] == "personal":
        return why_without_effect(context.owner, context.permissions) is not None
    return context.unread or connector_gone(claim, context.connector)


def to_inbox_answer(row: AddressRow, context: AddressContext) -> dict[str, Any]:
    """Return an address as its inbox shows it."""
    claim = claim_of(row, context)
    return {
        "address": row["address"],
        "health": health(claim, context),
        "from_name": claim["from_name"],
        "aliases": list(context.aliases),
    }
