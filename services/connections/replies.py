"""The replies of the wire, one function each; `"position":0` is a place that the ledger fills when it is known."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from services.connections.store.not_understood import NotUnderstood
from services.connections.store.oversized import TooLarge
from services.connections.store.pending import Verdict
from shared.core.decider import Decision
from shared.core.refusal import NextAction, Refused
from shared.language.commands import COMMANDS
from shared.language.events import Event
from shared.language.reasons import Reason
from shared.messaging.reading import problem

LISTED_EVENTS: Final = 100

# Answered afresh each time; every other outcome stands for ever under the command's id.
NOT_KEPT: Final = frozenset(
    (
        Reason.COMMAND_INVALID,
        Reason.COMMAND_UNKNOWN,
        Reason.ACCOUNT_NOT_FOUND,
        Reason.COMMAND_ID_REUSED,
        # Not decided: the newer release will decide it, under the same id.
        Reason.STREAM_NOT_UNDERSTOOD,
        Reason.BUSY,
        # Not decided either: a release without the fault will, under the same id.
        Reason.INTERNAL_ERROR,
    )
)


def accepted(command_id: str, decision: Decision, events: Sequence[tuple[str, Event]], *, dry_run: bool) -> Verdict:
    listed = events[:LISTED_EVENTS]
    if dry_run:
        head: dict[str, Any] = {"outcome": "accepted", "command_id": command_id, "dry_run": True}
        told: list[dict[str, str]] = [{"type": type(event).__name__} for _, event in listed]
    else:
        head = {"outcome": "accepted", "command_id": command_id, "position": 0}
        told = [{"id": event_id, "type": type(event).__name__} for event_id, event in listed]
    tail = {
        "events": told,
        "event_count": len(events),
        "warnings": decision.warnings,
        "next_steps": decision.next_steps,
    }
    return Verdict("accepted", orjson.dumps(head | tail), None, () if dry_run else events, foreseen=events)


def unchanged(command_id: str, warnings: Sequence[Mapping[str, Any]], *, dry_run: bool) -> Verdict:
    where: dict[str, Any] = {"dry_run": True} if dry_run else {"position": 0}
    warned = {"warnings": warnings} if warnings else {}
    return Verdict("unchanged", orjson.dumps({"outcome": "unchanged", "command_id": command_id} | where | warned))


def refused(command_id: str | None, refusal: Refused, *, dry_run: bool = False) -> Verdict:
    reply: dict[str, Any] = {
        "outcome": "refused",
        "command_id": command_id,
        "reason": refusal.reason,
        "message": refusal.message,
        "details": refusal.details,
        "next_actions": [{"command": a.command, "by": a.by, "why": a.why} for a in refusal.next_actions],
    }
    if dry_run:
        reply["dry_run"] = True
    return Verdict("refused", orjson.dumps(reply), refusal.reason, kept=refusal.reason not in NOT_KEPT)


def invalid(errors: Sequence[Mapping[str, str]]) -> Refused:
    fields = ", ".join(dict.fromkeys(error["field"] for error in errors if error["field"]))
    return Refused(
        Reason.COMMAND_INVALID,
        f"The command cannot be read as it stands: see details.errors{f' for {fields}' if fields else ''}."[:500],
        {"errors": errors},
    )


def unknown(name: str) -> Refused:
    return Refused(
        Reason.COMMAND_UNKNOWN,
        f"There is no command {name}.",
        {"known": sorted(COMMANDS)},
    )


def address_invalid(command: str, problems: Iterable[tuple[str, str, int | None]]) -> Refused:
    """`problems` are (field, what is wrong, index of the character at fault or None)."""
    found = [{"field": field, "what": what, "at": at} for field, what, at in problems]
    first = found[0]
    return Refused(
        Reason.ADDRESS_INVALID,
        f"{first['field']} is not an e-mail address that can be connected: {first['what']}.",
        {**first, "errors": found},
        [NextAction(command, ("anyone entitled",), "Ask again with a corrected address.")],
    )


def reused() -> Refused:
    return Refused(
        Reason.COMMAND_ID_REUSED,
        "This command_id was used before for another command; give each command an id of its own.",
    )


def too_large(found: TooLarge, field: str) -> Refused:
    """`field` is the largest of the command."""
    what = "its reply" if found.what == "reply" else f"its event {found.what}"
    told = f"{what} takes {found.size:,} bytes, and a message of NATS at most {found.max_payload:,} (max_payload)"
    return Refused(
        Reason.COMMAND_INVALID,
        f"Nothing was done: {told}. Ask for less at once, or have max_payload raised.",
        {
            "errors": [problem(field, told)],
            "what": found.what,
            "bytes": found.size,
            "max_payload": found.max_payload,
        },
    )


def not_understood(event: NotUnderstood) -> Refused:
    return Refused(
        Reason.STREAM_NOT_UNDERSTOOD,
        f"On the {event.aggregate} that this concerns stands an event that this release cannot read:"
        f" {event.stored_name} at position {event.position}. Run the newer release, then ask again"
        " with the same command_id.",
        {"aggregate": event.aggregate, "position": event.position, "stored_name": event.stored_name},
    )


def failed(command_id: str | None, *, dry_run: bool) -> Verdict:
    """The reply to a command at which this code failed."""
    message = (
        "Not decided, because of a fault in Switchboard itself; its log has the place."
        " Once that is mended, ask again with the same command_id."
    )
    return refused(command_id, Refused(Reason.INTERNAL_ERROR, message), dry_run=dry_run)


def busy(command_id: str | None, retry_after_ms: int, *, dry_run: bool) -> Verdict:
    """Written into a form, since it must cost much less than to decide; `command_id` is a UUID or None."""
    told = b'"%b"' % command_id.encode() if command_id else b"null"
    return Verdict("refused", _BUSY[dry_run] % (told, retry_after_ms), Reason.BUSY, kept=False)


def _busy_form(*, dry_run: bool) -> bytes:
    message = "Not decided; ask again with the same command_id."
    form = refused("ID", Refused(Reason.BUSY, message, {"retry_after_ms": 0}), dry_run=dry_run).reply
    return form.replace(b'"ID"', b"%b").replace(b'"retry_after_ms":0', b'"retry_after_ms":%d')


_BUSY: Final = (_busy_form(dry_run=False), _busy_form(dry_run=True))
