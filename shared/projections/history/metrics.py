"""Metrics of a history: its position, its lag behind the event log, its parked events, who follows."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from psycopg.errors import InvalidSchemaName, UndefinedTable

from shared.process.lag import Lag, LagMeter, seconds_or_nan
from shared.process.metrics import Metric, Source, gauge
from shared.projections.history.following import LogFollower
from shared.projections.view import View


@asynccontextmanager
async def of_history(history: View, follower: LogFollower, postgres_url: str) -> AsyncIterator[Sequence[Source]]:
    """Metrics of the history and of its follower, in every process of the view."""
    meter, name = LagMeter(postgres_url), history.definition.view_name

    async def following() -> Sequence[Metric]:
        return [following_metric(name, follower)]

    async def lag() -> Sequence[Metric]:
        try:
            position, parked, given_up = await history.position_and_dead_letters()
        except (InvalidSchemaName, UndefinedTable):
            # It is being made.
            position, parked, given_up = 0, 0, 0
        found = await meter.lag_of(position)
        waiting = "Events that could not be applied, and those behind them."
        lacking = "Dead letters given up since the last rebuild: the history lacks them."
        return [
            *lag_metrics(name, position, found),
            gauge("switchboard_history_parked_events", waiting, parked, view=name),
            gauge("switchboard_history_given_up_events", lacking, given_up, view=name),
        ]

    try:
        yield [following, lag]
    finally:
        await meter.close()


def following_metric(view: str, follower: LogFollower) -> Metric:
    description = "1 while this process writes the history of the view, 0 while it is on standby."
    return gauge("switchboard_history_following", description, follower.follows, view=view)


def lag_metrics(view: str, position: int, lag: Lag) -> Sequence[Metric]:
    behind = "Events of the log not yet in the history of the view."
    seconds = "Age of the oldest of them, else 0."
    return [
        gauge("switchboard_history_position", "Position of the history of the view.", position, view=view),
        gauge("switchboard_history_lag_events", behind, lag.events, view=view),
        gauge("switchboard_history_lag_seconds", seconds, seconds_or_nan(lag), view=view),
    ]
