"""A projection service as a process: events in, rows kept, questions answered, until it is asked to stop."""

import asyncio
import gc
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import nats.errors
import orjson
import psycopg
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared.language import subjects
from shared.language.questions import Question
from shared.messaging.endpoint import Endpoint, discoverable
from shared.messaging.service import Service, run
from shared.process import failpoints, logs
from shared.process.cancellation import cancellation_requested
from shared.process.settings import Settings
from shared.projections import metrics
from shared.projections.consumer import EventConsumer
from shared.projections.definition import ProjectionDefinition
from shared.projections.query_endpoint import QueryEndpoint, QuestionHandler
from shared.projections.rebuild.admin import run_verb
from shared.projections.rebuild.rebuild import rebuild
from shared.projections.view import View
from shared.wire import frames

STOP_SECONDS = 5.0
# How soon a process hears that the rows are of another version now, and of its own again; and how long those of the
# former version still answer from the rows that are kept at most, while those of the new one are not there yet.
CHECK_SECONDS = 0.2
CHECK_FROM_STANDBY_SECONDS = 0.04
MAX_HANDOVER_SECONDS = 4.0
CHECK_SUCCESSOR_SECONDS = 0.05

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ProjectionService:
    """A projection service: its public name, its view, and what it answers on which subjects.

    `foreign` are names on those subjects that another service answers.
    """

    name: str
    description: str
    definition: ProjectionDefinition
    questions: Mapping[str, type[Question]]
    answer: QuestionHandler
    subjects: tuple[str, ...]
    ignored: frozenset[str] = frozenset()


def serve(projection: ProjectionService) -> Callable[[Service], AbstractAsyncContextManager[None]]:
    """What `service.run` takes: serves the room while it is entered."""

    @asynccontextmanager
    async def wire(service: Service) -> AsyncIterator[None]:
        view = View(service.postgres_url, projection.definition)
        await view.open()
        try:
            await service.broker.start()
            async with _serve(service, projection, view):
                yield
        finally:
            await view.close()

    return wire


@asynccontextmanager
async def _serve(service: Service, projection: ProjectionService, view: View) -> AsyncIterator[None]:
    client = service.broker.connection
    consumer = EventConsumer(client, service.postgres_url, view)
    query_endpoint = QueryEndpoint(
        view, projection.questions, projection.answer, projection.ignored, lambda: client.max_payload
    )
    queue = projection.definition.name
    endpoints = [
        query_endpoint.endpoint(f"questions-{n}", subject, queue) for n, subject in enumerate(projection.subjects, 1)
    ]
    serving_state = ServingState(view, client, endpoints)
    service.parts |= {"events": consumer.ready, "view": lambda: _readable(serving_state, query_endpoint)}
    await serving_state.check()
    following, checking = asyncio.create_task(consumer.run()), asyncio.create_task(serving_state.run())
    for task in (following, checking):
        task.add_done_callback(lambda ended: _on_end(service, ended))
    try:
        async with (
            metrics.of_view(view, consumer, client, service.postgres_url) as sources,
            discoverable(client, f"switchboard-{projection.name}", projection.description, endpoints),
        ):
            service.metric_sources += [query_endpoint.collect_metrics, *sources]
            yield
    finally:
        # First, or it might open again what is drained.
        checking.cancel()
        await asyncio.wait({checking}, timeout=STOP_SECONDS)
        await serving_state.stop_announcing()
        for endpoint in endpoints:
            await endpoint.drain()
        await query_endpoint.drain()
        following.cancel()
        await asyncio.wait({following}, timeout=STOP_SECONDS)


async def _readable(serving_state: "ServingState", query_endpoint: QueryEndpoint) -> str | None:
    return serving_state.standby or await query_endpoint.ready()


def _on_end(service: Service, task: "asyncio.Task[None]") -> None:
    """These never end by themselves: what they did not expect ends the process, and a new one begins."""
    if not task.cancelled() and (error := task.exception()):
        log.error("service.part_failed", exc_info=error)
        service.given_up = True
        service.stopping.set()


class ServingState:
    """Takes questions while the live rows are of this code's version, and leaves them to others while they are not.

    A process that steps aside is not ready; it answers again as soon as the rows are of its version again.
    """

    def __init__(self, view: View, client: Client, endpoints: Sequence[Endpoint]) -> None:
        self.standby: str | None = None
        self._view = view
        self._client = client
        self._endpoints = endpoints
        self._serving = False
        self._migrated = False
        self._unfit: str | None = None
        self._announced: Subscription | None = None

    async def run(self) -> None:
        """Until it is cancelled."""
        while not cancellation_requested():
            await asyncio.sleep(CHECK_SECONDS if self._serving or self._unfit else CHECK_FROM_STANDBY_SECONDS)
            await self.check()

    async def check(self) -> None:
        """Asks the database, and acts on it; one that does not answer changes nothing."""
        ours, unfit = self._view.definition.version, None
        try:
            version = await self._view.version()
            if version == ours and not self._serving:
                unfit = await self._why_unfit()
        except psycopg.Error:
            # Away, or the view is not made yet: who asks is told so.
            version = None
        if version is not None:
            self.standby = None if version == ours else f"the live rows are of version {version}, this code of {ours}"
        elif self._unfit is not None:
            # They are dropped by now, and whoever asks is told that the view is being made.
            self.standby = None
        if unfit is not None and unfit != self._unfit:
            log.warning("view.contradicts_log", view=self._view.definition.name, why=unfit)
        self._unfit = unfit
        if unfit is not None:
            # Whoever carries events drops them; until then nobody is answered from them here.
            self.standby = unfit
        elif self.standby is None:
            await self._start_serving()
        else:
            await self._stop_serving(version)

    async def _why_unfit(self) -> str | None:
        """Why nobody may be answered from rows that this process has not answered from so far."""
        if not self._migrated:
            await self._view.migrate()
            self._migrated = True
        return await self._view.log_mismatch()

    async def _start_serving(self) -> None:
        if not self._serving:
            for endpoint in self._endpoints:
                await endpoint.open(self._client)
            definition = self._view.definition
            # Behind them on one connection: where this is answered questions are, too.
            self._announced = await self._client.subscribe(
                subjects.attendance(definition.name, definition.version), cb=_respond
            )
            self._serving = True
            self._view.version_is_live()
            log.info("view.attends", view=self._view.definition.name, version=self._view.definition.version)

    async def _stop_serving(self, version: int | None) -> None:
        if self._serving and version is not None:
            self._serving = False
            log.warning("view.steps_aside", view=self._view.definition.name, why=self.standby)
            await self.stop_announcing()
            reason = await self._wait_for_successor(version)
            for endpoint in self._endpoints:
                await endpoint.drain()
            log.info("view.has_left", view=self._view.definition.name, because=reason)

    async def stop_announcing(self) -> None:
        """Nobody is told any more that questions are answered here; they are until they are drained."""
        announced, self._announced = self._announced, None
        if announced is not None:
            await frames.unsubscribe(self._client, announced)

    async def _wait_for_successor(self, version: int) -> str:
        """Returns when a process of that version answers, when there is none that could, or when they are too slow."""
        name, end = self._view.definition.name, time.monotonic() + MAX_HANDOVER_SECONDS
        while time.monotonic() < end and not cancellation_requested():
            # Nobody hears it, or NATS is away.
            with suppress(nats.errors.Error), frames.breaking():
                await self._client.request(subjects.attendance(name, version), timeout=CHECK_SECONDS)
                return f"version {version} answers"
            with suppress(psycopg.Error):
                if not await self._view.count_readers(version):
                    return f"there is nobody of version {version}"
            await asyncio.sleep(CHECK_SUCCESSOR_SECONDS)
        return f"version {version} does not answer for {MAX_HANDOVER_SECONDS:g} s"


async def _respond(message: Msg) -> None:
    await message.respond(b"")


# ---- by hand


def main(projection: ProjectionService) -> None:
    """Serves the room. `--rebuild` makes its rows anew from the event log, switches to them and ends; `views <verb>
    <arguments>` does one of `view_verbs.VERBS` and ends.
    """
    match sys.argv[1:]:
        case ["--rebuild"]:
            _run_once(projection, _rebuild)
        case ["views", verb, arguments]:
            values = orjson.loads(arguments)
            sys.exit(_run_once(projection, lambda url, definition: run_verb(url, definition, verb, values)))
        case _:
            run(projection.name, serve(projection))


def _run_once(projection: ProjectionService, work: Callable[[str, ProjectionDefinition], Coroutine[Any, Any, T]]) -> T:
    settings = Settings()
    logs.configure(projection.name, settings.log_format)
    failpoints.arm(settings.failpoints, f"{projection.name} by hand")
    if settings.postgres_url is None:
        raise SystemExit(f"{projection.name}: SWITCHBOARD_POSTGRES_URL is not set")
    # A million events leave no cycles, and looking for them would take two fifths of the time.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    return asyncio.run(_until_asked_to_end(work(settings.postgres_url, projection.definition)))


async def _until_asked_to_end(work: Coroutine[Any, Any, T]) -> T:
    """SIGTERM ends it as Ctrl-C does, so that it leaves nothing."""
    task = asyncio.current_task()
    assert task is not None, "this runs in one"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


async def _rebuild(url: str, definition: ProjectionDefinition) -> None:
    await rebuild(url, View(url, definition))
