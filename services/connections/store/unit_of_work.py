"""One attempt at a group of commands: what their decisions read, which the commit checks again, and what it writes."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

import structlog
from eventsourcing.persistence import StoredEvent

from services.connections.envelope import CommandEnvelope
from services.connections.store.event_store import EventStore
from services.connections.store.recorder import CommitResult, Committed
from services.connections.store.rows import (
    ConcurrentChanges,
    JournaledReply,
    JournalEntry,
    ReadSet,
    Rows,
    SetChange,
)
from services.connections.store.state_cache import (
    CachedState,
    UnreadableEvent,
    UnreadableStreamError,
    set_of,
    stream_of,
)
from shared.language.events import AddressEvent, Aggregate, Event, InboxEvent, UserEvent
from shared.language.recorded import Recorded
from shared.messaging.message_size import LARGEST_NUMBER, published_size

NOWHERE: Final = UUID(int=0)
# The position in a reply is still 0 when it is measured.
DIGITS: Final = 18

log = structlog.get_logger(__name__)


class TooLarge(NamedTuple):
    """The bytes of `what`, the stored name of an event or `reply`, and how many one message carries."""

    what: str
    size: int
    max_payload: int


def largest_of(events: Sequence[StoredEvent], reply: bytes, max_payload: int) -> TooLarge | None:
    """The largest of the events and the reply, when that is more than one message carries."""
    found = [TooLarge("reply", len(reply) + DIGITS, max_payload)]
    for event in events:
        stream = cast(UUID, event.originator_id)
        size = published_size(stream, event.originator_version, event.topic, event.state)
        found.append(TooLarge(event.topic, size, max_payload))
    largest = max(found, key=lambda one: one.size)
    return largest if largest.size > max_payload else None


class UnitOfWork:
    """Each command sees the events of those before it; `commit` writes all of them or nothing."""

    def __init__(self, store: EventStore) -> None:
        self._cache = store.cache
        self._recorder = store.group_recorder
        self._mapper = store.recorded_mapper
        self._read = ReadSet({}, {})
        self._states: dict[UUID, CachedState] = {}
        self._by_name: dict[tuple[str, Aggregate, str], CachedState] = {}
        self._set_changes: dict[UUID, dict[UUID, tuple[bool, int]]] = {}
        self.events: list[StoredEvent] = []
        self.journal: list[JournalEntry] = []

    def prefetch(self, commands: Sequence[CommandEnvelope]) -> None:
        """Reads in one call what the fields of these commands tell that their decisions will read.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        names = {(one.account, aggregate, name) for one in commands for aggregate, name in one.aggregates}
        streams = [(stream_of(account, aggregate, name), aggregate, account) for account, aggregate, name in names]
        self._cache.prefetch(streams, [set_of(one.account, name) for one in commands for name in one.sets])

    # ---- what decisions read (shared.core.decider.Reads); each method raises UnreadableStreamError

    def state(self, account: str, aggregate: Aggregate, name: str) -> Any:
        key = account, aggregate, name
        cached = self._by_name.get(key)
        if cached is None:
            cached = self._by_name[key] = self._cached(stream_of(account, aggregate, name), aggregate, account)
        return cached.state

    def expect(self, account: str, aggregate: Aggregate, names: Sequence[str]) -> None:
        self._cache.load([(stream_of(account, aggregate, name), aggregate, account) for name in names], [])

    def members(self, account: str, aggregate: Aggregate, set_name: str) -> Sequence[Any]:
        return self.members_of_all(account, aggregate, [set_name])[0]

    def members_of_all(
        self, account: str, aggregate: Aggregate, set_names: Sequence[str], at_most: int | None = None
    ) -> list[Sequence[Any]]:
        """At most two calls of the store, however many sets: the one thread that decides waits for each."""
        if len(set_names) > 1:
            self._cache.load([], [set_of(account, name) for name in set_names])
        found: list[Collection[UUID]] = [self._members(account, name) for name in set_names]
        if at_most is not None:
            found = first(found, at_most)
        if streams := [(member, aggregate, account) for members in found for member in members]:
            self._cache.load(streams, [])
        return [[self._cached(member, aggregate, account).state for member in members] for members in found]

    def count(self, account: str, set_name: str) -> int:
        return len(self._members(account, set_name))

    def _cached(self, stream: UUID, aggregate: Aggregate, account: str) -> CachedState:
        cached = self._states.get(stream)
        if cached is None:
            cached = self._cache.states.get(stream)
            if cached is None:
                self._cache.load([(stream, aggregate, account)], [])
                cached = self._cache.states[stream]
            self._read.streams[stream] = cached.version
            if isinstance(cached.state, UnreadableEvent):
                raise UnreadableStreamError(cached.state)
            self._states[stream] = cached
        return cached

    def _members(self, account: str, set_name: str) -> set[UUID]:
        set_id = set_of(account, set_name)
        known = self._cache.sets.get(set_id)
        if known is None:
            self._cache.load([], [set_id])
            known = self._cache.sets[set_id]
        self._read.sets[set_id] = known.position
        changes = self._set_changes.get(set_id)
        if not changes:
            return known.members
        added = {member for member, (present, _) in changes.items() if present}
        return (known.members | added) - (changes.keys() - added)

    # ---- what is written

    def record(self, command: CommandEnvelope, events: Iterable[tuple[str, Event]]) -> None:
        """Takes in the events of an accepted command, with their ids, so that the next command sees them."""
        for event_id, event in events:
            account = command.account
            aggregate, name = event.aggregate, name_of(event, account)
            stream = stream_of(account, aggregate, name)
            before = self._cached(stream, aggregate, account)
            page = self._cache.pages[aggregate]
            state = page.evolve(before.state, event, command.time)
            version = before.version + 1
            cached = CachedState(aggregate, account, version, state)
            self._states[stream] = self._by_name[account, aggregate, name] = cached
            self.events.append(self._mapper.to_stored_event(recorded(command, event_id, event, stream, version)))
            left, joined = page.constraint_sets(before.state), page.constraint_sets(state)
            for set_name in left - joined:
                self._set_changes.setdefault(set_of(account, set_name), {})[stream] = (False, len(self.events))
            for set_name in joined - left:
                self._set_changes.setdefault(set_of(account, set_name), {})[stream] = (True, len(self.events))

    def foresee(self, command: CommandEnvelope, events: Iterable[tuple[str, Event]]) -> list[StoredEvent]:
        """The events of a dry run as they would be stored, to measure them."""
        return [self._mapper.to_stored_event(recorded(command, event_id, event)) for event_id, event in events]

    def commit(self) -> CommitResult:
        """Writes everything in one transaction if what was read is still so; else the cache catches up.

        Raises:
            StoreUnavailable: nothing was written.
            CommitOutcomeUnknown: it may have been written.
        """
        result = self._recorder.append(Rows(self._read, self.events, self._changes_of_sets(), self.journal))
        if isinstance(result, Committed):
            self._cache.keep(self._states, self._set_changes, self._read, result.log_end + len(self.events))
        else:
            self._catch_up(result)
        return result

    def is_current(self) -> bool:
        """Whether everything that was read is still so; nothing is written, and if not the cache catches up.

        Raises:
            StoreUnavailable, CommitOutcomeUnknown: the store does not answer.
        """
        result = self._recorder.append(Rows(self._read))
        if isinstance(result, Committed):
            return True
        self._catch_up(result)
        return False

    def _catch_up(self, result: ConcurrentChanges | list[JournaledReply]) -> None:
        match result:
            case ConcurrentChanges(events=[], members=[]):
                log.warning("ledger.log_restored")
                self._cache.forget_all()
            case ConcurrentChanges():
                self._cache.catch_up(result)

    def forget(self) -> None:
        """From now on what was read here is read again."""
        self._cache.forget(self._read)

    def _changes_of_sets(self) -> list[SetChange]:
        return [
            SetChange(set_id, member, present, ordinal)
            for set_id, changes in self._set_changes.items()
            for member, (present, ordinal) in changes.items()
        ]


def recorded(
    command: CommandEnvelope, event_id: str, event: Event, stream: UUID = NOWHERE, version: int = LARGEST_NUMBER
) -> Recorded:
    """The event as the command caused it; where it is only measured it has no place on its stream."""
    return Recorded(
        id=event_id,
        account=command.account,
        stream=stream,
        version=version,
        position=0,
        actor=command.actor or "",
        command_id=command.command_id or "",
        correlation_id=command.correlation_id,
        traceparent=command.traceparent,
        time=command.time,
        event=event,
    )


def first(sets: Sequence[Collection[UUID]], at_most: int) -> list[Collection[UUID]]:
    """The same members each time, until there are so many."""
    found: list[Collection[UUID]] = []
    for members in sets:
        found.append(members if len(members) <= at_most else sorted(members)[:at_most])
        at_most -= len(found[-1])
    return found


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
