"""The library's unsafe switch loses events for whoever follows the log: the checker names them; nothing starts with it.

With `POSTGRES_ENABLE_DB_FUNCTIONS` the library inserts without its lock, so an event that got the lower position may be
committed after one with a higher; a reader that has passed it by never comes back.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from tests.faults.verdict import Stored, of_the_stream
from tests.journeys.wire import Fact
from tests.real_servers import ROOT, free_port

SWITCH = "POSTGRES_ENABLE_DB_FUNCTIONS"


def test_the_write_side_refuses_to_start_with_it_whoever_is_away() -> None:
    away = free_port()
    environment = {
        SWITCH: "y",
        "SWITCHBOARD_POSTGRES_URL": f"postgresql://postgres@127.0.0.1:{away}/switchboard",
        "SWITCHBOARD_NATS_URL": f"nats://127.0.0.1:{away}",
        "SWITCHBOARD_HTTP_PORT": "0",
        "PYTHONPATH": str(ROOT),
    }
    argv = [sys.executable, "-m", "services.connections.app"]
    ended = subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, timeout=30, text=True, check=False)
    assert ended.returncode != 0
    assert f"{SWITCH} is set" in ended.stdout + ended.stderr


# ---- what would happen


@contextmanager
def recorder(url: str) -> Iterator[PostgresApplicationRecorder]:
    """The library's own, with the switch on."""
    told = conninfo_to_dict(url)
    names = (str(told["dbname"]), str(told.get("host", "")), str(told.get("port", "")), str(told.get("user", "")))
    datastore = PostgresDatastore(
        *names, str(told.get("password", "")), schema="public", pool_size=4, lock_timeout=1, enable_db_functions=True
    )
    with datastore:
        made = PostgresApplicationRecorder(datastore, events_table_name="events")
        made.create_table()
        yield made


def event(version: int) -> StoredEvent:
    told = {"id": f"e{version}", "account": "acme", "command_id": f"c{version}", "actor": "bob", "data": {}}
    return StoredEvent(UUID(int=version), 1, "switchboard.SeatAssigned.v1", json.dumps(told).encode())


class Follower:
    """Reads what is new behind the last position that it knows, as the library's subscriptions do."""

    def __init__(self, recorder: PostgresApplicationRecorder) -> None:
        self._recorder = recorder
        self._position = 0
        self.facts: list[Fact] = []

    def follow(self) -> None:
        for told in self._recorder.select_notifications(self._position + 1, 100):
            self._position = int(told.id)
            self.facts.append(fact(stored(told)))


def stored(told: Any) -> Stored:
    body = json.loads(told.state)
    ids = body["id"], body["account"], body["command_id"], body["actor"]
    return Stored(int(told.id), str(told.originator_id), 1, *ids, "SeatAssigned", {}, told.topic)


def fact(one: Stored) -> Fact:
    headers = {"ce-position": str(one.position), "ce-id": one.id, "ce-type": one.topic, "ce-account": one.account}
    more = {"ce-actor": one.actor, "ce-causationid": one.command_id, "ce-streamversion": "1"}
    return Fact("", headers | more, dict(one.data))


def test_a_reader_of_a_log_that_was_written_with_it_has_holes_that_the_checker_names(database: str) -> None:
    with recorder(database) as made:
        follower = Follower(made)
        made.insert_events([event(1)])
        with slow_commit(made, event(2)):
            made.insert_events([event(3)])
            follower.follow()
        made.insert_events([event(4)])
        follower.follow()
        log = [stored(told) for told in made.select_notifications(1, 100)]
    assert [one.position for one in log] == [1, 2, 3, 4]
    found = of_the_stream(log, follower.facts)
    assert found["stored and not told"] == [(2, "e2")]
    assert not any(members for name, members in found.items() if name != "stored and not told")


@contextmanager
def slow_commit(made: PostgresApplicationRecorder, one: StoredEvent) -> Iterator[None]:
    """An event that has its position within, and is committed at the end: the library's call on a slow disk."""
    row = made.construct_pg_stored_event(one.originator_id, one.originator_version, one.topic, one.state)
    with made.datastore.transaction(commit=True) as cursor:
        cursor.execute(made.sql_invoke_pg_function_insert_events, ([row],))
        yield
