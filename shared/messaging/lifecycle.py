"""The life of a service process: connect, start, answer, drain, stop; every message it took is answered."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import NoReturn

import nats.errors
import structlog
import uvloop
from faststream.nats import NatsBroker
from nats.aio.msg import Msg
from pydantic import ValidationError

from shared.language import subjects
from shared.messaging.message_size import keep_limit_current
from shared.messaging.service import DRAIN_SECONDS, Service
from shared.process import failpoints, logs, metrics
from shared.process.health import HostUnavailableError, PortUnavailableError, serve_http
from shared.process.settings import Settings
from shared.wire.frames import breaking

STOP_SECONDS = 15.0
CANCEL_SECONDS = 2.0

log = structlog.get_logger(__name__)


Wire = Callable[[Service], AbstractAsyncContextManager[None]]


def run(name: str, wire: Wire) -> NoReturn:
    """Run the service `name` until SIGINT or SIGTERM, then end the process.

    `wire` registers subscribers, starts the broker and its own tasks, yields while the process serves, and drains on
    exit. An exception of `wire`, also of a task group around its `yield`, ends the process with code 1. A missing or
    wrong setting ends it with code 2.
    """
    settings = _settings(name)
    logs.configure(name, settings.log_format)
    failpoints.arm(settings.failpoints, name)
    sys.exit(uvloop.run(_serve_until_stopped(name, settings, wire)))


def _settings(name: str) -> Settings:
    try:
        settings = Settings()
    except ValidationError as error:
        _exit_with_usage(f"{name}: {error}")
    missing = [field for field in ("nats_url", "postgres_url") if getattr(settings, field) is None]
    if missing:
        names = " and ".join(f"SWITCHBOARD_{field.upper()}" for field in missing)
        _exit_with_usage(
            f"{name}: {names} not set. A single service needs a NATS and a PostgreSQL that run already; "
            "`switchboard run` starts everything."
        )
    return settings


def _exit_with_usage(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(2)


async def _serve_until_stopped(name: str, settings: Settings, wire: Wire) -> int:
    service = Service(name, settings)
    serving = asyncio.create_task(_serve(service, wire))
    _handle_signals(service, serving)
    stopping = asyncio.create_task(service.stopping.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not service.started:
        serving.cancel()
    await asyncio.wait({serving}, timeout=STOP_SECONDS)
    code = _exit_code(service, serving)
    await _cancel_remaining_tasks(code)
    _ignore_signals()
    return code


async def _cancel_remaining_tasks(code: int) -> None:
    """Cancel the other tasks, and exit hard when one does not end.

    The loop itself would wait for ever for a task that loses its one cancellation, as nats-py's may do while it
    reconnects (up to Python 3.11 `asyncio.wait_for` can lose one).
    """
    remaining = asyncio.all_tasks() - {asyncio.current_task()}
    for task in remaining:
        task.cancel()
    if remaining and (await asyncio.wait(remaining, timeout=CANCEL_SECONDS))[1]:
        log.warning("service.left_hard")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _handle_signals(service: Service, serving: asyncio.Task[None]) -> None:
    def on_signal() -> None:
        if service.stopping.is_set():
            serving.cancel()
        service.stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)


def _ignore_signals() -> None:
    """Keep the exit code: while Python shuts down, one more signal would replace it."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def _exit_code(service: Service, serving: asyncio.Task[None]) -> int:
    if not serving.done():
        log.error("service.stop_took_too_long", seconds=STOP_SECONDS)
        return 1
    if serving.cancelled():
        return 0 if service.stopping.is_set() and not service.failed else 1
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
    return 1 if service.failed else 0


async def _serve(service: Service, wire: Wire) -> None:
    async with AsyncExitStack() as stack:
        if port := service.settings.http_port:
            host = service.settings.http_host
            await stack.enter_async_context(
                serve_http(port, service.health, service.metrics_page, host, service.routes)
            )
        await stack.enter_async_context(_connected(service))
        await stack.enter_async_context(wire(service))
        _collect_garbage_rarely()
        service.started = True
        log.info("service.started")
        await service.stopping.wait()
        log.info("service.stopping")


def _collect_garbage_rarely() -> None:
    """Freeze the objects of the start, and collect garbage rarely: messages leave no cycles.

    With the usual thresholds the collector costs a quarter of a command. A collection stops everything for as long as
    it has new objects to visit: 2 ms for 10,000. Old objects are cached states, 100,000 and more, and visiting all of
    them takes 200 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 1_000, 1_000)


@asynccontextmanager
async def _connected(service: Service) -> AsyncIterator[None]:
    async def send_health(message: Msg) -> None:
        await message.respond((await service.health()).to_json())

    async def send_metrics(message: Msg) -> None:
        page = await service.metrics_page()
        if len(page) > connection.max_payload:
            log.warning("metrics.not_sent", bytes=len(page), max_payload=connection.max_payload)
            page = b""
        await message.respond(page)

    connection = await service.connect()
    refreshing = asyncio.create_task(keep_limit_current(connection))
    try:
        await connection.subscribe(subjects.health(service.name), queue=service.name, cb=send_health)
        await connection.subscribe(metrics.subject(service.name, os.getpid()), cb=send_metrics)
        yield
    finally:
        refreshing.cancel()
        # From here on a closed connection is intended.
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
