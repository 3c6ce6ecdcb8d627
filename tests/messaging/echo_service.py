"""A small service of its own, to see how any service lives: it echoes requests on `test.echo`, slowly."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from shared.messaging.lifecycle import run
from shared.messaging.service import Service

SUBJECT = "test.echo"


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[None]:
    """Answers `{"echo": body, "pid": …}` after 50 ms; a body of "crash" ends the process by an exception.

    A body of "cling" starts a task that no cancellation ends.
    """
    clinging: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as tasks:

        async def crash() -> None:
            raise RuntimeError("asked to crash")

        async def cling() -> None:
            while True:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.1)

        @service.broker.subscriber(SUBJECT, queue="echo")
        async def echo(body: Any) -> dict[str, Any]:
            if body == "crash":
                tasks.create_task(crash())
            if body == "cling":
                clinging.add(asyncio.create_task(cling()))
            await asyncio.sleep(0.05)
            return {"echo": body, "pid": os.getpid()}

        await service.broker.start()
        try:
            yield
        finally:
            await service.drain()


if __name__ == "__main__":
    run(sys.argv[1], wire)
