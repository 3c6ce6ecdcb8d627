"""Reads the event log in the order of positions: every event, from any position on, in large batches."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from shared.process.read_connection import OwnConnection
from shared.process.stored_events import id_in_state, time_in_state
from shared.wire.event_body import Undecodable

# How many events are read at once to find a time among them; mostly it is among the first of the next commit.
STEP: Final = 64
# Of a time.
SMALLEST_STEP: Final = timedelta(microseconds=1)

EVENTS: Final = "SELECT originator_id, originator_version, topic, state, notification_id FROM connections.events"


class StoredEvent(NamedTuple):
    """One row of the log; `state` is as `stored_events.to_state` wrote it."""

    stream: UUID
    version: int
    topic: str
    state: bytes
    position: int

    @property
    def time(self) -> datetime | None:
        """The time at which it was recorded; None where it cannot be read."""
        try:
            return datetime.fromisoformat(time_in_state(self.state)).astimezone(UTC)
        except (Undecodable, ValueError):
            return None


class Moment(NamedTuple):
    """A position, and the time at which its event was recorded; None where it cannot be read."""

    position: int
    time: datetime | None


# A statement with its arguments in, its rows out.
ReadRows = Callable[[str, Sequence[Any]], Awaitable[list[tuple[Any, ...]]]]


class EventLog:
    """The event log as a function reads it: over a connection of its own, or within a transaction.

    Raises, from every method:
        psycopg.OperationalError: PostgreSQL does not answer; try again later.
    """

    def __init__(self, rows: ReadRows) -> None:
        self._rows = rows

    async def read(self, after: int, limit: int) -> list[StoredEvent]:
        """Read the next events after a position: `limit` of them, fewer only at the end of the log."""
        rows = await self._rows(
            f"{EVENTS} WHERE notification_id > %s ORDER BY notification_id LIMIT %s", (after, limit)
        )
        return [StoredEvent(*row) for row in rows]

    async def events_at(self, positions: Sequence[int]) -> list[StoredEvent]:
        """Read the events at these positions, in the order of the log; nothing for a position without an event."""
        rows = await self._rows(
            f"{EVENTS} WHERE notification_id = ANY(%s::bigint[]) ORDER BY notification_id", (list(positions),)
        )
        return [StoredEvent(*row) for row in rows]

    async def end(self) -> int:
        """Return the position of the last event; 0 for an empty log."""
        rows = await self._rows("SELECT coalesce(max(notification_id), 0) FROM connections.events", ())
        return int(rows[0][0]) if rows else 0

    async def first_and_last(self) -> tuple[Moment, Moment] | None:
        """Return the first and the last event's moments; None for an empty log."""
        last = await self.events_at([await self.end()])
        if not last:
            return None
        first = await self.read(0, 1)
        return Moment(first[0].position, first[0].time), Moment(last[0].position, last[0].time)

    async def position_at(self, time: datetime) -> int:
        """Return the last position up to which no event is later than this time; 0 when the first event is.

        The clocks of writers differ and may run back: an event that is not later comes after that position if one
        before it is. An event whose time cannot be read belongs to those before it.
        """
        rows = await self._rows(
            "SELECT position FROM connections.commits WHERE latest <= %s ORDER BY latest DESC, position DESC LIMIT 1",
            (time,),
        )
        position = int(rows[0][0]) if rows else 0
        # The next commit has a later event, but may begin with others. Commits of a former release have no row.
        while events := await self.read(position, STEP):
            for event in events:
                if event.time is not None and event.time > time:
                    return position
                position = event.position
        return position

    async def first_not_before(self, time: datetime) -> int:
        """Return the position after all that are before this time, as `position_at` counts them."""
        return await self.position_at(time - SMALLEST_STEP) + 1

    async def id_at(self, position: int) -> str | None:
        """Return the id of the event at a position; None without an event.

        Raises:
            Undecodable: the state there is not an event.
        """
        found = await self.events_at([position])
        return id_in_state(found[0].state) if found else None

    async def identity(self) -> str | None:
        """Return the id that the log keeps for ever; None before the first writer started."""
        rows = await self._rows("SELECT id FROM connections.log", ())
        return str(rows[0][0]) if rows else None


class LogReader(OwnConnection, EventLog):
    """Reads over a connection of its own."""

    def __init__(self, url: str) -> None:
        OwnConnection.__init__(self, url)
        EventLog.__init__(self, self._connection.rows)
