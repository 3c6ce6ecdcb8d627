"""The outcome of a command: data until the commit gives it its position, then the reply of the wire."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from services.connections.envelope import CommandEnvelope
from services.connections.store.rows import JournaledReply, JournalEntry
from services.connections.store.state_cache import UnreadableEvent
from services.connections.store.unit_of_work import TooLarge
from shared.core.decider import Decision
from shared.core.refusal import NextAction, Refused
from shared.language.commands import COMMANDS
from shared.language.events import Event
from shared.language.reasons import Reason
from shared.messaging.json_body import problem

LISTED_EVENTS: Final = 100

# Decided afresh each time; every other outcome is recorded once under the command's id, and answered again.
NOT_RECORDED_ONCE: Final = frozenset(
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


@dataclass(slots=True)
class Outcome:
    """`members` are those of the reply, in their order; a `position` is 0 there until the commit gives it.

    `events` come with their ids; a dry run only foresees them. `recorded_once`: the command journal answers every
    later command under the same id with this outcome.
    """

    members: dict[str, Any]
    reason: Reason | None = None
    events: Sequence[tuple[str, Event]] = ()
    recorded_once: bool = True

    @property
    def kind(self) -> str:
        """accepted, unchanged or refused; decided for a batch of dry runs."""
        kind: str = self.members["outcome"]
        return kind

    def committed_at(self, position: int) -> None:
        if "position" in self.members:
            self.members["position"] = position

    def reply(self) -> bytes:
        return orjson.dumps(self.members)


def accepted(envelope: CommandEnvelope, decision: Decision, events: Sequence[tuple[str, Event]]) -> Outcome:
    listed = events[:LISTED_EVENTS]
    if envelope.dry_run:
        members: dict[str, Any] = {
            "outcome": "accepted",
            "command_id": envelope.command_id,
            "dry_run": True,
            "events": [{"type": type(event).__name__} for _, event in listed],
        }
    else:
        members = {
            "outcome": "accepted",
            "command_id": envelope.command_id,
            "position": 0,
            "events": [{"id": event_id, "type": type(event).__name__} for event_id, event in listed],
        }
    members["event_count"] = len(events)
    members["warnings"] = decision.warnings
    members["next_steps"] = decision.next_steps
    return Outcome(members, None, events)


def unchanged(envelope: CommandEnvelope, warnings: Sequence[Mapping[str, Any]]) -> Outcome:
    members: dict[str, Any] = {"outcome": "unchanged", "command_id": envelope.command_id}
    members |= {"dry_run": True} if envelope.dry_run else {"position": 0}
    if warnings:
        members["warnings"] = warnings
    return Outcome(members)


def refused(envelope: CommandEnvelope, refusal: Refused) -> Outcome:
    members = refusal_members(envelope.command_id, refusal, dry_run=envelope.dry_run)
    return Outcome(members, refusal.reason, recorded_once=recorded_once(refusal))


def recorded_once(refusal: Refused) -> bool:
    return refusal.reason not in NOT_RECORDED_ONCE


def refusal_members(command_id: str | None, refusal: Refused, *, dry_run: bool) -> dict[str, Any]:
    members: dict[str, Any] = {
        "outcome": "refused",
        "command_id": command_id,
        "reason": refusal.reason,
        "message": refusal.message,
        "details": refusal.details,
        "next_actions": [{"command": a.command, "by": a.by, "why": a.why} for a in refusal.next_actions],
    }
    if dry_run:
        members["dry_run"] = True
    return members


def of_batch(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcomes of a batch of dry runs, in its order."""
    return Outcome({"outcome": "decided", "outcomes": [one.members for one in outcomes]}, recorded_once=False)


def from_journal(row: JournaledReply) -> Outcome:
    """The outcome that was recorded under the same id before."""
    outcome = Outcome(orjson.loads(row.reply))
    reason = outcome.members.get("reason")
    outcome.reason = None if reason is None else Reason(reason)
    if row.position is not None:
        outcome.committed_at(row.position)
    return outcome


def under_used_id(envelope: CommandEnvelope) -> Outcome:
    """Another body under an id that has its answer; what is wrong with the body itself comes first."""
    found = refused(envelope, envelope.refusal or reused())
    found.recorded_once = False
    return found


def entry_of(envelope: CommandEnvelope, decided: Outcome, ordinal: int) -> JournalEntry:
    kind = decided.kind
    return JournalEntry(
        entry=envelope.entry,
        account=envelope.account,
        command_id=envelope.command_id,
        recorded_once=decided.recorded_once,
        command=envelope.name,
        actor=envelope.actor,
        outcome=kind,
        reason=decided.reason,
        ordinal=None if kind == "refused" else ordinal,
        digest=envelope.digest if decided.recorded_once else None,
        body=envelope.body if decided.recorded_once else None,
        reply=decided.reply(),
        time=envelope.time,
    )


def largest_field(body: bytes | None) -> str:
    fields = orjson.loads(body) if body else {}
    return max(fields, key=lambda name: len(orjson.dumps(fields[name])), default="")


# ---- refusals that no decision makes


def invalid(errors: Sequence[Mapping[str, str]]) -> Refused:
    fields = ", ".join(dict.fromkeys(error["field"] for error in errors if error["field"]))
    return Refused(
        Reason.COMMAND_INVALID,
        f"The command cannot be read: see details.errors{f' for {fields}' if fields else ''}."[:500],
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
    excess = f"{what} takes {found.size:,} bytes, and a message of NATS at most {found.max_payload:,} (max_payload)"
    return Refused(
        Reason.COMMAND_INVALID,
        f"Nothing was done: {excess}. Ask for less at once, or have max_payload raised.",
        {
            "errors": [problem(field, excess)],
            "what": found.what,
            "bytes": found.size,
            "max_payload": found.max_payload,
        },
    )


def batch_too_large(size: int, max_payload: int) -> Refused:
    excess = f"the outcomes take {size:,} bytes, and a message of NATS at most {max_payload:,} (max_payload)"
    return Refused(
        Reason.COMMAND_INVALID,
        f"Not decided: {excess}. Send fewer commands at once.",
        {"errors": [problem("commands", excess)], "what": "reply", "bytes": size, "max_payload": max_payload},
    )


def not_understood(event: UnreadableEvent) -> Refused:
    return Refused(
        Reason.STREAM_NOT_UNDERSTOOD,
        f"The {event.aggregate} of this command has an event that this release cannot read:"
        f" {event.stored_name} at position {event.position}. Run the newer release, then ask again"
        " with the same command_id.",
        {"aggregate": event.aggregate, "position": event.position, "stored_name": event.stored_name},
    )


def failed() -> Refused:
    """Of a command at which this code failed."""
    message = (
        "Not decided, because of a fault in Switchboard itself; its log has the place."
        " Once that is mended, ask again with the same command_id."
    )
    return Refused(Reason.INTERNAL_ERROR, message)


def busy(retry_after_ms: int) -> Refused:
    message = "Not decided; ask again with the same command_id."
    return Refused(Reason.BUSY, message, {"retry_after_ms": retry_after_ms})


# ---- replies to commands that were not read


def failed_reply(command_id: str | None, *, dry_run: bool) -> bytes:
    return orjson.dumps(refusal_members(command_id, failed(), dry_run=dry_run))


def busy_reply(command_id: str | None, retry_after_ms: int, *, dry_run: bool) -> bytes:
    """Written into a form, since it must cost much less than to decide; `command_id` is a UUID or None."""
    written = b'"%b"' % command_id.encode() if command_id else b"null"
    return _BUSY[dry_run] % (written, retry_after_ms)


def _busy_form(*, dry_run: bool) -> bytes:
    form = orjson.dumps(refusal_members("ID", busy(0), dry_run=dry_run))
    return form.replace(b'"ID"', b"%b").replace(b'"retry_after_ms":0', b'"retry_after_ms":%d')


_BUSY: Final = (_busy_form(dry_run=False), _busy_form(dry_run=True))
