"""Real servers and a whole Switchboard for tests: each in a folder and on ports of its own, gone when the test is."""

import asyncio
import atexit
import fcntl
import functools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

from services.ops.local.children import Child, die_with_parent, last_lines
from services.ops.local.nats_server import Nats
from services.ops.local.postgres_server import Postgres
from shared.process import clock

ROOT = Path(__file__).parent.parent


def wait_until(condition: Callable[[], bool], seconds: float = 60.0, what: str = "it") -> None:
    """Returns as soon as the condition holds.

    Raises:
        AssertionError: it does not hold in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.02)


def still_run(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; a zombie has."""

    def runs(process: psutil.Process) -> bool:
        try:
            return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    return [process for process in processes if runs(process)]


# Below the ports that systems give to clients (32768 and up on Linux).
PORTS = range(20_000, 32_000)
_reserved: dict[int, int] = {}


def free_port() -> int:
    """A port that nobody listens on, and that no other test run takes while this one lasts.

    A port given twice would let the services of one run, which reconnect for ever, answer in the other.
    """
    folder = Path(tempfile.gettempdir()) / "switchboard-test-ports"
    folder.mkdir(exist_ok=True)
    for port in random.SystemRandom().sample(PORTS, 1_000):
        lock = os.open(folder / str(port), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(lock)
        else:
            _reserved[port] = lock
            return port
    raise AssertionError("no port is free")


MEMORY = Path("/dev/shm")  # noqa: S108  its folders are new and private
MEMORY_NEEDED_BYTES = 4 * 2**30


def _made_folder() -> Path:
    """A new folder: in memory if there is room, as no test cuts the power and a flush costs time."""
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_NEEDED_BYTES
    if in_memory:
        _remove_leftovers()
    base = MEMORY if in_memory else Path(tempfile.gettempdir())
    return Path(tempfile.mkdtemp(prefix=f"switchboard-test-{os.getpid()}-", dir=base))


@functools.cache
def _remove_leftovers() -> None:
    """Frees the memory that runs which were killed have left taken."""
    for folder in MEMORY.glob("switchboard-test-*"):
        process = folder.name.split("-")[2]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _initialized_postgres() -> Path:
    """The data directory of a PostgreSQL that never ran, made once per process."""
    folder = _made_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = Postgres(folder)
    server.prepare()
    return server.folder


def _copy_initialized_postgres(data_dir: Path) -> None:
    """Spares a new server the time of `initdb`; an attempt of an earlier start is left alone."""
    if not any(data_dir.glob("postgres*")):
        data_dir.mkdir(parents=True, exist_ok=True)
        subprocess.run(("cp", "-a", str(_initialized_postgres()), str(data_dir)), check=True)


@contextmanager
def new_folder() -> Iterator[Path]:
    """A new folder under a short path; not pytest's own, whose permissions the next run takes back."""
    path = _made_folder()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class RunningServer:
    """A server that a test may stop, kill, wipe and start again; it keeps its URL through all of it."""

    def __init__(self, server: Postgres | Nats, *, start: bool = True) -> None:
        self._server = server
        self._child: Child | None = None
        if start:
            self.start()

    @property
    def data_folder(self) -> Path:
        """Where the server keeps its data."""
        return self._server.folder

    def start(self) -> None:
        """Returns when the server answers."""
        self.launch()
        self.wait_until_it_answers()

    def launch(self) -> None:
        """Starts it and does not wait."""
        if type(self._server) is Postgres:
            _copy_initialized_postgres(self._server.folder.parent)
        self._server.prepare()
        self._child = Child(self._server.program())

    def wait_until_it_answers(self) -> None:
        child = self._child
        assert child is not None
        with ThreadPoolExecutor(1) as beside:  # the test's own event loop may be in this thread

            def answers() -> bool:
                if child.poll() is not None:
                    raise AssertionError(f"{self._server.name} ended:\n{last_lines(child.program)}")
                return beside.submit(asyncio.run, self._server.answers()).result() is None

            wait_until(answers, what=f"{self._server.name} to answer")

    def stop(self) -> None:
        """Stops it cleanly."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def kill(self) -> None:
        """As by kill -9."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def pause(self) -> None:
        """It keeps its connections and does nothing, until `resume`."""
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGCONT)

    def reload(self) -> None:
        """The configuration is read again."""
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGHUP)

    def restart(self) -> None:
        self.stop()
        self.start()

    def wipe(self) -> None:
        """Stops it and removes its data; `start` begins anew."""
        self.kill()
        shutil.rmtree(self._server.folder)


class RunningPostgres(RunningServer):
    """A PostgreSQL, `url` being its database `switchboard`."""

    def __init__(self, data_dir: Path) -> None:
        self._postgres = Postgres(data_dir)
        self.url = self._postgres.url()
        super().__init__(self._postgres)

    def new_database(self) -> str:
        """The URL of an empty database of its own."""
        name = f"test_{clock.new_id().replace('-', '')}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self._postgres.url(name)

    def drop_database(self, url: str) -> None:
        """Removes a database that `new_database` made, whoever is still connected."""
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


class RunningNats(RunningServer):
    """A NATS with JetStream."""

    def __init__(self, data_dir: Path, more: str = "") -> None:
        self._nats = Nats(data_dir, free_port(), more=more)
        self.url = self._nats.url()
        super().__init__(self._nats)

    def configure(self, more: str) -> None:
        """Has it read this, beyond what ours have, at its next start or reload."""
        self._server = self._nats = Nats(self.data_folder.parent, self._nats.port, more=more)
        self._nats.configure()


class ClusterNode(RunningServer):
    """One NATS of a cluster; it answers once most of the others are there."""

    def __init__(self, server: Nats) -> None:
        self.name = server.server_name
        self.url = server.url()
        super().__init__(server, start=False)


class RunningCluster:
    """Three NATS with JetStream that know one another, on loopback; `url` names them all, with commas between.

    `more` is what the configuration of each has beyond that.
    """

    def __init__(self, data_dir: Path, more: str = "") -> None:
        ports = [free_port() for _ in range(3)]
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
        self.nodes = [
            ClusterNode(
                Nats(
                    data_dir / f"n{number}",
                    free_port(),
                    f"n{number}",
                    f'cluster {{ name: "test", listen: "127.0.0.1:{port}", routes: [{routes}] }}\n{more}',
                )
            )
            for number, port in enumerate(ports)
        ]
        self.url = ",".join(node.url for node in self.nodes)
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_until_it_answers()

    def node(self, name: str) -> ClusterNode:
        return next(node for node in self.nodes if node.name == name)

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()


class RunningSwitchboard:
    """`switchboard run` as a process of its own, on free ports.

    `environment` adds to its settings, such as `SWITCHBOARD_NATS_URL`; `argv` is what is run instead of
    `switchboard run`. Its output is in `output()`.
    """

    def __init__(
        self, data_dir: Path, environment: Mapping[str, str] | None = None, argv: Sequence[str] | None = None
    ) -> None:
        self.data_dir = data_dir
        self.http_port = free_port()
        self.nats_port = free_port()
        self.settings = {
            "SWITCHBOARD_DATA_DIR": str(data_dir / "data"),
            "SWITCHBOARD_HTTP_PORT": str(self.http_port),
            "SWITCHBOARD_NATS_PORT": str(self.nats_port),
            "SWITCHBOARD_LOG_FORMAT": "json",
            **(environment or {}),
        }
        self._argv = argv or (sys.executable, "-m", "services.ops.cli", "run")
        self._log = data_dir / "output.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Lock()
        self._closed = False

    @property
    def nats_url(self) -> str:
        return self.settings.get("SWITCHBOARD_NATS_URL") or f"nats://127.0.0.1:{self.nats_port}"

    @property
    def postgres_url(self) -> str:
        return self.settings.get("SWITCHBOARD_POSTGRES_URL") or Postgres(self.data_dir / "data").url()

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    def start(self, seconds: float = 120.0) -> None:
        """Returns when `/health/ready` says so."""
        self.launch()
        self.wait_until_ready(seconds)

    def launch(self) -> None:
        """Starts it and does not wait; it ends with the thread that called this.

        Raises:
            RuntimeError: it was closed meanwhile, by another thread.
        """
        with self._closing, self._log.open("ab") as output:
            if self._closed:
                raise RuntimeError("this Switchboard was closed")
            own, data_dir = "SWITCHBOARD_POSTGRES_URL" not in self.settings, self.data_dir / "data"
            if own and self.settings["SWITCHBOARD_DATA_DIR"] == str(data_dir):
                _copy_initialized_postgres(data_dir)
            self._process = subprocess.Popen(
                self._argv,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.settings},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509  one system call
            )

    def wait_until_ready(self, seconds: float = 120.0) -> None:
        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}:\n{self.output()}")
            return self.ready()

        try:
            wait_until(ready, seconds, "Switchboard to be ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.health()}\n{self.output()}") from error

    def ready(self) -> bool:
        return self.health()[0] == 200

    def health(self, path: str = "/health/ready") -> tuple[int, Any]:
        """Status and JSON body; (0, None) when nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)
        except (OSError, ValueError):
            return 0, None

    def metrics(self) -> str:
        """The page of `/metrics`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=10) as response:
            assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            return str(response.read().decode())

    def output(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def processes(self) -> list[psutil.Process]:
        """The launcher and everything it started that still runs, PostgreSQL's own processes too."""
        launcher = psutil.Process(self.process.pid)
        return [launcher, *launcher.children(recursive=True)]

    def interrupt(self) -> None:
        """As by Ctrl-C at its terminal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def stop(self, seconds: float = 40.0) -> int:
        """As by Ctrl-C, and waits; the exit code."""
        if self.process.poll() is None:
            self.interrupt()
        return self.process.wait(seconds)

    def kill(self) -> None:
        """As by kill -9 of its whole process group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Whatever the test left, nothing of it runs on, and nothing starts any more."""
        with self._closing:
            self._closed = True
        if self._process is not None and self._process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def running_switchboard() -> Iterator[RunningSwitchboard]:
    """A whole Switchboard with servers of its own, ready; it ends with the block."""
    with new_folder() as folder:
        made = RunningSwitchboard(folder)
        try:
            made.start()
            yield made
        finally:
            made.close()
