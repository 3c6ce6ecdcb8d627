"""Runs the relay: every event of the log gets onto the stream, once and in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.relay import metrics
from services.relay.relay import Relay
from shared.messaging.endpoint import discoverable
from shared.messaging.lifecycle import run
from shared.messaging.service import Service


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[None]:
    relay = Relay(service.nats_url, service.postgres_url)
    service.parts |= relay.parts
    await service.broker.start()
    client = service.broker.connection
    async with metrics.of_relay(relay, service.postgres_url) as sources, asyncio.TaskGroup() as tasks:
        service.metric_sources += sources
        carrying = tasks.create_task(relay.run())
        async with discoverable(client, "switchboard-relay", "Carries every event onto the stream.", []):
            yield
        carrying.cancel()


if __name__ == "__main__":
    run("relay", wire)
