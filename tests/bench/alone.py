"""One command at a time against the least that it must cost: one flushed insert and one round trip over the bus."""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence

from tests.bench.account import OWNER, UnexpectedReplyError, new_account
from tests.bench.ceilings import EventRow, echoing, event_rows, event_table
from tests.bench.load import Load, Plan, percentile
from tests.bench.stage import Figures, Stage

TURNS = 5


def alone(stage: Stage, commands: int) -> Figures:
    """Medians in milliseconds; the three take turns, `commands` each. `times_least` is the command by the other two."""
    command, insert, round_trip = [], [], []
    rows = list(event_rows(commands * TURNS))
    with (
        stage.switchboard() as running,
        echoing(stage, "--plain") as plain,
        event_table(stage.postgres.url) as insert_rows,
    ):
        connecting = asyncio.run(new_account(running.nats_url)).connecting
        _one_by_one(stage, connecting, commands)
        for turn in range(TURNS):
            command.append(_one_by_one(stage, connecting, commands))
            round_trip.append(_one_by_one(stage, plain, commands))
            insert.append(_inserts(insert_rows, rows[turn * commands : (turn + 1) * commands]))
    least = statistics.median(insert) + statistics.median(round_trip)
    return {
        "command_ms": statistics.median(command),
        "insert_ms": statistics.median(insert),
        "round_trip_ms": statistics.median(round_trip),
        "times_least": statistics.median(command) / least,
    }


def _one_by_one(stage: Stage, subject: str, commands: int) -> float:
    load = Load(Plan(stage.nats.url, subject, OWNER, commands, in_flight=1))
    load.run()
    if load.not_accepted:
        raise UnexpectedReplyError(load.not_accepted[0])
    return percentile(sorted(load.latencies), 50)


def _inserts(insert: Callable[[Sequence[EventRow]], None], rows: Sequence[EventRow]) -> float:
    times = []
    for row in rows:
        began = time.perf_counter()
        insert([row])
        times.append(time.perf_counter() - began)
    return percentile(sorted(times), 50)
