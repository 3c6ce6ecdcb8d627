"""Everything in one terminal: servers and services are started in order, kept running, and stopped in reverse."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import replace

from services.ops.local.bus_client import BusClient
from services.ops.local.children import Program
from services.ops.local.data_lock import locked
from services.ops.local.disk_space import shortage
from services.ops.local.errors import ServerStartError
from services.ops.local.evidence import evidence_dir, evidence_environment
from services.ops.local.nats_server import Nats, nats_answers
from services.ops.local.postgres_server import Postgres, postgres_answers
from services.ops.local.readiness import until_ready
from services.ops.local.stream_guard import StreamGuard
from services.ops.local.summary import summary
from services.ops.local.supervisor import Supervisor
from shared.messaging.metrics import refusals
from shared.process import logs, metrics
from shared.process.health import Health, HostUnavailableError, PortUnavailableError, Probe, examine, serve_http
from shared.process.settings import Settings
from shared.process.tree_files import PREFIX, tree_files

SERVICE_STOP_SECONDS = 20.0
SERVER_STOP_SECONDS = 10.0


def launch(settings: Settings, services: Mapping[str, Sequence[str]]) -> int:
    """Run everything until SIGINT, SIGTERM or SIGHUP; a second signal hurries. Return the exit code, 1 without a start.

    `services` maps the name of each service to its command line. NATS and PostgreSQL are started unless the settings
    have their URLs.
    """
    logs.configure("launcher", settings.log_format)
    no_own_server = settings.nats_url and settings.postgres_url
    try:
        with nullcontext() if no_own_server else locked(settings.data_dir.absolute()):
            return asyncio.run(_Launcher(settings, services).run())
    except PortUnavailableError as error:
        _complain(f"{error}. Set SWITCHBOARD_HTTP_PORT to a free port, or to 0 for none.")
    except HostUnavailableError as error:
        _complain(f"{error}. Set SWITCHBOARD_HTTP_HOST to an address of this machine, such as 127.0.0.1.")
    except (ServerStartError, OSError) as error:
        _complain(str(error))
    return 1


class _Launcher:
    def __init__(self, settings: Settings, services: Mapping[str, Sequence[str]]) -> None:
        self._settings = settings
        self._postgres = Postgres(settings.data_dir)
        self._nats = Nats(settings.data_dir, settings.nats_port)
        self._postgres_url = settings.postgres_url or self._postgres.url()
        self._nats_url = settings.nats_url or self._nats.url()
        self._servers: dict[Postgres | Nats, Supervisor] = {}
        if settings.postgres_url is None:
            self._servers[self._postgres] = Supervisor(self._postgres.program, self._postgres.prepare)
        if settings.nats_url is None:
            self._servers[self._nats] = Supervisor(self._nats.program, self._nats.prepare)
        self._services = {name: self._supervisor(name, argv) for name, argv in services.items()}
        self._client = BusClient(settings, self._nats_url)
        self._guard: StreamGuard | None = None
        if nats := self._servers.get(self._nats):
            self._guard = StreamGuard(nats, self._client.service("relay"), self._nats.folder)
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._started = False

    async def run(self) -> int:
        self._handle_signals()
        async with AsyncExitStack() as stack:
            if self._settings.http_port:
                port, host = self._settings.http_port, self._settings.http_host
                routes = {PREFIX: tree_files(evidence_dir(self._settings))}
                await stack.enter_async_context(serve_http(port, self.health, self.metrics_page, host, routes))
            working = asyncio.create_task(self._work())
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if self._stopping.is_set():
                _print("\nStopping …")
            if not self._started:
                working.cancel()
            with suppress(asyncio.CancelledError):
                await working
        _print("Switchboard has stopped.")
        return 0

    async def health(self) -> Health:
        """The present state of the servers and of every service."""
        probes: dict[str, Probe] = {"postgres": self._probe_postgres, "nats": self._probe_nats}
        probes |= {name: self._client.service(name) for name in self._services}
        if self._stopping.is_set():
            return Health("switchboard", dict.fromkeys(probes, "stopping"))
        found = await examine("switchboard", probes)
        return replace(found, warnings=dict(self._client.warnings))

    async def metrics_page(self) -> bytes:
        """The metrics of this process and of every service that answers."""
        own = metrics.page("launcher", [self._readiness, refusals])
        pages = (self._client.metrics_of(name, supervisor.pid) for name, supervisor in self._services.items())
        return metrics.merged(await asyncio.gather(own, *pages))

    async def _readiness(self) -> Sequence[metrics.Metric]:
        return [metrics.readiness(await self.health())]

    async def _work(self) -> None:
        began = time.monotonic()
        async with self._servers_running(), self._client.connected(), self._services_running():
            self._started = True
            seconds = time.monotonic() - began
            _print(summary(self._settings, self._nats_url, self._postgres_url, tuple(self._services), seconds))
            guard = asyncio.create_task(self._guard.run()) if self._guard else None
            await self._stopping.wait()
            if guard is not None:
                guard.cancel()
                await asyncio.wait({guard})

    @asynccontextmanager
    async def _servers_running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for server, supervisor in self._servers.items():
                _print(f"Starting {server.title} …")
                stack.push_async_callback(supervisor.stop, SERVER_STOP_SECONDS, self._hurry)
                await supervisor.start()
            for server, supervisor in self._servers.items():
                await until_ready(server.title, server.answers, supervisor)
            await until_ready("PostgreSQL", self._probe_postgres)
            await until_ready("NATS", lambda: nats_answers(self._nats_url))
            yield

    @asynccontextmanager
    async def _services_running(self) -> AsyncIterator[None]:
        _print(f"Starting {', '.join(self._services)} …")
        try:
            for supervisor in self._services.values():
                await supervisor.start()
            for name in self._services:
                await until_ready(name, self._client.service(name))
            yield
        finally:
            stops = (supervisor.stop(SERVICE_STOP_SECONDS, self._hurry) for supervisor in self._services.values())
            await asyncio.gather(*stops)

    def _supervisor(self, name: str, argv: Sequence[str]) -> Supervisor:
        environment = {
            "SWITCHBOARD_NATS_URL": self._nats_url,
            "SWITCHBOARD_POSTGRES_URL": self._postgres_url,
            "SWITCHBOARD_HTTP_PORT": "0",
            **evidence_environment(self._settings),
        }
        program = Program(name=name, argv=tuple(argv), environment=environment)
        return Supervisor(lambda: program)

    async def _probe_postgres(self) -> str | None:
        reason = await postgres_answers(self._postgres_url)
        if reason and self._postgres in self._servers:
            reason = "; ".join(filter(None, (shortage(self._postgres.folder), reason)))
        return reason

    async def _probe_nats(self) -> str | None:
        return await self._client.jetstream() or (self._guard.no_space if self._guard else None)

    def _handle_signals(self) -> None:
        def on_signal() -> None:
            if self._stopping.is_set():
                self._hurry.set()
            self._stopping.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, on_signal)


def _print(text: str) -> None:
    print(text, flush=True)


def _complain(text: str) -> None:
    print(f"Switchboard cannot start. {text}", file=sys.stderr, flush=True)
