"""Every view and every history equals a replay: all rows against the log folded from nothing, in memory.

The fold is the service's own, so what is judged is the way the rows took: over the bus, in batches, through crashes.
That the fold itself is right is judged by a model of its own (`verdict.of_what_is_shown`).
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
import psycopg
from psycopg import sql
from psycopg.types.json import set_json_loads

from services.audit.projection import DEFINITION as AUDIT
from services.inbox_views.projection import DEFINITION as INBOX_VIEWS
from services.routing.projection import DEFINITION as ROUTING
from shared.process import log_reader
from shared.projections.definition import PAST_TABLES, TABLES, ProjectionDefinition
from shared.projections.document_cache import DocumentCache
from shared.projections.events import IncomingEvent, LoggedEvent, key_of
from shared.projections.folding import fold_events
from tests.faults.verdict import Stored, Verdict

VIEWS: Final = {
    definition.name: definition
    for definition in (INBOX_VIEWS, ROUTING, INBOX_VIEWS.history(), ROUTING.history(), AUDIT.history())
}
LOOK_SECONDS = 0.05


class Row(NamedTuple):
    """One aggregate in a view, or one version of it in a history, until it was replaced."""

    account: str
    key: str
    doc: Mapping[str, Any]
    version: int
    position: int
    until: int | None = None


class Place(NamedTuple):
    """Where a row stands; in a history the stream is followed by the version."""

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
        rows = dict(_rows(connection, VIEWS[view]))
        parked = [position for (position,) in _all(connection, "SELECT position FROM {}.{} ORDER BY 1", view, "parked")]
    return Rows(found, rows, parked)


def _rows(connection: "psycopg.Connection[Any]", definition: ProjectionDefinition) -> Iterator[tuple[Place, Row]]:
    columns = "SELECT {}, account, key, doc, version, position, {} FROM {{}}.{{}}"
    stream = "stream::text || ' ' || version" if definition.temporal else "stream::text"
    for aggregate, table in TABLES.items():
        parts = [(definition.tables[aggregate], "NULL")]
        if definition.temporal:
            parts.append((PAST_TABLES[aggregate], "until"))
        for part, until in parts:
            for place, *row in _all(connection, columns.format(stream, until), definition.name, part):
                yield Place(table, place), Row(*row)


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
    result = fold_events(definition.fold, entries, DocumentCache(), versions=True)
    rows: dict[Place, Row] = {}
    newest: dict[UUID, Place] = {}
    for event, document in result.versions or ():
        stream = f"{event.stream} {event.version}" if definition.temporal else str(event.stream)
        place, before = Place(TABLES[event.event.aggregate], stream), newest.get(event.stream)
        if before is not None:
            rows[before] = rows[before]._replace(until=event.position if definition.temporal else None)
        doc = orjson.loads(orjson.dumps(document))
        rows[place] = Row(event.account, key_of(event), doc, event.version, event.position)
        newest[event.stream] = place
    return Rows(entries[-1].position if entries else 0, rows, [one.position for one in result.parked])


def of_the_rows(log: Sequence[Stored], views: Mapping[str, Rows], strangers: frozenset[str] = frozenset()) -> Verdict:
    """Each view that was read against its replay.

    Of a history without strangers: it may have come to their events before or after a nemesis changed them.
    """
    found: dict[str, Sequence[Any]] = {}
    for view, seen in views.items():
        right = replayed(view, (one for one in log if one.position <= seen.position))
        if VIEWS[view].temporal:
            positions = {one.position for one in log if one.account in strangers}
            right, seen = (_without(rows, strangers, positions) for rows in (right, seen))  # noqa: PLW2901
        found |= compared(view, right, seen)
    return found


def _without(rows: Rows, accounts: frozenset[str], positions: set[int]) -> Rows:
    kept = {place: row for place, row in rows.rows.items() if row.account not in accounts}
    return Rows(rows.position, kept, [position for position in rows.parked if position not in positions])


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
    was, would = (
        {**one.doc, "(version)": one.version, "(position)": one.position, "(until)": one.until} for one in (seen, right)
    )
    names = sorted(was.keys() | would.keys())
    return right.account, right.key, {n: (was.get(n), would.get(n)) for n in names if was.get(n) != would.get(n)}
