"""A supervisor of one program: it starts the program again, later each time, when it ends by itself."""

import asyncio
import time
from collections.abc import Callable

import structlog

from services.ops.local.children import Child, Program, last_lines
from shared.wire.backoff import Backoff

POLL_SECONDS = 0.05

log = structlog.get_logger(__name__)


class Supervisor:
    """Keeps one program running between `start` and `stop`.

    `prepare` runs before every start, in a thread. `start` raises its errors; later ones delay the next attempt.
    `deaths` counts unrequested ends. All times are in seconds: the first and longest pause before a new start, the
    running time that resets the pause, and the wait after the second request to stop.
    """

    def __init__(
        self,
        program: Callable[[], Program],
        prepare: Callable[[], None] | None = None,
        *,
        first_pause: float = 0.2,
        longest_pause: float = 2.0,
        steady_after: float = 5.0,
        hurried: float = 1.0,
    ) -> None:
        self._program = program
        self._prepare = prepare
        self._backoff = Backoff(first_pause, longest_pause)
        self._steady_after = steady_after
        self._hurried = hurried
        self._child: Child | None = None
        self._watching: asyncio.Task[None] | None = None
        self.deaths = 0

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Return when the program runs; it may not answer yet."""
        await self._run()
        self._watching = asyncio.create_task(self._watch())

    def restart(self) -> None:
        """Ask it to end; the supervisor then starts it again."""
        if self._child is not None:
            self._child.request_stop()

    def last_lines(self) -> str:
        return last_lines(self._program())

    async def stop(self, seconds: float, hurry: asyncio.Event) -> None:
        """Ask it to end and wait; kill it after `seconds`, or soon after `hurry` is set."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        if self._child is None:
            return
        self._child.request_stop()
        if not await _ends(self._child, seconds, hurry):
            self._child.request_stop()
            if not await _ends(self._child, self._hurried):
                log.warning("part.killed", part=self._child.program.name)
                self._child.kill()

    async def _run(self) -> None:
        if self._prepare is not None:
            await asyncio.to_thread(self._prepare)
        self._child = Child(self._program())

    async def _watch(self) -> None:
        while True:
            began = time.monotonic()
            code = await self._until_it_ends()
            if time.monotonic() - began > self._steady_after:
                self._backoff.reset()
            self.deaths += 1
            pause = self._backoff.next()
            log.warning("part.died", part=self._program().name, code=code, again_in_seconds=pause)
            await asyncio.sleep(pause)
            await self._run_again()

    async def _run_again(self) -> None:
        try:
            await self._run()
        except Exception as error:  # noqa: BLE001  it is tried again later
            self._child = None
            log.error("part.not_started", part=self._program().name, error=str(error))
        else:
            log.info("part.started_again", part=self._program().name)

    async def _until_it_ends(self) -> int | None:
        while self._child is not None and self._child.poll() is None:
            await asyncio.sleep(POLL_SECONDS)
        return self._child.poll() if self._child else None


async def _ends(child: Child, seconds: float, hurry: asyncio.Event | None = None) -> bool:
    end = time.monotonic() + seconds
    while child.poll() is None and time.monotonic() < end and not (hurry and hurry.is_set()):
        await asyncio.sleep(POLL_SECONDS)
    return child.poll() is not None
