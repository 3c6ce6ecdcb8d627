"""Metrics of the index: those of a history, under a name of its own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, LiteralString

from services.audit.index.follower import IndexFollower
from services.audit.index.schema import BUILDING, LIVE
from shared.process.lag import LagMeter
from shared.process.metrics import Metric, Source
from shared.process.read_connection import ReadConnection
from shared.projections.history.metrics import following_metric, lag_metrics

POSITION: Final[LiteralString] = "SELECT position FROM {schema}.checkpoint"


@asynccontextmanager
async def of_index(follower: IndexFollower, postgres_url: str) -> AsyncIterator[Sequence[Source]]:
    """Metrics of the index and of its follower, in every process of the audit."""
    meter, reading = LagMeter(postgres_url), ReadConnection(postgres_url)

    async def following() -> Sequence[Metric]:
        return [following_metric(LIVE, follower)]

    async def lag() -> Sequence[Metric]:
        found = [await reading.rows(POSITION.replace("{schema}", schema)) for schema in (LIVE, BUILDING)]
        position = next((rows[0][0] for rows in found if rows), 0)
        return lag_metrics(LIVE, position, await meter.lag_of(position))

    try:
        yield [following, lag]
    finally:
        await meter.close()
        await reading.close()
