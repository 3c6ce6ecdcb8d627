"""Metrics of a view: its position, its lag behind the event log, its parked events, its consumer."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import nats.errors
from nats.aio.client import Client

from shared.language import subjects
from shared.process.lag import LagMeter, seconds_or_nan
from shared.process.metrics import Metric, Source, gauge
from shared.projections.consumer import EventConsumer
from shared.projections.view import View


@asynccontextmanager
async def of_view(
    view: View, consumer: EventConsumer, client: Client, postgres_url: str
) -> AsyncIterator[Sequence[Source]]:
    """Metrics of the live rows and of the consumer, in every process of the view."""
    meter, name, js = LagMeter(postgres_url), view.definition.name, client.jetstream(timeout=5)

    async def carrying() -> Sequence[Metric]:
        description = "1 while this process applies events to the view, 0 while it is on standby."
        return [gauge("switchboard_view_carrying", description, consumer.applies_events, view=name)]

    async def lag() -> Sequence[Metric]:
        position, parked, given_up = await view.position_and_dead_letters()
        found = await meter.lag_of(position)
        waiting = "Events that could not be applied, and those behind them."
        lacking = "Dead letters given up since the last rebuild: the rows lack them."
        return [
            gauge("switchboard_view_position", "Position of the rows of the view.", position, view=name),
            gauge("switchboard_view_lag_events", "Events of the log not yet in the view.", found.events, view=name),
            gauge(
                "switchboard_view_lag_seconds", "Age of the oldest of them, else 0.", seconds_or_nan(found), view=name
            ),
            gauge("switchboard_view_parked_events", waiting, parked, view=name),
            gauge("switchboard_view_given_up_events", lacking, given_up, view=name),
        ]

    async def consumer_metrics() -> Sequence[Metric]:
        try:
            info = await js.consumer_info(subjects.EVENT_STREAM, name)
        except nats.errors.Error:
            return []
        pending, unacknowledged = info.num_pending or 0, info.num_ack_pending or 0
        description = "Messages of the stream not delivered to it yet."
        return [
            gauge("switchboard_consumer_pending_messages", description, pending, consumer=name),
            gauge(
                "switchboard_consumer_ack_pending_messages",
                "Messages delivered to it and not acknowledged yet.",
                unacknowledged,
                consumer=name,
            ),
        ]

    try:
        yield [carrying, lag, consumer_metrics]
    finally:
        await meter.close()
