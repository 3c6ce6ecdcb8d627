"""Wait until a server or a service is ready."""

import asyncio
import time

from services.ops.local.errors import ServerStartError
from services.ops.local.supervisor import Supervisor
from shared.process.health import READY, Probe, examine

POLL_SECONDS = 0.05
REMIND_SECONDS = 5.0
# A started server that ends this often will not come up.
MOST_DEATHS = 3
# Waiting makes no server newer.
TOO_OLD = " is too old: "


async def until_ready(title: str, probe: Probe, supervisor: Supervisor | None = None) -> None:
    """Wait without limit, and print the reason every few seconds.

    Raises:
        ServerStartError: the server is too old, or it ends again and again.
    """
    remind = time.monotonic() + REMIND_SECONDS
    while reason := await reason_of(probe):
        if supervisor is not None and supervisor.deaths >= MOST_DEATHS:
            raise ServerStartError(f"{title} ends as soon as it is started:\n{supervisor.last_lines()}")
        if TOO_OLD in reason:
            raise ServerStartError(f"{reason}.")
        if time.monotonic() > remind:
            print(f"Waiting for {title}: {reason}", flush=True)
            remind = time.monotonic() + REMIND_SECONDS
        await asyncio.sleep(POLL_SECONDS)


async def reason_of(probe: Probe) -> str | None:
    """None if the part is ready, else the reason."""
    state = (await examine("launcher", {"part": probe})).parts["part"]
    return None if state == READY else state
