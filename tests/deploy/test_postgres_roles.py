"""Each role of deploy/postgres may do its work and nothing else, asked of the PostgreSQL of a whole Switchboard."""

import re
from pathlib import Path
from typing import Final, LiteralString

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction

from services.connections.commands import PAGES
from services.connections.store.event_store import EventStore
from services.connections.store.recorder import StoreUnavailable
from tests.connections.former_store import SCHEMA
from tests.deploy.production import DEPLOY, Production, RunningGuardedPostgres, Secrets

ROLES: Final = ("connections", "relay", "inbox-views", "routing", "audit", "ops")
VIEWS: Final = ("inbox-views", "routing")
NOBODY: Final[frozenset[str]] = frozenset()

INSERT_EVENT: Final[LiteralString] = (
    "INSERT INTO connections.events VALUES (gen_random_uuid(), 1, 'forged', '{}', 1000000)"
)
SINCE: Final[LiteralString] = "SELECT connections.since('{}', '{}', '{}', '{}')"
JOURNAL: Final[LiteralString] = "SELECT FROM connections.journal LIMIT 1"
AS_FORMERLY: Final[LiteralString] = """
    INSERT INTO connections.journal (entry, account, kept, command, outcome, reply, recorded_at)
    VALUES (gen_random_uuid(), 'acme', false, 'Explode', 'refused', '{}', now())
"""
OF_JOURNAL: Final[LiteralString] = "UPDATE connections.journal SET outcome = 'accepted'"

# What is tried, and the users whose roles may: `ops` comes as switchboard_reader.
MATRIX: Final[dict[LiteralString, frozenset[str]]] = {
    # ---- the event store
    "SELECT FROM connections.events LIMIT 1": frozenset(ROLES),
    "SELECT FROM connections.log": frozenset(ROLES),
    JOURNAL: frozenset({"connections", "audit", "ops"}),
    "SELECT FROM connections.memberships LIMIT 1": frozenset({"connections", "ops"}),
    "SELECT FROM connections.commits LIMIT 1": frozenset(ROLES) - {"relay"},
    SINCE: frozenset({"connections"}),
    INSERT_EVENT: frozenset({"connections"}),
    "UPDATE connections.events SET state = '{}'": NOBODY,
    "DELETE FROM connections.events": NOBODY,
    "TRUNCATE connections.events": NOBODY,
    OF_JOURNAL: NOBODY,
    "UPDATE connections.journal SET ordinal = 1": NOBODY,
    "SELECT connections.number_entries()": frozenset({"connections"}),
    "INSERT INTO connections.commits VALUES (now(), 1000000)": frozenset({"connections"}),
    "UPDATE connections.commits SET latest = now()": NOBODY,
    "DELETE FROM connections.commits": NOBODY,
    "DELETE FROM connections.journal": NOBODY,
    "UPDATE connections.memberships SET member = gen_random_uuid()": NOBODY,
    "UPDATE connections.memberships SET present = present": frozenset({"connections"}),
    "UPDATE connections.log SET id = gen_random_uuid()": NOBODY,
    "LOCK TABLE connections.events IN EXCLUSIVE MODE": NOBODY,
    "ALTER TABLE connections.events ADD COLUMN more text": NOBODY,
    "DROP TABLE connections.journal": NOBODY,
    "DROP SCHEMA connections CASCADE": NOBODY,
    "ALTER SCHEMA connections RENAME TO mine": NOBODY,
    "CREATE TABLE connections.mine (one int)": NOBODY,
    "DROP FUNCTION connections.since": NOBODY,
    "SET ROLE switchboard_owner": NOBODY,
    # ---- the evidence
    "SELECT FROM evidence.heads": frozenset({"audit", "ops"}),
    "UPDATE evidence.heads SET size = size": frozenset({"audit"}),
    "DROP SCHEMA evidence CASCADE": frozenset({"audit"}),
    # ---- the views
    "SELECT FROM inbox_views.addresses LIMIT 1": frozenset({"inbox-views", "ops"}),
    "SELECT FROM routing.addresses LIMIT 1": frozenset({"routing", "ops"}),
    "SELECT FROM routing.parked": frozenset({"routing", "ops"}),
    "DELETE FROM inbox_views.addresses": frozenset({"inbox-views"}),
    "UPDATE routing.view SET position = 0": frozenset({"routing"}),
    "DROP SCHEMA inbox_views CASCADE": frozenset({"inbox-views"}),
    "ALTER SCHEMA routing RENAME TO routing_mine": frozenset({"routing"}),
    "CREATE SCHEMA mine": frozenset({*VIEWS, "audit"}),
    # ---- the database
    "SELECT pg_advisory_xact_lock(5824113001)": frozenset(ROLES) - {"ops"},
    "SELECT pg_try_advisory_lock_shared(1)": frozenset(ROLES) - {"ops"},
    "SELECT lo_from_bytea(0, 'x')": NOBODY,
    "CREATE TABLE public.mine (one int)": NOBODY,
    "CREATE TEMPORARY TABLE mine (one int)": frozenset({*VIEWS, "audit"}),
    "CREATE ROLE mine": NOBODY,
    "ALTER ROLE switchboard_relay SUPERUSER": NOBODY,
    "COPY (SELECT 1) TO PROGRAM 'true'": NOBODY,
    "SELECT pg_read_file('postgresql.conf')": NOBODY,
    "SET log_statement = 'all'": NOBODY,
}

# Statements about what a view makes when it starts.
IN_ROWS: Final = re.compile(r"\b(inbox_views|routing|evidence)\b")


@pytest.mark.parametrize("user", ROLES)
def test_a_role_may_do_its_work_and_nothing_else(user: str, guarded: Production) -> None:
    allowed = {statement for statement in MATRIX if tried(guarded.secrets.url(user), statement)}
    expected = {statement for statement, users in MATRIX.items() if user in users}
    print(f"\n{user}: {len(expected)} of {len(MATRIX)} allowed")
    assert (allowed - expected, expected - allowed) == (set(), set())


def tried(url: str, statement: LiteralString) -> bool:
    """Whether the role may; what it does is undone."""
    with psycopg.connect(url, options="-c lock_timeout=5s") as connection:
        try:
            connection.execute("SET TRANSACTION READ WRITE")
            connection.execute(statement)
        except InsufficientPrivilege:
            return False
        finally:
            connection.rollback()
    return True


def test_who_only_looks_writes_nothing_even_where_he_might(guarded: Production) -> None:
    with psycopg.connect(guarded.secrets.url("ops")) as connection, pytest.raises(ReadOnlySqlTransaction):
        connection.execute("CREATE TABLE mine (one int)")


@pytest.mark.parametrize("user", ROLES)
def test_a_role_comes_in_with_its_own_password_only(user: str, guarded: Production) -> None:
    url = guarded.secrets.url(user)
    role, _, rest = url.removeprefix("postgresql://").partition(":")
    with psycopg.connect(url) as connection:
        assert connection.info.user == role
    other = guarded.secrets.url("relay" if user != "relay" else "routing")
    password = other.split(":")[2].partition("@")[0]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://{role}:{password}@{rest.partition('@')[2]}")


def test_the_roles_and_grants_may_be_made_again_while_everything_runs(guarded: Production) -> None:
    guarded.postgres.initialise()
    assert not tried(guarded.secrets.url("relay"), INSERT_EVENT)
    assert guarded.command_line("ops", "query", "acme", "Account", "--actor", "ana")[0] == 0


def test_whoever_owns_the_database_and_may_make_roles_is_enough(folder: Path) -> None:
    """As where PostgreSQL is somebody else's, and nobody is its superuser."""
    secrets = Secrets(folder / "secrets")
    server = RunningGuardedPostgres(folder / "p", secrets)
    try:
        for statement in (
            "CREATE ROLE administrator LOGIN CREATEROLE PASSWORD 'known'",
            "ALTER DATABASE switchboard OWNER TO administrator",
        ):
            server.tool("psql", "--dbname", "switchboard", "--command", statement)
        for _ in range(2):
            server.initialise("PGUSER=administrator", "PGPASSWORD=known")
        EventStore(secrets.url("connections"), PAGES).close()
        for user in ROLES:
            expected = {one for one, users in MATRIX.items() if user in users and not IN_ROWS.search(one)}
            # What only a superuser can take away.
            expected |= {one for one in MATRIX if " lo_" in one or "advisory" in one}
            allowed = {one for one in MATRIX if not IN_ROWS.search(one) and tried(secrets.url(user), one)}
            assert (user, allowed - expected, expected - allowed) == (user, set(), set())
    finally:
        server.kill()


def test_a_writer_that_may_not_make_the_tables_says_so(guarded: Production) -> None:
    """Roles were made in a database, and nobody has made the tables."""
    server = guarded.postgres
    server.tool("createdb", "bare")
    server.tool("psql", "--dbname", "bare", "--file", str(DEPLOY / "postgres" / "roles.sql"))
    url = guarded.secrets.url("connections").replace("/switchboard?", "/bare?")
    with pytest.raises(StoreUnavailable, match="not for this role to make"):
        EventStore(url, PAGES)


def test_init_numbers_the_entries_of_a_former_release(guarded: Production) -> None:
    server = guarded.postgres
    server.tool("createdb", "upgraded")
    server.tool("psql", "--dbname", "upgraded", "--file", str(DEPLOY / "postgres" / "roles.sql"))
    as_owner = ("psql", "--dbname", "upgraded", "--command", "SET ROLE switchboard_owner")
    server.tool(*as_owner, "--file", str(SCHEMA), *("--command", AS_FORMERLY) * 3)
    for _ in range(2):
        server.initialise("PGDATABASE=upgraded")
    url = guarded.secrets.url("connections").replace("/switchboard?", "/upgraded?")
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT array_agg(ordinal ORDER BY ordinal) FROM connections.journal").fetchone()
    assert found == ([1, 2, 3],)


def test_a_writer_numbers_what_one_of_a_former_release_left_though_it_may_change_no_entry(guarded: Production) -> None:
    url = guarded.secrets.url("connections")
    with psycopg.connect(url) as connection:
        connection.execute(AS_FORMERLY)
        connection.execute("SELECT connections.append({})".format(", ".join(["'{}'"] * 25)))
        last, all_of_them = connection.execute("SELECT max(ordinal), count(*) FROM connections.journal").fetchall()[0]
        assert last == all_of_them
        connection.rollback()
