"""A service process: its connection to NATS, its conditions of readiness, its metrics."""

import asyncio
from collections.abc import Sequence

import nats.errors
import structlog
from faststream.nats import NatsBroker, NatsNKey
from faststream.nats.subscriber.usecases.core_subscriber import CoreSubscriber
from nats.aio.client import Client

from shared.messaging import event_stream
from shared.messaging.metrics import refusals
from shared.process import metrics, unexpected_errors
from shared.process.health import Health, Probe, Route, examine
from shared.process.settings import Settings
from shared.wire import permissions
from shared.wire.connection import flush_confirmed
from shared.wire.frames import breaking, framed
from shared.wire.permissions import Permissions
from shared.wire.urls import servers_of

DRAIN_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Service:
    """The parts that a service process consists of.

    Attributes:
        broker: connected and not started, with `apply_types=False`: a handler gets the decoded message alone.
        parts: the conditions of readiness by name: each returns None when it is ready, else why not.
        warnings: faults that are shown beside the parts, and do not make the process unready.
        routes: further pages of its HTTP port, by the prefix of their paths.
        metric_sources: the sources of the page at `/metrics`.
        stopping: set once the process has to end.
        failed: whether only a new process helps.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.nats_url = settings.nats_url or ""
        self.postgres_url = settings.postgres_url or ""
        self.stopping = asyncio.Event()
        self.started = False
        self.failed = False
        self.parts: dict[str, Probe] = {"process": self._process, "nats": self._nats}
        self.warnings: dict[str, Probe] = {}
        self.routes: dict[str, Route] = {}
        self.metric_sources: list[metrics.Source] = [self._readiness, refusals, unexpected_errors.collect_metrics]
        options = settings.nats_options()
        self._permissions = Permissions(permissions.user_of(options, self.nats_url), options["inbox_prefix"])
        seed = settings.nats_nkey_seed
        self.broker = NatsBroker(
            servers_of(self.nats_url),
            name=f"switchboard-{name}",
            inbox_prefix=settings.nats_inbox_prefix,
            security=NatsNKey.from_seed(seed.get_secret_value()) if seed else None,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.25,  # type: ignore[arg-type]  # seconds; nats-py does nothing but sleep for it
            ping_interval=10,
            max_outstanding_pings=2,
            drain_timeout=3,  # less than DRAIN_SECONDS: nats-py leaves a traceback when it is cancelled
            graceful_timeout=DRAIN_SECONDS,
            apply_types=False,
            logger=None,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnect,
            reconnected_cb=self._on_reconnect,
            closed_cb=self._on_close,
        )
        self._last_error = ""

    async def drain(self) -> None:
        """Take no more messages; return when every message that arrived has been handled.

        `broker.stop()` alone would drop requests that have arrived and are not handled yet.
        """
        await asyncio.gather(*(self._drain(subscriber) for subscriber in self.broker.subscribers))

    async def health(self) -> Health:
        """Return the current state of every part."""
        return await examine(self.name, self.parts, self.warnings)

    async def metrics_page(self) -> bytes:
        """Return the current page of `/metrics`."""
        return await metrics.page(self.name, self.metric_sources)

    async def _readiness(self) -> Sequence[metrics.Metric]:
        return [metrics.readiness(await self.health())]

    async def connect(self) -> Client:
        """Connect to NATS; `permissions.of` the connection has what NATS denies."""
        await self.broker.connect()
        permissions.register(self.broker.connection, self._permissions)
        return framed(self.broker.connection)

    async def _drain(self, subscriber: object) -> None:
        if not isinstance(subscriber, CoreSubscriber) or subscriber.subscription is None:
            return
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                with breaking():
                    await subscriber.subscription.drain()  # type: ignore[no-untyped-call]
        except (nats.errors.Error, TimeoutError) as error:
            log.warning("drain.incomplete", error=repr(error))
        # Otherwise broker.stop() would unsubscribe it a second time, which nats-py refuses.
        subscriber.subscription = None

    async def _process(self) -> str | None:
        if self.stopping.is_set():
            return "stopping"
        return None if self.started else "starting"

    async def _nats(self) -> str | None:
        connection = self.broker.config.connection_state
        if not connection or not connection.connection.is_connected:
            return "not connected"
        await flush_confirmed(connection.connection, 1)
        refused = self._permissions.denied_subscription
        if refused:
            return f"{refused}; restart this process when it may"
        return event_stream.too_old(connection.connection)

    async def _on_error(self, error: Exception) -> None:
        if self._permissions.on_error(error):
            return
        text = f"{type(error).__name__}: {error}"
        if text != self._last_error:
            self._last_error = text
            log.warning("nats.trouble", error=text)

    async def _on_disconnect(self) -> None:
        self._permissions.on_disconnect()
        if not self.stopping.is_set():
            log.warning("nats.lost")

    async def _on_reconnect(self) -> None:
        self._last_error = ""
        log.info("nats.back")

    async def _on_close(self) -> None:
        if not self.stopping.is_set():
            # nats-py closes a connection for ever after some errors: only a new process helps.
            log.error("nats.closed_for_good")
            self.failed = True
            self.stopping.set()
