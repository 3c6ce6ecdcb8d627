"""Commits a group of decided commands in one call: everything that was read is unchanged, or nothing is written.

The call of one plpgsql function is one transaction. Under the lock that orders all writers it (1) hands back the
replies that the command journal has for these ids, else (2) the events and set changes that came since they were read
(optimistic concurrency), else (3) appends the events at the next positions, with set changes and journal entries.
Positions and ordinals are `max + 1` under the lock, not a sequence, so that a rolled-back call leaves no gap.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
import structlog
from eventsourcing.persistence import PersistenceError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder

from services.connections.store.rows import ConcurrentChanges, JournaledReply, ReadSet, Rows, arrays_of
from shared.process import failpoints
from shared.process import postgres_arrays as arrays
from shared.process.postgres import Direct

SCHEMA = Path(__file__).with_name("event_store.sql")
# Writers that start at the same moment make the schema one after the other.
MAKING_SCHEMA = 5_824_113_002
SETTINGS: Final = {
    # Accepted means flushed; the database may have another setting.
    "synchronous_commit": "on",
    # Each statement of `append` must see what was committed before it got the lock.
    "default_transaction_isolation": "read committed",
    # A paused writer must not stop all others.
    "lock_timeout": "1s",
}

APPEND = """
    SELECT * FROM connections.append(
        %b::uuid[], %b::bigint[], %b::uuid[], %b::bigint[],
        %b::uuid[], %b::bigint[], %b::text[], %b::bytea[],
        %b::uuid[], %b::uuid[], %b::boolean[], %b::bigint[],
        %b::uuid[], %b::text[], %b::uuid[], %b::boolean[], %b::text[], %b::text[], %b::text[], %b::text[],
        %b::bigint[], %b::bytea[], %b::bytea[], %b::bytea[], %b::text[]::timestamptz[]
    )
"""
JOURNALED = """
    SELECT j.account, j.command_id, j.digest, j.reply, j.position, j.entry
    FROM unnest(%b::text[], %b::uuid[]) AS asked (account, command_id)
    JOIN connections.journal j ON j.account = asked.account COLLATE "C" AND j.command_id = asked.command_id AND j.kept
"""
SINCE = "SELECT * FROM connections.since(%b::uuid[], %b::bigint[], %b::uuid[], %b::bigint[])"
# A row when another role owns the schema; a role that owns it, itself or as a member, may change what is in it.
NOT_OURS = """
    SELECT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'journal') AS made
    FROM pg_namespace n WHERE n.nspname = 'connections' AND NOT pg_has_role(n.nspowner, 'USAGE')
"""


# Every other error is about the store: away, read-only, without its tables, or not for this role.
OF_WHAT_WAS_SENT: Final = (psycopg.DataError, psycopg.IntegrityError)

log = structlog.get_logger(__name__)


class StoreUnavailable(Exception):
    """The store could not be asked, or it refused cleanly: nothing was written. Ask again later."""


class CommitOutcomeUnknown(Exception):
    """The connection broke during the call: it may have been committed. Only asking again finds out."""


class Committed(NamedTuple):
    """The log ended at `log_end` before this commit; its k-th event, from 1, has the position `log_end + k`."""

    log_end: int


CommitResult = Committed | ConcurrentChanges | list[JournaledReply]


class GroupRecorder(PostgresApplicationRecorder):
    """The library's recorder with a table of our own shape; a save is one call of `append`.

    It has one connection, to `url`, used by one thread at a time. The stock save would hang on large
    groups, and leaves holes in the positions of rolled-back ones.
    """

    _own: psycopg.Connection[Any] | None = None
    _numbers_entries = True
    url: str = ""

    def create_table(self) -> None:
        """Makes what is missing, unless the schema belongs to another role, whose work that is (deploy/postgres).

        Raises:
            PersistenceError: PostgreSQL does not answer, or it was not made and is not for this role to make.
        """
        with self.datastore.transaction(commit=True) as cursor:
            cursor.connection.add_notice_handler(_log_notice)
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (MAKING_SCHEMA,))
            cursor.execute(NOT_OURS)
            if (found := cursor.fetchone()) is None:
                cursor.execute(SCHEMA.read_bytes())
            elif not found["made"]:
                raise PersistenceError("the tables of the event store are not made yet, and not for this role to make")

    def append(self, rows: Rows) -> CommitResult:
        """Commits the rows, or returns what prevents it.

        Raises:
            StoreUnavailable: nothing was written.
            CommitOutcomeUnknown: it may have been written.
        """
        connection = self._connected()
        arguments = rows.arrays()
        failpoints.reached("ledger.decided")
        try:
            result = connection.execute(APPEND, arguments, prepare=True, binary=True).fetchall()
        except psycopg.Error as error:
            if connection.closed:
                self._own = None
                raise CommitOutcomeUnknown(str(error)) from error
            if isinstance(error, OF_WHAT_WAS_SENT):
                raise
            raise StoreUnavailable(str(error)) from error
        if not result:
            return ConcurrentChanges()
        if result[0][0] == "done":
            failpoints.reached("ledger.committed")
            self._require_ordinals(result[0][7])
            return Committed(result[0][2])
        if result[0][0] == "answer":
            return [JournaledReply(row[3], row[1], row[4], row[5], row[2], row[6]) for row in result]
        return _changes(result)

    def _require_ordinals(self, last: int | None) -> None:
        """Replaces the `append` of a former release, which gives no ordinals; its writers bring it when they start."""
        if last is not None:
            self._numbers_entries = True
            return
        if self._numbers_entries:
            log.warning("ledger.entries_not_numbered", advice="where another role owns the tables, run init.sh")
        self._numbers_entries = False
        try:
            self.create_table()
        except (PersistenceError, psycopg.Error) as error:
            log.warning("ledger.append_not_replaced", error=str(error))

    def since(self, read: ReadSet) -> ConcurrentChanges:
        """The events and set changes after those versions and positions.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        connection = self._connected()
        try:
            return _changes(connection.execute(SINCE, arrays_of(read), prepare=True, binary=True).fetchall())
        except psycopg.Error as error:
            if connection.closed:
                self._own = None
            elif isinstance(error, OF_WHAT_WAS_SENT):
                raise
            raise StoreUnavailable(str(error)) from error

    def journaled(self, commands: Sequence[tuple[str, str]]) -> list[JournaledReply]:
        """The replies that the command journal has under these accounts and ids.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        connection = self._connected()
        accounts, ids = [account for account, _ in commands], [command_id for _, command_id in commands]
        try:
            rows = connection.execute(JOURNALED, [arrays.texts(accounts), arrays.uuids(ids)], binary=True).fetchall()
        except psycopg.Error as error:
            if connection.closed:
                self._own = None
            raise StoreUnavailable(str(error)) from error
        return [JournaledReply(*row) for row in rows]

    def close(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None

    def _connected(self) -> psycopg.Connection[Any]:
        if self._own is None:
            try:
                self._own = Direct.connect(self.url, settings=SETTINGS, autocommit=True)
            except psycopg.Error as error:
                self._own = None
                raise StoreUnavailable(str(error)) from error
            self._own.add_notice_handler(_log_notice)
            log.info("ledger.connected")
        return self._own


def _log_notice(notice: psycopg.errors.Diagnostic) -> None:
    """Log what event_store.sql says about entries of a former release."""
    if notice.severity_nonlocalized == "INFO":
        log.info("ledger.migration", message=notice.message_primary)


def _changes(rows: Sequence[tuple[Any, ...]]) -> ConcurrentChanges:
    changes = ConcurrentChanges()
    for kind, id_, number, name, payload, _, member, place in rows:
        if kind == "event":
            changes.events.append((StoredEvent(id_, number, name, payload), place))
        else:
            changes.members.append((id_, member, bool(number), place))
    return changes
