"""What each part that Switchboard stands on does alone: a service without a store, the store, the stream."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import nats
import psycopg
import uvloop
from nats.js.api import StorageType, StreamConfig

from shared.language import subjects
from shared.language.events import PersonalConnected
from shared.language.recorded import Recorded, stream_id
from shared.process import stored_events
from shared.process.clock import new_id, now
from shared.wire import cloud_events
from tests.bench import echo
from tests.bench.load import answers
from tests.bench.stage import Figures, Stage
from tests.real_servers import wait_until

# As many rows as one commit of a busy writer carries.
GROUP = 256
ROWS = 40 * GROUP
MESSAGES = 10_000
STREAM = "BENCH"

# Stream, version, stored name, state, position.
EventRow = tuple[UUID, int, str, bytes, int]

_TABLE = """
    CREATE TABLE {name} (
        originator_id uuid NOT NULL,
        originator_version bigint NOT NULL,
        topic text COLLATE "C" NOT NULL,
        state bytea NOT NULL,
        notification_id bigint NOT NULL,
        PRIMARY KEY (originator_id, originator_version)
    );
    CREATE UNIQUE INDEX ON {name} (notification_id);
"""


def events(count: int) -> Iterator[Recorded]:
    """Events as a load leaves them in the log."""
    for number in range(1, count + 1):
        address = f"{number}@load.example"
        yield Recorded(
            id=new_id(),
            account="load",
            stream=stream_id("load", "address", address),
            version=1,
            position=number,
            actor="owner1",
            command_id=new_id(),
            correlation_id=None,
            traceparent=None,
            time=now(),
            event=PersonalConnected(address=address, display=address, owner="owner1", canonical_form=1),
        )


@contextmanager
def echoing(stage: Stage, *options: str) -> Iterator[str]:
    """The subject on which `tests.bench.echo` answers while the block runs."""
    subject = echo.PLAIN if options else echo.SUBJECT
    argv = stage.module("tests.bench.echo", *options)
    with stage.program("echo" + "".join(options), argv, {"SWITCHBOARD_NATS_URL": stage.nats.url}):
        wait_until(lambda: answers(stage.nats.url, subject), what="the echo to answer")
        yield subject


def inserted(stage: Stage) -> Figures:
    """PostgreSQL alone: one connection, one statement and one flushed commit for each group of rows."""
    rows = list(event_rows(ROWS))
    with event_table(stage.postgres.url) as insert:
        began = time.perf_counter()
        for first in range(0, ROWS, GROUP):
            insert(rows[first : first + GROUP])
        seconds = time.perf_counter() - began
    return {"per_second": ROWS / seconds}


def event_rows(count: int) -> Iterator[EventRow]:
    for event in events(count):
        yield event.stream, event.version, event.event.stored_name(), stored_events.to_state(event), event.position


@contextmanager
def event_table(url: str) -> Iterator[Callable[[Sequence[EventRow]], None]]:
    """A new table like that of the events, and what inserts rows into it with one flushed commit a call."""
    name = f"bench_{new_id().replace('-', '')}"
    arrays = "%b::uuid[], %b::bigint[], %b::text[], %b::bytea[], %b::bigint[]"
    statement = f"INSERT INTO {name} SELECT * FROM unnest({arrays})".encode()
    with psycopg.connect(url, autocommit=True, application_name="bench-insert") as connection:
        connection.execute(_TABLE.format(name=name).encode())
        try:
            yield lambda rows: _insert(connection, statement, rows)
        finally:
            connection.execute(f"DROP TABLE {name}".encode())


def _insert(connection: psycopg.Connection, statement: bytes, rows: Sequence[EventRow]) -> None:
    connection.execute(statement, [list(column) for column in zip(*rows, strict=True)], prepare=True, binary=True)


def published(stage: Stage) -> Figures:
    """JetStream alone: events with their headers published asynchronously onto a stream on disk, each acknowledged."""
    return uvloop.run(_published(stage.nats.url))


async def _published(url: str) -> Figures:
    client = await nats.connect(url)
    js = client.jetstream()
    messages = [cloud_events.to_wire(event) for event in events(MESSAGES)]
    await js.add_stream(StreamConfig(name=STREAM, subjects=["bench.event.>"], storage=StorageType.FILE))
    try:
        began = time.perf_counter()
        acknowledged = [
            await js.publish_async(subject.replace(subjects.EVENT, "bench.event"), body, headers=headers)
            for subject, headers, body in messages
        ]
        await asyncio.gather(*acknowledged)
        seconds = time.perf_counter() - began
        stored = (await js.stream_info(STREAM)).state.messages
    finally:
        await js.delete_stream(STREAM)
        await client.close()
    if stored != MESSAGES:
        raise RuntimeError(f"{stored} of {MESSAGES} messages are on the stream")
    return {"per_second": MESSAGES / seconds}
