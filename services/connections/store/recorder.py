"""Commits a group of decided commands in one call: all of what was read is unchanged, or nothing is written.

The call of one plpgsql function is one transaction of its own. Under the lock that orders all writers it (1) hands
back the answers that the journal has already given to these command ids, else (2) the events and the memberships
that came since they were read, else (3) appends the events at the next positions, with memberships and journal.
Positions are `max + 1` under the lock, not a sequence, so that a rolled-back call leaves no hole.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

import psycopg
import structlog
from eventsourcing.persistence import PersistenceError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder

from shared.process import failpoints
from shared.process import postgres_arrays as arrays
from shared.process.postgres import Direct
from shared.process.postgres_arrays import Array

SCHEMA = Path(__file__).with_name("event_store.sql")
# Writers that start at the same moment make the schema one after the other.
MAKING_SCHEMA = 5_824_113_002
SETTINGS: Final = {
    # Accepted means flushed, whatever the database's own setting.
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
ANSWERED = """
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


class NotSent(Exception):
    """The store could not be asked, or it refused cleanly: nothing was written. Ask again later."""


class Unclear(Exception):
    """The connection broke while the call was under way: it may have been committed. Only asking again tells."""


class Read(NamedTuple):
    """What was looked at: streams at versions, and sets at positions (0 = nothing known)."""

    streams: dict[UUID, int]
    sets: dict[UUID, int]


class JournalEntry(NamedTuple):
    """`ordinal` counts the group's events up to and with this command's; none for a refusal. `time` is RFC 3339."""

    entry: str
    account: str
    command_id: str | None
    kept: bool
    command: str
    actor: str | None
    outcome: str
    reason: str | None
    ordinal: int | None
    digest: bytes | None
    body: bytes | None
    reply: bytes
    time: str


class Membership(NamedTuple):
    """That an aggregate is in a set, or no longer; `ordinal` is that of the event in the group that says so."""

    set_id: UUID
    member: UUID
    present: bool
    ordinal: int


class Answered(NamedTuple):
    """What the journal told before, under this account and id; `reply` bears position 0 in place of `position`."""

    account: str
    command_id: UUID
    digest: bytes
    reply: bytes
    position: int | None
    entry: UUID


@dataclass(slots=True)
class Group:
    """What one commit carries beside its events."""

    read: Read
    memberships: Sequence[Membership] = ()
    journal: Sequence[JournalEntry] = ()


@dataclass(slots=True)
class Newer:
    """What came since it was read: events in log order as (stored event, position), and memberships.

    Handed back by a commit and empty, it says that the log is shorter than what was read.
    """

    events: list[tuple[StoredEvent, int]] = field(default_factory=list)
    members: list[tuple[UUID, UUID, bool, int]] = field(default_factory=list)


@dataclass(slots=True)
class Committed:
    """The log ended at `log_end` before this group; its k-th event, from 1, stands at `log_end + k`."""

    log_end: int


Outcome = Committed | Newer | list[Answered]


class GroupRecorder(PostgresApplicationRecorder):
    """The library's recorder with a table of our own shape; a save is one call of `append`.

    It has one connection, to `url`, used by one thread at a time. The stock save would hang on large
    groups, and leaves holes in the positions of rolled-back ones.
    """

    _own: psycopg.Connection[Any] | None = None
    url: str = ""

    def create_table(self) -> None:
        """Makes what is missing, unless the schema belongs to another role, whose work that is (deploy/postgres).

        Raises:
            PersistenceError: PostgreSQL does not answer, or it was not made and is not for this role to make.
        """
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (MAKING_SCHEMA,))
            cursor.execute(NOT_OURS)
            if (found := cursor.fetchone()) is None:
                cursor.execute(SCHEMA.read_bytes())
            elif not found["made"]:
                raise PersistenceError("the tables of the event store are not made yet, and not for this role to make")

    def append(self, stored_events: Sequence[StoredEvent], group: Group) -> Outcome:
        """Commits the group, or says what stands against it.

        Raises:
            NotSent: nothing was written.
            Unclear: it may have been written.
        """
        connection = self._connected()
        arguments = [*_read(group.read), *_events(stored_events), *_memberships(group), *_journal(group)]
        failpoints.reached("ledger.decided")
        try:
            rows = connection.execute(APPEND, arguments, prepare=True, binary=True).fetchall()
        except psycopg.Error as error:
            if connection.closed:
                self._own = None
                raise Unclear(str(error)) from error
            if isinstance(error, OF_WHAT_WAS_SENT):
                raise
            raise NotSent(str(error)) from error
        if not rows:
            return Newer()
        if rows[0][0] == "done":
            failpoints.reached("ledger.committed")
            return Committed(rows[0][2])
        if rows[0][0] == "answer":
            return [Answered(row[3], row[1], row[4], row[5], row[2], row[6]) for row in rows]
        return _newer(rows)

    def since(self, read: Read) -> Newer:
        """The events and memberships after those versions and positions.

        Raises:
            NotSent: the store does not answer.
        """
        connection = self._connected()
        try:
            return _newer(connection.execute(SINCE, _read(read), prepare=True, binary=True).fetchall())
        except psycopg.Error as error:
            if connection.closed:
                self._own = None
            elif isinstance(error, OF_WHAT_WAS_SENT):
                raise
            raise NotSent(str(error)) from error

    def answered(self, commands: Sequence[tuple[str, str]]) -> list[Answered]:
        """What the journal has told already under these accounts and ids.

        Raises:
            NotSent: the store does not answer.
        """
        connection = self._connected()
        accounts, ids = [account for account, _ in commands], [command_id for _, command_id in commands]
        try:
            rows = connection.execute(ANSWERED, [arrays.texts(accounts), arrays.uuids(ids)], binary=True).fetchall()
        except psycopg.Error as error:
            if connection.closed:
                self._own = None
            raise NotSent(str(error)) from error
        return [Answered(*row) for row in rows]

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
                raise NotSent(str(error)) from error
            structlog.get_logger().info("ledger.connected")
        return self._own


def _read(read: Read) -> list[Array]:
    return [
        arrays.uuids(list(read.streams)),
        arrays.bigints(list(read.streams.values())),
        arrays.uuids(list(read.sets)),
        arrays.bigints(list(read.sets.values())),
    ]


def _events(events: Sequence[StoredEvent]) -> list[Array]:
    return [
        arrays.uuids([cast(UUID, event.originator_id) for event in events]),
        arrays.bigints([event.originator_version for event in events]),
        arrays.texts([event.topic for event in events]),
        arrays.byteas([event.state for event in events]),
    ]


def _memberships(group: Group) -> list[Array]:
    sets, members, present, ordinals = zip(*group.memberships, strict=True) if group.memberships else [()] * 4
    return [
        arrays.uuids(sets),
        arrays.uuids(members),
        arrays.booleans(present),
        arrays.bigints(ordinals),
    ]


def _journal(group: Group) -> list[Array]:
    columns = zip(*group.journal, strict=True) if group.journal else [()] * len(JOURNAL)
    return [array(column) for array, column in zip(JOURNAL, columns, strict=True)]


# The columns of `JournalEntry`, in its order.
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


def _newer(rows: Sequence[tuple[Any, ...]]) -> Newer:
    newer = Newer()
    for kind, id_, number, name, payload, _, member, place in rows:
        if kind == "event":
            newer.events.append((StoredEvent(id_, number, name, payload), place))
        else:
            newer.members.append((id_, member, bool(number), place))
    return newer
