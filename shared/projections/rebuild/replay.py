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
from shared.process.log_reader import LogReader, Stored
from shared.projections.checkpoint import checkpoint_of, contradiction
from shared.projections.definition import TABLES, Design, Doc, Row
from shared.projections.events import Entry, FromLog, following, key_of
from shared.projections.projection_store import (
    REFUSALS,
    Folded,
    Known,
    add_missing,
    fold_run,
    keep,
    load,
    move,
    named,
    park,
    unknown,
    upsert,
    write_carefully,
)
from shared.projections.schemas import NotPossible, rows_in

BATCH = 5_000
# Decoded in steps, so that what is being written beside goes on.
STEP = 250
# About a kilobyte each.
DOCS_KEPT = 100_000

COPY: Final[LiteralString] = "COPY {schema}.{table} (stream, account, key, doc, version, position) FROM STDIN"
PARKED: Final[LiteralString] = "SELECT stream, min(position) FROM {schema}.parked GROUP BY stream"
# What COPY would take for the end of a column or a row.
ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

Told = Callable[[int], Awaitable[None]]


class LogTooShort(Exception):
    """The event log ends before the view, or has a hole: the view cannot be made from it."""


async def _nobody(_position: int) -> None:
    """Who wants to hear nothing of it."""


class Filling:
    """Rows in `schema`, as of `position`, and how they go on; `told` hears of the position after every batch."""

    def __init__(
        self,
        connection: AsyncConnection[Any],
        log: LogReader,
        design: Design,
        schema: str,
        position: int,
        told: Told = _nobody,
    ) -> None:
        self.connection = connection
        self.design = design
        self.schema = schema
        self.position = position
        self._log = log
        self.told = told
        self._known: Known | None = None

    def stands_at(self, position: int) -> None:
        """What was applied after that position was rolled back."""
        self.position = position
        self._known = None

    async def go_on(self, end: int | None = None) -> int:
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
                await self.told(self.position)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        return self.position

    async def reach(self, position: int) -> None:
        """On to a position where the live rows stand, if these are not there yet.

        Raises:
            LogTooShort: the log does not reach to it, or has a hole.
        """
        if self.position < position and await self.go_on(position) < position:
            raise LogTooShort(f"the log ends at {self.position}, the view stands at {position}")

    async def _read(self, after: int, end: int | None) -> list[Entry]:
        stored = await self._log.read(after, BATCH if end is None else min(BATCH, end - after))
        entries: list[Entry] = []
        for first in range(0, len(stored), STEP):
            entries += decoded(stored[first : first + STEP])
            await asyncio.sleep(0)
        run = following(entries, after)
        if stored and not run:
            raise LogTooShort(f"position {after + 1} is missing in the log")
        return run

    async def _write(self, run: Sequence[Entry]) -> None:
        try:
            async with self.connection.transaction(), self.connection.cursor(binary=True) as cursor:
                known = self._known = self._known or await self._begin(cursor)
                folded = await self._fold(cursor, run, known)
        except REFUSALS:
            # One event is at fault, and has to be found; what is known of the others is asked again.
            self._known = None
            async with self.connection.transaction(), self.connection.cursor(binary=True) as cursor:
                await write_carefully(cursor, self.design, self.schema, run)
        else:
            keep(known, folded, DOCS_KEPT)

    async def _begin(self, cursor: AsyncCursor[Row]) -> Known:
        await cursor.execute(named(PARKED, self.schema))
        return Known(blocked=dict(await cursor.fetchall()))

    async def _fold(self, cursor: AsyncCursor[Row], run: Sequence[Entry], known: Known) -> Folded:
        await load(cursor, self.schema, unknown(run, known), known)
        folded = fold_run(self.design.fold, run, known)
        there, begun = parted(folded.last, known)
        await upsert(cursor, self.schema, Folded(folded.docs, there))
        await self._copy(cursor, folded.docs, begun)
        await park(cursor, self.schema, folded.parked)
        await move(cursor, self.schema, run[-1])
        return folded

    async def _copy(self, cursor: AsyncCursor[Row], docs: dict[UUID, Doc], last: Iterable[Recorded]) -> None:
        lines: dict[str, list[str]] = {}
        for event in last:
            lines.setdefault(event.event.aggregate, []).append(line(event, docs[event.stream]))
        for aggregate, table in TABLES.items():
            if aggregate in lines:
                async with cursor.copy(named(COPY, self.schema, table)) as copy:
                    await copy.write("".join(lines[aggregate]))


async def opened(connection: AsyncConnection[Any], log: LogReader, design: Design, schema: str) -> Filling:
    """Rows that are there, to go on with.

    Raises:
        NotPossible: there are none, they are of another version than this code, or of a log that is gone.
    """
    async with connection.cursor() as cursor:
        rows = await rows_in(cursor, schema)
    if rows is None:
        raise NotPossible(f"There are no rows in {schema}; `switchboard views` shows what there is.")
    if rows.version != design.version:
        raise NotPossible(
            f"The rows in {schema} are of version {rows.version}, this code is of version {design.version}: only code "
            "of their own version can bring them up to date. Use the release that made them."
        )
    async with connection.transaction(), connection.cursor() as cursor:
        await add_missing(cursor, schema)
        checkpoint = await checkpoint_of(cursor, schema)
    if why := await contradiction(log, checkpoint):
        raise NotPossible(
            f"The rows in {schema} do not match this log: {why}. Drop them with `switchboard views drop`, and make new "
            "ones with `switchboard views rebuild`."
        )
    return Filling(connection, log, design, schema, checkpoint.position)


def decoded(stored: Iterable[Stored]) -> list[FromLog]:
    return [FromLog(event) for event in stored]


def parted(last: Mapping[UUID, Recorded], known: Known) -> tuple[dict[UUID, Recorded], list[Recorded]]:
    """Events of rows that are there, and of rows that begin."""
    there: dict[UUID, Recorded] = {}
    begun: list[Recorded] = []
    for stream, event in last.items():
        if stream in known.docs:
            there[stream] = event
        else:
            begun.append(event)
    return there, begun


def line(last: Recorded, doc: Doc) -> str:
    """A row as COPY reads it."""
    account, key = column(last.account), column(key_of(last))
    text = orjson.dumps(doc).decode().replace("\\", "\\\\")
    return f"{last.stream.hex}\t{account}\t{key}\t{text}\t{last.version}\t{last.position}\n"


def column(text: str) -> str:
    """A text as COPY reads it; nearly all are as they are."""
    return text if text.isprintable() and "\\" not in text else text.translate(ESCAPES)
