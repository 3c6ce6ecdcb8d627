"""Defects to plant in what the views have and show."""

from collections.abc import Callable
from dataclasses import replace

from tests.faults.evidence import Evidence
from tests.faults.planting import DEFECTS, Plant, defect
from tests.faults.replayed import VIEWS, Place, Row

__all__ = ["DEFECTS"]


def with_row(found: Evidence, view: str, change: Callable[[dict[Place, Row]], None]) -> Evidence:
    seen = found.rows[view]
    rows = dict(seen.rows)
    change(rows)
    return replace(found, rows={**found.rows, view: seen._replace(rows=rows)})


def off(view: str, table: str) -> Plant:
    def plant(found: Evidence) -> Evidence:
        def change(rows: dict[Place, Row]) -> None:
            place = next(place for place in rows if place.table == table)
            rows[place] = rows[place]._replace(doc={**rows[place].doc, "planted": True})

        return with_row(found, view, change)

    return plant


def missing(view: str) -> Plant:
    def drop(rows: dict[Place, Row]) -> None:
        rows.pop(next(iter(rows)))

    return lambda found: with_row(found, view, drop)


def too_many(view: str) -> Plant:
    def add(rows: dict[Place, Row]) -> None:
        rows[Place("addresses", "x")] = next(iter(rows.values()))

    return lambda found: with_row(found, view, add)


def parked(view: str) -> Plant:
    return lambda found: replace(found, rows={**found.rows, view: found.rows[view]._replace(parked=[7])})


def behind(view: str) -> Plant:
    def late(rows: dict[Place, Row]) -> None:
        place = max(rows, key=lambda place: rows[place].version)
        rows[place] = rows[place]._replace(version=rows[place].version - 1)

    return lambda found: with_row(found, view, late)


def ahead(view: str) -> Plant:
    return lambda found: replace(
        found, rows={**found.rows, view: found.rows[view]._replace(position=len(found.log) + 1)}
    )


def lasts_longer(view: str) -> Plant:
    def late(rows: dict[Place, Row]) -> None:
        place = next(place for place, row in rows.items() if row.until is not None)
        rows[place] = rows[place]._replace(until=(rows[place].until or 0) + 1)

    return lambda found: with_row(found, view, late)


def without_version(view: str) -> Plant:
    def drop(rows: dict[Place, Row]) -> None:
        del rows[next(place for place, row in rows.items() if row.until is not None)]

    return lambda found: with_row(found, view, drop)


def with_version_again(view: str) -> Plant:
    def double(rows: dict[Place, Row]) -> None:
        place, row = next((place, row) for place, row in rows.items() if row.until is not None)
        stream, _, version = place.stream.partition(" ")
        rows[Place(place.table, f"{stream} {int(version) + 1_000_000}")] = row

    return lambda found: with_row(found, view, double)


for _view in VIEWS:
    for _table in ("accounts", "users", "inboxes", "addresses"):
        defect(f"{_view}: a row of {_table} is off", f"{_view}: rows unlike the replay")(off(_view, _table))
    defect(f"{_view}: a row is missing", f"{_view}: rows missing")(missing(_view))
    defect(f"{_view}: a row is too many", f"{_view}: rows too many")(too_many(_view))
    defect(f"{_view}: an event is parked for nothing", f"{_view}: parked unlike the replay")(parked(_view))
    defect(f"{_view}: it is ahead of the log", f"{_view}: at another position")(ahead(_view))
    defect(f"{_view}: a row is one event behind", f"{_view}: rows unlike the replay")(behind(_view))
    if VIEWS[_view].temporal:
        defect(f"{_view}: a former version is lost", f"{_view}: rows missing")(without_version(_view))
        defect(f"{_view}: a former version is there twice", f"{_view}: rows too many")(with_version_again(_view))
        defect(f"{_view}: a version ends too late", f"{_view}: rows unlike the replay")(lasts_longer(_view))


@defect("an address is shown as somebody else's", "shown otherwise than told")
def _(found: Evidence) -> Evidence:
    account, addresses = next(iter(found.shown.addresses.items()))
    name, entry = next((name, entry) for name, entry in addresses.items() if entry["owner"])
    other = {**addresses, name: {**entry, "owner": "eve"}}
    return replace(found, shown=found.shown._replace(addresses={**found.shown.addresses, account: other}))


@defect("mail is led to somebody else", "led elsewhere than told")
def _(found: Evidence) -> Evidence:
    account, routes = next(iter(found.shown.routes.items()))
    personal = next(n for n, led in enumerate(routes) if led["destination"] == "personal")
    other = [*routes[:personal], {**routes[personal], "owner": "eve"}, *routes[personal + 1 :]]
    return replace(found, shown=found.shown._replace(routes={**found.shown.routes, account: other}))
