"""Reads the event log in the order of positions: every event, from any position on, in large batches."""

from typing import Any, NamedTuple, Self
from uuid import UUID

import psycopg

from shared.process.postgres import DirectAsync
from shared.process.stored_events import id_in_state


class StoredEvent(NamedTuple):
    """One row of the log; `state` is as `stored_events.to_state` wrote it."""

    stream: UUID
    version: int
    topic: str
    state: bytes
    position: int


class LogReader:
    """Reads over one connection, which it makes again when it was lost. Use it as an async context manager.

    Raises, from `read` and `end`:
        psycopg.OperationalError: PostgreSQL does not answer; try again later.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def read(self, after: int, limit: int) -> list[StoredEvent]:
        """Read the next events after a position: `limit` of them, fewer only at the end of the log."""
        rows = await self._rows(
            "SELECT originator_id, originator_version, topic, state, notification_id FROM connections.events"
            " WHERE notification_id > %s ORDER BY notification_id LIMIT %s",
            (after, limit),
        )
        return [StoredEvent(*row) for row in rows]

    async def end(self) -> int:
        """Return the position of the last event; 0 for an empty log."""
        rows = await self._rows("SELECT coalesce(max(notification_id), 0) FROM connections.events", ())
        return int(rows[0][0]) if rows else 0

    async def id_at(self, position: int) -> str | None:
        """Return the id of the event at a position; None without an event.

        Raises:
            Undecodable: the state there is not an event.
        """
        found = await self.read(position - 1, 1)
        return id_in_state(found[0].state) if found and found[0].position == position else None

    async def identity(self) -> str | None:
        """Return the id that the log keeps for ever; None before the first writer started."""
        rows = await self._rows("SELECT id FROM connections.log", ())
        return str(rows[0][0]) if rows else None

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _rows(self, sql: str, arguments: tuple[int, ...]) -> list[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = await DirectAsync.connect(self._url, autocommit=True)
        try:
            return await (await self._connection.execute(sql, arguments, binary=True)).fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            # Before the first start of a writer on this database.
            return []
