"""Restart the embedded NATS after a full disk: until then it stores nothing, even when space is freed."""

import asyncio
from pathlib import Path

import structlog

from services.ops.local.disk_space import shortage
from services.ops.local.readiness import reason_of
from services.ops.local.supervisor import Supervisor
from shared.process.health import Probe

# The relay's health has this error for a stream that stores nothing.
STREAM_STUCK = "StreamStuck"

log = structlog.get_logger(__name__)


class StreamGuard:
    """Watches the health of the relay every `interval` seconds; waits `after_restart` seconds after a restart."""

    def __init__(
        self, nats: Supervisor, relay: Probe, folder: Path, interval: float = 1.0, after_restart: float = 8.0
    ) -> None:
        self._nats = nats
        self._relay = relay
        self._folder = folder
        self._interval = interval
        self._after_restart = after_restart
        self.no_space: str | None = None

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            reason = await reason_of(self._relay) or ""
            before, self.no_space = self.no_space, None
            if "stream: " in reason:
                # A restart on a full disk would only interrupt commands and questions.
                self.no_space = shortage(self._folder)
            if self.no_space and not before:
                log.error("nats.no_space", error=self.no_space)
            if STREAM_STUCK in reason and not self.no_space:
                log.warning("nats.restarted", why=reason)
                self._nats.restart()
                await asyncio.sleep(self._after_restart)
