"""The history of a view within a service process: its follower, its metrics, and the connections of its readers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from shared.messaging.service import Service
from shared.projections.definition import ProjectionDefinition
from shared.projections.history.follower import HistoryFollower
from shared.projections.history.following import FollowerLimits, running
from shared.projections.history.metrics import of_history
from shared.projections.view import View

READERS = 2

log = structlog.get_logger(__name__)


@asynccontextmanager
async def followed_history(
    service: Service,
    definition: ProjectionDefinition,
    *,
    live: bool = True,
    view: type[View] = View,
    readers: int = READERS,
    limits: FollowerLimits = FollowerLimits(),  # noqa: B008  it is frozen
    applied: Callable[[], int | None] = lambda: None,
) -> AsyncIterator[View]:
    """Follow the log with the history of a view, and yield it for questions; without `live`, it has no live rows.

    `applied` returns the position of the live rows; None while this process does not apply events to them. `view` is
    the class of the history, and `readers` the most connections for its questions.
    """
    history = view(service.postgres_url, definition.history(), readers)
    of_live = definition if live else None
    follower = HistoryFollower(service.postgres_url, definition.history(), of_live, limits, applied)
    await history.open()
    try:
        async with running(follower, _report_error), of_history(history, follower, service.postgres_url) as sources:
            service.metric_sources += sources
            yield history
    finally:
        await history.close()


def _report_error(error: BaseException) -> None:
    """Log why the follower ended; the lag shows that it did, and the service goes on."""
    log.error("history.follower_ended", exc_info=error)
