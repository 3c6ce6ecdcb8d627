"""The rows that one commit of the event store checks and writes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

from eventsourcing.persistence import Mapper, StoredEvent

from shared.language.recorded import Recorded
from shared.process import postgres_arrays as arrays
from shared.process import stored_events
from shared.process.postgres_arrays import Array


class ReadSet(NamedTuple):
    """The versions of streams and the positions of constraint sets that decisions have read (0 = nothing known)."""

    streams: dict[UUID, int]
    sets: dict[UUID, int]


class JournalEntry(NamedTuple):
    """A row of the command journal.

    `ordinal` counts the commit's events up to the last one of this command; None for a refusal. `reply` has position 0
    in place of `position`. `time` is RFC 3339.
    """

    entry: str
    account: str
    command_id: str | None
    recorded_once: bool
    command: str
    actor: str | None
    outcome: str
    reason: str | None
    ordinal: int | None
    digest: bytes | None
    body: bytes | None
    reply: bytes
    time: str


class SetChange(NamedTuple):
    """That an aggregate is in a constraint set, or no longer; `ordinal` is that of the event that changed it."""

    set_id: UUID
    member: UUID
    present: bool
    ordinal: int


@dataclass(slots=True)
class Rows:
    """One commit: nothing of it is written unless everything in `read` is still so."""

    read: ReadSet
    events: Sequence[StoredEvent] = ()
    set_changes: Sequence[SetChange] = ()
    journal: Sequence[JournalEntry] = ()

    def arrays(self) -> list[Array]:
        """The arguments of `connections.append`, in their order."""
        return [
            *arrays_of(self.read),
            arrays.uuids([cast(UUID, event.originator_id) for event in self.events]),
            arrays.bigints([event.originator_version for event in self.events]),
            arrays.texts([event.topic for event in self.events]),
            arrays.byteas([event.state for event in self.events]),
            *_columns(SET_CHANGE, self.set_changes),
            *_columns(JOURNAL, self.journal),
        ]


class JournaledReply(NamedTuple):
    """The row of the command journal under this account and id; `reply` has position 0 in place of `position`."""

    account: str
    command_id: UUID
    digest: bytes
    reply: bytes
    position: int | None
    entry: UUID


@dataclass(slots=True)
class ConcurrentChanges:
    """Events in log order as (stored event, position), and set changes, that came after they were read.

    Handed back by a commit and empty, it says that the log is shorter than what was read.
    """

    events: list[tuple[StoredEvent, int]] = field(default_factory=list)
    members: list[tuple[UUID, UUID, bool, int]] = field(default_factory=list)


class RecordedMapper(Mapper[UUID]):
    """Recorded events in the form that `stored_events` fixes, through the library's compressor and cipher if any."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        recorded = cast(Recorded, domain_event)
        state = stored_events.to_state(recorded)
        if self.compressor:
            state = self.compressor.compress(state)
        if self.cipher:
            state = self.cipher.encrypt(state)
        return StoredEvent(recorded.stream, recorded.version, recorded.event.stored_name(), state)

    def to_recorded(self, stored: StoredEvent, position: int) -> Recorded:
        """
        Raises:
            stored_events.Undecodable: this version of the code cannot read it.
        """
        state = stored.state
        if self.cipher:
            state = self.cipher.decrypt(state)
        if self.compressor:
            state = self.compressor.decompress(state)
        return stored_events.from_state(
            cast(UUID, stored.originator_id), stored.originator_version, stored.topic, state, position
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        return self.to_recorded(stored_event, 0)


def arrays_of(read: ReadSet) -> list[Array]:
    """The arguments of `connections.since`, in their order."""
    return [
        arrays.uuids(list(read.streams)),
        arrays.bigints(list(read.streams.values())),
        arrays.uuids(list(read.sets)),
        arrays.bigints(list(read.sets.values())),
    ]


def _columns(kinds: Sequence[Callable[[Any], Array]], rows: Sequence[tuple[Any, ...]]) -> list[Array]:
    columns = zip(*rows, strict=True) if rows else [()] * len(kinds)
    return [array(column) for array, column in zip(kinds, columns, strict=True)]


# The columns of `SetChange` and of `JournalEntry`, in their order.
SET_CHANGE: Final[Sequence[Callable[[Any], Array]]] = (arrays.uuids, arrays.uuids, arrays.booleans, arrays.bigints)
JOURNAL: Final[Sequence[Callable[[Any], Array]]] = (
    arrays.uuids,
    arrays.texts,
    arrays.uuids,
    arrays.booleans,
    arrays.texts,
    arrays.texts,
    arrays.texts,
    arrays.texts,
    arrays.bigints,
    arrays.byteas,
    arrays.byteas,
    arrays.byteas,
    arrays.texts,
)
