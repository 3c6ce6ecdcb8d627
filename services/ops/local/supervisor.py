"""A program that is meant to run: started again, later each time, whenever it ends by itself."""

import asyncio
import time
from collections.abc import Callable

import structlog

from services.ops.local.children import Child, Program, last_lines
from shared.wire.backoff import Backoff

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
STEADY_AFTER_SECONDS = 5.0
_HURRIED_SECONDS = 1.0
_LOOK_SECONDS = 0.05

log = structlog.get_logger(__name__)


class Supervisor:
    """Keeps one program running between `start` and `stop`.

    `prepare` runs before every start, in a thread; what it raises ends `start`, and later only delays the next try.
    `deaths` counts the ends that nobody asked for.
    """

    def __init__(self, program: Callable[[], Program], prepare: Callable[[], None] | None = None) -> None:
        self._program = program
        self._prepare = prepare
        self._child: Child | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.deaths = 0

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Returns when the program runs; whether it answers is another question."""
        await self._run()
        self._keeping = asyncio.create_task(self._keep())

    def restart(self) -> None:
        """Asks it to end; then it is started again."""
        if self._child is not None:
            self._child.ask_to_end()

    def last_lines(self) -> str:
        return last_lines(self._program())

    async def stop(self, seconds: float, hurry: asyncio.Event) -> None:
        """Asks it to end and waits; after `seconds`, or soon after `hurry` is set, kills it."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        if self._child is None:
            return
        self._child.ask_to_end()
        if not await _ends(self._child, seconds, hurry):
            self._child.ask_to_end()
            if not await _ends(self._child, _HURRIED_SECONDS):
                log.warning("part.killed", part=self._child.program.name)
                self._child.kill()

    async def _run(self) -> None:
        if self._prepare is not None:
            await asyncio.to_thread(self._prepare)
        self._child = Child(self._program())

    async def _keep(self) -> None:
        backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while True:
            began = time.monotonic()
            code = await self._until_it_ends()
            if time.monotonic() - began > STEADY_AFTER_SECONDS:
                backoff.reset()
            self.deaths += 1
            pause = backoff.next()
            log.warning("part.died", part=self._program().name, code=code, again_in_seconds=pause)
            await asyncio.sleep(pause)
            await self._run_again()

    async def _run_again(self) -> None:
        try:
            await self._run()
        except Exception as error:  # noqa: BLE001  it is tried again, later
            self._child = None
            log.error("part.not_started", part=self._program().name, error=str(error))
        else:
            log.info("part.started_again", part=self._program().name)

    async def _until_it_ends(self) -> int | None:
        while self._child is not None and self._child.poll() is None:
            await asyncio.sleep(_LOOK_SECONDS)
        return self._child.poll() if self._child else None


async def _ends(child: Child, seconds: float, hurry: asyncio.Event | None = None) -> bool:
    end = time.monotonic() + seconds
    while child.poll() is None and time.monotonic() < end and not (hurry and hurry.is_set()):
        await asyncio.sleep(_LOOK_SECONDS)
    return child.poll() is not None
