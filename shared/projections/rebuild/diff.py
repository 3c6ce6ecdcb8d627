"""Compare live and staged rows at one position: rows added, removed and changed by table, with examples."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString

import orjson
from psycopg import AsyncConnection, AsyncCursor, IsolationLevel, sql
from psycopg.types.json import set_json_loads

from shared.process.log_reader import LogReader
from shared.process.postgres import DirectAsync
from shared.projections import schemas
from shared.projections.definition import PAST_TABLES, ProjectionDefinition, Row
from shared.projections.rebuild.limits import LIMITS, RebuildLimits
from shared.projections.rebuild.progress import OnProgress, ProgressReporter, ignore_progress
from shared.projections.rebuild.replay import Replay, resume_replay
from shared.projections.schemas import PreconditionFailedError
from shared.projections.tables import named

EXAMPLES = 5
RETRY_SECONDS = 0.05

# Equal rows are left out: there may be a million of them.
DIFFERENT: Final[LiteralString] = """
CREATE TEMPORARY TABLE different ON COMMIT DROP AS
SELECT coalesce(l.account, n.account) AS account, coalesce(l.key, n.key) AS key,
       CASE WHEN l.stream IS NULL THEN 'added' WHEN n.stream IS NULL THEN 'removed' ELSE 'changed' END AS kind,
       l.doc || jsonb_build_object('(version)', l.version, '(position)', l.position {l_shown}) AS before,
       n.doc || jsonb_build_object('(version)', n.version, '(position)', n.position {n_shown}) AS after
FROM {live}.{table} l FULL JOIN {new}.{table} n USING ({identity})
WHERE (l.account, l.key, l.doc, l.version, l.position {l_until})
   IS DISTINCT FROM (n.account, n.key, n.doc, n.version, n.position {n_until})
"""
OF_ROWS: Final = {"identity": sql.SQL("stream")} | dict.fromkeys(
    ("l_shown", "n_shown", "l_until", "n_until"), sql.SQL("")
)
OF_PAST: Final = {
    "identity": sql.SQL("stream, version"),
    "l_shown": sql.SQL(", '(until)', l.until"),
    "n_shown": sql.SQL(", '(until)', n.until"),
    "l_until": sql.SQL(", l.until"),
    "n_until": sql.SQL(", n.until"),
}
COUNTS: Final[LiteralString] = "SELECT kind, count(*) FROM different GROUP BY kind"
FIELDS: Final[LiteralString] = """
SELECT field, count(*) FROM different,
    LATERAL (SELECT jsonb_object_keys(before) UNION SELECT jsonb_object_keys(after)) AS f (field)
WHERE kind = 'changed' AND before->field IS DISTINCT FROM after->field
GROUP BY field ORDER BY 2 DESC, 1
"""
SELECT_EXAMPLES: Final[LiteralString] = """
SELECT account, key, before, after FROM different WHERE kind = %s ORDER BY account, key LIMIT %s
"""
PARKED: Final[LiteralString] = """
SELECT (SELECT count(*) FROM {live}.parked), (SELECT count(*) FROM {new}.parked),
       (SELECT array_agg(position) FROM (
            SELECT position FROM {live}.parked EXCEPT SELECT position FROM {new}.parked ORDER BY 1 LIMIT 100) AS l),
       (SELECT array_agg(position) FROM (
            SELECT position FROM {new}.parked EXCEPT SELECT position FROM {live}.parked ORDER BY 1 LIMIT 100) AS n)
"""


@dataclass(frozen=True)
class Example:
    """One row that differs: `fields` has each field that differs, with its live and its new value."""

    account: str
    key: str
    fields: dict[str, tuple[Any, Any]]


@dataclass
class Table:
    """The differences in one table. `fields` counts the changed rows by the field that differs."""

    rows: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    fields: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[Example]] = field(default_factory=dict)


@dataclass
class Report:
    """Two versions of a view as of one position; parked positions are those of one side only, at most 100."""

    position: int
    live_version: int
    new_version: int
    tables: dict[str, Table]
    parked_live: int = 0
    parked_new: int = 0
    parked_only_live: list[int] = field(default_factory=list)
    parked_only_new: list[int] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether no answer would differ."""
        tables = self.tables.values()
        return not (
            any(table.added or table.removed or table.changed for table in tables)
            or self.parked_only_live
            or self.parked_only_new
        )


async def compare(
    postgres_url: str,
    definition: ProjectionDefinition,
    on_progress: OnProgress = ignore_progress,
    limits: RebuildLimits = LIMITS,
) -> Report:
    """Bring the staged rows to the position of the live ones, and compare them there.

    The view's writer waits while the last events are applied; its readers do not wait.

    Raises:
        PreconditionFailedError: no rows are staged, they are of another version than this code, or the live rows do
            not reach their position.
        LogIncompleteError: the log ends before the position of the live rows.
    """
    async with (
        schemas.rebuild_connection(postgres_url) as connection,
        LogReader(postgres_url) as events,
        LogReader(postgres_url) as end,
        await DirectAsync.connect(postgres_url, autocommit=True) as holder,
        await DirectAsync.connect(postgres_url) as reader,
    ):
        await schemas.try_lock_rebuild(connection, definition.name, limits.in_use_timeout_ms)
        replay = await resume_replay(connection, events, definition, schemas.staged(definition.name), limits)
        reporter = ProgressReporter(definition.name, end, on_progress, replay.position)
        replay.on_position = reporter.advanced
        set_json_loads(orjson.loads, reader)
        await reader.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await _at_one_position(replay, holder, reader)
        reporter.report("comparing", replay.position)
        async with reader.cursor() as cursor:
            return await _report(cursor, replay)


async def _at_one_position(replay: Replay, holder: AsyncConnection[Any], reader: AsyncConnection[Any]) -> None:
    """Return when `reader` sees both as of one position."""
    seconds = replay.limits.catch_up_seconds
    until = time.monotonic() + seconds
    while not await _reached_together(replay, holder, reader):
        if time.monotonic() > until:
            raise PreconditionFailedError(
                f"The live rows did not reach position {replay.position} of the staged rows within {seconds:g} s: does "
                "the service run?"
            )
        await asyncio.sleep(RETRY_SECONDS)


async def _reached_together(replay: Replay, holder: AsyncConnection[Any], reader: AsyncConnection[Any]) -> bool:
    live = replay.definition.name
    async with holder.cursor() as cursor:
        await replay.run_to(await _position(cursor, "SELECT position FROM {schema}.view", live))
        async with holder.transaction():
            # No other process moves the live rows until the end of this transaction.
            live_position = await _position(cursor, "SELECT position FROM {schema}.view FOR UPDATE", live)
            if live_position < replay.position or live_position - replay.position > replay.limits.max_remaining:
                return False
            await replay.run_to(live_position)
            async with reader.cursor() as reading:
                await _position(reading, "SELECT position FROM {schema}.view", live)
            return True


async def _position(cursor: AsyncCursor[Row], query: LiteralString, schema: str) -> int:
    await cursor.execute(named(query, schema))
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


# ---- the report


async def _report(cursor: AsyncCursor[Row], replay: Replay) -> Report:
    live, new = (
        await schemas.schema_info(cursor, replay.definition.name),
        await schemas.schema_info(cursor, replay.schema),
    )
    assert live is not None, "its position was read"
    assert new is not None, "built before"
    await cursor.execute("SET LOCAL work_mem = '128MB'")
    report = Report(new.position, live.version, new.version, {})
    for table in replay.definition.row_tables:
        report.tables[table] = await _compare(cursor, live.schema, new.schema, table)
    await _compare_parked(cursor, live.schema, new.schema, report)
    return report


async def _compare(cursor: AsyncCursor[Row], live: str, new: str, table: str) -> Table:
    parts = OF_PAST if table in PAST_TABLES.values() else OF_ROWS
    await cursor.execute(_named(DIFFERENT, live, new, table, parts))
    await cursor.execute(COUNTS)
    found = Table(**dict(await cursor.fetchall()))
    await cursor.execute(_named("SELECT count(*) FROM {live}.{table}", live, new, table))
    found.rows = (await cursor.fetchall())[0][0]
    await cursor.execute(FIELDS)
    found.fields = dict(await cursor.fetchall())
    for kind in ("added", "removed", "changed"):
        await cursor.execute(SELECT_EXAMPLES, (kind, EXAMPLES))
        found.examples[kind] = [example(*row) for row in await cursor.fetchall()]
    await cursor.execute("DROP TABLE different")
    return found


def example(account: str, key: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> Example:
    """Return the fields that differ; all of them when the row is on one side only."""
    was, would = before or {}, after or {}
    names = sorted(was.keys() | would.keys())
    return Example(account, key, {n: (was.get(n), would.get(n)) for n in names if was.get(n) != would.get(n)})


async def _compare_parked(cursor: AsyncCursor[Row], live: str, new: str, report: Report) -> None:
    await cursor.execute(_named(PARKED, live, new))
    rows = await cursor.fetchall()
    report.parked_live, report.parked_new, only_live, only_new = rows[0]
    report.parked_only_live, report.parked_only_new = only_live or [], only_new or []


def _named(
    query: LiteralString, live: str, new: str, table: str = "view", parts: Mapping[str, sql.SQL] | None = None
) -> sql.Composed:
    names = {"live": live, "new": new, "table": table}
    return sql.SQL(query).format(**{name: sql.Identifier(text) for name, text in names.items()}, **(parts or {}))
