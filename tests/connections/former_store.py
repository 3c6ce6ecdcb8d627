"""The event store of the release before journal entries got ordinals, and a writer of that release."""

from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
from eventsourcing.persistence import StoredEvent

from services.connections.store.recorder import APPEND
from services.connections.store.rows import JournalEntry, ReadSet, Rows
from shared.process.clock import new_id
from tests.connections.given_when_then import ACCOUNT, BOB

SCHEMA: Final = Path(__file__).with_name("former_event_store.sql")
ENTRIES: Final = "SELECT entry, ordinal, position, log_position FROM connections.journal ORDER BY ordinal"


class FormerWriter:
    """Its start makes the store as it was then, or only replaces the functions."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.start()

    def start(self) -> None:
        self.connection.execute(SCHEMA.read_bytes())

    def append(self, *entries: JournalEntry, events: int | None = None) -> None:
        """One commit, with as many events as the entries count."""
        times = {one.ordinal: one.time for one in reversed(entries) if one.ordinal is not None}
        count = max(times, default=0) if events is None else events
        stored = [a_stored_event(times[min(n for n in times if n >= k)]) for k in range(1, count + 1)]
        rows = Rows(ReadSet({}, {}), stored, (), entries)
        self.connection.execute(APPEND, rows.arrays(), binary=True)

    def close(self) -> None:
        self.connection.close()


def an_entry(outcome: str, time: str, ordinal: int | None = None) -> JournalEntry:
    """`ordinal` counts the events of its commit up to the last one of this command."""
    body = b'{"address": "bob@acme.example"}'
    entry, reason = new_id(), None if ordinal is not None else "ADDRESS_ALREADY_PERSONAL"
    reply = orjson.dumps({"outcome": outcome, "position": 0})
    return JournalEntry(
        entry, ACCOUNT, new_id(), True, "ConnectPersonal", BOB, outcome, reason, ordinal, b"d", body, reply, time
    )


def a_stored_event(time: str, stream: UUID | None = None) -> StoredEvent:
    envelope: dict[str, Any] = {"id": new_id(), "account": ACCOUNT, "actor": BOB, "command_id": new_id()}
    body = {"address": "bob@acme.example", "display": "Bob", "owner": BOB, "canonical_form": 1}
    state = orjson.dumps(envelope | {"correlation_id": None, "traceparent": None, "time": time, "data": body})
    return StoredEvent(stream or UUID(new_id()), 1, "switchboard.PersonalConnected.v1", state)
