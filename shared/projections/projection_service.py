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
from shared.messaging import frames
from shared.messaging.endpoint import Endpoint, discoverable
from shared.messaging.service import Service, run
from shared.process import failpoints, logs
from shared.process.cancellation import asked_to_end
from shared.process.settings import Settings
from shared.projections import metrics
from shared.projections.consumer import Feed
from shared.projections.definition import Design
from shared.projections.query_endpoint import Answerer, Answers
from shared.projections.rebuild.admin import do
from shared.projections.rebuild.rebuild import rebuild
from shared.projections.view import View

STOP_SECONDS = 5.0
# How soon a process hears that the rows are of another version now, and of its own again; and how long those of the
# former version still answer from the rows that are kept at most, while those of the new one are not there yet.
LOOK_SECONDS = 0.2
LOOK_FROM_ASIDE_SECONDS = 0.04
LEAVE_SECONDS = 4.0
LOOK_FOR_RELIEF_SECONDS = 0.05

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Room:
    """A projection service: its public name, its view, and what it answers on which subjects.

    `foreign` are names on those subjects that another service answers.
    """

    name: str
    description: str
    design: Design
    questions: Mapping[str, type[Question]]
    answer: Answerer
    subjects: tuple[str, ...]
    foreign: frozenset[str] = frozenset()


def serving(room: Room) -> Callable[[Service], AbstractAsyncContextManager[None]]:
    """What `service.run` takes: serves the room while it is entered."""

    @asynccontextmanager
    async def wire(service: Service) -> AsyncIterator[None]:
        view = View(service.postgres_url, room.design)
        await view.open()
        try:
            await service.broker.start()
            async with _answering(service, room, view):
                yield
        finally:
            await view.close()

    return wire


@asynccontextmanager
async def _answering(service: Service, room: Room, view: View) -> AsyncIterator[None]:
    client = service.broker.connection
    feed = Feed(client, service.postgres_url, view)
    answers = Answers(view, room.questions, room.answer, room.foreign, lambda: client.max_payload)
    queue = room.design.name
    endpoints = [answers.endpoint(f"questions-{n}", subject, queue) for n, subject in enumerate(room.subjects, 1)]
    attendance = Attendance(view, client, endpoints)
    service.parts |= {"events": feed.ready, "view": lambda: _readable(attendance, answers)}
    await attendance.look()
    following, attending = asyncio.create_task(feed.run()), asyncio.create_task(attendance.run())
    for task in (following, attending):
        task.add_done_callback(lambda ended: _ended(service, ended))
    try:
        async with (
            metrics.of_view(view, feed, client, service.postgres_url) as figures,
            discoverable(client, f"switchboard-{room.name}", room.description, endpoints),
        ):
            service.figures += [answers.figures, *figures]
            yield
    finally:
        # First, or it might open again what is drained.
        attending.cancel()
        await asyncio.wait({attending}, timeout=STOP_SECONDS)
        await attendance.is_over()
        for endpoint in endpoints:
            await endpoint.drain()
        await answers.drain()
        following.cancel()
        await asyncio.wait({following}, timeout=STOP_SECONDS)


async def _readable(attendance: "Attendance", answers: Answers) -> str | None:
    return attendance.aside or await answers.ready()


def _ended(service: Service, task: "asyncio.Task[None]") -> None:
    """These never end by themselves: what they did not expect ends the process, and a new one begins."""
    if not task.cancelled() and (error := task.exception()):
        log.error("service.part_failed", exc_info=error)
        service.given_up = True
        service.stopping.set()


class Attendance:
    """Takes questions while the live rows are of this code's version, and leaves them to others while they are not.

    A process that steps aside is not ready; it answers again as soon as the rows are of its version again.
    """

    def __init__(self, view: View, client: Client, endpoints: Sequence[Endpoint]) -> None:
        self.aside: str | None = None
        self._view = view
        self._client = client
        self._endpoints = endpoints
        self._attends = False
        self._migrated = False
        self._unfit: str | None = None
        self._told: Subscription | None = None

    async def run(self) -> None:
        """Until it is cancelled."""
        while not asked_to_end():
            await asyncio.sleep(LOOK_SECONDS if self._attends or self._unfit else LOOK_FROM_ASIDE_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Asks the database, and acts on it; one that does not answer changes nothing."""
        ours, unfit = self._view.design.version, None
        try:
            version = await self._view.version()
            if version == ours and not self._attends:
                unfit = await self._unfit_to_begin()
        except psycopg.Error:
            # Away, or the view is not made yet: who asks is told so.
            version = None
        if version is not None:
            self.aside = None if version == ours else f"the live rows are of version {version}, this code of {ours}"
        elif self._unfit is not None:
            # They are dropped by now, and whoever asks is told that the view is being made.
            self.aside = None
        if unfit is not None and unfit != self._unfit:
            log.warning("view.contradicts_log", view=self._view.design.name, why=unfit)
        self._unfit = unfit
        if unfit is not None:
            # Whoever carries events drops them; until then nobody is answered from them here.
            self.aside = unfit
        elif self.aside is None:
            await self._attend()
        else:
            await self._step_aside(version)

    async def _unfit_to_begin(self) -> str | None:
        """Why nobody may be answered from rows that this process has not answered from so far."""
        if not self._migrated:
            await self._view.migrate()
            self._migrated = True
        return await self._view.contradiction()

    async def _attend(self) -> None:
        if not self._attends:
            for endpoint in self._endpoints:
                await endpoint.open(self._client)
            design = self._view.design
            # Behind them on one connection: where this is answered questions are, too.
            self._told = await self._client.subscribe(subjects.attendance(design.name, design.version), cb=_present)
            self._attends = True
            self._view.take_turn()
            log.info("view.attends", view=self._view.design.name, version=self._view.design.version)

    async def _step_aside(self, version: int | None) -> None:
        if self._attends and version is not None:
            self._attends = False
            log.warning("view.steps_aside", view=self._view.design.name, why=self.aside)
            await self.is_over()
            relieved = await self._relieved(version)
            for endpoint in self._endpoints:
                await endpoint.drain()
            log.info("view.has_left", view=self._view.design.name, because=relieved)

    async def is_over(self) -> None:
        """Nobody is told any more that questions are answered here; they are until they are drained."""
        told, self._told = self._told, None
        if told is not None:
            await frames.unsubscribe(self._client, told)

    async def _relieved(self, version: int) -> str:
        """Returns when a process of that version answers, when there is none that could, or when they are too slow."""
        name, end = self._view.design.name, time.monotonic() + LEAVE_SECONDS
        while time.monotonic() < end and not asked_to_end():
            # Nobody hears it, or NATS is away.
            with suppress(nats.errors.Error), frames.breaking():
                await self._client.request(subjects.attendance(name, version), timeout=LOOK_SECONDS)
                return f"version {version} answers"
            with suppress(psycopg.Error):
                if not await self._view.readers_of(version):
                    return f"there is nobody of version {version}"
            await asyncio.sleep(LOOK_FOR_RELIEF_SECONDS)
        return f"version {version} does not answer for {LEAVE_SECONDS:g} s"


async def _present(message: Msg) -> None:
    await message.respond(b"")


# ---- by hand


def main(room: Room) -> None:
    """Serves the room. `--rebuild` makes its rows anew from the event log, switches to them and ends; `views <verb>
    <arguments>` does one of `view_verbs.VERBS` and ends.
    """
    match sys.argv[1:]:
        case ["--rebuild"]:
            _by_hand(room, _rebuild)
        case ["views", verb, arguments]:
            given = orjson.loads(arguments)
            sys.exit(_by_hand(room, lambda url, design: do(url, design, verb, given)))
        case _:
            run(room.name, serving(room))


def _by_hand(room: Room, work: Callable[[str, Design], Coroutine[Any, Any, T]]) -> T:
    settings = Settings()
    logs.configure(room.name, settings.log_format)
    failpoints.arm(settings.failpoints, f"{room.name} by hand")
    if settings.postgres_url is None:
        raise SystemExit(f"{room.name}: SWITCHBOARD_POSTGRES_URL is not set")
    # A million events leave no cycles, and looking for them would take two fifths of the time.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    return asyncio.run(_until_asked_to_end(work(settings.postgres_url, room.design)))


async def _until_asked_to_end(work: Coroutine[Any, Any, T]) -> T:
    """SIGTERM ends it as Ctrl-C does, so that it leaves nothing."""
    task = asyncio.current_task()
    assert task is not None, "this runs in one"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


async def _rebuild(url: str, design: Design) -> None:
    await rebuild(url, View(url, design))
