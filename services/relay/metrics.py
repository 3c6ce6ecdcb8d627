"""Metrics of the relay: its position on the stream, and its lag behind the event log."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.relay.relay import Relay
from shared.process.lag import LagMeter, seconds_or_nan
from shared.process.metrics import Metric, Source, gauge


@asynccontextmanager
async def of_relay(relay: Relay, postgres_url: str) -> AsyncIterator[Sequence[Source]]:
    meter = LagMeter(postgres_url)

    async def leading() -> Sequence[Metric]:
        description = "1 while this process publishes the log, 0 on standby."
        return [gauge("switchboard_relay_leading", description, relay.leads)]

    async def lag() -> Sequence[Metric]:
        position = relay.position
        if position is None:
            return []
        found = await meter.lag_of(position)
        return [
            gauge("switchboard_log_position", "Where the log ends.", found.log_end),
            gauge("switchboard_relay_position", "The last published position of the log.", position),
            gauge("switchboard_relay_lag_events", "Events of the log not yet on the stream.", found.events),
            gauge("switchboard_relay_lag_seconds", "Age of the oldest of them, else 0.", seconds_or_nan(found)),
        ]

    try:
        yield [leading, lag]
    finally:
        await meter.close()
