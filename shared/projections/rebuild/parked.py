"""Parked events (dead letters): list them, apply them again with newer code, or give one up.

An event that cannot be applied waits here with its reason, and later events of its aggregate wait behind it.
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
from shared.projections.projection_store import write_or_park
from shared.projections.tables import add_missing_columns, named
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
GIVE_UP_AHEAD: Final[LiteralString] = """
INSERT INTO {schema}.given_up VALUES (%s, %s, %s, %s, %s, %s::timestamptz) ON CONFLICT DO NOTHING
"""
COUNT: Final[LiteralString] = (
    "SELECT count(*) FROM {schema}.parked WHERE %(stream)b::uuid IS NULL OR stream = %(stream)b"
)

log = structlog.get_logger(__name__)


class ParkedEventNotFoundError(Exception):
    """No event is parked at that position."""


@dataclass(frozen=True)
class ParkedEvent:
    """A parked event; `error` says why, `parked_at` when."""

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
    """Return the events that are parked after a position, in order."""
    async with view.writing() as cursor:
        await cursor.execute(named(LIST, view.definition.name), (after, limit))
        return [ParkedEvent(*row) for row in await cursor.fetchall()]


async def show_parked(view: View, position: int) -> ParkedEventDetail:
    """Return the event that is parked at a position.

    Raises:
        ParkedEventNotFoundError: none is parked there.
    """
    async with view.writing() as cursor:
        return await _find(cursor, view.definition.name, position)


async def retry_parked(view: View, position: int | None = None, batch: int = BATCH) -> tuple[int, int]:
    """Apply parked events again, each aggregate's in order; return how many were applied and how many are left.

    Takes all of them, or those of the one aggregate whose event is parked at the position.

    Raises:
        ParkedEventNotFoundError: none is parked there.
        VersionMismatchError: the rows are of another version.
    """
    async with view.writing() as cursor:
        await view.lock_position(cursor)
        stream = None if position is None else (await _find(cursor, view.definition.name, position)).parked.stream
        return await _retry(cursor, view, stream, batch)


async def give_up(view: View, position: int) -> tuple[int, int]:
    """Drop the event for good and apply those behind it; return how many were applied and how many are left.

    Answers that touch the aggregate are incomplete until a rebuild.

    Raises:
        ParkedEventNotFoundError: none is parked there.
        VersionMismatchError: the rows are of another version.
    """
    schema = view.definition.name
    async with view.writing() as cursor:
        await view.lock_position(cursor)
        await add_missing_columns(cursor, schema)
        detail = await _find(cursor, schema, position)
        parked = detail.parked
        await cursor.execute(named(GIVE_UP, schema), (position, clock.now()))
        applied, left = await _retry(cursor, view, parked.stream, BATCH)
    log.warning(
        "event.given_up",
        view=schema,
        position=position,
        type=parked.type,
        stream=str(parked.stream),
        command_id=detail.headers.get(Ce.CAUSATION_ID),
        correlation_id=detail.headers.get(Ce.CORRELATION_ID),
    )
    return applied, left


async def give_up_ahead(history: View, parked: ParkedEvent) -> bool:
    """Let a history that has not come to the event yet skip it; return False when it is past the event.

    Raises:
        VersionMismatchError: the history is of another version.
    """
    schema = history.definition.name
    async with history.writing() as cursor:
        if await history.lock_position(cursor) >= parked.position:
            return False
        columns = (parked.position, parked.stream, parked.aggregate, parked.account, parked.type, clock.now())
        await cursor.execute(named(GIVE_UP_AHEAD, schema), columns)
    log.warning("event.given_up_ahead", view=schema, position=parked.position, stream=str(parked.stream))
    return True


async def _find(cursor: AsyncCursor[Row], schema: str, position: int) -> ParkedEventDetail:
    await cursor.execute(named(SHOW, schema), (position,))
    row = await cursor.fetchone()
    if row is None:
        raise ParkedEventNotFoundError(f"No event is parked at position {position}.")
    return ParkedEventDetail(ParkedEvent(*row[:7]), orjson.loads(row[7]), row[8], row[9])


async def _retry(cursor: AsyncCursor[Any], view: View, stream: UUID | None, batch: int) -> tuple[int, int]:
    """Apply in batches: events of one batch that are parked again block those of the next."""
    schema, after, taken = view.definition.name, 0, 0
    while rows := await _take(cursor, schema, stream, after, batch):
        events = [DeliveredEvent(position, orjson.loads(headers), body) for position, headers, body in rows]
        await write_or_park(cursor, view.definition, schema, events)
        after, taken = rows[-1][0], taken + len(rows)
    await cursor.execute(named(COUNT, schema), {"stream": stream})
    row = await cursor.fetchone()
    left = int(row[0]) if row else 0
    return taken - left, left


async def _take(cursor: AsyncCursor[Any], schema: str, stream: UUID | None, after: int, limit: int) -> list[Row]:
    await cursor.execute(named(TAKE, schema), {"after": after, "stream": stream, "limit": limit})
    return await cursor.fetchall()
