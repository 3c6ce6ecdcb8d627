"""One view in one database: its connections, its live rows and their position.

A view keeps one row per aggregate, a document that a pure fold makes of its events. The schema with the view's name
holds the live rows; other schemas (`schemas.py`) hold rows that a rebuild makes or that a cutover has retired.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, LiteralString

import structlog
from psycopg import AsyncCursor

from shared.process.log_reader import LogReader
from shared.projections import schemas
from shared.projections.checkpoint import Checkpoint, drop_unchanged, log_mismatch, read_checkpoint, record_event_id
from shared.projections.commit_strategies import LiveCommit
from shared.projections.definition import ProjectionDefinition, Row, VersionMismatchError
from shared.projections.events import IncomingEvent, contiguous
from shared.projections.past_snapshot import begin_past_snapshots
from shared.projections.projection_store import REFUSALS, ProjectionWriter, write_carefully
from shared.projections.row_statements import record_applied
from shared.projections.snapshot import Asker, Snapshot, begin_snapshots
from shared.projections.tables import add_missing_columns, create, exists, lock_schema, named
from shared.projections.view_connections import connection_pool
from shared.projections.waiters import PositionWaiters

COUNT_DEAD_LETTERS: Final[LiteralString] = """
SELECT position, (SELECT count(*) FROM {schema}.parked), (SELECT count(*) FROM {schema}.given_up) FROM {schema}.view
"""
LOCK_POSITION: Final[LiteralString] = """
UPDATE {schema}.view SET edition = gen_random_uuid() RETURNING design, position
"""

# The commit that applied an event is the next one up to or past its position, unless a rebuild did before that one.
APPLIED_AT: Final[LiteralString] = """
SELECT asked.position, applied.at
FROM unnest(%s::bigint[]) AS asked (position)
CROSS JOIN LATERAL (SELECT * FROM applied WHERE position >= asked.position ORDER BY position LIMIT 1) AS applied
WHERE applied.after < asked.position
"""

log = structlog.get_logger(__name__)


class View:
    """One view in one database; any number of processes may serve it side by side.

    The view of a temporal definition reads a history, as of the position in the setting `switchboard.as_of`; a
    follower (`history/`) writes it.

    Args:
        postgres_url: the database.
        readers: the most connections, and so snapshots, for questions at once.
        cached_documents: the most documents that commits keep in memory, about 1 kB each.

    Attributes:
        reached: the statement for the version of the live rows, and the position that questions can be answered at.
    """

    reached: LiteralString = "SELECT design, position FROM view"

    def __init__(
        self, postgres_url: str, definition: ProjectionDefinition, readers: int = 4, cached_documents: int = 20_000
    ) -> None:
        self.definition = definition
        self.readers = readers
        self.waiters = PositionWaiters()
        self._writer = ProjectionWriter(definition, definition.name, LiveCommit(definition), cached_documents)
        self._version_live = asyncio.Event()
        self.url = postgres_url
        name = schemas.reader_application_name(definition.name, definition.version)
        self._readers = connection_pool(postgres_url, definition, readers, name)
        # Commits that the server loses with its last moments come again from the stream: their position is lost, too.
        self._writers = connection_pool(
            postgres_url, definition, 2, f"{definition.name}-projection", synchronous_commit="off"
        )

    async def open(self) -> None:
        """Start connecting, without waiting for the database."""
        await self._readers.open(wait=False)
        await self._writers.open(wait=False)

    async def close(self) -> None:
        await self._readers.close(timeout=2)
        await self._writers.close(timeout=2)

    @property
    def unreachable(self) -> str | None:
        """Why the last connection attempt failed."""
        return self._readers.last_error or self._writers.last_error

    async def replace_broken_readers(self) -> None:
        """Replace connections that a restart of the database broke."""
        await self._readers.check()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncCursor[Row]]:
        """One transaction that may write."""
        async with (
            self._writers.connection() as connection,
            connection.transaction(),
            connection.cursor(binary=True) as cursor,
        ):
            yield cursor

    # ---- the live schema

    async def prepare(self) -> bool:
        """Create the schema if there is none, and drop orphaned ones; return False when the rows need a rebuild.

        Several processes may do so at once.

        Raises:
            VersionMismatchError: the rows are of another version, which this process must not change.
        """
        definition = self.definition
        async with self.writing() as cursor:
            await lock_schema(cursor, definition.name)
            await schemas.drop_orphaned(cursor, definition.name)
            await create(cursor, definition, definition.name)
            status = await schemas.schema_status(cursor, definition.name)
        live = status.live
        assert live is not None, "created above"
        if live.version == definition.version:
            self.waiters.advance(live.position)
            return True
        if live.version > definition.version:
            raise VersionMismatchError(
                f"the live rows are of version {live.version}; this process of {definition.version} waits"
            )
        if status.has_staged(definition.version):
            raise VersionMismatchError(status.staged_message(definition.version))
        return False

    async def migrate(self) -> None:
        """Add to the live rows of an earlier release the columns and tables that this code reads."""
        async with self.writing() as cursor:
            await lock_schema(cursor, self.definition.name)
            if await exists(cursor, self.definition.name):
                await add_missing_columns(cursor, self.definition.name)

    async def discard(self, checkpoint: Checkpoint) -> bool:
        """Drop the live rows if they are still at this checkpoint; False when they are not.

        Their log is gone, so no question may read them. Until a rebuild is done questions get BUSY.
        """
        async with self.writing() as cursor:
            if not await drop_unchanged(cursor, self.definition.name, self.definition.name, checkpoint):
                return False
        self._writer.forget()
        self.waiters.advance(0)
        log.warning("view.discarded", view=self.definition.name, position=checkpoint.position)
        return True

    # ---- where the live rows are

    async def position(self) -> int:
        """Read the position of the live rows from the database."""
        return (await self._live_version_and_position())[1]

    async def built_position(self) -> int:
        """Read the position of the live rows, or of those that are being built while there are no live ones."""
        async with self.writing() as cursor:
            status = await schemas.schema_status(cursor, self.definition.name)
        rows = status.live if status.live and status.live.version == self.definition.version else status.building
        return rows.position if rows else 0

    async def version(self) -> int:
        """Read the version of the live rows from the database."""
        return (await self._live_version_and_position())[0]

    async def _live_version_and_position(self) -> tuple[int, int]:
        async with self._readers.connection() as connection:
            rows = await (await connection.execute(self.reached)).fetchall()
        version, position = rows[0]
        if version == self.definition.version:
            # A slow answer may be older than a commit of this process.
            self.waiters.advance(max(position, self.waiters.position))
        return version, position

    async def position_and_dead_letters(self) -> tuple[int, int, int]:
        """Read position, number of parked events and of given-up ones, on a connection that questions do not use."""
        async with self.writing() as cursor:
            await cursor.execute(named(COUNT_DEAD_LETTERS, self.definition.name))
            ((position, parked, given_up),) = await cursor.fetchall()
            return position, parked, given_up

    async def applied_at(self, positions: Sequence[int]) -> dict[int, datetime]:
        """Return when the live rows applied these positions; without those that they lack or that a rebuild applied."""
        async with self._readers.connection() as connection:
            return dict(await (await connection.execute(APPLIED_AT, (list(positions),))).fetchall())

    async def count_readers(self, version: int) -> int:
        """Count the connections of processes of that version, whether they answer yet or not."""
        async with self._readers.connection() as connection, connection.cursor() as cursor:
            name = schemas.reader_application_name(self.definition.name, version)
            return await schemas.count_connections(cursor, name)

    def version_is_live(self) -> None:
        """Wake `wait_until_live`: the live rows are of this code's version now."""
        self._version_live.set()

    async def wait_until_live(self, seconds: float) -> None:
        """Return when `version_is_live` was called, or after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._version_live.wait()
        except TimeoutError:
            return
        self._version_live.clear()

    # ---- whether the log is still the one that the rows were made from

    async def checkpoint(self) -> Checkpoint | None:
        """Read version, position and event id of the live rows; None when there are no rows."""
        async with self.writing() as cursor:
            # A missing table alone does not lead to a rebuild.
            there = await exists(cursor, self.definition.name)
            return await read_checkpoint(cursor, self.definition.name) if there else None

    async def log_mismatch(self) -> str | None:
        """Say why the live rows cannot be of the present log; None when they can."""
        checkpoint = await self.checkpoint()
        async with LogReader(self.url) as events:
            return await log_mismatch(events, checkpoint) if checkpoint else None

    async def record_event_id(self, position: int, event: str) -> None:
        """Record the event's id at the position, where rows of an earlier release lack it."""
        async with self.writing() as cursor:
            await record_event_id(cursor, self.definition.name, position, event)

    # ---- events in, questions out

    async def apply(self, events: Sequence[IncomingEvent]) -> int:
        """Apply the events that follow the view's position without a gap, in one commit; return the position after it.

        `events` are in the order of their positions. Earlier ones and those behind a gap are left out.

        Raises:
            VersionMismatchError: the rows are of another version.
            psycopg.Error: the database is away or refuses; nothing was written.
        """
        position = await self._apply_from_cache(events)
        if position is None:
            self._writer.forget()
            position = await self._apply_carefully(events)
        self.waiters.advance(position)
        return position

    async def _apply_from_cache(self, events: Sequence[IncomingEvent]) -> int | None:
        try:
            async with self._writers.connection() as connection, connection.cursor(binary=True) as cursor:
                return await self._writer.write(cursor, events)
        except REFUSALS:
            return None
        except BaseException:
            # The commit may have succeeded.
            self._writer.forget()
            raise

    async def _apply_carefully(self, events: Sequence[IncomingEvent]) -> int:
        async with self.writing() as cursor:
            position = await self.lock_position(cursor)
            run = contiguous(events, position)
            if run:
                await write_carefully(cursor, self.definition, self.definition.name, run)
                await record_applied(cursor, self.definition.name, position, run[-1].position)
                position = run[-1].position
        return position

    async def lock_position(self, cursor: AsyncCursor[Row]) -> int:
        """Return the position of the live rows, and keep others from moving it until the end of the transaction.

        It renews the epoch, so every cache of these rows is void.

        Raises:
            VersionMismatchError: the rows are of another version.
        """
        schema = self.definition.name
        await cursor.execute(named(LOCK_POSITION, schema))
        row = await cursor.fetchone()
        if row is None or row[0] != self.definition.version:
            raise VersionMismatchError(
                f"the rows of {schema} are of version {row and row[0]}, not {self.definition.version}"
            )
        return int(row[1])

    @asynccontextmanager
    async def snapshots(self, askers: Sequence[Asker]) -> AsyncIterator[list[Snapshot]]:
        """One moment of the view for several answers in turn, each for an account and an actor.

        Raises:
            psycopg.Error: the database is away, or there are no rows of this version yet.
        """
        async with self._readers.connection() as connection, connection.cursor() as cursor:
            begin = begin_snapshots if askers[0].as_of is None else begin_past_snapshots
            yield await begin(cursor, self.definition, askers)
