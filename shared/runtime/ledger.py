"""Decides commands in groups against aggregates rebuilt from the log, and answers only what is flushed.

The ledger is an application of the eventsourcing library with a mapper and a recorder of its own. It keeps the states
it has seen; the store hands back whatever came since with each commit, so a kept state is never trusted, only checked.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar, Protocol, cast
from uuid import UUID

import orjson
from eventsourcing.application import Application
from eventsourcing.persistence import ApplicationRecorder, InfrastructureFactory, Mapper, StoredEvent, Transcoder
from eventsourcing.postgres import PostgresFactory
from eventsourcing.utils import Environment
from psycopg.rows import dict_row

from shared.core.decider import Page
from shared.language.events import AddressEvent, Aggregate, Event, InboxEvent, UserEvent
from shared.language.reasons import Reason
from shared.language.recorded import Recorded, named, stream_id
from shared.runtime import codec
from shared.runtime.bounded import forget_oldest
from shared.runtime.postgres import connection_arguments
from shared.runtime.recorder import (
    Answered,
    Committed,
    Group,
    GroupRecorder,
    JournalEntry,
    Membership,
    Newer,
    NotSent,
    Read,
)

# As many states are kept as fit; whatever falls out is read again.
KEPT_STATES = 100_000
FEW_STRANGERS = 0.1

POSITION = b'"position":0'

stream_of = lru_cache(maxsize=100_000)(stream_id)


@lru_cache(maxsize=100_000)
def set_of(account: str, name: str) -> UUID:
    """The id under which a set is kept; the name may hold an address or a provider identity, the id does not."""
    return named(f"{account}/set/{name}")


def unsafe_switch() -> str | None:
    """Why nothing may be written: the library's path without a lock is switched on in the environment."""
    if os.environ.get("POSTGRES_ENABLE_DB_FUNCTIONS", "").lower() in ("y", "yes", "t", "true", "on", "1"):
        return "POSTGRES_ENABLE_DB_FUNCTIONS is set: that path takes no lock and readers lose events; unset it"
    return None


class RecordedMapper(Mapper[UUID]):
    """Writes recorded events in the form that `codec` fixes, through the library's compressor and cipher if any."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        recorded = cast(Recorded, domain_event)
        state = codec.to_state(recorded)
        if self.compressor:
            state = self.compressor.compress(state)
        if self.cipher:
            state = self.cipher.encrypt(state)
        return StoredEvent(recorded.stream, recorded.version, recorded.event.stored_name(), state)

    def to_recorded(self, stored: StoredEvent, position: int) -> Recorded:
        """Raises `codec.Undecodable` for what this version of the code cannot read."""
        state = stored.state
        if self.cipher:
            state = self.cipher.decrypt(state)
        if self.compressor:
            state = self.compressor.decompress(state)
        return codec.from_state(
            cast(UUID, stored.originator_id), stored.originator_version, stored.topic, state, position
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        return self.to_recorded(stored_event, 0)


@dataclass(slots=True)
class Verdict:
    """How a command was decided. `reply` is its JSON; accepted and unchanged ones bear `"position":0` for now.

    `kept` says whether the answer stands for ever under the command's id; `events` come with their ids.
    """

    outcome: str
    reply: bytes
    reason: Reason | None = None
    events: Sequence[tuple[str, Event]] = ()
    kept: bool = True


@dataclass(slots=True)
class Pending:
    """A command on its way through the ledger; `fixed` is the verdict when it stands before any state is looked at.

    `known` and `known_sets` name what its decision will look at, as far as its fields tell: it is read for the whole
    group in one go. `weight` and `share` are how much it counts among those that wait, and for whom.
    """

    account: str
    name: str
    command_id: str | None
    actor: str | None
    digest: bytes | None
    body: bytes | None
    time: str
    entry: str
    dry_run: bool = False
    correlation_id: str | None = None
    traceparent: str | None = None
    payload: Any = None
    known: Sequence[tuple[Aggregate, str]] = ()
    known_sets: Sequence[str] = ()
    fixed: Verdict | None = None
    request: Any = None
    arrived: float = 0.0
    weight: int = 1
    share: str = ""


@dataclass(slots=True)
class Answer:
    """What the caller is told, final."""

    reply: bytes
    outcome: str
    reason: Reason | None


class Decides(Protocol):
    """The domain, as the ledger sees it."""

    def decide(self, pending: Pending, session: "Session") -> Verdict: ...

    def reused(self, pending: Pending) -> Verdict: ...


@dataclass(slots=True)
class Seen:
    """One aggregate as known: all its events up to `version` are in `state`."""

    aggregate: Aggregate
    account: str
    version: int
    state: Any


@dataclass(slots=True)
class SeenSet:
    """One set as known: all changes up to `position` are in `members`."""

    position: int
    members: set[UUID] = field(default_factory=set)


class Session:
    """One attempt at a group: what it read, what it would write, each command seeing those before it."""

    def __init__(self, ledger: "Ledger") -> None:
        self._ledger = ledger
        self.read = Read({}, {})
        self.states: dict[UUID, Seen] = {}
        self._named: dict[tuple[str, Aggregate, str], Seen] = {}
        self.changes: dict[UUID, dict[UUID, tuple[bool, int]]] = {}
        self.events: list[Recorded] = []

    # ---- what decisions look at (shared.core.decider.Reads)

    def state(self, account: str, aggregate: Aggregate, name: str) -> Any:
        key = account, aggregate, name
        seen = self._named.get(key)
        if seen is None:
            seen = self._named[key] = self._seen(stream_of(account, aggregate, name), aggregate, account)
        return seen.state

    def members(self, account: str, aggregate: Aggregate, set_name: str) -> Sequence[Any]:
        members = self._members(account, set_name)
        self._ledger.load([(member, aggregate, account) for member in members], [])
        return [self._seen(member, aggregate, account).state for member in members]

    def count(self, account: str, set_name: str) -> int:
        return len(self._members(account, set_name))

    def _seen(self, stream: UUID, aggregate: Aggregate, account: str) -> Seen:
        seen = self.states.get(stream)
        if seen is None:
            seen = self._ledger.seen.get(stream)
            if seen is None:
                self._ledger.load([(stream, aggregate, account)], [])
                seen = self._ledger.seen[stream]
            self.read.streams[stream] = seen.version
            self.states[stream] = seen
        return seen

    def _members(self, account: str, set_name: str) -> set[UUID]:
        set_id = set_of(account, set_name)
        known = self._ledger.sets.get(set_id)
        if known is None:
            self._ledger.load([], [set_id])
            known = self._ledger.sets[set_id]
        self.read.sets[set_id] = known.position
        changes = self.changes.get(set_id)
        if not changes:
            return known.members
        added = {member for member, (present, _) in changes.items() if present}
        return (known.members | added) - (changes.keys() - added)

    # ---- what follows from a decision

    def follow(self, pending: Pending, verdict: Verdict) -> None:
        """Takes the events of an accepted command in, so that the next command of the group sees them."""
        for event_id, event in verdict.events:
            account = pending.account
            aggregate, name = event.aggregate, name_of(event, account)
            stream = stream_of(account, aggregate, name)
            before = self._seen(stream, aggregate, account)
            page = self._ledger.pages[aggregate]
            state = page.evolve(before.state, event, pending.time)
            seen = Seen(aggregate, account, before.version + 1, state)
            self.states[stream] = self._named[account, aggregate, name] = seen
            self.events.append(
                Recorded(
                    id=event_id,
                    account=account,
                    stream=stream,
                    version=before.version + 1,
                    position=0,
                    actor=pending.actor or "",
                    command_id=pending.command_id or "",
                    correlation_id=pending.correlation_id,
                    traceparent=pending.traceparent,
                    time=pending.time,
                    event=event,
                )
            )
            left, joined = page.memberships(before.state), page.memberships(state)
            for name in left - joined:
                self.changes.setdefault(set_of(account, name), {})[stream] = (False, len(self.events))
            for name in joined - left:
                self.changes.setdefault(set_of(account, name), {})[stream] = (True, len(self.events))

    def memberships(self) -> list[Membership]:
        return [
            Membership(set_id, member, present, ordinal)
            for set_id, changes in self.changes.items()
            for member, (present, ordinal) in changes.items()
        ]


def name_of(event: Event, account: str) -> str:
    """The name, within its account and kind, of the aggregate that the event happened to."""
    match event:
        case UserEvent(user=user):
            return user
        case InboxEvent(inbox=inbox):
            return inbox
        case AddressEvent(address=address):
            return address
        case _:
            return account


class Ledger(Application[UUID]):
    """The event store's one writer in this process.

    Args:
        url: PostgreSQL, as a libpq URL; the schema is made when it is not there.
        pages: how each kind of aggregate is rebuilt.
        domain: how commands are decided.

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

    def __init__(self, url: str, pages: Mapping[Aggregate, Page], domain: Decides) -> None:
        if trouble := unsafe_switch():
            raise ValueError(trouble)
        self._url = url
        self.pages = pages
        self.domain = domain
        self.seen: dict[UUID, Seen] = {}
        self.sets: dict[UUID, SeenSet] = {}
        # 1.0 when the last commit met what was not known, halved with each that did not.
        self._strangers = 1.0
        super().__init__()

    # ---- seams of the library

    def construct_factory(self, env: Environment) -> InfrastructureFactory[Any]:
        factory = super().construct_factory(env)
        datastore = cast(PostgresFactory, factory).datastore
        datastore.pool.kwargs = connection_arguments(self._url) | {"row_factory": dict_row}
        return factory

    def construct_mapper(self) -> RecordedMapper:
        factory = cast(PostgresFactory, self.factory)
        return cast(RecordedMapper, factory.mapper(self.construct_transcoder(), RecordedMapper))

    def construct_transcoder(self) -> Transcoder:
        return self.factory.transcoder()

    def construct_recorder(self) -> ApplicationRecorder:
        datastore = cast(PostgresFactory, self.factory).datastore
        recorder = GroupRecorder(datastore, events_table_name="events")
        recorder.arguments = connection_arguments(self._url)
        recorder.create_table()
        return recorder

    def close(self) -> None:
        if hasattr(self, "recorder"):
            cast(GroupRecorder, self.recorder).close()
        super().close()

    # ---- knowing

    def load(self, streams: Sequence[tuple[UUID, Aggregate, str]], sets: Sequence[UUID]) -> None:
        """Reads what is not known yet, in one call.

        Raises:
            NotSent: the store does not answer.
        """
        unknown = {stream: (kind, account) for stream, kind, account in streams if stream not in self.seen}
        unknown_sets = [set_id for set_id in sets if set_id not in self.sets]
        if not unknown and not unknown_sets:
            return
        newer = self._recorder.since(Read(dict.fromkeys(unknown, 0), dict.fromkeys(unknown_sets, 0)))
        for stream, (kind, account) in unknown.items():
            self.seen[stream] = Seen(kind, account, 0, self.pages[kind].initial)
        for set_id in unknown_sets:
            self.sets[set_id] = SeenSet(0)
        self._catch_up(newer)

    def _catch_up(self, newer: Newer) -> None:
        for stored, position in newer.events:
            seen = self.seen[cast(UUID, stored.originator_id)]
            recorded = self._mapper.to_recorded(stored, position)
            state = self.pages[seen.aggregate].evolve(seen.state, recorded.event, recorded.time)
            self.seen[recorded.stream] = Seen(seen.aggregate, seen.account, recorded.version, state)
        for set_id, member, present, position in newer.members:
            known = self.sets[set_id]
            known.position = max(known.position, position)
            (known.members.add if present else known.members.discard)(member)

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
        read_anew = False
        while True:
            session = Session(self)
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
                self._forget(session)
                continue
            stored = [self._mapper.to_stored_event(recorded) for recorded in session.events]
            result = self._recorder.append(stored, Group(session.read, session.memberships(), journal))
            match result:
                case Committed(log_end=log_end):
                    self._strangers /= 2
                    self._keep(session, log_end)
                    return self._answers(group, given, verdicts, twins, log_end)
                case Newer():
                    self._strangers = 1.0
                    self._catch_up(result)
                case answered:
                    undecided = self._without(undecided, answered, given)

    def _forget(self, session: Session) -> None:
        """Whatever the session looked at is read again."""
        self._strangers = 1.0
        for stream in session.read.streams:
            self.seen.pop(stream, None)
        for set_id in session.read.sets:
            self.sets.pop(set_id, None)

    def _look_ahead(self, undecided: Sequence[Pending]) -> None:
        """What the group will look at is made known in one go.

        While nothing was found under unknown names lately, the next ones are taken for new: most are, it saves a call
        for each group, and the commit hands back what there is if not.
        """
        named = {(p.account, aggregate, name) for p in undecided for aggregate, name in p.known}
        streams = [(stream_of(account, aggregate, name), aggregate, account) for account, aggregate, name in named]
        sets = [set_of(p.account, name) for p in undecided for name in p.known_sets]
        if self._strangers > FEW_STRANGERS:
            self.load(streams, sets)
            return
        for stream, aggregate, account in streams:
            if stream not in self.seen:
                self.seen[stream] = Seen(aggregate, account, 0, self.pages[aggregate].initial)
        for set_id in sets:
            self.sets.setdefault(set_id, SeenSet(0))

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

    def _keep(self, session: Session, log_end: int) -> None:
        """What was committed is known from now on; a set that was changed unread is forgotten."""
        self.seen.update(session.states)
        end = log_end + len(session.events)
        for set_id, changes in session.changes.items():
            if set_id not in session.read.sets:
                self.sets.pop(set_id, None)
                continue
            known = self.sets[set_id]
            known.position = end
            for member, (present, _) in changes.items():
                (known.members.add if present else known.members.discard)(member)
        forget_oldest(self.seen, KEPT_STATES)
        forget_oldest(self.sets, KEPT_STATES)

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
