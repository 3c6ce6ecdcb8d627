"""The launcher's connection to NATS: it asks JetStream and the services for their state, and for metrics."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import nats.errors
import orjson
from nats.aio.client import Client

from shared.language import subjects
from shared.process import metrics
from shared.process.health import READY, Probe
from shared.process.settings import Settings
from shared.wire.connection import connect_to_nats
from shared.wire.frames import close
from shared.wire.permissions import Permissions, user_of

PAGE_SECONDS = metrics.SOURCE_SECONDS + 0.5


class BusClient:
    """Asks without NATS, too: the answer then says so."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._options = settings.nats_options()
        self._url = url
        self._refusals = Permissions(user_of(self._options, url), self._options["inbox_prefix"])
        self._connection: Client | None = None
        # Of the services, as of their last answer.
        self.warnings: dict[str, str] = {}

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async def on_error(error: Exception) -> None:
            """Keep nats-py from logging every attempt; the health page shows the state of NATS."""
            self._refusals.on_error(error)

        self._connection = await connect_to_nats(
            self._url,
            "switchboard-launcher",
            self._refusals,
            error_cb=on_error,
            reconnected_cb=None,
            **self._options,
        )
        try:
            yield
        finally:
            await close(self._connection)

    async def jetstream(self) -> str | None:
        """None if JetStream answers, else the reason."""
        if (connection := self._live()) is None:
            return "not connected"
        refusals = self._refusals.count
        try:
            await connection.jetstream(timeout=1).account_info()
        except nats.errors.TimeoutError:
            return str(self._refusals.cause(refusals, "$js.") or "JetStream does not answer")
        return None

    def service(self, name: str) -> Probe:
        """The probe of a service: None if all its parts are ready, else their states."""

        async def ask() -> str | None:
            if (connection := self._live()) is None:
                return "cannot be asked without NATS"
            refusals = self._refusals.count
            try:
                reply = await connection.request(subjects.health(name), timeout=1.5)
            except nats.errors.NoRespondersError:
                return "not running"
            except nats.errors.TimeoutError:
                return str(self._refusals.cause(refusals, subjects.health(name)) or "no answer")
            health = orjson.loads(reply.data)
            parts: dict[str, str] = health["parts"]
            self._note_warnings(name, health.get("warnings", {}))
            return "; ".join(f"{part}: {state}" for part, state in parts.items() if state != READY) or None

        return ask

    def _note_warnings(self, name: str, found: Mapping[str, str]) -> None:
        self.warnings.pop(name, None)
        if found:
            self.warnings[name] = "; ".join(f"{part}: {why}" for part, why in found.items())

    async def metrics_of(self, name: str, pid: int | None) -> bytes:
        """The metrics page of one process; empty if it does not answer."""
        connection = self._live()
        if connection is None or pid is None:
            return b""
        try:
            return (await connection.request(metrics.subject(name, pid), timeout=PAGE_SECONDS)).data
        except nats.errors.Error:
            # The health page shows a service that does not answer.
            return b""

    def _live(self) -> Client | None:
        return self._connection if self._connection is not None and self._connection.is_connected else None
