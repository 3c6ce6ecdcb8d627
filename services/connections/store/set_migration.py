"""Migrate constraint sets after their rule changed: `SET_VERSION` in `commands.py` gives the version of the rules.

The commit of its events writes the sets of an aggregate, so a new rule would not reach older aggregates. A mark among
the memberships has the version of the rules. A writer that finds an older one reads the log before it decides anything,
and writes the sets of the present rules.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
import structlog
from eventsourcing.persistence import StoredEvent

from services.connections.store.rows import RecordedMapper
from shared.core.decider import Page
from shared.language.events import Aggregate, Event
from shared.language.recorded import Recorded, named
from shared.wire import event_body

# Never change it: the set whose members are the applied versions of the rules, as UUIDs.
MARK: Final = named("set rules")
# The lock of connections.append: while it is held the log does not grow.
APPENDING: Final = 5_824_113_001
BATCH: Final = 2_000
AFTER: Final = """
    SELECT originator_id, originator_version, topic, state, notification_id FROM connections.events
    WHERE notification_id > %s ORDER BY notification_id LIMIT %s
"""
OF_STREAMS: Final = """
    SELECT originator_id, originator_version, topic, state, notification_id FROM connections.events
    WHERE originator_id = ANY(%s) ORDER BY notification_id
"""
ADD: Final = """
    INSERT INTO connections.memberships (set_id, member, present, position) VALUES (%s, %s, true, %s)
    ON CONFLICT (set_id, member) DO NOTHING
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SetVersion:
    """`concerns` says whether the aggregate of an event may be in sets that an earlier version wrote differently."""

    version: int
    concerns: Callable[[Event], bool]


class SetMigration:
    """One attempt, on its own connection; `set_of` makes the id of a set from the account and its name."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        mapper: RecordedMapper,
        pages: Mapping[Aggregate, Page],
        set_of: Callable[[str, str], UUID],
    ) -> None:
        self._connection = connection
        self._mapper = mapper
        self._pages = pages
        self._set_of = set_of
        self._streams: set[UUID] = set()
        self._position = 0

    def migrate(self, rules: SetVersion) -> None:
        """Bring the sets up to these rules; during the long part other writers go on.

        Raises:
            psycopg.Error: the database does not answer; nothing was written.
        """
        mark = UUID(int=rules.version)
        if self._rows("SELECT FROM connections.memberships WHERE set_id = %s AND member = %s", (MARK, mark)):
            return
        self._find_streams(rules)
        with self._connection.transaction():
            self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (APPENDING,))
            self._find_streams(rules)
            added = sum(self._add(streams) for streams in batches(self._streams))
            self._connection.execute(ADD, (MARK, mark, self._position))
        log.info("sets.brought_over", rules=rules.version, position=self._position, memberships=added)

    def _find_streams(self, rules: SetVersion) -> None:
        """Find the aggregates concerned, up to the end of the log."""
        while rows := self._rows(AFTER, (self._position, BATCH)):
            # An unreadable event is refused when a command meets it.
            for row in rows:
                with suppress(event_body.Undecodable):
                    recorded = self._recorded(row)
                    if rules.concerns(recorded.event):
                        self._streams.add(recorded.stream)
            self._position = rows[-1][4]

    def _add(self, streams: list[UUID]) -> int:
        states: dict[UUID, tuple[str, Page, Any]] = {}
        unread: set[UUID] = set()
        for row in self._rows(OF_STREAMS, (streams,)):
            try:
                recorded = self._recorded(row)
            except event_body.Undecodable:
                unread.add(row[0])
                continue
            page = self._pages[recorded.event.aggregate]
            before = states[recorded.stream][2] if recorded.stream in states else page.initial
            after = page.evolve(before, recorded.event, recorded.time)
            states[recorded.stream] = recorded.account, page, after
        wanted = [
            (self._set_of(account, name), stream, self._position)
            for stream, (account, page, state) in states.items()
            if stream not in unread
            for name in page.constraint_sets(state)
        ]
        with self._connection.cursor() as cursor:
            cursor.executemany(ADD, wanted)
            return cursor.rowcount

    def _recorded(self, row: tuple[Any, ...]) -> Recorded:
        stream, version, topic, state, position = row
        return self._mapper.to_recorded(StoredEvent(stream, version, topic, bytes(state)), position)

    def _rows(self, sql: str, arguments: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql.encode(), arguments).fetchall()


def batches(streams: Iterable[UUID]) -> Iterable[list[UUID]]:
    ordered = sorted(streams)
    return (ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH))
