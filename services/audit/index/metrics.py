"""Metrics of the index: those of a history, under a name of its own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, LiteralString

from services.audit.index.follower import IndexFollower
from services.audit.index.schema import BUILDING, LIVE
from shared.process.lag import LagMeter, seconds_or_nan
from shared.process.metrics import Metric, Source, gauge
from shared.process.read_connection import ReadConnection

POSITION: Final[LiteralString] = "SELECT position FROM {schema}.checkpoint"


@asynccontextmanager
async def of_index(follower: IndexFollower, postgres_url: str) -> AsyncIterator[Sequence[Source]]:
    """Metrics of the index and of its follower, in every process of the audit."""
    meter, reading = LagMeter(postgres_url), ReadConnection(postgres_url)

    async def following() -> Sequence[Metric]:
        description = "1 while this process writes the history of the view, 0 while it is on standby."
        return [gauge("switchboard_history_following", description, follower.follows, view=LIVE)]

    async def lag() -> Sequence[Metric]:
        found = [await reading.rows(POSITION.replace("{schema}", schema)) for schema in (LIVE, BUILDING)]
        position = next((rows[0][0] for rows in found if rows), 0)
        of_log = await meter.lag_of(position)
        behind = "Events of the log not yet in the history of the view."
        seconds = "Age of the oldest of them, else 0."
        return [
            gauge("switchboard_history_position", "Position of the history of the view.", position, view=LIVE),
            gauge("switchboard_history_lag_events", behind, of_log.events, view=LIVE),
            gauge("switchboard_history_lag_seconds", seconds, seconds_or_nan(of_log), view=LIVE),
        ]

    try:
        yield [following, lag]
    finally:
        await meter.close()
        await reading.close()
