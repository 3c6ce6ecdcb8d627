"""Import a whole log from a bundle into an empty store: same positions, same bytes, same ordinals, same id.

One transaction does it. Before it commits, both trees are made again from the rows in PostgreSQL, and their roots have
to be those of the checkpoints; the constraint sets are written by the present rules. An interrupted import leaves
nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

import psycopg

from services.connections.store.rows import RecordedMapper
from services.connections.store.set_migration import APPENDING, SetMigration, SetVersion
from services.connections.store.state_cache import set_of
from shared.core.decider import Page
from shared.language.events import Aggregate
from shared.process import failpoints
from shared.process.journal_reader import JournalRow
from shared.process.log_reader import StoredEvent
from shared.process.postgres import Direct
from shared.process.row_scan import RowScan
from shared.transparency.bundles import parse_event_line, parse_journal_line
from shared.transparency.leaves import event_leaves, journal_leaves
from shared.transparency.merkle import Frontier, leaf_hashes

SETTINGS: Final = {"synchronous_commit": "on", "lock_timeout": "10s", "default_transaction_isolation": "read committed"}
EVENTS: Final[LiteralString] = """
COPY connections.events (originator_id, originator_version, topic, state, notification_id) FROM STDIN (FORMAT BINARY)
"""
JOURNAL: Final[LiteralString] = """
COPY connections.journal (ordinal, entry, account, command_id, kept, command, actor, outcome, reason, position,
    log_position, digest, body, reply, recorded_at) FROM STDIN (FORMAT BINARY)
"""
OF_EVENTS: Final = ("uuid", "int8", "text", "bytea", "int8")
OF_JOURNAL: Final = (
    "int8", "uuid", "text", "uuid", "bool", "text", "text", "text", "text", "int8", "int8", "bytea", "bytea", "bytea",
    "timestamptz",
)  # fmt: skip
# As in event_store.sql for entries of a former release: times in the order of positions.
COMMITS: Final[LiteralString] = """
INSERT INTO connections.commits (latest, position)
    SELECT latest, max(position)
    FROM (SELECT position, max(recorded_at) OVER (ORDER BY position) AS latest
          FROM connections.journal WHERE outcome = 'accepted') accepted
    GROUP BY latest
"""
LAST_COMMAND: Final[LiteralString] = """
SELECT coalesce(max(position) FILTER (WHERE outcome = 'accepted'), 0), coalesce(max(log_position), 0)
FROM connections.journal
"""
# The number of rows between two reports of the progress.
STEP: Final = 10_000


class ImportRefusedError(Exception):
    """The log cannot be imported; the message says why. Nothing was written."""


class ImportedTree(NamedTuple):
    """The size and the root of a tree, as its checkpoint has them."""

    size: int
    root: bytes


# Called with what is done, how many rows of it are done, and how many there are.
OnStep = Callable[[str, int, int], None]


class LogImport:
    """One import, in one transaction of its connection.

    Args:
        connection: not in a transaction; the role may change the tables of the event store.
        bundle: a folder whose lines were verified.
        mapper: reads events, for the constraint sets.
        on_step: gets the progress.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], bundle: Path, mapper: RecordedMapper, on_step: OnStep
    ) -> None:
        self._connection = connection
        self._bundle = bundle
        self._mapper = mapper
        self._on_step = on_step

    def run(
        self,
        log_id: str,
        events: ImportedTree,
        journal: ImportedTree,
        pages: Mapping[Aggregate, Page],
        rules: SetVersion,
    ) -> None:
        """Import everything, or nothing.

        Args:
            log_id: the id of the log.
            events: the tree of the events.
            journal: the tree of the command journal.
            pages: how each kind of aggregate is rebuilt.
            rules: the version of the constraint sets.

        Raises:
            ImportRefusedError: the store is not empty, or the bundle is not what the checkpoints say.
            InvalidLineError, OSError: the bundle cannot be read.
            psycopg.Error: the database does not answer, or the role may not.
        """
        with self._connection.transaction():
            self._require_empty()
            self._connection.execute("UPDATE connections.log SET id = %s", (UUID(log_id),))
            self._copy("events", EVENTS, OF_EVENTS, parse_event_line, events.size)
            self._copy("journal", JOURNAL, OF_JOURNAL, parse_journal_line, journal.size)
            failpoints.reached("import.copied")
            self._require_roots(events, journal)
            self._require_whole_commands(events.size)
            self._connection.execute(COMMITS)
            self._write_sets(pages, rules)
            failpoints.reached("import.checked")

    def _require_empty(self) -> None:
        """Require that nothing was ever stored; until the end nobody else can add to the log."""
        self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (APPENDING,))
        position, ordinal = RowScan(self._connection).ends()
        if position or ordinal:
            raise ImportRefusedError(
                f"This PostgreSQL has a log of {position:,} events and {ordinal:,} commands: a log is imported into an "
                "empty one only."
            )
        # An empty store that a writer has opened has the mark of its rules, and nothing else.
        self._connection.execute("DELETE FROM connections.memberships")

    def _copy(
        self,
        tree: str,
        statement: LiteralString,
        types: Sequence[str],
        parse: Callable[[bytes], tuple[Any, ...]],
        end: int,
    ) -> None:
        with (
            (self._bundle / f"{tree}.jsonl").open("rb") as lines,
            self._connection.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            copy.set_types(types)
            for number, line in enumerate(lines, 1):
                copy.write_row(parse(line))
                if number % STEP == 0:
                    self._on_step(f"import {tree}", number, end)
        self._on_step(f"import {tree}", end, end)

    def _require_roots(self, events: ImportedTree, journal: ImportedTree) -> None:
        scan = RowScan(self._connection)
        event_batches: Iterator[list[StoredEvent]] = scan.events()
        self._require_root("events", map(event_leaves, event_batches), events)
        journal_batches: Iterator[list[JournalRow]] = scan.journal()
        self._require_root("journal", map(journal_leaves, journal_batches), journal)

    def _require_root(self, tree: str, batches: Iterable[list[bytes]], expected: ImportedTree) -> None:
        frontier = Frontier()
        for leaves in batches:
            frontier.extend(leaf_hashes(leaves))
            self._on_step(f"check {tree}", frontier.size, expected.size)
        if (frontier.size, frontier.root()) != expected:
            raise ImportRefusedError(
                f"The {frontier.size:,} rows of the {tree} in PostgreSQL do not lead to the root that was signed over "
                f"{expected.size:,}."
            )

    def _require_whole_commands(self, end: int) -> None:
        """Require that both trees end with the same command, so that no command is there without its events."""
        ((accepted, log_position),) = self._connection.execute(LAST_COMMAND).fetchall()
        if not accepted == log_position == end:
            raise ImportRefusedError(
                f"The events end at position {end:,}, and the commands at {max(accepted, log_position):,}: the two "
                "checkpoints are of different moments. Stop the writers, wait until the audit has signed everything, "
                "and export again."
            )

    def _write_sets(self, pages: Mapping[Aggregate, Page], rules: SetVersion) -> None:
        self._on_step("constraint sets", 0, 0)
        of_all = SetVersion(rules.version, lambda _: True)
        SetMigration(self._connection, self._mapper, pages, set_of).migrate(of_all)


def connected(url: str) -> Direct:
    """Connect for an import.

    Raises:
        psycopg.OperationalError: PostgreSQL does not answer.
    """
    return Direct.connect(url, settings=SETTINGS, autocommit=True, application_name="switchboard-import")
