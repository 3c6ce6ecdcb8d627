"""A projection service as a process: events in, rows kept, questions answered, until it is asked to stop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import structlog

from shared.language.questions import ANSWER_SECONDS, Question
from shared.messaging.endpoint import discoverable
from shared.messaging.service import Service
from shared.projections import metrics
from shared.projections.applied import answering_applied
from shared.projections.consumer import EventConsumer
from shared.projections.definition import ProjectionDefinition
from shared.projections.history.following import FollowerLimits
from shared.projections.history.service import followed_history
from shared.projections.query_endpoint import QueryEndpoint, QuestionHandler
from shared.projections.rebuild.rebuild import restore_rows
from shared.projections.serving_state import ServingState
from shared.projections.view import View
from shared.projections.view_process import run_view

STOP_SECONDS = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ServiceLimits:
    """
    Args:
        answer_seconds: how long the database may take for an answer.
        questions_in_progress: the most questions at once, in weights: one each, and one more for every 4 KiB.
        stalled_seconds: the longest time that a step of the event consumer takes.
        handover_seconds: how long a process goes on to answer after a cutover, while no successor does.
        standby_check_seconds: how soon a process on standby notices that its version is live.
        history: how fast the history of the view follows.
    """

    answer_seconds: float = ANSWER_SECONDS
    questions_in_progress: int = 1_024
    stalled_seconds: float = 10.0
    handover_seconds: float = 4.0
    standby_check_seconds: float = 0.04
    history: FollowerLimits = FollowerLimits()  # noqa: RUF009  it is frozen


@dataclass(frozen=True)
class ProjectionService:
    """A projection service: its public name, its view, and the questions that it answers on which subjects.

    Another service answers the questions in `ignored` on the same subjects.
    """

    name: str
    description: str
    definition: ProjectionDefinition
    questions: Mapping[str, type[Question]]
    answer: QuestionHandler
    subjects: tuple[str, ...]
    ignored: frozenset[str] = frozenset()
    limits: ServiceLimits = ServiceLimits()


def serve(projection: ProjectionService) -> Callable[[Service], AbstractAsyncContextManager[None]]:
    """Return the context manager for `service.run` within which the projection is served."""

    @asynccontextmanager
    async def wire(service: Service) -> AsyncIterator[None]:
        url, limits = service.postgres_url, projection.limits
        view = View(url, projection.definition)
        client = service.broker.connection
        consumer = EventConsumer(client, url, view, lambda: restore_rows(url, view), limits.stalled_seconds)

        def applied() -> int | None:
            return view.waiters.position if consumer.applies_events else None

        await view.open()
        try:
            await service.broker.start()
            async with (
                followed_history(service, projection.definition, limits=limits.history, applied=applied) as history,
                _serve(service, projection, view, consumer, history),
            ):
                yield
        finally:
            await view.close()

    return wire


@asynccontextmanager
async def _serve(
    service: Service, projection: ProjectionService, view: View, consumer: EventConsumer, history: View
) -> AsyncIterator[None]:
    client, limits = service.broker.connection, projection.limits
    query_endpoint = QueryEndpoint(
        view,
        projection.questions,
        projection.answer,
        projection.ignored,
        lambda: client.max_payload,
        limits.answer_seconds,
        limits.questions_in_progress,
        history,
    )
    queue = projection.definition.name
    endpoints = [
        query_endpoint.endpoint(f"questions-{n}", subject, queue) for n, subject in enumerate(projection.subjects, 1)
    ]
    state = ServingState(view, client, endpoints, limits.handover_seconds, limits.standby_check_seconds)
    service.parts |= {"events": consumer.ready, "view": lambda: _readable(state, query_endpoint)}
    await state.check()
    consuming, checking = asyncio.create_task(consumer.run()), asyncio.create_task(state.run())
    for task in (consuming, checking):
        task.add_done_callback(lambda ended: _stop_on_error(service, ended))
    try:
        async with (
            metrics.of_view(view, consumer, client, service.postgres_url) as sources,
            discoverable(client, f"switchboard-{projection.name}", projection.description, endpoints),
            answering_applied(view, client),
        ):
            service.metric_sources += [query_endpoint.collect_metrics, *sources]
            yield
    finally:
        # First, since it might open again the endpoints that are drained.
        checking.cancel()
        await asyncio.wait({checking}, timeout=STOP_SECONDS)
        await state.stop_announcing()
        for endpoint in endpoints:
            await endpoint.drain()
        await query_endpoint.drain()
        consuming.cancel()
        await asyncio.wait({consuming}, timeout=STOP_SECONDS)


async def _readable(state: ServingState, query_endpoint: QueryEndpoint) -> str | None:
    return state.standby or await query_endpoint.ready()


def _stop_on_error(service: Service, task: "asyncio.Task[None]") -> None:
    """Stop the process after an unexpected error, so that its supervisor starts a new one."""
    if not task.cancelled() and (error := task.exception()):
        log.error("service.part_failed", exc_info=error)
        service.failed = True
        service.stopping.set()


def main(projection: ProjectionService) -> None:
    """Run the process of the projection, as `run_view` does."""
    run_view(projection.name, projection.definition, serve(projection))
