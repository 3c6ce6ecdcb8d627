"""The relay as a process: it publishes every event of the log to the stream, once and in order."""

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
        publishing = tasks.create_task(relay.run())
        async with discoverable(client, "switchboard-relay", "Publishes every event to the stream.", []):
            yield
        publishing.cancel()


if __name__ == "__main__":
    run("relay", wire)
