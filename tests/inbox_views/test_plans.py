"""No question looks at all addresses of an account for each one of them, whatever the statistics say of the tables.

They say what was there when they were last taken. An account that has come since is one of no rows to the planner, and
a plan that is good for no rows has let 5,000 addresses wait for seconds.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, LiteralString

import psycopg
import pytest

from services.inbox_views import statements
from services.inbox_views.projection import DEFINITION
from shared.process.clock import new_id
from shared.process.postgres import options_of
from shared.projections import snapshot
from shared.projections.view import View
from shared.projections.view_connections import PLANS

Row = tuple[str, str, dict[str, Any]]

MANY: Final = 3_000
ACCOUNT: Final = "came-since"
# What was there when statistics were taken: accounts, and of each the addresses, aliases and users.
TAKEN: Final = [(0, 0, 0, 0), (1, 1, 0, 1), (1, 0, 1, 1), (1_000, 1, 0, 1), (1_000, 1, 1, 4), (50, 40, 20, 40)]
PAGE: Final[dict[str, Any]] = {"after": "", "limit": 1_001, "state": None, "kind": None, "inbox": None, "owner": None}
ASKED: Final[Sequence[tuple[str, LiteralString, dict[str, Any]]]] = [
    ("all", statements.SOME_ADDRESSES, PAGE),
    ("none of many", statements.SOME_ADDRESSES, PAGE | {"kind": "personal"}),
    ("one", statements.ONE_ADDRESS, {"key": "a00007"}),
    ("of an inbox", statements.ADDRESSES_IN, {"inboxes": ["sales"]}),
    ("aliases of a page", statements.ALIASES_OF, {"primaries": [f"a{number:05}" for number in range(1_000)]}),
    ("aliases", statements.ALIASES, {"primaries": [f"a{number:05}" for number in range(100)]}),
    ("alone of inboxes", statements.TEAM, {"inboxes": ["sales"]}),
    ("first of each inbox", statements.FIRST_SENDERS, {}),
    ("connected by somebody", statements.CONNECTED_BY, {"connector": "u00000"}),
    ("chosen ones", statements.CLAIMS, {"names": [f"b{number:05}" for number in range(1_000)]}),
    ("who is active", statements.ACTIVE + "AND key = ANY(%(names)s)", {"names": [f"u{n:05}" for n in range(1_000)]}),
    ("anybody active", statements.ACTIVE + "AND key IS DISTINCT FROM %(besides)s LIMIT 1", {"besides": "u00000"}),
    ("of an owner", statements.OWNED, {"owners": ["u00001"]}),
    (
        "who asks",
        snapshot.HEADS,
        {"accounts": [ACCOUNT] * 64, "actors": [f"u{n:05}" for n in range(64)], "design": DEFINITION.version},
    ),
]


@pytest.fixture
async def url(database: str) -> str:
    view = View(database, DEFINITION)
    await view.open()
    await view.prepare()
    await view.close()
    return database


def write(connection: psycopg.Connection[Any], table: LiteralString, rows: Iterator[Row]) -> None:
    copy: LiteralString = "COPY " + table + " (stream, account, key, doc, version, position) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(copy) as into:
        for account, key, doc in rows:
            into.write_row((new_id(), account, key, json.dumps(doc), 1, 1))


def addresses(account: str, count: int, aliases: int) -> Iterator[Row]:
    here = {
        "state": "connected",
        "sends": True,
        "kind": "team",
        "inbox": "sales",
        "owner": None,
        "connector": "u00000",
        "primary": None,
    }
    nowhere = here | {"inbox": None, "connector": None}
    for number in range(count):
        yield account, f"a{number:05}", here
    for number in range(aliases):
        yield account, f"b{number:05}", nowhere | {"primary": f"a{number:05}"}


def users(account: str, count: int) -> Iterator[Row]:
    for number in range(count):
        yield account, f"u{number:05}", {"status": "active"}


def looked_at(plan: dict[str, Any]) -> float:
    """Rows that were looked at, those that were in vain too."""
    vain = sum(plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Join Filter", "Index Recheck"))
    here = (plan["Actual Rows"] + vain) * plan["Actual Loops"]
    return float(here + sum(looked_at(one) for one in plan.get("Plans", ())))


@pytest.mark.parametrize("taken", TAKEN, ids=lambda taken: "-".join(map(str, taken)))
def test_a_question_reads_each_row_a_few_times_with_any_statistics(url: str, taken: tuple[int, int, int, int]) -> None:
    accounts, of_each, aliases, people = taken
    with psycopg.connect(
        url, autocommit=True, options=options_of(PLANS | {"search_path": f"{DEFINITION.name},public"})
    ) as connection:
        for number in range(accounts):
            write(connection, "addresses", addresses(f"account-{number}", of_each, aliases))
            write(connection, "users", users(f"account-{number}", people))
        if accounts:
            connection.execute("ANALYZE addresses, users")
        write(connection, "addresses", addresses(ACCOUNT, MANY, MANY))
        write(connection, "users", users(ACCOUNT, MANY))
        for mode in ("force_custom_plan", "force_generic_plan"):
            connection.execute("SELECT set_config('plan_cache_mode', %s, false)", (mode,))
            for name, statement, params in ASKED:
                explain: LiteralString = "EXPLAIN (ANALYZE, FORMAT JSON) " + statement
                rows = connection.execute(explain, {"account": ACCOUNT} | params, prepare=True).fetchall()
                looked = looked_at(rows[0][0][0]["Plan"])
                assert looked < 25 * MANY, (name, mode, looked, json.dumps(rows[0][0], indent=1))
