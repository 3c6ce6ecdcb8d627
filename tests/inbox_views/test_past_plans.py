"""No question about the past reads other versions of its rows, whatever the statistics say of the tables."""

import json
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from services.inbox_views.projection import DEFINITION
from shared.process.clock import new_id
from shared.process.postgres import options_of
from shared.projections.tables import create
from shared.projections.view_connections import AS_OF_NEWEST, PLANS
from tests.inbox_views.test_plans import ACCOUNT, ASKED, MANY, TAKEN, Row, addresses, looked_at, users

HISTORY = DEFINITION.history()
SETTINGS = PLANS | AS_OF_NEWEST | {"search_path": f"{HISTORY.name},public"}
# Each row has this many versions, the first of them from position 1 on, the next from 2 on.
VERSIONS = 4
# The statement that reads actors is another one for the past.
OF_QUESTIONS = [one for one in ASKED if one[0] != "who asks"]
# Rows that began after all moments of these questions.
LATER = 100


@pytest.fixture
async def url(database: str) -> str:
    async with await psycopg.AsyncConnection.connect(database) as connection, connection.cursor() as cursor:
        await create(cursor, HISTORY, HISTORY.name)
    return database


def write(connection: psycopg.Connection[Any], table: LiteralString, rows: Iterator[Row]) -> None:
    """Every row in all versions, and as many rows that began later."""
    current, past = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for account, key, doc in rows:
        stream, text = new_id(), json.dumps(doc)
        past += [(stream, account, key, text, version, version, version + 1) for version in range(1, VERSIONS)]
        current.append((stream, account, key, text, VERSIONS, VERSIONS))
        current.append((new_id(), account, f"{key}-later", text, 1, LATER))
    for part, found in (("_current", current), ("_past", past)):
        statement: LiteralString = f"COPY {table}{part} FROM STDIN"
        with connection.cursor() as cursor, cursor.copy(statement) as into:
            for row in found:
                into.write_row(row)


@pytest.mark.parametrize("taken", TAKEN, ids=lambda taken: "-".join(map(str, taken)))
def test_a_question_of_the_past_reads_each_row_a_few_times(url: str, taken: tuple[int, int, int, int]) -> None:
    accounts, of_each, aliases, people = taken
    with psycopg.connect(url, autocommit=True, options=options_of(SETTINGS)) as connection:
        for number in range(accounts):
            write(connection, "addresses", addresses(f"account-{number}", of_each, aliases))
            write(connection, "users", users(f"account-{number}", people))
        if accounts:
            connection.execute("ANALYZE addresses_current, addresses_past, users_current, users_past")
        write(connection, "addresses", addresses(ACCOUNT, MANY, MANY))
        write(connection, "users", users(ACCOUNT, MANY))
        for mode in ("force_custom_plan", "force_generic_plan"):
            connection.execute("SELECT set_config('plan_cache_mode', %s, false)", (mode,))
            for position in (1, 2, VERSIONS):
                connection.execute("SELECT set_config('switchboard.as_of', %s, false)", (str(position),))
                for name, statement, params in OF_QUESTIONS:
                    explain: LiteralString = "EXPLAIN (ANALYZE, FORMAT JSON) " + statement
                    rows = connection.execute(explain, {"account": ACCOUNT} | params, prepare=True).fetchall()
                    looked = looked_at(rows[0][0][0]["Plan"])
                    assert looked < 40 * MANY, (name, mode, position, looked, json.dumps(rows[0][0], indent=1))
