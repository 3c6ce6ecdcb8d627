"""The life of one service process: connect, start, answer, drain, stop; nothing it took is left unanswered."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import NoReturn

import nats.errors
import structlog
import uvloop
from faststream.nats import NatsBroker, NatsNKey
from faststream.nats.subscriber.usecases.core_subscriber import CoreSubscriber
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError

from shared.language import subjects
from shared.messaging import event_stream
from shared.messaging.message_size import keep_limit_current
from shared.messaging.metrics import refusals
from shared.process import failpoints, logs, metrics, unexpected_errors
from shared.process.health import Health, HostUnavailableError, PortUnavailableError, Probe, examine, serve_http
from shared.process.settings import Settings
from shared.wire import permissions
from shared.wire.connection import flush_confirmed
from shared.wire.frames import breaking, framed
from shared.wire.permissions import Permissions
from shared.wire.urls import servers_of

DRAIN_SECONDS = 5.0
STOP_SECONDS = 15.0
LEFT_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Service:
    """What a service process has at hand.

    `broker` is connected and not started, with `apply_types=False`: a handler gets the decoded message alone. `parts`
    are the conditions of readiness by name: each answers None when it is ready, else why not. `metric_sources` are what
    `/metrics` is made of. `stopping` is set once the process was asked to end.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.nats_url = settings.nats_url or ""
        self.postgres_url = settings.postgres_url or ""
        self.stopping = asyncio.Event()
        self.started = False
        self.given_up = False
        self.parts: dict[str, Probe] = {"process": self._process, "nats": self._nats}
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
            drain_timeout=3,  # less than it is given below: nats-py, cancelled, leaves a traceback behind
            graceful_timeout=DRAIN_SECONDS,
            apply_types=False,
            logger=None,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnect,
            reconnected_cb=self._on_reconnect,
            closed_cb=self._on_close,
        )
        self._trouble = ""

    async def drain(self) -> None:
        """Takes no more messages, and returns when every message already taken has been handled.

        `broker.stop()` alone would drop requests that have been routed here and are not handled yet.
        """
        await asyncio.gather(*(self._drain(subscriber) for subscriber in self.broker.subscribers))

    async def health(self) -> Health:
        """The state of every part, asked now."""
        return await examine(self.name, self.parts)

    async def metrics_page(self) -> bytes:
        """The page of `/metrics`, made now."""
        return await metrics.page(self.name, self.metric_sources)

    async def _readiness(self) -> Sequence[metrics.Metric]:
        return [metrics.readiness(await self.health())]

    async def connected(self) -> Client:
        """Connects to the bus; what it refuses is known by `permissions.of` the connection."""
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
        # Else broker.stop() would unsubscribe it a second time, which nats-py refuses.
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
        trouble = f"{type(error).__name__}: {error}"
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("nats.trouble", error=trouble)

    async def _on_disconnect(self) -> None:
        self._permissions.on_disconnect()
        if not self.stopping.is_set():
            log.warning("nats.lost")

    async def _on_reconnect(self) -> None:
        self._trouble = ""
        log.info("nats.back")

    async def _on_close(self) -> None:
        if not self.stopping.is_set():
            # nats-py gives a connection up for good after some errors: only a new process helps.
            log.error("nats.closed_for_good")
            self.given_up = True
            self.stopping.set()


Wire = Callable[[Service], AbstractAsyncContextManager[None]]


def run(name: str, wire: Wire) -> NoReturn:
    """Serves as `name` until SIGINT or SIGTERM, then ends the process.

    `wire` registers subscribers, starts the broker and its own tasks, yields while the process serves, and drains on
    exit. Whatever it raises (the failure of a task group around its `yield` too) ends the process with code 1; a
    missing or wrong setting with code 2.
    """
    settings = _settings(name)
    logs.configure(name, settings.log_format)
    failpoints.arm(settings.failpoints, name)
    sys.exit(uvloop.run(_life(name, settings, wire)))


def _settings(name: str) -> Settings:
    try:
        settings = Settings()
    except ValidationError as error:
        _refuse(f"{name}: {error}")
    missing = [field for field in ("nats_url", "postgres_url") if getattr(settings, field) is None]
    if missing:
        names = " and ".join(f"SWITCHBOARD_{field.upper()}" for field in missing)
        _refuse(
            f"{name}: {names} not set. A single service needs a NATS and a PostgreSQL that run already; "
            "`switchboard run` starts everything."
        )
    return settings


def _refuse(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(2)


async def _life(name: str, settings: Settings, wire: Wire) -> int:
    service = Service(name, settings)
    serving = asyncio.create_task(_serve(service, wire))
    _listen_to_signals(service, serving)
    asked = asyncio.create_task(service.stopping.wait())
    await asyncio.wait({serving, asked}, return_when=asyncio.FIRST_COMPLETED)
    if not service.started:
        serving.cancel()
    await asyncio.wait({serving}, timeout=STOP_SECONDS)
    code = _verdict(service, serving)
    await _end_what_is_left(code)
    _listen_no_more()
    return code


async def _end_what_is_left(code: int) -> None:
    """The loop's own end would wait for ever for a task that swallows its one cancellation, as nats-py's may do
    while it reconnects (up to Python 3.11, `asyncio.wait_for` can lose one).
    """
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left and (await asyncio.wait(left, timeout=LEFT_SECONDS))[1]:
        log.warning("service.left_hard")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _listen_to_signals(service: Service, serving: asyncio.Task[None]) -> None:
    def on_signal() -> None:
        if service.stopping.is_set():
            serving.cancel()
        service.stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)


def _listen_no_more() -> None:
    """The exit code is settled: while Python shuts down, one more signal would end it as by that signal instead."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def _verdict(service: Service, serving: asyncio.Task[None]) -> int:
    if not serving.done():
        log.error("service.stop_took_too_long", seconds=STOP_SECONDS)
        return 1
    if serving.cancelled():
        return 0 if service.stopping.is_set() and not service.given_up else 1
    if error := serving.exception():
        if isinstance(error, PortUnavailableError):
            log.error("service.failed", error=str(error), advice="set SWITCHBOARD_HTTP_PORT, 0 for none")
        elif isinstance(error, HostUnavailableError):
            log.error(
                "service.failed", error=str(error), advice="set SWITCHBOARD_HTTP_HOST to an address of this machine"
            )
        else:
            log.error("service.failed", exc_info=error)
        return 1
    log.info("service.stopped")
    return 1 if service.given_up else 0


async def _serve(service: Service, wire: Wire) -> None:
    async with AsyncExitStack() as stack:
        if service.settings.http_port:
            await stack.enter_async_context(
                serve_http(service.settings.http_port, service.health, service.metrics_page, service.settings.http_host)
            )
        await stack.enter_async_context(_connected(service))
        await stack.enter_async_context(wire(service))
        _collect_rarely()
        service.started = True
        log.info("service.started")
        await service.stopping.wait()
        log.info("service.stopping")


def _collect_rarely() -> None:
    """What is there at the start stays, and messages leave no cycles: looking for them costs a quarter of a command.

    Each look stops everything for as long as it has new objects to visit: 2 ms for 10,000. What has grown old is as
    good as never visited again: it is what is kept, 100,000 states and more, and a look at all of it takes 200 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 1_000, 1_000)


@asynccontextmanager
async def _connected(service: Service) -> AsyncIterator[None]:
    async def tell_health(message: Msg) -> None:
        await message.respond((await service.health()).to_json())

    async def tell_metrics(message: Msg) -> None:
        page = await service.metrics_page()
        if len(page) > connection.max_payload:
            log.warning("metrics.not_sent", bytes=len(page), max_payload=connection.max_payload)
            page = b""
        await message.respond(page)

    connection = await service.connected()
    looking = asyncio.create_task(keep_limit_current(connection))
    try:
        await connection.subscribe(subjects.health(service.name), queue=service.name, cb=tell_health)
        await connection.subscribe(metrics.subject(service.name, os.getpid()), cb=tell_metrics)
        yield
    finally:
        looking.cancel()
        # From here on a closed connection is what we want.
        service.stopping.set()
        await _close(service.broker)


async def _close(broker: NatsBroker) -> None:
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            with breaking():
                await broker.stop()
    except (nats.errors.Error, TimeoutError, ExceptionGroup) as error:
        # NATS is away; the process ends next, and its connection with it.
        log.warning("nats.closed_uncleanly", error=repr(error))
