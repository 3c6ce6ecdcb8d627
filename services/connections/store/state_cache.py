"""What a writer knows of aggregates and sets: kept from commit to commit, read when it is not there, never trusted.

The store hands back whatever came since with each commit, so a kept state is only checked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, cast
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from services.connections.store.not_understood import NotUnderstood, StreamsNotUnderstood
from services.connections.store.recorded_mapper import RecordedMapper
from services.connections.store.recorder import Newer, Read
from shared.core.decider import Page
from shared.language.events import Aggregate
from shared.language.recorded import named, stream_id
from shared.process.bounded import evict_oldest
from shared.wire.event_body import Undecodable

# As many states are kept as fit; whatever falls out is read again.
KEPT_STATES: Final = 100_000
FEW_STRANGERS: Final = 0.1

stream_of = lru_cache(maxsize=100_000)(stream_id)


@lru_cache(maxsize=100_000)
def set_of(account: str, name: str) -> UUID:
    """The id under which a set is kept; the name may hold an address or a provider identity, the id does not."""
    return named(f"{account}/set/{name}")


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


class Known:
    """States of aggregates and members of sets, by their ids.

    Args:
        pages: how each kind of aggregate is rebuilt.
        since: asks the store for what is newer than what was read.
        mapper: reads stored events.
        not_understood: is told of streams that hold an event which the mapper cannot read.
    """

    def __init__(
        self,
        pages: Mapping[Aggregate, Page],
        since: Callable[[Read], Newer],
        mapper: RecordedMapper,
        not_understood: StreamsNotUnderstood,
    ) -> None:
        self.pages = pages
        self.seen: dict[UUID, Seen] = {}
        self.sets: dict[UUID, SeenSet] = {}
        self._since = since
        self._mapper = mapper
        self._not_understood = not_understood
        # 1.0 when the last commit met what was not known, halved with each that did not.
        self._strangers = 1.0
        self._end = 0

    def load(self, streams: Sequence[tuple[UUID, Aggregate, str]], sets: Sequence[UUID]) -> None:
        """Reads what is not known yet, in one call.

        Raises:
            NotSent: the store does not answer.
        """
        unknown = {stream: (kind, account) for stream, kind, account in streams if stream not in self.seen}
        unknown_sets = [set_id for set_id in sets if set_id not in self.sets]
        if not unknown and not unknown_sets:
            return
        newer = self._since(Read(dict.fromkeys(unknown, 0), dict.fromkeys(unknown_sets, 0)))
        for stream, (kind, account) in unknown.items():
            self.seen[stream] = Seen(kind, account, 0, self.pages[kind].initial)
        for set_id in unknown_sets:
            self.sets[set_id] = SeenSet(0)
        self._take(newer)

    def _take(self, newer: Newer) -> None:
        for stored, position in newer.events:
            stream = cast(UUID, stored.originator_id)
            seen = self.seen[stream]
            state = self._evolved(stream, seen, stored, position)
            self.seen[stream] = Seen(seen.aggregate, seen.account, stored.originator_version, state)
        for set_id, member, present, position in newer.members:
            known = self.sets[set_id]
            known.position = max(known.position, position)
            (known.members.add if present else known.members.discard)(member)

    def _evolved(self, stream: UUID, seen: Seen, stored: StoredEvent, position: int) -> Any:
        """The state after the event; once there was one that cannot be read, nobody knows what the later ones make."""
        if isinstance(seen.state, NotUnderstood):
            return seen.state
        try:
            recorded = self._mapper.to_recorded(stored, position)
        except Undecodable as error:
            event = NotUnderstood(seen.aggregate, position, stored.topic)
            self._not_understood.meet(stream, event, str(error))
            return event
        return self.pages[seen.aggregate].evolve(seen.state, recorded.event, recorded.time)

    def expect(self, streams: Sequence[tuple[UUID, Aggregate, str]], sets: Sequence[UUID]) -> None:
        """What a group will look at is made known in one go.

        While nothing was found under unknown names lately, the next ones are taken for new: most are, it saves a call
        for each group, and the commit hands back what there is if not.

        Raises:
            NotSent: the store does not answer.
        """
        if self._strangers > FEW_STRANGERS:
            self.load(streams, sets)
            return
        for stream, aggregate, account in streams:
            if stream not in self.seen:
                self.seen[stream] = Seen(aggregate, account, 0, self.pages[aggregate].initial)
        for set_id in sets:
            self.sets.setdefault(set_id, SeenSet(0))

    def catch_up(self, newer: Newer) -> None:
        """Takes in what a commit handed back, having met what was not known."""
        self._strangers = 1.0
        self._take(newer)

    def forget(self, read: Read) -> None:
        """Whatever was looked at is read again."""
        self._strangers = 1.0
        for stream in read.streams:
            self.seen.pop(stream, None)
        for set_id in read.sets:
            self.sets.pop(set_id, None)

    def forget_all(self) -> None:
        """The log is not the one that was read."""
        self._strangers = 1.0
        self.seen.clear()
        self.sets.clear()

    def keep(
        self,
        states: Mapping[UUID, Seen],
        changes: Mapping[UUID, Mapping[UUID, tuple[bool, int]]],
        read: Read,
        log_end: int,
    ) -> None:
        """What was committed is known from now on; a set that was changed unread is forgotten.

        `log_end` is where the log ends now. Where it ended later before, it was restored, and nothing is known.
        """
        if log_end < self._end:
            self._end = log_end
            self.forget_all()
            return
        self._end = log_end
        self._strangers /= 2
        self.seen.update(states)
        for set_id, changed in changes.items():
            if set_id not in read.sets:
                self.sets.pop(set_id, None)
                continue
            known = self.sets[set_id]
            known.position = log_end
            for member, (present, _) in changed.items():
                (known.members.add if present else known.members.discard)(member)
        evict_oldest(self.seen, KEPT_STATES)
        evict_oldest(self.sets, KEPT_STATES)
