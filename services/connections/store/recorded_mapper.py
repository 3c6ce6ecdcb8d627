"""Recorded events between the event sourcing library and the form in which they are stored."""

from typing import Any, cast
from uuid import UUID

from eventsourcing.persistence import Mapper, StoredEvent

from shared.language.recorded import Recorded
from shared.process import stored_events


class RecordedMapper(Mapper[UUID]):
    """Writes recorded events in the form that `codec` fixes, through the library's compressor and cipher if any."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        recorded = cast(Recorded, domain_event)
        state = stored_events.to_state(recorded)
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
        return stored_events.from_state(
            cast(UUID, stored.originator_id), stored.originator_version, stored.topic, state, position
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        return self.to_recorded(stored_event, 0)
