"""The history of a view within a service process: its follower, its metrics, and the connections of its readers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.messaging.service import Service
from shared.projections.definition import ProjectionDefinition
from shared.projections.history.follower import FollowerLimits, HistoryFollower
from shared.projections.history.metrics import of_history
from shared.projections.view import View

READERS = 2
STOP_SECONDS = 5.0


@asynccontextmanager
async def followed_history(
    service: Service,
    definition: ProjectionDefinition,
    *,
    live: bool = True,
    limits: FollowerLimits = FollowerLimits(),  # noqa: B008  it is frozen
) -> AsyncIterator[View]:
    """Follow the log with the history of a view, and yield it for questions; without `live`, it has no live rows."""
    history = View(service.postgres_url, definition.history(), READERS)
    follower = HistoryFollower(service.postgres_url, definition.history(), definition if live else None, limits)
    await history.open()
    following = asyncio.create_task(follower.run())
    try:
        async with of_history(history, follower, service.postgres_url) as sources:
            service.metric_sources += sources
            yield history
    finally:
        following.cancel()
        await asyncio.wait({following}, timeout=STOP_SECONDS)
        await history.close()
