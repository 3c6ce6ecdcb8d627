"""Whether a process answers questions or is on standby, because rows of another version are live."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

import nats.errors
import psycopg
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared.language import subjects
from shared.messaging.endpoint import Endpoint
from shared.process.cancellation import cancellation_requested
from shared.projections.view import View
from shared.wire import frames

# How soon a serving process notices a cutover.
CHECK_SECONDS = 0.2
CHECK_SUCCESSOR_SECONDS = 0.05

log = structlog.get_logger(__name__)


class ServingState:
    """Takes questions while the live rows are of this code's version; leaves them to other processes otherwise.

    A process on standby is not ready. It serves again as soon as rows of its version are live.

    Args:
        handover_seconds: how long this process goes on to answer after a cutover, while no successor does.
        standby_check_seconds: how soon a process on standby notices that its version is live.
    """

    def __init__(
        self,
        view: View,
        client: Client,
        endpoints: Sequence[Endpoint],
        handover_seconds: float = 4.0,
        standby_check_seconds: float = 0.04,
    ) -> None:
        self.standby: str | None = None
        self._view = view
        self._client = client
        self._endpoints = endpoints
        self._handover_seconds = handover_seconds
        self._standby_check_seconds = standby_check_seconds
        self._serving = False
        self._migrated = False
        self._unfit: str | None = None
        self._announced: Subscription | None = None

    async def run(self) -> None:
        """Check again and again, until cancelled."""
        while not cancellation_requested():
            await asyncio.sleep(CHECK_SECONDS if self._serving or self._unfit else self._standby_check_seconds)
            await self.check()

    async def check(self) -> None:
        """Read the live version, and serve or stop serving; a database that does not answer changes nothing."""
        version, unfit = await self._live_version_and_unfitness()
        ours = self._view.definition.version
        if version is not None:
            self.standby = None if version == ours else f"the live rows are of version {version}, this code of {ours}"
        elif self._unfit is not None:
            # The unfit rows are dropped by now, and questions get the answer that the view is being built.
            self.standby = None
        if unfit is not None and unfit != self._unfit:
            log.warning("view.contradicts_log", view=self._view.definition.name, why=unfit)
        self._unfit = unfit
        if unfit is not None:
            # The event consumer drops these rows; until then no question is answered from them here.
            self.standby = unfit
        elif self.standby is None:
            await self._start_serving()
        else:
            await self._stop_serving(version)

    async def _live_version_and_unfitness(self) -> tuple[int | None, str | None]:
        try:
            version = await self._view.version()
            starts = version == self._view.definition.version and not self._serving
            return version, await self._unfitness() if starts else None
        except psycopg.Error:
            # The database is away, or there are no rows yet: questions are answered with that.
            return None, None

    async def _unfitness(self) -> str | None:
        """Say why this process must not begin to answer from the live rows; None when it may."""
        if not self._migrated:
            await self._view.migrate()
            self._migrated = True
        return await self._view.log_mismatch()

    async def _start_serving(self) -> None:
        if not self._serving:
            for endpoint in self._endpoints:
                await endpoint.open(self._client)
            definition = self._view.definition
            # Subscribed after the endpoints, on one connection: a process that replies here answers questions, too.
            self._announced = await self._client.subscribe(
                subjects.attendance(definition.name, definition.version), cb=_respond
            )
            self._serving = True
            self._view.version_is_live()
            log.info("view.attends", view=definition.name, version=definition.version)

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
        """Stop announcing that this process answers; it does answer until its endpoints are drained."""
        announced, self._announced = self._announced, None
        if announced is not None:
            await frames.unsubscribe(self._client, announced)

    async def _wait_for_successor(self, version: int) -> str:
        """Wait until a process of that version answers, none could, or the time is over; return which it was."""
        name, end = self._view.definition.name, time.monotonic() + self._handover_seconds
        while time.monotonic() < end and not cancellation_requested():
            # There is no successor yet, or NATS is away.
            with suppress(nats.errors.Error), frames.breaking():
                await self._client.request(subjects.attendance(name, version), timeout=CHECK_SECONDS)
                return f"version {version} answers"
            with suppress(psycopg.Error):
                if not await self._view.count_readers(version):
                    return f"no process of version {version} runs"
            await asyncio.sleep(CHECK_SUCCESSOR_SECONDS)
        return f"version {version} does not answer for {self._handover_seconds:g} s"


async def _respond(message: Msg) -> None:
    await message.respond(b"")
