"""Events that could not be applied wait with their reason, in order, and whatever follows on the same aggregate behind
them: they can be looked at, tried again by newer code, or given up by hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

import orjson
import structlog
from psycopg import AsyncCursor

from shared.language.subjects import Ce
from shared.process import clock
from shared.projections.definition import Row
from shared.projections.events import DeliveredEvent
from shared.projections.projection_store import add_missing_columns, named, write_or_park
from shared.projections.view import View

BATCH = 1_000

LIST: Final[LiteralString] = """
SELECT position, stream, aggregate, account, type, error, parked_at FROM {schema}.parked
WHERE position > %s ORDER BY position LIMIT %s
"""
SHOW: Final[LiteralString] = """
SELECT position, stream, aggregate, account, type, error, parked_at, headers, body,
       (SELECT count(*) FROM {schema}.parked f WHERE f.stream = p.stream AND f.position > p.position)
FROM {schema}.parked p WHERE position = %s
"""
TAKE: Final[LiteralString] = """
WITH taken AS (
    DELETE FROM {schema}.parked WHERE position IN (
        SELECT position FROM {schema}.parked
        WHERE position > %(after)b AND (%(stream)b::uuid IS NULL OR stream = %(stream)b)
        ORDER BY position LIMIT %(limit)b
    ) RETURNING position, headers, body
)
SELECT position, headers, body FROM taken ORDER BY position
"""
GIVE_UP: Final[LiteralString] = """
WITH dropped AS (
    DELETE FROM {schema}.parked WHERE position = %s RETURNING position, stream, aggregate, account, type
)
INSERT INTO {schema}.given_up SELECT position, stream, aggregate, account, type, %s::timestamptz FROM dropped
"""
COUNT: Final[LiteralString] = (
    "SELECT count(*) FROM {schema}.parked WHERE %(stream)b::uuid IS NULL OR stream = %(stream)b"
)

log = structlog.get_logger(__name__)


class ParkedEventNotFoundError(Exception):
    """No event is parked at that position."""


@dataclass(frozen=True)
class ParkedEvent:
    """A parked event; `error` is why, `parked_at` when."""

    position: int
    stream: UUID
    aggregate: str
    account: str
    type: str
    error: str
    parked_at: datetime


@dataclass(frozen=True)
class ParkedEventDetail:
    """A parked event with its CloudEvent, and how many are parked behind it on the same aggregate."""

    parked: ParkedEvent
    headers: Mapping[str, str]
    body: bytes
    followers: int


async def list_parked(view: View, after: int = 0, limit: int = BATCH) -> list[ParkedEvent]:
    """What is parked after a position, in order."""
    async with view.writing() as cursor:
        await cursor.execute(named(LIST, view.definition.name), (after, limit))
        return [ParkedEvent(*row) for row in await cursor.fetchall()]


async def show_parked(view: View, position: int) -> ParkedEventDetail:
    """
    Raises:
        NotParked: none is parked there.
    """
    async with view.writing() as cursor:
        return await _find(cursor, view.definition.name, position)


async def retry_parked(view: View, position: int | None = None) -> tuple[int, int]:
    """Applies what this code can apply by now, each aggregate in its order; how many came through, how many are left.

    Of all that is parked, or of the one aggregate whose event is parked at the position.

    Raises:
        NotParked: none is parked there.
        DesignChanged: the rows are of another version.
    """
    async with view.writing() as cursor:
        await view.lock_position(cursor)
        stream = None if position is None else (await _find(cursor, view.definition.name, position)).parked.stream
        return await _retry(cursor, view, stream)


async def give_up(view: View, position: int) -> tuple[int, int]:
    """Drops the event for good, and tries those behind it: how many of these came through, how many are left.

    A mark of it stays until the rows are made anew: answers that touch its aggregate are incomplete since then.

    Raises:
        NotParked: none is parked there.
        DesignChanged: the rows are of another version.
    """
    schema = view.definition.name
    async with view.writing() as cursor:
        await view.lock_position(cursor)
        await add_missing_columns(cursor, schema)
        detail = await _find(cursor, schema, position)
        found = detail.parked
        await cursor.execute(named(GIVE_UP, schema), (position, clock.now()))
        applied, left = await _retry(cursor, view, found.stream)
    log.warning(
        "event.given_up",
        view=schema,
        position=position,
        type=found.type,
        stream=str(found.stream),
        command_id=detail.headers.get(Ce.CAUSATION_ID),
        correlation_id=detail.headers.get(Ce.CORRELATION_ID),
    )
    return applied, left


async def _find(cursor: AsyncCursor[Row], schema: str, position: int) -> ParkedEventDetail:
    await cursor.execute(named(SHOW, schema), (position,))
    row = await cursor.fetchone()
    if row is None:
        raise ParkedEventNotFoundError(f"No event is parked at position {position}.")
    return ParkedEventDetail(ParkedEvent(*row[:7]), orjson.loads(row[7]), row[8], row[9])


async def _retry(cursor: AsyncCursor[Any], view: View, stream: UUID | None) -> tuple[int, int]:
    """In steps: what of one step stays parked is behind the next."""
    schema, after, taken = view.definition.name, 0, 0
    while rows := await _take(cursor, schema, stream, after):
        await write_or_park(
            cursor, view.definition, schema, [DeliveredEvent(at, orjson.loads(h), body) for at, h, body in rows]
        )
        after, taken = rows[-1][0], taken + len(rows)
    await cursor.execute(named(COUNT, schema), {"stream": stream})
    row = await cursor.fetchone()
    left = int(row[0]) if row else 0
    return taken - left, left


async def _take(cursor: AsyncCursor[Any], schema: str, stream: UUID | None, after: int) -> list[Row]:
    await cursor.execute(named(TAKE, schema), {"after": after, "stream": stream, "limit": BATCH})
    return await cursor.fetchall()
