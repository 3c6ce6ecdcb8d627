"""How fast the stream follows the log: all of it at once, and each commit at a fixed rate of commands."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import nats
import psycopg
from nats.errors import TimeoutError as NothingCame
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from shared.language import subjects
from shared.language.subjects import Ce
from tests.bench.account import new_account, until_viewed
from tests.bench.load import percentile
from tests.bench.meter import between, microseconds
from tests.bench.run_load import run_load
from tests.bench.stage import Figures, Stage

PATIENCE_SECONDS = 900.0
WARM_UP_SECONDS = 2


class NotCaughtUpError(Exception):
    """The stream does not hold all of the log in time."""


def caught_up(stage: Stage, database: str, events: int) -> Figures:
    """A relay alone, with a log of so many events and no stream: from its first message to its last."""
    asyncio.run(_without_stream(stage.nats.url))
    environment = {
        "SWITCHBOARD_NATS_URL": stage.nats.url,
        "SWITCHBOARD_POSTGRES_URL": database,
        "SWITCHBOARD_HTTP_PORT": "0",
    }
    meter = stage.meter()
    before = meter.read()
    with stage.program("relay", stage.module("services.relay.app"), environment=environment):
        seconds = asyncio.run(_seconds_until(stage.nats.url, events))
        cost = microseconds(between(before, meter.read()), events)
    return {"events": events, "per_second": (events - 1) / seconds} | {
        f"cpu_us {role}": spent for role, spent in cost.items()
    }


async def _without_stream(url: str) -> None:
    client = await nats.connect(url)
    try:
        await client.jetstream().delete_stream(subjects.EVENT_STREAM)
    except NotFoundError:
        pass  # nobody has told anything on this NATS yet
    finally:
        await client.close()


async def _seconds_until(url: str, events: int) -> float:
    """Between the times at which the stream stored its first and its last message."""
    client = await nats.connect(url)
    try:
        js = client.jetstream()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await _messages(js) < events:
                await asyncio.sleep(0.1)
        first, last = [(await js.get_msg(subjects.EVENT_STREAM, number)).time for number in (1, events)]
        if first is None or last is None:
            raise NotCaughtUpError("the stream does not tell its times")
        return (last - first).total_seconds()
    except TimeoutError as error:
        raise NotCaughtUpError(f"after {PATIENCE_SECONDS:g} s") from error
    finally:
        await client.close()


async def _messages(js: JetStreamContext) -> int:
    try:
        return (await js.stream_info(subjects.EVENT_STREAM)).state.messages
    except NotFoundError:
        return 0


def commit_to_stream(stage: Stage, rate: float, seconds: float) -> Figures:
    """Milliseconds from each commit to its event's place in the stream, while commands come at a fixed rate.

    From PostgreSQL's own time of the commit, taken just before it flushes, to JetStream's own time of storing: both
    read this machine's clock, and nobody who measures stands in between.
    """
    with _commit_times_kept(stage), stage.switchboard() as running:
        account = asyncio.run(new_account(running.nats_url))
        run_load(account.url, account.connecting, commands=int(rate * WARM_UP_SECONDS), rate=rate)
        asyncio.run(until_viewed(account))
        begin = _end_of_log(running.postgres_url)
        run_load(account.url, account.connecting, commands=int(rate * seconds), rate=rate)
        asyncio.run(until_viewed(account))
        committed = _committed(running.postgres_url, begin)
        stored = asyncio.run(_stored(running.nats_url, max(committed)))
    waits = sorted((stored[position] - time).total_seconds() for position, time in committed.items())
    return {
        "rate": rate,
        "events": len(waits),
        "p50_ms": percentile(waits, 50),
        "p99_ms": percentile(waits, 99),
        "max_ms": percentile(waits, 100),
    }


@contextmanager
def _commit_times_kept(stage: Stage) -> Iterator[None]:
    """PostgreSQL keeps the time of each commit while the block runs; it does not by default, and must be restarted."""
    _set_and_restart(stage, "SET track_commit_timestamp = on")
    try:
        yield
    finally:
        _set_and_restart(stage, "RESET track_commit_timestamp")


def _set_and_restart(stage: Stage, change: str) -> None:
    with psycopg.connect(stage.postgres.url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM {change}".encode())
    stage.postgres.restart()


def _end_of_log(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT max(notification_id) FROM connections.events").fetchone()
    return int(row[0]) if row else 0


def _committed(database: str, after: int) -> dict[int, datetime]:
    query = "SELECT notification_id, pg_xact_commit_timestamp(xmin) FROM connections.events WHERE notification_id > %s"
    with psycopg.connect(database) as connection:
        return {int(position): time for position, time in connection.execute(query, (after,))}


async def _stored(url: str, last: int) -> dict[int, datetime]:
    """When the stream stored each position, up to the last."""
    client = await nats.connect(url)
    try:
        reader = await client.jetstream().subscribe(subjects.EVENTS, ordered_consumer=True)
        times: dict[int, datetime] = {}
        while last not in times:
            message = await reader.next_msg(timeout=10)
            times[int((message.headers or {})[Ce.POSITION])] = message.metadata.timestamp
        return times
    except NothingCame as error:
        raise NotCaughtUpError(f"position {last} is not on the stream") from error
    finally:
        await client.close()
