"""What those who follow the log tell at `/metrics`: where relay and views stand, and how far they are behind."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from nats.aio.client import Client

from shared.language import subjects
from shared.runtime.lag import Lag, LogWatch
from shared.runtime.metrics import Metric, Source, gauge
from shared.runtime.telling.relay import Relay
from shared.runtime.views.feed import Feed
from shared.runtime.views.view import View


@asynccontextmanager
async def of_relay(relay: Relay, postgres_url: str) -> AsyncIterator[Sequence[Source]]:
    watch = LogWatch(postgres_url)

    async def leading() -> Sequence[Metric]:
        told = "1 while this process carries the log onto the stream, 0 while it stands by."
        return [gauge("switchboard_relay_leading", told, relay.leads)]

    async def lag() -> Sequence[Metric]:
        position = relay.position
        if position is None:
            return []
        found = await watch.behind(position)
        return [
            gauge("switchboard_log_position", "Where the log ends.", found.log_end),
            gauge("switchboard_relay_position", "Up to where the log is on the stream.", position),
            gauge("switchboard_relay_lag_events", "Events of the log not yet on the stream.", found.events),
            gauge("switchboard_relay_lag_seconds", "Age of the oldest of them, else 0.", seconds_of(found)),
        ]

    try:
        yield [leading, lag]
    finally:
        await watch.close()


@asynccontextmanager
async def of_view(view: View, feed: Feed, client: Client, postgres_url: str) -> AsyncIterator[Sequence[Source]]:
    """Of the live rows, whoever carries events to them."""
    watch, name, js = LogWatch(postgres_url), view.design.name, client.jetstream(timeout=5)

    async def carrying() -> Sequence[Metric]:
        told = "1 while this process carries events to the view, 0 while it stands by."
        return [gauge("switchboard_view_carrying", told, feed.carries, view=name)]

    async def lag() -> Sequence[Metric]:
        position, parked, given_up = await view.stands()
        found = await watch.behind(position)
        waiting = "Events that could not be applied, and those behind them."
        lacking = "Dead letters given up since the rows were made: the rows lack them."
        return [
            gauge("switchboard_view_position", "Up to where the view is made.", position, view=name),
            gauge("switchboard_view_lag_events", "Events of the log not yet in the view.", found.events, view=name),
            gauge("switchboard_view_lag_seconds", "Age of the oldest of them, else 0.", seconds_of(found), view=name),
            gauge("switchboard_view_parked_events", waiting, parked, view=name),
            gauge("switchboard_view_given_up_events", lacking, given_up, view=name),
        ]

    async def consumer() -> Sequence[Metric]:
        info = await js.consumer_info(subjects.EVENT_STREAM, name)
        pending, unacknowledged = info.num_pending or 0, info.num_ack_pending or 0
        told = "Messages of the stream not delivered to it yet."
        return [
            gauge("switchboard_consumer_pending_messages", told, pending, consumer=name),
            gauge(
                "switchboard_consumer_ack_pending_messages",
                "Messages delivered to it and not acknowledged yet.",
                unacknowledged,
                consumer=name,
            ),
        ]

    try:
        yield [carrying, lag, consumer]
    finally:
        await watch.close()


def seconds_of(lag: Lag) -> float:
    """Not a number where the event that waits does not say."""
    return math.nan if lag.seconds is None else lag.seconds
