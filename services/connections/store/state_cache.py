"""Cache of aggregate states and members of constraint sets, re-validated by every commit.

It lasts from commit to commit. With each commit the store returns newer events, so a cached state is only checked, not
read again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, cast
from uuid import UUID

import structlog
from eventsourcing.persistence import StoredEvent

from services.connections.store.rows import ConcurrentChanges, ReadSet, RecordedMapper
from shared.core.decider import Page
from shared.language.events import Aggregate
from shared.language.recorded import named, stream_id
from shared.process.bounded import evict_oldest
from shared.wire.event_body import Undecodable

FEW_UNKNOWN: Final = 0.1

log = structlog.get_logger(__name__)

stream_of = lru_cache(maxsize=100_000)(stream_id)


@lru_cache(maxsize=100_000)
def set_of(account: str, name: str) -> UUID:
    """The id under which a set is stored; the name may hold an address or a provider identity, the id does not."""
    return named(f"{account}/set/{name}")


@dataclass(slots=True)
class CachedState:
    """One aggregate: all its events up to `version` are in `state`."""

    aggregate: Aggregate
    account: str
    version: int
    state: Any


@dataclass(slots=True)
class CachedSet:
    """One constraint set: all changes up to `position` are in `members`."""

    position: int
    members: set[UUID] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class UnreadableEvent:
    """The first event on a stream that this release cannot read; it takes the place of the stream's state."""

    aggregate: Aggregate
    position: int
    stored_name: str


class UnreadableStreamError(Exception):
    """A decision has read a stream with such an event: nothing is decided on it until the newer release runs."""

    def __init__(self, event: UnreadableEvent) -> None:
        super().__init__(f"{event.aggregate}: {event.stored_name} at position {event.position}")
        self.event = event


class UnreadableStreams:
    """Those met since the start; written in the thread that decides, read anywhere.

    At most `most` are remembered, each with a line in the log: the whole log of a newer release must not fill memory
    or disk.
    """

    def __init__(self, most: int = 1_000) -> None:
        self._most = most
        self._events: dict[UUID, UnreadableEvent] = {}

    def add(self, stream: UUID, event: UnreadableEvent, error: str) -> None:
        if stream in self._events or len(self._events) >= self._most:
            return
        self._events[stream] = event
        log.warning(
            "stream.not_understood",
            aggregate=event.aggregate,
            stream=str(stream),
            position=event.position,
            stored_name=event.stored_name,
            error=error,
        )

    def summary(self) -> str | None:
        """The first of them and their number, for readiness. It has no address: anybody may see it."""
        events = list(self._events.values())
        if not events:
            return None
        first, others = events[0], f" ({len(events) - 1} more such streams)" if len(events) > 1 else ""
        return (
            f"{first.aggregate} stream with {first.stored_name} at position {first.position}, which this release"
            f" cannot read: run the newer release; commands on it are refused STREAM_NOT_UNDERSTOOD{others}"
        )


class StateCache:
    """States of aggregates and members of constraint sets, by their ids.

    Args:
        pages: how each kind of aggregate is rebuilt.
        since: asks the store for what is newer than what was read.
        mapper: reads stored events.
        unreadable: collects the streams with an event that the mapper cannot read.
        most: states, and sets, that are cached; the oldest ones are read again.
    """

    def __init__(
        self,
        pages: Mapping[Aggregate, Page],
        since: Callable[[ReadSet], ConcurrentChanges],
        mapper: RecordedMapper,
        unreadable: UnreadableStreams,
        most: int = 100_000,
    ) -> None:
        self.pages = pages
        self.states: dict[UUID, CachedState] = {}
        self.sets: dict[UUID, CachedSet] = {}
        self._since = since
        self._mapper = mapper
        self._unreadable = unreadable
        self._most = most
        # 1.0 when the last commit met something that was not cached, halved with each that did not.
        self._misses = 1.0
        self._end = 0

    def load(self, streams: Sequence[tuple[UUID, Aggregate, str]], sets: Sequence[UUID]) -> None:
        """Reads what is not cached, in one call.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        missing = {stream: (kind, account) for stream, kind, account in streams if stream not in self.states}
        missing_sets = [set_id for set_id in sets if set_id not in self.sets]
        if not missing and not missing_sets:
            return
        changes = self._since(ReadSet(dict.fromkeys(missing, 0), dict.fromkeys(missing_sets, 0)))
        for stream, (kind, account) in missing.items():
            self.states[stream] = CachedState(kind, account, 0, self.pages[kind].initial)
        for set_id in missing_sets:
            self.sets[set_id] = CachedSet(0)
        self._apply(changes)

    def _apply(self, changes: ConcurrentChanges) -> None:
        for stored, position in changes.events:
            stream = cast(UUID, stored.originator_id)
            cached = self.states[stream]
            state = self._evolved(stream, cached, stored, position)
            self.states[stream] = CachedState(cached.aggregate, cached.account, stored.originator_version, state)
        for set_id, member, present, position in changes.members:
            known = self.sets[set_id]
            known.position = max(known.position, position)
            (known.members.add if present else known.members.discard)(member)

    def _evolved(self, stream: UUID, cached: CachedState, stored: StoredEvent, position: int) -> Any:
        """The state after the event; behind an event that cannot be read nobody knows what later ones make of it."""
        if isinstance(cached.state, UnreadableEvent):
            return cached.state
        try:
            recorded = self._mapper.to_recorded(stored, position)
        except Undecodable as error:
            event = UnreadableEvent(cached.aggregate, position, stored.topic)
            self._unreadable.add(stream, event, str(error))
            return event
        return self.pages[cached.aggregate].evolve(cached.state, recorded.event, recorded.time)

    def prefetch(self, streams: Sequence[tuple[UUID, Aggregate, str]], sets: Sequence[UUID]) -> None:
        """Caches in one call what a group of commands will read.

        While the last commits met nothing under names that were not cached, such names are taken for new without
        reading: most are, it saves a call for each group, and the commit hands back what there is if not.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        if self._misses > FEW_UNKNOWN:
            self.load(streams, sets)
            return
        for stream, aggregate, account in streams:
            if stream not in self.states:
                self.states[stream] = CachedState(aggregate, account, 0, self.pages[aggregate].initial)
        for set_id in sets:
            self.sets.setdefault(set_id, CachedSet(0))

    def catch_up(self, changes: ConcurrentChanges) -> None:
        """Applies what a commit handed back, having met something that was not cached."""
        self._misses = 1.0
        self._apply(changes)

    def forget(self, read: ReadSet) -> None:
        """From now on what was read is read again, and everything that was taken for new, too."""
        self._misses = 1.0
        new_streams = [stream for stream, cached in self.states.items() if cached.version == 0]
        for stream in {*read.streams, *new_streams}:
            self.states.pop(stream, None)
        new_sets = [set_id for set_id, cached in self.sets.items() if cached.position == 0]
        for set_id in {*read.sets, *new_sets}:
            self.sets.pop(set_id, None)

    def forget_all(self) -> None:
        """The log is not the one that was read."""
        self._misses = 1.0
        self.states.clear()
        self.sets.clear()

    def keep(
        self,
        states: Mapping[UUID, CachedState],
        changes: Mapping[UUID, Mapping[UUID, tuple[bool, int]]],
        read: ReadSet,
        log_end: int,
    ) -> None:
        """Caches what was committed; a set that was changed without being read is forgotten.

        `log_end` is where the log ends now. Where it ended later before, it was restored, and everything is forgotten.
        """
        if log_end < self._end:
            self._end = log_end
            self.forget_all()
            return
        self._end = log_end
        self._misses /= 2
        self.states.update(states)
        for set_id, changed in changes.items():
            if set_id not in read.sets:
                self.sets.pop(set_id, None)
                continue
            known = self.sets[set_id]
            known.position = log_end
            for member, (present, _) in changed.items():
                (known.members.add if present else known.members.discard)(member)
        evict_oldest(self.states, self._most)
        evict_oldest(self.sets, self._most)
