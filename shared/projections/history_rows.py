"""The statements that write the versions of rows: the newest into the current tables, those before it into the past."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, LiteralString
from uuid import UUID

import orjson
from psycopg import AsyncCursor, sql

from shared.language.events import Aggregate
from shared.process import postgres_arrays as arrays
from shared.projections.definition import CURRENT_TABLES, PAST_TABLES, Row
from shared.projections.document_cache import DocumentCache
from shared.projections.folding import FoldResult, Version
from shared.projections.row_statements import COPY, copy_line
from shared.projections.tables import named

COPY_PAST: Final[LiteralString] = (
    "COPY {schema}.{table} (stream, account, key, doc, version, position, until) FROM STDIN"
)
# Both parts see the rows from before the statement.
REPLACE: Final[LiteralString] = """
WITH n AS MATERIALIZED (
    SELECT * FROM unnest(%(streams)b, %(docs)b, %(versions)b, %(positions)b, %(began)b)
        AS n (stream, doc, version, position, began)
), past AS (
    INSERT INTO {schema}.{past} (stream, account, key, doc, version, position, until)
    SELECT c.stream, c.account, c.key, c.doc, c.version, c.position, n.began
    FROM n JOIN {schema}.{current} c ON c.stream = n.stream
)
UPDATE {schema}.{current} c SET doc = n.doc::jsonb, version = n.version, position = n.position
FROM n WHERE c.stream = n.stream
"""


@dataclass(slots=True)
class _Versions:
    """The versions of one aggregate's rows in one batch.

    `past` has those that began and ended in it, as lines for COPY; `newest` the last of each row; `began` the position
    of the first, at which the row's version from before the batch ended.
    """

    past: list[str] = field(default_factory=list)
    newest: dict[UUID, Version] = field(default_factory=dict)
    began: dict[UUID, int] = field(default_factory=dict)


async def write_versions(cursor: AsyncCursor[Row], schema: str, result: FoldResult, cache: DocumentCache) -> None:
    """Write all versions of a batch; rows whose document is not in the cache are new."""
    for aggregate, versions in _arrange(result.versions or ()).items():
        changed = [version for stream, version in versions.newest.items() if stream in cache.documents]
        started = [version for stream, version in versions.newest.items() if stream not in cache.documents]
        if changed:
            await _replace(cursor, schema, aggregate, changed, versions.began)
        lines = [copy_line(recorded, document) for recorded, document in started]
        await _copy(cursor, COPY, schema, CURRENT_TABLES[aggregate], lines)
        await _copy(cursor, COPY_PAST, schema, PAST_TABLES[aggregate], versions.past)


def _arrange(versions: Iterable[Version]) -> dict[Aggregate, _Versions]:
    found: dict[Aggregate, _Versions] = {}
    for version in versions:
        recorded = version[0]
        aggregate = recorded.event.aggregate
        of_aggregate = found.get(aggregate) or found.setdefault(aggregate, _Versions())
        former = of_aggregate.newest.get(recorded.stream)
        if former is None:
            of_aggregate.began[recorded.stream] = recorded.position
        else:
            of_aggregate.past.append(f"{copy_line(*former)[:-1]}\t{recorded.position}\n")
        of_aggregate.newest[recorded.stream] = version
    return found


async def _replace(
    cursor: AsyncCursor[Row], schema: str, aggregate: Aggregate, changed: list[Version], began: dict[UUID, int]
) -> None:
    """Copy the present versions of these rows to the past, and put the new ones in their place."""
    names = {"schema": schema, "current": CURRENT_TABLES[aggregate], "past": PAST_TABLES[aggregate]}
    statement = sql.SQL(REPLACE).format(**{name: sql.Identifier(text) for name, text in names.items()})
    columns = {
        "streams": arrays.uuids([recorded.stream for recorded, _ in changed]),
        "docs": arrays.jsons([orjson.dumps(document) for _, document in changed]),
        "versions": arrays.bigints([recorded.version for recorded, _ in changed]),
        "positions": arrays.bigints([recorded.position for recorded, _ in changed]),
        "began": arrays.bigints([began[recorded.stream] for recorded, _ in changed]),
    }
    await cursor.execute(statement, columns)


async def _copy(cursor: AsyncCursor[Row], statement: LiteralString, schema: str, table: str, lines: list[str]) -> None:
    if lines:
        async with cursor.copy(named(statement, schema, table)) as copy:
            await copy.write("".join(lines))
