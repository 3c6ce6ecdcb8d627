"""Reads all rows of the log or of the command journal from a number on, through a cursor of one snapshot.

For readers that see each stored row once and keep none of it. The database may have been changed by its owner, so
nothing is expected of the rows: numbers may be missing or given twice, and columns may be NULL.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg.rows import args_row

from shared.process.journal_reader import JournalRow
from shared.process.log_reader import StoredEvent
from shared.process.postgres import Direct, PostgresUnavailable
from shared.process.read_connection import NOT_MADE_YET

ROWS_AT_ONCE: Final = 4_096
# A server without a pool of connections in between, and one snapshot for everything that is compared.
BEGIN: Final[LiteralString] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

EVENTS: Final[LiteralString] = """
SELECT originator_id, originator_version, topic, state, notification_id FROM connections.events
WHERE notification_id > %(after)s ORDER BY notification_id
"""
# Python has no time beyond the year 9999, and the leaf of such a row cannot be that of any recorded one.
JOURNAL: Final[LiteralString] = """
SELECT ordinal, entry, account, command_id, kept, command, actor, outcome, reason, position, log_position, digest, body,
       reply, CASE WHEN recorded_at > '0001-01-02' AND recorded_at < '9999-12-31' THEN recorded_at END
FROM connections.journal WHERE ordinal > %(after)s ORDER BY ordinal
"""
# An entry of a former release has no ordinal until the next commit.
UNNUMBERED: Final[LiteralString] = """
SELECT (SELECT count(*) FROM connections.events WHERE notification_id IS NULL OR notification_id <= 0),
       (SELECT count(*) FROM connections.journal WHERE ordinal <= 0)
"""
ENDS: Final[LiteralString] = """
SELECT (SELECT coalesce(max(notification_id), 0) FROM connections.events),
       (SELECT coalesce(max(ordinal), 0) FROM connections.journal)
"""
LOG_ID: Final[LiteralString] = "SELECT id FROM connections.log"
OF_COMMAND: Final[LiteralString] = (
    "SELECT ordinal FROM connections.journal WHERE command_id = %s AND ordinal > 0 ORDER BY kept DESC, ordinal"
)


class RowScan:
    """One snapshot of the event store.

    Raises, from every method:
        psycopg.OperationalError: PostgreSQL does not answer.
        psycopg.Error: it refuses, as to a role that may not read the tables.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def events(self, after: int = 0) -> Iterator[list[StoredEvent]]:
        """Yield the events after a position in their order, thousands at once."""
        return self._rows(EVENTS, after, StoredEvent)

    def journal(self, after: int = 0) -> Iterator[list[JournalRow]]:
        """Yield the entries after an ordinal in their order, thousands at once."""
        return self._rows(JOURNAL, after, JournalRow)

    def ends(self) -> tuple[int, int]:
        """Return the last position and the last ordinal; 0 without rows."""
        ((position, ordinal),) = self._connection.execute(ENDS).fetchall()
        return position, ordinal

    def unnumbered(self) -> tuple[int, int]:
        """Return how many events have no position from 1 on, and how many entries an ordinal below 1."""
        ((events, entries),) = self._connection.execute(UNNUMBERED).fetchall()
        return events, entries

    def log_id(self) -> str | None:
        """Return the id of the log; None where it is gone."""
        rows = self._connection.execute(LOG_ID).fetchall()
        return str(rows[0][0]) if rows else None

    def ordinals_of(self, command_id: UUID) -> list[int]:
        """Return the ordinals of the entries under a command id: first the one that is recorded once."""
        return [ordinal for (ordinal,) in self._connection.execute(OF_COMMAND, (command_id,)).fetchall()]

    def _rows(self, statement: LiteralString, after: int, of: type[Any]) -> Iterator[list[Any]]:
        # The name is that of one cursor in the session, and one scan may follow another.
        with psycopg.ServerCursor(self._connection, f"scan_{of.__name__}", row_factory=args_row(of)) as cursor:
            cursor.execute(statement, {"after": after}, binary=True)
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                yield rows


class EventStoreMissingError(PostgresUnavailable):
    """The database has no event store."""


@contextmanager
def row_scan(url: str) -> Iterator[RowScan]:
    """Connect, and read one snapshot until the block ends.

    Raises:
        EventStoreMissingError: the database has no log of this release.
        psycopg.OperationalError: PostgreSQL does not answer.
    """
    connection = Direct.connect(url, autocommit=True, application_name="switchboard-verify")
    try:
        connection.execute(BEGIN)
        yield RowScan(connection)
    except NOT_MADE_YET as error:
        raise EventStoreMissingError("this database has no event store of this release") from error
    finally:
        connection.close()
