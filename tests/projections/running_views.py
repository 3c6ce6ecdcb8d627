"""Views under test: a story told to the event log and to the rows, and everything that the rows say."""

from typing import Any

import psycopg
from nats.errors import NoRespondersError

from shared.language.recorded import Recorded
from shared.process.stored_events import to_state
from shared.projections.events import DeliveredEvent
from shared.projections.view import View
from shared.wire.cloud_events import to_wire
from tests.inbox_views.stories import Bus, Story, beginning, eventually, personal

TABLES = ("accounts", "users", "inboxes", "addresses", "parked")


def story(addresses: int = 40) -> Story:
    told = beginning()
    for number in range(addresses):
        told.tell(personal(f"{number}@acme.example", "bob"))
    return told


async def rows_of(url: str, schema: str = "inbox_views") -> dict[str, list[Any]]:
    """Every row of a view, and its position."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        found: dict[str, list[Any]] = {}
        for table in TABLES:
            columns = "position, stream, type, body" if table == "parked" else "*"
            rows = await connection.execute(f"SELECT {columns} FROM {schema}.{table} ORDER BY 1".encode())
            found[table] = await rows.fetchall()
        rows = await connection.execute(f"SELECT design, position FROM {schema}.view".encode())
        found["view"] = await rows.fetchall()
        return found


async def write_log(url: str, recorded: list[Recorded], topics: dict[int, str] | None = None) -> None:
    """The event log as the write side keeps it; `topics` by position replace the true ones."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("CREATE SCHEMA IF NOT EXISTS connections")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS connections.events (originator_id uuid, originator_version bigint, topic text,"
            " state bytea, notification_id bigint UNIQUE, PRIMARY KEY (originator_id, originator_version))"
        )
        async with (
            connection.cursor() as cursor,
            cursor.copy("COPY connections.events FROM STDIN (FORMAT binary)") as copy,
        ):
            copy.set_types(["uuid", "int8", "text", "bytea", "int8"])
            for one in recorded:
                topic = (topics or {}).get(one.position, one.event.stored_name())
                await copy.write_row((one.stream, one.version, topic, to_state(one), one.position))


async def reached(bus: Bus, position: int, seconds: float = 60.0) -> None:
    """The view stands there, asked as anybody would."""

    async def there() -> bool:
        try:
            told = await bus.ask("Usage", actor="service:test", at_least=position, wait_ms=500)
        except (NoRespondersError, TimeoutError):
            return False
        return told.error is None

    await eventually(there, seconds)


async def apply(view: View, recorded: list[Recorded]) -> None:
    """The events as the bus brings them, into the live rows."""
    entries = []
    for one in recorded:
        _, headers, body = to_wire(one)
        entries.append(DeliveredEvent(one.position, headers, body))
    assert await view.apply(entries) == recorded[-1].position


async def schemas_of(url: str, view: str) -> set[str]:
    """The schemas that the database has for a view, without those of its history."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        query = "SELECT nspname FROM pg_namespace WHERE nspname ~ ('^' || %s || '(_building|_new|_old|_discarded)?$')"
        rows = await connection.execute(query, (view,))
        return {name for (name,) in await rows.fetchall()}
