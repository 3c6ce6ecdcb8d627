"""The process that carries events keeps the documents it wrote last, so that a commit of a view is one statement.

Nothing kept is trusted: the statement moves the position only from where it was left, and only in the same edition of
the rows, which everything that changes rows without moving the position renews. Else nothing is written, what was kept
is forgotten, and the rows are asked.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg import AsyncCursor, sql

from shared.language.events import Aggregate
from shared.process import failpoints
from shared.projections.definition import TABLES, Design, DesignChanged, Row
from shared.projections.events import Entry, following
from shared.projections.projection_store import (
    Folded,
    Known,
    columns_of,
    fold_run,
    keep,
    load,
    named,
    unknown,
    upserting,
)

# As many documents as fit: about 1 kB each.
KEPT_DOCUMENTS: Final = 20_000

STANDS: Final[LiteralString] = """
SELECT design, position, edition, ARRAY(SELECT DISTINCT stream FROM {schema}.parked) FROM {schema}.view
"""

MOVE: Final[LiteralString] = """
WITH moved AS (
    UPDATE {schema}.view SET position = %(to)s, event = %(event)s, event_at = %(to)s
    WHERE design = %(design)s AND position = %(from)s AND edition = %(edition)s
    RETURNING position
)"""
DONE: Final[LiteralString] = " SELECT position FROM moved"


class Stands(NamedTuple):
    """Where the rows stand, in which edition, and which aggregates have parked events."""

    position: int
    edition: UUID
    parked: frozenset[UUID]


class KeptRows:
    """The documents of one view, as far as they are kept here."""

    def __init__(self, design: Design) -> None:
        self._design = design
        self._stands: Stands | None = None
        self._known = Known()

    def forget(self) -> None:
        self._stands = None
        self._known = Known()

    async def apply(self, cursor: AsyncCursor[Row], entries: Sequence[Entry]) -> int | None:
        """Writes what follows the view's position without a gap: the position after it. None: it takes more care.

        Care is needed for events to be parked, and when somebody else has written since; nothing is written then. The
        cursor commits by itself.

        Raises:
            DesignChanged: the rows are of another version.
            psycopg.Error: the database is away or refuses; nothing was written.
        """
        stands = self._stands or await self._ask(cursor)
        run = following(entries, stands.position)
        if not run or not stands.parked.isdisjoint(entry.stream for entry in run):
            return None
        if asked_for := unknown(run, self._known):
            await load(cursor, self._design.name, asked_for, self._known)
        folded = fold_run(self._design.fold, run, self._known)
        if folded.parked or not await self._write(cursor, stands, run[-1], folded):
            return None
        self._stands = stands._replace(position=run[-1].position)
        keep(self._known, folded, KEPT_DOCUMENTS)
        return run[-1].position

    async def _ask(self, cursor: AsyncCursor[Row]) -> Stands:
        await cursor.execute(named(STANDS, self._design.name))
        row = await cursor.fetchone()
        if row is None or row[0] != self._design.version:
            raise DesignChanged(f"the rows are of version {row and row[0]}, not {self._design.version}")
        self._stands = Stands(row[1], row[2], frozenset(row[3]))
        return self._stands

    async def _write(self, cursor: AsyncCursor[Row], stands: Stands, last: Entry, folded: Folded) -> bool:
        """Whether it was written: not if anybody else wrote since."""
        columns = columns_of(folded)
        params: dict[str, object] = {
            "to": last.position,
            "event": last.id(),
            "design": self._design.version,
            "from": stands.position,
            "edition": stands.edition,
        }
        for named_columns in columns.values():
            params |= named_columns
        failpoints.reached("view.folded")
        await cursor.execute(_statement(self._design.name, tuple(columns)), params)
        return await cursor.fetchone() is not None


@lru_cache
def _statement(schema: str, aggregates: tuple[Aggregate, ...]) -> sql.Composed:
    writes = [
        sql.SQL(", {table} AS ({upsert})").format(
            table=sql.Identifier(TABLES[aggregate]), upsert=upserting(schema, aggregate, "moved,")
        )
        for aggregate in aggregates
    ]
    return sql.Composed([named(MOVE, schema), *writes, sql.SQL(DONE)])
