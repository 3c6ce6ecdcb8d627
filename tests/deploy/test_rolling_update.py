"""A rolling update as the manifests ask for it: a new process is ready before the old one is asked to end.

Commands and questions come all the time, each asked once: one that is lost, or answered BUSY, fails the test.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from itertools import count

import nats.errors
import pytest

from shared.messaging.lifecycle import CANCEL_SECONDS, STOP_SECONDS
from tests.deploy.production import Production, production
from tests.journeys.wire import TRUSTED, Reply, Wire
from tests.scale.fleet import SERVICES

AT_ONCE = 4
PACE_SECONDS = 0.01
REQUESTS_BETWEEN = 40
GRACE_SECONDS = STOP_SECONDS + CANCEL_SECONDS


class Asking:
    """Asks and asks, one thing after the other in each of `AT_ONCE` places."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._numbers = count(1)
        self.answered = 0
        self.lost: list[str] = []
        self.ending = asyncio.Event()

    async def run(self) -> None:
        await asyncio.gather(*(self._ask(f"i{place}") for place in range(AT_ONCE)))

    async def progress(self, requests: int) -> None:
        goal = self.answered + requests
        async with asyncio.timeout(30):
            while self.answered < goal:
                await asyncio.sleep(0.02)

    async def _ask(self, inbox: str) -> None:
        created = {"inbox": inbox, "name": f"Inbox {inbox}"}
        await self._tell(self._wire.command("acme", "CreateInbox", TRUSTED, **created))
        while not self.ending.is_set():
            await asyncio.sleep(PACE_SECONDS)
            name = f"Inbox {next(self._numbers)}"
            position = await self._tell(self._wire.command("acme", "RenameInbox", TRUSTED, inbox=inbox, name=name))
            seen = {"inbox": inbox, "at_least": position, "wait_ms": 8_000}
            await self._tell(self._wire.question("acme", "Inbox", TRUSTED, **seen))
            await self._tell(self._wire.question("acme", "Routing", TRUSTED, **seen))

    async def _tell(self, asked: Coroutine[None, None, Reply]) -> int:
        try:
            reply = await asked
        except nats.errors.Error as error:
            self.lost.append(repr(error))
            return 0
        self.answered += 1
        if reply.error is not None:
            self.lost.append(str(reply.body))
        return int(reply.body.get("position", 0))


@pytest.fixture
def beginning() -> Iterator[Production]:
    with production() as made:
        made.begin_all()
        yield made


async def test_no_request_is_lost_while_every_service_is_replaced(beginning: Production) -> None:
    async with beginning.nats.connected_as("crm") as wire:
        await wire.command("acme", "RegisterAccount", TRUSTED, plan="enterprise", admin="ana")
        asking = Asking(wire)
        running = asyncio.create_task(asking.run())
        for service in SERVICES:
            await asking.progress(REQUESTS_BETWEEN)
            new = beginning.begin(service)
            await asyncio.to_thread(new.wait_until_ready)
            async with asyncio.timeout(GRACE_SECONDS):
                assert await asyncio.to_thread(beginning.end, service) == 0
        await asking.progress(REQUESTS_BETWEEN)
        asking.ending.set()
        await running
        print(f"\n{asking.answered} answered, {len(asking.lost)} lost")
        assert asking.lost == []
