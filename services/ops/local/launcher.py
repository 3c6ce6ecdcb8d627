"""Everything in one terminal: servers and services started in order, kept running, stopped in reverse."""

import asyncio
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import nats
import nats.errors
import orjson
import structlog
from nats.aio.client import Client

from services.ops.local.children import Program
from services.ops.local.servers import Nats, Postgres, Server, ServerStartError, nats_answers, postgres_answers
from services.ops.local.supervisor import Supervisor
from shared.language import subjects
from shared.messaging.metrics import refusals
from shared.process import logs, metrics
from shared.process.health import READY, Health, HostUnavailableError, PortUnavailableError, Probe, examine, serve_http
from shared.process.settings import Settings
from shared.process.urls import without_password
from shared.wire.frames import close, framed
from shared.wire.permissions import Permissions, user_of
from shared.wire.urls import servers_of

SERVICE_STOP_SECONDS = 20.0
SERVER_STOP_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_REMIND_SECONDS = 5.0
_HOPELESS_DEATHS = 3
_STREAM_LOOK_SECONDS = 1.0
_RESTART_AGAIN_SECONDS = 8.0
_PAGE_SECONDS = metrics.SOURCE_SECONDS + 0.5
# No waiting makes a server newer.
TOO_OLD = " is too old: "
# The relay's error of this name, as the health of the relay gives it.
STREAM_STUCK = "StreamStuck"
ROOM_BYTES = 64 * 2**20

log = structlog.get_logger(__name__)


def launch(settings: Settings, services: Mapping[str, Sequence[str]]) -> int:
    """Runs everything until SIGINT, SIGTERM or SIGHUP; a second one hurries. The exit code: 1 when it could not start.

    `services` maps each service's name to its command line. NATS and PostgreSQL are started unless the settings bear
    their URLs.
    """
    logs.configure("launcher", settings.log_format)
    try:
        with _alone_in(settings):
            return asyncio.run(_Launcher(settings, services).run())
    except PortUnavailableError as trouble:
        _complain(f"{trouble}. Set SWITCHBOARD_HTTP_PORT to a free port, or to 0 for none.")
    except HostUnavailableError as trouble:
        _complain(f"{trouble}. Set SWITCHBOARD_HTTP_HOST to an address of this machine, such as 127.0.0.1.")
    except (ServerStartError, OSError) as trouble:
        _complain(str(trouble))
    return 1


class _Launcher:
    def __init__(self, settings: Settings, services: Mapping[str, Sequence[str]]) -> None:
        postgres = self._own_postgres = Postgres(settings.data_dir)
        bus = self._own_nats = Nats(settings.data_dir, settings.nats_port)
        self._settings = settings
        self._postgres_url = settings.postgres_url or postgres.url()
        self._nats_url = settings.nats_url or bus.url()
        self._servers: list[Server] = []
        if settings.postgres_url is None:
            self._servers.append(postgres)
        if settings.nats_url is None:
            self._servers.append(bus)
        self._services = {name: Supervisor(lambda name=name: self._service(name, services[name])) for name in services}  # type: ignore[misc]
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._started = False
        self._bus: Client | None = None
        self._kept_bus: Supervisor | None = None
        self._no_space: str | None = None
        self._refusals = Permissions()

    async def run(self) -> int:
        self._listen_to_signals()
        async with AsyncExitStack() as stack:
            if self._settings.http_port:
                port, host = self._settings.http_port, self._settings.http_host
                await stack.enter_async_context(serve_http(port, self.health, self.metrics_page, host))
            working = asyncio.create_task(self._work())
            asked = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if self._stopping.is_set():
                _say("\nStopping …")
            if not self._started:
                working.cancel()
            with suppress(asyncio.CancelledError):
                await working
        _say("Switchboard has stopped.")
        return 0

    async def health(self) -> Health:
        """The state of the servers and of every service, asked now."""
        probes: dict[str, Probe] = {"postgres": self._ask_postgres, "nats": self._ask_nats}
        probes |= {name: self._probe(name) for name in self._services}
        if self._stopping.is_set():
            return Health("switchboard", dict.fromkeys(probes, "stopping"))
        return await examine("switchboard", probes)

    async def metrics_page(self) -> bytes:
        """What this process tells, and every service that answers."""
        own = metrics.page("launcher", [self._readiness, refusals])
        return metrics.merged(await asyncio.gather(own, *(self._page_of(name) for name in self._services)))

    async def _readiness(self) -> Sequence[metrics.Metric]:
        return [metrics.readiness(await self.health())]

    async def _page_of(self, name: str) -> bytes:
        pid = self._services[name].pid
        if self._bus is None or not self._bus.is_connected or pid is None:
            return b""
        try:
            return (await self._bus.request(metrics.subject(name, pid), timeout=_PAGE_SECONDS)).data
        except nats.errors.Error:
            # Not running, or it hangs: readiness says so.
            return b""

    async def _work(self) -> None:
        began = time.monotonic()
        async with self._servers_running(), self._connected(), self._services_running():
            self._started = True
            self._summarise(time.monotonic() - began)
            minding = asyncio.create_task(self._mind_the_stream())
            await self._stopping.wait()
            minding.cancel()
            await asyncio.wait({minding})

    async def _mind_the_stream(self) -> None:
        """A NATS of ours that met a full disk is started again: before that it stores nothing, whatever is freed."""
        supervisor = self._kept_bus
        while supervisor is not None:
            await asyncio.sleep(_STREAM_LOOK_SECONDS)
            why_not = await _state(self._probe("relay")) or ""
            former, self._no_space = self._no_space, None
            if "stream: " in why_not:
                # Started again on a full disk it would only be away from commands and questions too.
                self._no_space = _no_space_in(self._own_nats.folder)
            if self._no_space and not former:
                log.error("nats.no_space", error=self._no_space)
            if STREAM_STUCK in why_not and not self._no_space:
                log.warning("nats.restarted", why=why_not)
                supervisor.restart()
                await asyncio.sleep(_RESTART_AGAIN_SECONDS)

    @asynccontextmanager
    async def _servers_running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            kept = {server: Supervisor(server.program, server.prepare) for server in self._servers}
            self._kept_bus = next((supervisor for server, supervisor in kept.items() if isinstance(server, Nats)), None)
            for server, supervisor in kept.items():
                _say(f"Starting {server.title} …")
                stack.push_async_callback(supervisor.stop, SERVER_STOP_SECONDS, self._hurry)
                await supervisor.start()
            for server, supervisor in kept.items():
                await _until_ready(server.title, server.answers, supervisor)
            await _until_ready("PostgreSQL", self._ask_postgres)
            await _until_ready("NATS", lambda: nats_answers(self._nats_url))
            yield

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        options = self._settings.nats_options()
        self._refusals = Permissions(user_of(options, self._nats_url), options["inbox_prefix"])

        async def on_error(error: Exception) -> None:
            """Whether NATS is there is told by the health page; nats-py would write every attempt to the log."""
            self._refusals.on_error(error)

        async def on_loss() -> None:
            self._refusals.on_disconnect()

        self._bus = framed(
            await nats.connect(
                servers_of(self._nats_url),
                name="switchboard-launcher",
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.25,
                ping_interval=10,
                max_outstanding_pings=2,
                error_cb=on_error,
                disconnected_cb=on_loss,
                **options,
            )
        )
        try:
            yield
        finally:
            await close(self._bus)

    @asynccontextmanager
    async def _services_running(self) -> AsyncIterator[None]:
        _say(f"Starting {', '.join(self._services)} …")
        try:
            for supervisor in self._services.values():
                await supervisor.start()
            for name in self._services:
                await _until_ready(name, self._probe(name))
            yield
        finally:
            stops = (supervisor.stop(SERVICE_STOP_SECONDS, self._hurry) for supervisor in self._services.values())
            await asyncio.gather(*stops)

    def _service(self, name: str, argv: Sequence[str]) -> Program:
        environment = {
            "SWITCHBOARD_NATS_URL": self._nats_url,
            "SWITCHBOARD_POSTGRES_URL": self._postgres_url,
            "SWITCHBOARD_HTTP_PORT": "0",
        }
        return Program(name=name, argv=tuple(argv), environment=environment)

    async def _ask_postgres(self) -> str | None:
        trouble = await postgres_answers(self._postgres_url)
        if trouble and self._own_postgres in self._servers:
            trouble = "; ".join(filter(None, (_no_space_in(self._own_postgres.folder), trouble)))
        return trouble

    async def _ask_nats(self) -> str | None:
        if self._bus is None or not self._bus.is_connected:
            return "not connected"
        refusals = self._refusals.count
        try:
            await self._bus.jetstream(timeout=1).account_info()
        except nats.errors.TimeoutError:
            return str(self._refusals.cause(refusals, "$js.") or "JetStream does not answer")
        return self._no_space

    def _probe(self, name: str) -> Probe:
        async def ask() -> str | None:
            if self._bus is None or not self._bus.is_connected:
                return "cannot be asked without NATS"
            refusals = self._refusals.count
            try:
                reply = await self._bus.request(subjects.health(name), timeout=1.5)
            except nats.errors.NoRespondersError:
                return "not running"
            except nats.errors.TimeoutError:
                return str(self._refusals.cause(refusals, subjects.health(name)) or "no answer")
            parts: dict[str, str] = orjson.loads(reply.data)["parts"]
            return "; ".join(f"{part}: {state}" for part, state in parts.items() if state != READY) or None

        return ask

    def _listen_to_signals(self) -> None:
        def on_signal() -> None:
            if self._stopping.is_set():
                self._hurry.set()
            self._stopping.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, on_signal)

    def _summarise(self, seconds: float) -> None:
        lines = [
            f"\nSwitchboard is ready ({seconds:.1f} s).\n",
            f"  NATS        {without_password(self._nats_url)}",
            f"  PostgreSQL  {without_password(self._postgres_url)}",
        ]
        if self._servers:
            lines.append(f"  Data        {self._settings.data_dir.absolute()}")
        if port := self._settings.http_port:
            lines.append(f"  Health      http://{self._settings.http_host}:{port}/health/ready")
            lines.append(f"  Metrics     http://{self._settings.http_host}:{port}/metrics")
        elsewhere = "" if self._nats_url == "nats://127.0.0.1:4222" else f" --url {without_password(self._nats_url)}"
        first = "acme RegisterAccount actor=service:demo plan=starter admin=ana"
        lines += [
            f"  Services    {', '.join(self._services)}",
            "\nTry, in another terminal:",
            f"  .venv/bin/switchboard command{elsewhere} {first}",
            f"  .venv/bin/switchboard query{elsewhere} acme Inboxes actor=ana",
            "\nCtrl-C stops everything.\n",
        ]
        _say("\n".join(lines))


def _no_space_in(folder: Path) -> str | None:
    """None when a server that keeps its data there has room to work, or has no folder yet."""
    if not folder.exists():
        return None
    disk = shutil.disk_usage(folder)
    needed = min(ROOM_BYTES, disk.total // 10)
    if disk.free > needed:
        return None
    return (
        f"no space: {disk.free / 2**20:.0f} MiB are free in {folder}; it goes on by itself with more than "
        f"{needed / 2**20:.0f} MiB"
    )


async def _until_ready(title: str, probe: Probe, supervisor: Supervisor | None = None) -> None:
    """Waits for ever, saying now and then what for; gives up only on an own server that ends again and again."""
    remind = time.monotonic() + _REMIND_SECONDS
    while why_not := await _state(probe):
        if supervisor is not None and supervisor.deaths >= _HOPELESS_DEATHS:
            raise ServerStartError(f"{title} ends as soon as it is started:\n{supervisor.last_lines()}")
        if TOO_OLD in why_not:
            raise ServerStartError(f"{why_not}.")
        if time.monotonic() > remind:
            _say(f"Waiting for {title}: {why_not}")
            remind = time.monotonic() + _REMIND_SECONDS
        await asyncio.sleep(_LOOK_SECONDS)


async def _state(probe: Probe) -> str | None:
    state = (await examine("launcher", {"it": probe})).parts["it"]
    return None if state == READY else state


@contextmanager
def _alone_in(settings: Settings) -> Iterator[None]:
    """Holds the data folder against a second launcher, when servers keep their data there.

    Raises:
        ServerStartError: another launcher holds it.
    """
    if settings.nats_url and settings.postgres_url:
        yield
        return
    folder = settings.data_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "launcher.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise ServerStartError(
                f"Another Switchboard (process {lock.read().strip() or 'unknown'}) runs with the data in {folder}. "
                "Stop it, or set SWITCHBOARD_DATA_DIR to another folder."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _say(text: str) -> None:
    print(text, flush=True)


def _complain(text: str) -> None:
    print(f"Switchboard cannot start. {text}", file=sys.stderr, flush=True)
