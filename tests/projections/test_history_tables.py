"""The tables of a history: rows as of any position, under the names of the live tables, through every exchange."""

from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from services.inbox_views.projection import DEFINITION
from services.inbox_views.statements import ALIASES, ONE_ADDRESS, ORPHANS, SOME_ADDRESSES, USERS
from shared.projections.schemas import retired, staged
from shared.projections.tables import create, drop
from shared.projections.view import View

HISTORY = DEFINITION.history()
FIRST, SECOND = UUID(int=1), UUID(int=2)


async def filled(url: str, schema: str) -> None:
    """One address with three versions, and one that began later."""
    async with await psycopg.AsyncConnection.connect(url) as connection, connection.cursor() as cursor:
        await create(cursor, HISTORY, schema)
        for stream, key, position, until in (
            (FIRST, "a@x", 2, 5),
            (FIRST, "a@x", 5, 9),
            (FIRST, "a@x", 9, None),
            (SECOND, "b@x", 6, None),
        ):
            table, columns = ("addresses_current", "") if until is None else ("addresses_past", ", %(until)s")
            await cursor.execute(
                sql.SQL("INSERT INTO {}.{} VALUES (%(s)s, 'acme', %(k)s, %(d)s::jsonb, %(p)s, %(p)s{})").format(
                    sql.Identifier(schema),
                    sql.Identifier(table),
                    sql.SQL(columns),
                ),
                {"s": stream, "k": key, "d": f'{{"at": {position}}}', "p": position, "until": until},
            )


async def as_of(url: str, position: int | None) -> dict[str, int]:
    """The versions by key, as a reader of the history sees them."""
    view = View(url, HISTORY, readers=1)
    await view.open()
    try:
        async with view.writing() as cursor:
            if position is not None:
                await cursor.execute("SELECT set_config('switchboard.as_of', %s, true)", (str(position),))
            await cursor.execute("SELECT key, doc->'at' FROM addresses ORDER BY key")
            return dict(await cursor.fetchall())
    finally:
        await view.close()


@pytest.mark.parametrize(
    ("position", "rows"),
    [
        (1, {}),
        (2, {"a@x": 2}),
        (4, {"a@x": 2}),
        (5, {"a@x": 5}),
        (8, {"a@x": 5, "b@x": 6}),
        (9, {"a@x": 9, "b@x": 6}),
        (None, {"a@x": 9, "b@x": 6}),
    ],
)
async def test_each_version_is_shown_from_its_event_until_the_next(
    position: int | None, rows: dict[str, int], database: str
) -> None:
    await filled(database, HISTORY.name)
    assert await as_of(database, position) == rows


async def test_a_renamed_history_shows_its_own_rows(database: str) -> None:
    await filled(database, staged(HISTORY.name))
    async with await psycopg.AsyncConnection.connect(database) as connection, connection.cursor() as cursor:
        await create(cursor, HISTORY, HISTORY.name)
        for schema, to in ((HISTORY.name, retired(HISTORY.name)), (staged(HISTORY.name), HISTORY.name)):
            names = sql.Identifier(schema), sql.Identifier(to)
            await cursor.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(*names))
        await drop(cursor, retired(HISTORY.name))
    assert await as_of(database, 5) == {"a@x": 5}


@pytest.mark.parametrize("statement", [USERS, ORPHANS, SOME_ADDRESSES])
async def test_a_list_by_key_is_a_merge_of_two_ordered_scans(statement: str, database: str) -> None:
    plan = await plan_of(database, statement)
    assert "Merge Append" in plan
    assert "Sort  (" not in plan


@pytest.mark.parametrize("statement", [USERS, ORPHANS, SOME_ADDRESSES, ONE_ADDRESS, ALIASES])
async def test_other_versions_are_skipped_by_the_index(statement: str, database: str) -> None:
    plan = await plan_of(database, statement)
    assert "until > (current_setting" in plan
    for line in plan.splitlines():
        assert "until" not in line or "Index Cond" in line or "_until_" in line or "One-Time" in line


async def plan_of(url: str, statement: str) -> str:
    values: dict[str, Any] = dict.fromkeys(("state", "kind", "inbox", "owner"))
    values |= {"account": "acme", "key": "a@x", "after": "", "limit": 51, "primaries": ["a@x"]}
    await filled(url, HISTORY.name)
    view = View(url, HISTORY, readers=1)
    await view.open()
    try:
        async with view.writing() as cursor:
            # Without statistics the planner takes the tables to be small.
            await cursor.execute("SET LOCAL enable_sort = off")
            await cursor.execute("SET LOCAL enable_bitmapscan = off")
            await cursor.execute(f"EXPLAIN {statement}".encode(), values)
            return "\n".join(line for (line,) in await cursor.fetchall())
    finally:
        await view.close()
