"""The statements that read and write rows, parked events and the position of a view."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, LiteralString
from uuid import UUID

import orjson
import structlog
from psycopg import AsyncCursor, sql

from shared.language.events import Aggregate
from shared.language.recorded import Recorded
from shared.language.subjects import Ce
from shared.process import clock
from shared.process import postgres_arrays as arrays
from shared.process.postgres_arrays import Array
from shared.projections.definition import TABLES, Document, Row
from shared.projections.document_cache import DocumentCache
from shared.projections.events import IncomingEvent, key_of
from shared.projections.tables import named

LOAD: Final[LiteralString] = """
SELECT stream, doc, NULL::bigint FROM {schema}.{table} WHERE stream = ANY(%(streams)b::text::uuid[])
UNION ALL
SELECT stream, NULL, min(position) FROM {schema}.parked WHERE stream = ANY(%(streams)b::text::uuid[]) GROUP BY stream
"""
PARKED_STREAMS: Final[LiteralString] = "SELECT stream, min(position) FROM {schema}.parked GROUP BY stream"
GIVEN_UP: Final[LiteralString] = "SELECT position FROM {schema}.given_up WHERE position >= %s"
MOVE_POSITION: Final[LiteralString] = "UPDATE {schema}.view SET position = %s, event = %s, event_at = %s"
RECORD_APPLIED: Final[LiteralString] = "INSERT INTO {schema}.applied VALUES (%s, %s, clock_timestamp())"
UPSERT: Final[LiteralString] = """
INSERT INTO {schema}.{table} AS t (stream, account, key, doc, version, position)
SELECT n.stream, n.account, n.key, n.doc::jsonb, n.version, n.position
FROM {source} unnest({columns}) AS n (stream, account, key, doc, version, position)
ON CONFLICT (stream) DO UPDATE SET doc = excluded.doc, version = excluded.version, position = excluded.position
"""
TYPES: Final = ("uuid", "text", "text", "text", "bigint", "bigint")
COPY: Final[LiteralString] = "COPY {schema}.{table} (stream, account, key, doc, version, position) FROM STDIN"
# COPY takes these characters for the end of a column or a row.
ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
PARK: Final[LiteralString] = """
INSERT INTO {schema}.parked VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

log = structlog.get_logger(__name__)


async def load_documents(
    cursor: AsyncCursor[Row],
    schema: str,
    tables: Mapping[Aggregate, str],
    events: Iterable[IncomingEvent],
    cache: DocumentCache,
) -> None:
    """Add documents and parked positions of the events' aggregates to the cache."""
    streams: dict[str, set[UUID]] = {}
    for event in events:
        streams.setdefault(event.aggregate, set()).add(event.stream)
    for aggregate, table in tables.items():
        if aggregate in streams:
            array = "{" + ",".join([stream.hex for stream in streams[aggregate]]) + "}"
            await cursor.execute(named(LOAD, schema, table), {"streams": array})
            for stream, doc, parked in await cursor.fetchall():
                if parked is None:
                    cache.documents[stream] = doc
                else:
                    cache.parked[stream] = parked


async def parked_streams(cursor: AsyncCursor[Row], schema: str) -> dict[UUID, int]:
    """Return the first parked position of each stream that has one."""
    await cursor.execute(named(PARKED_STREAMS, schema))
    return dict(await cursor.fetchall())


async def given_up_from(cursor: AsyncCursor[Row], schema: str, position: int) -> frozenset[int]:
    """Return the positions from this one on at which an operator gave the event up."""
    await cursor.execute(named(GIVEN_UP, schema), (position,))
    return frozenset(given_up for (given_up,) in await cursor.fetchall())


async def move_position(cursor: AsyncCursor[Row], schema: str, last: IncomingEvent) -> None:
    await cursor.execute(named(MOVE_POSITION, schema), (last.position, last.id(), last.position))


async def record_applied(cursor: AsyncCursor[Row], schema: str, after: int, position: int) -> None:
    """Record that the events after one position up to another are applied now."""
    await cursor.execute(named(RECORD_APPLIED, schema), (after, position))


# ---- rows


async def upsert_rows(
    cursor: AsyncCursor[Row], schema: str, last: Iterable[Recorded], documents: Mapping[UUID, Document]
) -> None:
    """Write one row for each last event, whether it exists or not, with one statement a table."""
    for aggregate, columns in columns_of(last, documents).items():
        await cursor.execute(upsert_statement(schema, aggregate), columns)


def upsert_statement(schema: str, aggregate: Aggregate, source: LiteralString = "") -> sql.Composed:
    """Compose the statement for the columns of `columns_of`, joined to a source that ends in a comma."""
    names = {"schema": sql.Identifier(schema), "table": sql.Identifier(TABLES[aggregate])}
    columns = sql.SQL(", ").join(
        sql.Placeholder(f"{aggregate}{number}", format="b") + sql.SQL(f"::{type_}[]")
        for number, type_ in enumerate(TYPES)
    )
    return sql.SQL(UPSERT).format(**names, source=sql.SQL(source), columns=columns)


def columns_of(last: Iterable[Recorded], documents: Mapping[UUID, Document]) -> dict[Aggregate, dict[str, Array]]:
    """Return the rows by aggregate, as named parameters of `upsert_statement`."""
    return {
        aggregate: {
            f"{aggregate}0": arrays.uuids([row[0] for row in rows]),
            f"{aggregate}1": arrays.texts([row[1] for row in rows]),
            f"{aggregate}2": arrays.keys([row[2] for row in rows]),
            f"{aggregate}3": arrays.jsons([orjson.dumps(row[3]) for row in rows]),
            f"{aggregate}4": arrays.bigints([row[4] for row in rows]),
            f"{aggregate}5": arrays.bigints([row[5] for row in rows]),
        }
        for aggregate, rows in _rows_of(last, documents).items()
    }


def _rows_of(last: Iterable[Recorded], documents: Mapping[UUID, Document]) -> dict[Aggregate, list[Row]]:
    rows: dict[Aggregate, list[Row]] = {}
    for one in last:
        row = (one.stream, one.account, key_of(one), documents[one.stream], one.version, one.position)
        rows.setdefault(one.event.aggregate, []).append(row)
    return rows


async def copy_rows(
    cursor: AsyncCursor[Row], schema: str, last: Iterable[Recorded], documents: Mapping[UUID, Document]
) -> None:
    """Write one new row for each last event."""
    lines: dict[str, list[str]] = {}
    for one in last:
        lines.setdefault(one.event.aggregate, []).append(copy_line(one, documents[one.stream]))
    for aggregate, table in TABLES.items():
        if aggregate in lines:
            async with cursor.copy(named(COPY, schema, table)) as copy:
                await copy.write("".join(lines[aggregate]))


def copy_line(last: Recorded, document: Document) -> str:
    account, key = copy_column(last.account), copy_column(key_of(last))
    text = orjson.dumps(document).decode().replace("\\", "\\\\")
    return f"{last.stream.hex}\t{account}\t{key}\t{text}\t{last.version}\t{last.position}\n"


def copy_column(text: str) -> str:
    """Escape the text for COPY; nearly all texts need no escape."""
    return text if text.isprintable() and "\\" not in text else text.translate(ESCAPES)


# ---- parked events


async def insert_parked(cursor: AsyncCursor[Row], schema: str, parked: Sequence[IncomingEvent]) -> None:
    now = clock.now()
    for event in parked:
        headers, body = event.as_cloud_event()
        header_texts = {name: storable(value) for name, value in headers.items()}
        texts = [storable(text) for text in (event.aggregate, event.account, event.type)]
        row = (event.position, event.stream, *texts, orjson.dumps(header_texts), body, storable(event.error), now)
        await cursor.execute(named(PARK, schema), row)
        log.error(
            "event.parked",
            view=schema,
            position=event.position,
            type=texts[2],
            stream=str(event.stream),
            command_id=header_texts.get(Ce.CAUSATION_ID),
            correlation_id=header_texts.get(Ce.CORRELATION_ID),
        )


def storable(text: str) -> str:
    """Escape what PostgreSQL takes in no text: NUL and lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
