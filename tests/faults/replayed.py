"""Every view equals a replay: all of its rows against the log folded anew, from nothing and in memory.

The fold is the service's own, so what is judged is the way the rows took: over the bus, in batches, through crashes.
That the fold itself is right is judged by a model of its own (`verdict.of_what_is_shown`).
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
import psycopg
from psycopg import sql
from psycopg.types.json import set_json_loads

from services.inbox_views.projection import DEFINITION as INBOX_VIEWS
from services.routing.projection import DEFINITION as ROUTING
from shared.process import log_reader
from shared.projections.definition import TABLES, ProjectionDefinition
from shared.projections.document_cache import DocumentCache
from shared.projections.events import IncomingEvent, LoggedEvent, key_of
from shared.projections.folding import fold_events
from tests.faults.verdict import Stored, Verdict

VIEWS: Final = {definition.name: definition for definition in (INBOX_VIEWS, ROUTING)}
LOOK_SECONDS = 0.05


class Row(NamedTuple):
    """One aggregate in a view."""

    account: str
    key: str
    doc: Mapping[str, Any]
    version: int
    position: int


class Place(NamedTuple):
    """Where a row stands."""

    table: str
    stream: str


class Rows(NamedTuple):
    """All of one view: its position, its rows, and the positions of parked events."""

    position: int
    rows: Mapping[Place, Row]
    parked: Sequence[int]


def live(postgres_url: str, view: str, position: int, seconds: float = 30.0) -> Rows:
    """What the view has when it has come to the position.

    Raises:
        AssertionError: it does not get there in time.
    """
    until = time.monotonic() + seconds
    with psycopg.connect(postgres_url) as connection:
        set_json_loads(orjson.loads, connection)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        while (found := _position(connection, view)) < position:
            connection.rollback()
            assert time.monotonic() < until, f"{view} came to {found} in {seconds:g} s, not to {position}"
            time.sleep(LOOK_SECONDS)
        rows: dict[Place, Row] = {}
        for table in TABLES.values():
            query = "SELECT stream::text, account, key, doc, version, position FROM {}.{}"
            for stream, *row in _all(connection, query, view, table):
                rows[Place(table, stream)] = Row(*row)
        parked = [position for (position,) in _all(connection, "SELECT position FROM {}.{} ORDER BY 1", view, "parked")]
    return Rows(found, rows, parked)


def _position(connection: "psycopg.Connection[Any]", view: str) -> int:
    ((position,),) = _all(connection, "SELECT position FROM {}.{}", view, "view")
    return int(position)


def _all(connection: "psycopg.Connection[Any]", query: Any, view: str, table: str) -> list[Any]:
    return connection.execute(sql.SQL(query).format(sql.Identifier(view), sql.Identifier(table))).fetchall()


def replayed(view: str, log: Iterable[Stored]) -> Rows:
    """What the view must have after this log."""
    definition: ProjectionDefinition = VIEWS[view]
    entries: list[IncomingEvent] = [
        LoggedEvent(log_reader.StoredEvent(UUID(one.stream), one.version, one.topic, one.state, one.position))
        for one in log
    ]
    result = fold_events(definition.fold, entries, DocumentCache())
    rows = {
        Place(TABLES[last.event.aggregate], str(stream)): Row(
            last.account,
            key_of(last),
            orjson.loads(orjson.dumps(result.documents[stream])),
            last.version,
            last.position,
        )
        for stream, last in result.last.items()
    }
    return Rows(entries[-1].position if entries else 0, rows, [one.position for one in result.parked])


def of_the_rows(log: Sequence[Stored], views: Mapping[str, Rows]) -> Verdict:
    """Each view that was read against its replay."""
    found: dict[str, Sequence[Any]] = {}
    for view, seen in views.items():
        found |= compared(view, replayed(view, (one for one in log if one.position <= seen.position)), seen)
    return found


def compared(view: str, right: Rows, seen: Rows) -> Verdict:
    both = right.rows.keys() & seen.rows.keys()
    return {
        f"{view}: rows missing": named(right.rows, right.rows.keys() - seen.rows.keys()),
        f"{view}: rows too many": named(seen.rows, seen.rows.keys() - right.rows.keys()),
        f"{view}: rows unlike the replay": [
            (place.table, *difference(seen.rows[place], right.rows[place]))
            for place in sorted(both)
            if seen.rows[place] != right.rows[place]
        ],
        f"{view}: parked unlike the replay": sorted(set(seen.parked) ^ set(right.parked)),
        f"{view}: at another position": [(seen.position, right.position)] if seen.position != right.position else [],
    }


def named(rows: Mapping[Place, Row], places: Iterable[Place]) -> list[tuple[str, str, str]]:
    return sorted((place.table, rows[place].account, rows[place].key) for place in places)


def difference(seen: Row, right: Row) -> tuple[str, str, dict[str, tuple[Any, Any]]]:
    """Account, key, and each field that differs as (seen, right)."""
    was = {**seen.doc, "(version)": seen.version, "(position)": seen.position}
    would = {**right.doc, "(version)": right.version, "(position)": right.position}
    names = sorted(was.keys() | would.keys())
    return right.account, right.key, {n: (was.get(n), would.get(n)) for n in names if was.get(n) != would.get(n)}
