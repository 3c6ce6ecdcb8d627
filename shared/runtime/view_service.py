"""A projection service as a process: events in, rows kept, questions answered, until it is asked to stop."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import structlog

from shared.language.questions import Question
from shared.runtime import logs
from shared.runtime.answering import Answerer, Answers
from shared.runtime.endpoint import discoverable
from shared.runtime.feed import Feed
from shared.runtime.rebuild import rebuild
from shared.runtime.service import Service, run
from shared.runtime.settings import Settings
from shared.runtime.view import Design, View

STOP_SECONDS = 5.0

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
    answers = Answers(view, room.questions, room.answer, room.foreign)
    queue = room.design.name
    endpoints = [answers.endpoint(f"questions-{n}", subject, queue) for n, subject in enumerate(room.subjects, 1)]
    service.parts |= {"events": feed.ready, "view": answers.ready}
    following = asyncio.create_task(feed.run())
    following.add_done_callback(lambda task: _ended(service, task))
    try:
        for endpoint in endpoints:
            await endpoint.open(client)
        async with discoverable(client, f"switchboard-{room.name}", room.description, endpoints):
            yield
    finally:
        for endpoint in endpoints:
            await endpoint.drain()
        await answers.drain()
        following.cancel()
        await asyncio.wait({following}, timeout=STOP_SECONDS)


def _ended(service: Service, task: "asyncio.Task[None]") -> None:
    """A feed never ends by itself: what it did not expect ends the process, and a new one begins."""
    if not task.cancelled() and (error := task.exception()):
        log.error("feed.failed", exc_info=error)
        service.given_up = True
        service.stopping.set()


def main(room: Room) -> None:
    """Serves the room; with `--rebuild`, makes its rows anew from the event log and ends."""
    if sys.argv[1:] == ["--rebuild"]:
        asyncio.run(_rebuild(room))
    else:
        run(room.name, serving(room))


async def _rebuild(room: Room) -> None:
    settings = Settings()
    logs.configure(room.name, settings.log_format)
    if settings.postgres_url is None:
        raise SystemExit(f"{room.name}: SWITCHBOARD_POSTGRES_URL is not set")
    view = View(settings.postgres_url, room.design)
    await rebuild(settings.postgres_url, view)
