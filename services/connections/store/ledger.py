"""Decides commands in groups against aggregates rebuilt from the log, and answers only what is flushed.

The ledger is an application of the eventsourcing library with a mapper and a recorder of its own.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, cast
from uuid import UUID

import orjson
import psycopg
import structlog
from eventsourcing.application import Application
from eventsourcing.persistence import (
    ApplicationRecorder,
    InfrastructureFactory,
    PersistenceError,
    StoredEvent,
    Transcoder,
)
from eventsourcing.postgres import PostgresFactory
from eventsourcing.utils import Environment
from psycopg.rows import dict_row

from services.connections.store.not_understood import StreamsNotUnderstood
from services.connections.store.oversized import TooLarge, largest_of
from services.connections.store.pending import Answer, Pending, Verdict
from services.connections.store.recorded_mapper import RecordedMapper
from services.connections.store.recorder import (
    Answered,
    Committed,
    Group,
    GroupRecorder,
    JournalEntry,
    Newer,
    NotSent,
    Read,
)
from services.connections.store.set_rules import Bringing, SetRules
from services.connections.store.state_cache import Known, set_of, stream_of
from services.connections.store.unit_of_work import Decides, Session, recorded
from shared.core.decider import Page
from shared.language.events import Aggregate
from shared.language.reasons import Reason
from shared.messaging.message_size import SPARE
from shared.process import unexpected_errors
from shared.process.postgres import Direct, reason_of

POSITION: Final = b'"position":0'


def unsafe_switch() -> str | None:
    """Why nothing may be written: the library's path without a lock is switched on in the environment."""
    if os.environ.get("POSTGRES_ENABLE_DB_FUNCTIONS", "").lower() in ("y", "yes", "t", "true", "on", "1"):
        return "POSTGRES_ENABLE_DB_FUNCTIONS is set: that path takes no lock and readers lose events; unset it"
    return None


class Ledger(Application[UUID]):
    """The event store's one writer in this process.

    Args:
        url: PostgreSQL, as a libpq URL; the schema is made when it is not there.
        pages: how each kind of aggregate is rebuilt.
        domain: how commands are decided.
        set_rules: by which sets that former rules wrote are brought over before anything is decided.
        not_understood: is told of streams that hold an event which this release cannot read.
        max_payload: how many bytes one message carries now; what would be larger is refused before it is written.

    Raises:
        ValueError: the library's unsafe path (POSTGRES_ENABLE_DB_FUNCTIONS) is switched on.
        eventsourcing.persistence.PersistenceError: PostgreSQL does not answer.
    """

    name = "connections"
    env: ClassVar[dict[str, str]] = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        # Placeholders: the whole of the URL, sslmode and the like too, is given to the pool in construct_factory.
        "POSTGRES_DBNAME": "-",
        "POSTGRES_HOST": "-",
        "POSTGRES_USER": "-",
        "POSTGRES_PASSWORD": "-",
        "POSTGRES_SCHEMA": "connections",
        "POSTGRES_POOL_SIZE": "0",
        "POSTGRES_MAX_OVERFLOW": "2",
        "POSTGRES_CONNECT_TIMEOUT": "5",
    }

    def __init__(
        self,
        url: str,
        pages: Mapping[Aggregate, Page],
        domain: Decides,
        not_understood: StreamsNotUnderstood | None = None,
        set_rules: SetRules | None = None,
        max_payload: Callable[[], int] = lambda: 2**62,
    ) -> None:
        if trouble := unsafe_switch():
            raise ValueError(trouble)
        self._url = url
        self.domain = domain
        self._max_payload = max_payload
        self._require_answer()
        super().__init__()
        if set_rules is not None:
            self._bring_over(set_rules, pages)
        self.known = Known(pages, self._recorder.since, self._mapper, not_understood or StreamsNotUnderstood())

    def _require_answer(self) -> None:
        """The library's pool would say after five seconds that there is no connection, and not why."""
        try:
            Direct.connect(self._url).close()
        except psycopg.Error as error:
            raise PersistenceError(reason_of(error)) from error

    def _bring_over(self, rules: SetRules, pages: Mapping[Aggregate, Page]) -> None:
        try:
            with Direct.connect(self._url, autocommit=True) as connection:
                Bringing(connection, self._mapper, pages, set_of).bring_over(rules)
        except psycopg.Error as error:
            self.close()
            raise PersistenceError(reason_of(error)) from error

    # ---- seams of the library

    def construct_factory(self, env: Environment) -> InfrastructureFactory[Any]:
        factory = super().construct_factory(env)
        datastore = cast(PostgresFactory, factory).datastore
        datastore.pool.connection_class = Direct
        datastore.pool.conninfo = self._url
        datastore.pool.kwargs = {"row_factory": dict_row}
        return factory

    def construct_mapper(self) -> RecordedMapper:
        factory = cast(PostgresFactory, self.factory)
        return cast(RecordedMapper, factory.mapper(self.construct_transcoder(), RecordedMapper))

    def construct_transcoder(self) -> Transcoder:
        return self.factory.transcoder()

    def construct_recorder(self) -> ApplicationRecorder:
        datastore = cast(PostgresFactory, self.factory).datastore
        recorder = GroupRecorder(datastore, events_table_name="events")
        recorder.url = self._url
        recorder.create_table()
        return recorder

    def close(self) -> None:
        if hasattr(self, "recorder"):
            cast(GroupRecorder, self.recorder).close()
        super().close()

    def probe(self) -> None:
        """Returns when the store answers.

        Raises:
            NotSent: it does not.
        """
        self._recorder.since(Read({}, {}))

    # ---- deciding

    def settle(self, group: Sequence[Pending]) -> list[tuple[Pending, Answer]]:
        """Decides every command of the group and commits them in one transaction, again and again until it holds.

        Raises:
            NotSent: the store does not answer; nothing was written for this group.
            Unclear: as before, but it may have been; settle the same group again.
        """
        given: dict[str, Answer] = {}
        undecided = list(group)
        read_anew = journal_asked = False
        while True:
            session = Session(self.known)
            self._look_ahead(undecided)
            try:
                verdicts, twins, journal = self._decide(undecided, session)
            except NotSent:
                raise
            except Exception:
                # States kept from different moments may contradict each other, which no decision expects.
                if read_anew:
                    raise
                read_anew = True
                self.known.forget(session.read)
                continue
            # Of what is not kept under its id the commit does not ask the journal.
            unread = [] if journal_asked else [one for one in undecided if not_understood(one, verdicts)]
            if unread:
                journal_asked = True
                answered = self._recorder.answered([(one.account, one.command_id or "") for one in unread])
                undecided = self._without(undecided, answered, given)
                continue
            stored = [self._mapper.to_stored_event(event) for event in session.events]
            if oversized := self._oversized(undecided, verdicts, stored):
                newer = self._recorder.since(session.read)
                if newer.events or newer.members:
                    self.known.catch_up(newer)
                else:
                    undecided = self._refuse(oversized, undecided, given)
                continue
            result = self._recorder.append(stored, Group(session.read, session.memberships(), journal))
            match result:
                case Committed(log_end=log_end):
                    self.known.keep(session.states, session.changes, session.read, log_end + len(session.events))
                    return self._answers(group, given, verdicts, twins, log_end)
                case Newer(events=[], members=[]):
                    structlog.get_logger().warning("ledger.log_restored")
                    self.known.forget_all()
                case Newer():
                    self.known.catch_up(result)
                case answered:
                    undecided = self._without(undecided, answered, given)

    def settle_failed(self, pending: Pending) -> Answer:
        """Answer a command at which `settle` fails: as the journal did before, else that it failed, recorded so.

        Raises:
            NotSent, Unclear: the store does not answer.
        """
        if not pending.dry_run and pending.command_id is not None:
            for row in self._recorder.answered([(pending.account, pending.command_id)]):
                if row.digest == pending.digest:
                    return told_before(row)
        verdict = self.domain.failed(pending)
        if not pending.dry_run:
            try:
                self._recorder.append([], Group(Read({}, {}), journal=[entry_of(pending, verdict, 0)]))
            except (psycopg.Error, ValueError) as error:
                # What the command says cannot be stored; it is answered all the same.
                unexpected_errors.record(error, "deciding", command=pending.name)
        return Answer(verdict.reply, verdict.outcome, verdict.reason)

    def _look_ahead(self, undecided: Sequence[Pending]) -> None:
        named = {(p.account, aggregate, name) for p in undecided for aggregate, name in p.known}
        streams = [(stream_of(account, aggregate, name), aggregate, account) for account, aggregate, name in named]
        self.known.expect(streams, [set_of(p.account, name) for p in undecided for name in p.known_sets])

    def _decide(
        self, undecided: Sequence[Pending], session: Session
    ) -> tuple[dict[str, tuple[Verdict, int]], dict[str, str], list[JournalEntry]]:
        verdicts: dict[str, tuple[Verdict, int]] = {}
        twins: dict[str, str] = {}
        kept: dict[tuple[str, str | None], Pending] = {}
        journal: list[JournalEntry] = []
        for pending in undecided:
            verdict = pending.fixed or self.domain.decide(pending, session)
            if not pending.dry_run and verdict.kept:
                first = kept.setdefault((pending.account, pending.command_id), pending)
                if first is not pending:
                    if first.digest == pending.digest:
                        twins[pending.entry] = first.entry
                        continue
                    verdict = self._under_used_id(pending)
            if not pending.dry_run:
                session.follow(pending, verdict)
                journal.append(entry_of(pending, verdict, len(session.events)))
            verdicts[pending.entry] = (verdict, len(session.events))
        return verdicts, twins, journal

    def _oversized(
        self,
        undecided: Sequence[Pending],
        verdicts: Mapping[str, tuple[Verdict, int]],
        stored: Sequence[StoredEvent],
    ) -> list[tuple[Pending, TooLarge]]:
        """The accepted commands with an event, or a reply, that no message carries."""
        limit = self._max_payload()
        room = limit - SPARE
        largest = max([len(event.state) for event in stored], default=0)
        found = []
        for pending in undecided:
            verdict, end = verdicts.get(pending.entry, (None, 0))
            if verdict is None or not verdict.foreseen:
                continue
            events: Sequence[StoredEvent] = stored[end - len(verdict.events) : end] if largest > room else ()
            if pending.dry_run:
                events = [self._mapper.to_stored_event(recorded(pending, *one)) for one in verdict.foreseen]
            elif largest <= room and len(verdict.reply) <= room:
                continue
            if too_large := largest_of(events, verdict.reply, limit):
                found.append((pending, too_large))
        return found

    def _refuse(
        self, oversized: Sequence[tuple[Pending, TooLarge]], undecided: Sequence[Pending], given: dict[str, Answer]
    ) -> list[Pending]:
        """Refuses them, except where the journal has answered already, when larger messages were carried."""
        asked = [pending for pending, _ in oversized if not pending.dry_run]
        answered = self._recorder.answered([(pending.account, pending.command_id or "") for pending in asked])
        left = {pending.entry for pending in self._without(asked, answered, given)}
        for pending, too_large in oversized:
            if pending.fixed is None and (pending.dry_run or pending.entry in left):
                pending.fixed = self.domain.too_large(pending, too_large)
        return [pending for pending in undecided if pending.entry not in given]

    def _without(
        self, undecided: Sequence[Pending], answered: Sequence[Answered], given: dict[str, Answer]
    ) -> list[Pending]:
        """Takes those out that the journal has answered; the same id with another body is refused instead."""
        told = {(row.account, str(row.command_id)): row for row in answered}
        rest = []
        for pending in undecided:
            asks = not pending.dry_run and (pending.fixed is None or pending.fixed.kept)
            row = told.get((pending.account, pending.command_id or "")) if asks else None
            if row is None:
                rest.append(pending)
            elif row.digest == pending.digest:
                given[pending.entry] = told_before(row)
            else:
                pending.fixed = self._under_used_id(pending)
                rest.append(pending)
        return rest

    def _under_used_id(self, pending: Pending) -> Verdict:
        """Another body under an id that has its answer; what is wrong with the body itself comes first."""
        return replace(pending.fixed, kept=False) if pending.fixed else self.domain.reused(pending)

    def _answers(
        self,
        group: Sequence[Pending],
        given: Mapping[str, Answer],
        verdicts: Mapping[str, tuple[Verdict, int]],
        twins: Mapping[str, str],
        log_end: int,
    ) -> list[tuple[Pending, Answer]]:
        answers = dict(given)
        for entry, (verdict, ordinal) in verdicts.items():
            answers[entry] = Answer(placed(verdict.reply, log_end + ordinal), verdict.outcome, verdict.reason)
        for entry, first in twins.items():
            answers[entry] = answers[first]
        return [(pending, answers[pending.entry]) for pending in group]

    @property
    def _recorder(self) -> GroupRecorder:
        return cast(GroupRecorder, self.recorder)

    @property
    def _mapper(self) -> RecordedMapper:
        return cast(RecordedMapper, self.mapper)


def not_understood(pending: Pending, verdicts: Mapping[str, tuple[Verdict, int]]) -> bool:
    """Whether a command was refused for a newer release's event; under its id it may have been answered before that."""
    verdict = verdicts.get(pending.entry)
    return verdict is not None and verdict[0].reason is Reason.STREAM_NOT_UNDERSTOOD and not pending.dry_run


def entry_of(pending: Pending, verdict: Verdict, ordinal: int) -> JournalEntry:
    return JournalEntry(
        entry=pending.entry,
        account=pending.account,
        command_id=pending.command_id,
        kept=verdict.kept,
        command=pending.name,
        actor=pending.actor,
        outcome=verdict.outcome,
        reason=verdict.reason,
        ordinal=None if verdict.outcome == "refused" else ordinal,
        digest=pending.digest if verdict.kept else None,
        body=pending.body if verdict.kept else None,
        reply=verdict.reply,
        time=pending.time,
    )


def told_before(row: Answered) -> Answer:
    told = orjson.loads(row.reply)
    reply = row.reply if row.position is None else placed(row.reply, row.position)
    return Answer(reply, told["outcome"], Reason(told["reason"]) if "reason" in told else None)


def placed(reply: bytes, position: int) -> bytes:
    """The first `"position":0` stands right behind outcome and id, before any text of the caller's."""
    return reply.replace(POSITION, b'"position":%d' % position, 1)
