"""The event log is carried into the rows of one schema at full speed: nothing skipped, a commit per batch.

While one batch is written, the next is read and decoded. Documents are kept in memory, a bounded number of them; rows
whose beginning is in the batch are copied, all others of the batch take one statement per table.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, LiteralString
from uuid import UUID

import orjson
from psycopg import AsyncConnection, AsyncCursor

from shared.language.recorded import Recorded
from shared.process.log_reader import LogReader, StoredEvent
from shared.projections.checkpoint import log_mismatch, read_checkpoint
from shared.projections.definition import TABLES, Doc, ProjectionDefinition, Row
from shared.projections.events import IncomingEvent, LoggedEvent, contiguous, key_of
from shared.projections.projection_store import (
    REFUSALS,
    CachedState,
    FoldResult,
    add_missing_columns,
    fold_events,
    insert_parked,
    load_documents,
    move_position,
    named,
    not_cached,
    remember,
    upsert_rows,
    write_carefully,
)
from shared.projections.schemas import PreconditionFailedError, schema_info

BATCH = 5_000
# Decoded in steps, so that what is being written beside goes on.
DECODED_AT_ONCE = 250
# About a kilobyte each.
CACHED_DOCUMENTS = 100_000

COPY: Final[LiteralString] = "COPY {schema}.{table} (stream, account, key, doc, version, position) FROM STDIN"
PARKED: Final[LiteralString] = "SELECT stream, min(position) FROM {schema}.parked GROUP BY stream"
# What COPY would take for the end of a column or a row.
ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

OnPosition = Callable[[int], Awaitable[None]]


class LogIncompleteError(Exception):
    """The event log ends before the view, or has a hole: the view cannot be made from it."""


async def _ignore_position(_position: int) -> None:
    """Who wants to hear nothing of it."""


class Replay:
    """Rows in `schema`, as of `position`, and how they go on; `told` hears of the position after every batch."""

    def __init__(
        self,
        connection: AsyncConnection[Any],
        log: LogReader,
        definition: ProjectionDefinition,
        schema: str,
        position: int,
        on_position: OnPosition = _ignore_position,
    ) -> None:
        self.connection = connection
        self.definition = definition
        self.schema = schema
        self.position = position
        self._log = log
        self.on_position = on_position
        self._cached: CachedState | None = None

    def reset_to(self, position: int) -> None:
        """What was applied after that position was rolled back."""
        self.position = position
        self._cached = None

    async def run(self, end: int | None = None) -> int:
        """Up to a position, or else to where the log ends; where it got to.

        Raises:
            LogTooShort: the log has a hole.
            psycopg.Error: the database is away; what was told is committed.
        """
        reading = asyncio.create_task(self._read(self.position, end))
        try:
            while run := await reading:
                reading = asyncio.create_task(self._read(run[-1].position, end))
                await self._write(run)
                self.position = run[-1].position
                await self.on_position(self.position)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        return self.position

    async def run_to(self, position: int) -> None:
        """On to a position where the live rows stand, if these are not there yet.

        Raises:
            LogTooShort: the log does not reach to it, or has a hole.
        """
        if self.position < position and await self.run(position) < position:
            raise LogIncompleteError(f"the log ends at {self.position}, the view stands at {position}")

    async def _read(self, after: int, end: int | None) -> list[IncomingEvent]:
        stored = await self._log.read(after, BATCH if end is None else min(BATCH, end - after))
        entries: list[IncomingEvent] = []
        for first in range(0, len(stored), DECODED_AT_ONCE):
            entries += decode(stored[first : first + DECODED_AT_ONCE])
            await asyncio.sleep(0)
        run = contiguous(entries, after)
        if stored and not run:
            raise LogIncompleteError(f"position {after + 1} is missing in the log")
        return run

    async def _write(self, run: Sequence[IncomingEvent]) -> None:
        try:
            async with self.connection.transaction(), self.connection.cursor(binary=True) as cursor:
                cached = self._cached = self._cached or await self._load_parked(cursor)
                folded = await self._fold(cursor, run, cached)
        except REFUSALS:
            # One event is at fault, and has to be found; what is known of the others is asked again.
            self._cached = None
            async with self.connection.transaction(), self.connection.cursor(binary=True) as cursor:
                await write_carefully(cursor, self.definition, self.schema, run)
        else:
            remember(cached, folded, CACHED_DOCUMENTS)

    async def _load_parked(self, cursor: AsyncCursor[Row]) -> CachedState:
        await cursor.execute(named(PARKED, self.schema))
        return CachedState(blocked=dict(await cursor.fetchall()))

    async def _fold(self, cursor: AsyncCursor[Row], run: Sequence[IncomingEvent], cached: CachedState) -> FoldResult:
        await load_documents(cursor, self.schema, not_cached(run, cached), cached)
        folded = fold_events(self.definition.fold, run, cached)
        existing, started = split_by_existing(folded.last, cached)
        await upsert_rows(cursor, self.schema, FoldResult(folded.docs, existing))
        await self._copy(cursor, folded.docs, started)
        await insert_parked(cursor, self.schema, folded.parked)
        await move_position(cursor, self.schema, run[-1])
        return folded

    async def _copy(self, cursor: AsyncCursor[Row], docs: dict[UUID, Doc], last: Iterable[Recorded]) -> None:
        lines: dict[str, list[str]] = {}
        for event in last:
            lines.setdefault(event.event.aggregate, []).append(copy_line(event, docs[event.stream]))
        for aggregate, table in TABLES.items():
            if aggregate in lines:
                async with cursor.copy(named(COPY, self.schema, table)) as copy:
                    await copy.write("".join(lines[aggregate]))


async def resume_replay(
    connection: AsyncConnection[Any], log: LogReader, definition: ProjectionDefinition, schema: str
) -> Replay:
    """Rows that are there, to go on with.

    Raises:
        NotPossible: there are none, they are of another version than this code, or of a log that is gone.
    """
    async with connection.cursor() as cursor:
        rows = await schema_info(cursor, schema)
    if rows is None:
        raise PreconditionFailedError(f"There are no rows in {schema}; `switchboard views` shows what there is.")
    if rows.version != definition.version:
        raise PreconditionFailedError(
            f"The rows in {schema} are of version {rows.version}, this code is of version {definition.version}: only "
            "code of their own version can bring them up to date. Use the release that made them."
        )
    async with connection.transaction(), connection.cursor() as cursor:
        await add_missing_columns(cursor, schema)
        checkpoint = await read_checkpoint(cursor, schema)
    if why := await log_mismatch(log, checkpoint):
        raise PreconditionFailedError(
            f"The rows in {schema} do not match this log: {why}. Drop them with `switchboard views drop`, and make new "
            "ones with `switchboard views rebuild`."
        )
    return Replay(connection, log, definition, schema, checkpoint.position)


def decode(stored: Iterable[StoredEvent]) -> list[LoggedEvent]:
    return [LoggedEvent(event) for event in stored]


def split_by_existing(
    last: Mapping[UUID, Recorded], cached: CachedState
) -> tuple[dict[UUID, Recorded], list[Recorded]]:
    """Events of rows that are there, and of rows that begin."""
    existing: dict[UUID, Recorded] = {}
    started: list[Recorded] = []
    for stream, event in last.items():
        if stream in cached.docs:
            existing[stream] = event
        else:
            started.append(event)
    return existing, started


def copy_line(last: Recorded, doc: Doc) -> str:
    """A row as COPY reads it."""
    account, key = copy_column(last.account), copy_column(key_of(last))
    text = orjson.dumps(doc).decode().replace("\\", "\\\\")
    return f"{last.stream.hex}\t{account}\t{key}\t{text}\t{last.version}\t{last.position}\n"


def copy_column(text: str) -> str:
    """A text as COPY reads it; nearly all are as they are."""
    return text if text.isprintable() and "\\" not in text else text.translate(ESCAPES)
