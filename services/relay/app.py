"""Runs the relay: every event of the log gets onto the stream, once and in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.runtime.relay import Relay
from shared.runtime.service import Service, run


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[None]:
    relay = Relay(service.nats_url, service.postgres_url)
    service.parts |= relay.parts
    await service.broker.start()
    async with asyncio.TaskGroup() as tasks:
        carrying = tasks.create_task(relay.run())
        yield
        carrying.cancel()


if __name__ == "__main__":
    run("relay", wire)
