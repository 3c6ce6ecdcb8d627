"""Decide commands in groups, commit each group at once, and answer a repeated command from the command journal.

Every command is answered by what is flushed: its own commit, or the outcome that the command journal has for its id.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from services.connections import outcome
from services.connections.commands import TABLE
from services.connections.context import DecisionContext
from services.connections.domain import actor as actors
from services.connections.domain.address.state import AddressTakenError
from services.connections.envelope import CommandEnvelope
from services.connections.outcome import Outcome
from services.connections.store.event_store import EventStore
from services.connections.store.recorder import CommitOutcomeUnknown, Committed, StoreUnavailable
from services.connections.store.rows import ConcurrentChanges, JournaledReply
from services.connections.store.state_cache import UnreadableStreamError
from services.connections.store.unit_of_work import TooLarge, UnitOfWork, largest_of
from services.connections.table import Row
from shared.core.decider import Decision, Reads
from shared.core.refusal import Refused
from shared.language import commands as c
from shared.language.reasons import Reason
from shared.language.text import SERVICE
from shared.messaging.message_size import HEADERS_MARGIN
from shared.process import unexpected_errors
from shared.process.clock import new_id

Outcomes = list[tuple[CommandEnvelope, Outcome]]


def outcome_of(envelope: CommandEnvelope, reads: Reads) -> Outcome:
    """Decide the command of an envelope; the outcome holds if everything that was read is unchanged at the commit."""
    if envelope.refusal is not None:
        return outcome.refused(envelope, envelope.refusal)
    command = envelope.command
    assert command is not None, "else there is a refusal"
    try:
        context = DecisionContext(reads, envelope.account, command.actor, envelope.addresses, envelope.lists)
        decision = decide(command, context)
    except Refused as refusal:
        return outcome.refused(envelope, refusal)
    except UnreadableStreamError as error:
        return outcome.refused(envelope, outcome.not_understood(error.event))
    if not decision.events:
        return outcome.unchanged(envelope, decision.warnings)
    return outcome.accepted(envelope, decision, [(new_id(), event) for event in decision.events])


def decide(command: c.Command, context: DecisionContext) -> Decision:
    """The one decision, for real and for a dry run alike.

    Raises:
        Refused: with as much as the actor may know.
    """
    row = TABLE[type(command)]
    if not isinstance(command, c.RegisterAccount):
        context.account()
    if not command.actor.startswith(SERVICE):
        require_permission(row, command, context)
    for require in row.requires:
        require(context, command)
    try:
        result = row.decide(command, *[read(context, command) for read in row.reads])
    except AddressTakenError as error:
        raise context.explain(error, type(command).__name__) from None
    decision = result if isinstance(result, Decision) else Decision(result)
    if row.warn is None or not decision.events:
        return decision
    warnings = row.warn(context, command, decision.events)
    return replace(decision, warnings=[*decision.warnings, *warnings]) if warnings else decision


def require_permission(row: Row, command: c.Command, context: DecisionContext) -> None:
    """Raises the refusals PERMISSION_MISSING and OWNER_MUST_BE_ACTOR; a service passes every check."""
    if row.permission.roles == ("service",):
        actors.refuse("service", command.actor)
    actors.require(row.permission, context.actor(), command, context.state, context.holder)


class Decider:
    """The decisions of one process, used by one thread at a time.

    Args:
        store: where they are committed.
        max_payload: how many bytes one message carries now; what would be larger is refused before it is written.
    """

    def __init__(self, store: EventStore, max_payload: Callable[[], int] = lambda: 2**62) -> None:
        self.store = store
        self._max_payload = max_payload

    def settle(self, group: Sequence[CommandEnvelope]) -> Outcomes:
        """Decides every command of the group and commits them in one transaction, until what was read still holds.

        Raises:
            StoreUnavailable: nothing was written for this group.
            CommitOutcomeUnknown: it may have been written; settle the same group again.
        """
        decided = {one.entry: self._rehearse(one) for one in group if one.batch}
        if rest := [one for one in group if not one.batch]:
            decided |= {one.entry: found for one, found in self._settle(_Batch(rest))}
        return [(one, decided[one.entry]) for one in group]

    def _rehearse(self, envelope: CommandEnvelope) -> Outcome:
        """Decides a batch of dry runs in one unit of work, of which nothing is written."""
        decided = outcome.of_batch([one for _, one in self._settle(_Batch(envelope.batch, rehearsal=True))])
        size, limit = len(decided.reply()), self._max_payload()
        if size + HEADERS_MARGIN > limit:
            return outcome.refused(envelope, outcome.batch_too_large(size, limit))
        return decided

    def _settle(self, batch: "_Batch") -> Outcomes:
        reread = False
        while True:
            attempt = _Attempt(UnitOfWork(self.store), batch)
            try:
                attempt.decide()
            except Exception as error:
                # States that were cached at different moments may contradict each other, which no decision expects.
                if reread or isinstance(error, StoreUnavailable):
                    raise
                reread = True
                attempt.unit.forget()
                continue
            if self._committed(batch, attempt):
                return batch.outcomes(attempt)

    def settle_failed(self, envelope: CommandEnvelope) -> Outcome:
        """Answers a command at which `settle` fails: as the journal did before, else as failed, which is recorded.

        Raises:
            StoreUnavailable, CommitOutcomeUnknown: the store does not answer.
        """
        if not envelope.dry_run and envelope.command_id is not None:
            for row in self.store.journaled([(envelope.account, envelope.command_id)]):
                if row.digest == envelope.digest:
                    return outcome.from_journal(row)
        failed = outcome.refused(envelope, outcome.failed())
        if not envelope.dry_run:
            try:
                self.store.journal(outcome.entry_of(envelope, failed, 0))
            except (StoreUnavailable, CommitOutcomeUnknown):
                raise
            except Exception as error:  # noqa: BLE001  the command holds what cannot be stored; it is answered all the same
                unexpected_errors.record(error, "deciding", command=envelope.name)
        return failed

    def _committed(self, batch: "_Batch", attempt: "_Attempt") -> bool:
        """Whether the attempt holds; else the batch and the cache know more for the next one."""
        if self._asks_journal(batch, attempt) or self._refuses_too_large(batch, attempt):
            return False
        if batch.rehearsal:
            return attempt.unit.is_current()
        match attempt.unit.commit():
            case Committed(log_end=log_end):
                attempt.committed_behind(log_end)
                return True
            case ConcurrentChanges():
                return False
            case journaled:
                batch.answer(journaled)
                return False

    def _asks_journal(self, batch: "_Batch", attempt: "_Attempt") -> bool:
        """Of what is not recorded once the commit does not ask the journal: a newer release may have answered it."""
        unread = [] if batch.asked_journal else [one for one in batch.undecided if attempt.finds_unreadable(one)]
        if not unread:
            return False
        batch.asked_journal = True
        batch.answer(self._journaled(unread))
        return True

    def _refuses_too_large(self, batch: "_Batch", attempt: "_Attempt") -> bool:
        """Refuses what no message carries, unless the journal has its answer from when larger messages were carried."""
        limit = self._max_payload()
        too_large = attempt.too_large(limit)
        if not too_large:
            return False
        if attempt.unit.is_current():
            batch.answer(self._journaled([envelope for envelope, _ in too_large if not envelope.dry_run]))
            batch.refuse_too_large(too_large)
        return True

    def _journaled(self, envelopes: Sequence[CommandEnvelope]) -> list[JournaledReply]:
        return self.store.journaled([(one.account, one.command_id or "") for one in envelopes])


class _Batch:
    """A group: the commands to be decided, outcomes from the journal, and outcomes that need no decision.

    All commands of a rehearsal are dry runs, and each sees the events that those before it would make.
    """

    def __init__(self, group: Sequence[CommandEnvelope], *, rehearsal: bool = False) -> None:
        self._group = group
        self.rehearsal = rehearsal
        self._journaled: dict[str, Outcome] = {}
        self.undecided = list(group)
        self.certain: dict[str, Outcome] = {}
        self.asked_journal = False

    def outcomes(self, attempt: "_Attempt") -> Outcomes:
        """In the order of the group."""
        known = self._journaled
        return [(one, known.get(one.entry) or attempt.outcome_of(one)) for one in self._group]

    def answer(self, rows: Sequence[JournaledReply]) -> None:
        """Takes out the commands that the journal has answered; the same id with another body is refused instead."""
        by_id = {(row.account, str(row.command_id)): row for row in rows}
        rest = []
        for one in self.undecided:
            row = by_id.get((one.account, one.command_id or "")) if self._is_recorded_once(one) else None
            if row is not None and row.digest == one.digest:
                self._journaled[one.entry] = outcome.from_journal(row)
                continue
            if row is not None:
                self.certain[one.entry] = outcome.under_used_id(one)
            rest.append(one)
        self.undecided = rest

    def _is_recorded_once(self, one: CommandEnvelope) -> bool:
        if one.dry_run:
            return False
        certain = self.certain.get(one.entry)
        if certain is not None:
            return certain.recorded_once
        return one.refusal is None or outcome.recorded_once(one.refusal)

    def refuse_too_large(self, found: Sequence[tuple[CommandEnvelope, TooLarge]]) -> None:
        for one, too_large in found:
            if one.entry not in self._journaled and one.entry not in self.certain:
                refusal = outcome.too_large(too_large, outcome.largest_field(one.body))
                self.certain[one.entry] = outcome.refused(one, refusal)


class _Attempt:
    """One attempt at the undecided commands of a batch, in one unit of work."""

    def __init__(self, unit: UnitOfWork, batch: _Batch) -> None:
        self.unit = unit
        self._batch = batch
        # With the number of events up to the last one of the command.
        self._outcomes: dict[str, tuple[Outcome, int]] = {}
        # The entry of a command, and that of the first in the batch with the same id and body.
        self._duplicates: dict[str, str] = {}

    def decide(self) -> None:
        unit, certain = self.unit, self._batch.certain
        unit.prefetch(self._batch.undecided)
        first_by_id: dict[tuple[str, str | None], CommandEnvelope] = {}
        for one in self._batch.undecided:
            decided = certain.get(one.entry) or outcome_of(one, unit)
            if not one.dry_run:
                if decided.recorded_once:
                    first = first_by_id.setdefault((one.account, one.command_id), one)
                    if first is not one:
                        if first.digest == one.digest:
                            self._duplicates[one.entry] = first.entry
                            continue
                        decided = outcome.under_used_id(one)
                unit.record(one, decided.events)
                unit.journal.append(outcome.entry_of(one, decided, len(unit.events)))
            elif self._batch.rehearsal:
                unit.record(one, decided.events)
            self._outcomes[one.entry] = decided, len(unit.events)

    def finds_unreadable(self, one: CommandEnvelope) -> bool:
        decided = self._outcomes.get(one.entry)
        return decided is not None and decided[0].reason is Reason.STREAM_NOT_UNDERSTOOD and not one.dry_run

    def too_large(self, limit: int) -> list[tuple[CommandEnvelope, TooLarge]]:
        """The accepted commands with an event, or a reply, that no message carries."""
        room, stored = limit - HEADERS_MARGIN, self.unit.events
        large_events = max([len(event.state) for event in stored], default=0) > room
        large_replies = max([len(entry.reply) for entry in self.unit.journal], default=0) > room
        found = []
        for one in self._batch.undecided:
            if not (large_events or large_replies or one.dry_run):
                continue
            decided, end = self._outcomes.get(one.entry, (None, 0))
            if decided is None or not decided.events:
                continue
            events = self.unit.foresee(one, decided.events) if one.dry_run else stored[end - len(decided.events) : end]
            reply = decided.reply()
            if max(len(reply), *(len(event.state) for event in events)) <= room:
                continue
            if too_large := largest_of(events, reply, limit):
                found.append((one, too_large))
        return found

    def committed_behind(self, log_end: int) -> None:
        for decided, ordinal in self._outcomes.values():
            decided.committed_at(log_end + ordinal)

    def outcome_of(self, one: CommandEnvelope) -> Outcome:
        return self._outcomes[self._duplicates.get(one.entry, one.entry)][0]
