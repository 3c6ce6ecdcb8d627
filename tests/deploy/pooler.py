"""A real PgBouncer between the services and a PostgreSQL."""

import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from services.ops.local.children import Child, Program, last_lines
from tests.real_servers import RunningPostgres, new_folder, wait_until

PGBOUNCER: Final = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# PgBouncer does not run as root; who PostgreSQL runs as may reach its socket.
USER: Final = "pgserver" if os.geteuid() == 0 else None
SOCKET: Final = ".s.PGSQL.5432"


class RunningPooler:
    """PgBouncer before a server, with the settings given; it may be killed and started again.

    It listens on a socket in `folder`, as a PostgreSQL does.
    """

    def __init__(self, folder: Path, postgres: RunningPostgres, settings: Mapping[str, str]) -> None:
        assert PGBOUNCER is not None
        folder.chmod(0o755)
        self.folder = folder / "socket"
        self.folder.mkdir()
        if USER:
            shutil.chown(self.folder, USER)
        whole = {
            "listen_port": "5432",
            "unix_socket_dir": str(self.folder),
            "auth_type": "any",
            "max_client_conn": "500",
            # Of PgBouncer itself: what it says of each connection is nobody's concern here.
            "log_connections": "0",
            "log_disconnections": "0",
            **settings,
        }
        written = folder / "pgbouncer.ini"
        lines = [f"* = host={conninfo_to_dict(postgres.url)['host']} user=postgres", "[pgbouncer]"]
        written.write_text("\n".join(["[databases]", *lines, *(f"{name} = {value}" for name, value in whole.items())]))
        self._program = Program("pgbouncer", (PGBOUNCER, str(written)), user=USER, log=folder / "pgbouncer.log")
        self._child: Child | None = None
        self.start()

    def url_of(self, database: str) -> str:
        """The database's, by way of this."""
        return url_by_way_of(self.folder, database)

    def start(self) -> None:
        """Returns when it listens."""
        self._child = Child(self._program)
        wait_until(self._listens, what=f"PgBouncer to listen\n{last_lines(self._program)}")

    def kill(self) -> None:
        """As by kill -9."""
        if self._child is not None:
            self._child.kill()
        # It would take its own socket for that of another.
        (self.folder / SOCKET).unlink(missing_ok=True)

    def _listens(self) -> bool:
        assert self._child is not None
        assert self._child.poll() is None, last_lines(self._program)
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.connect(str(self.folder / SOCKET))
            return True
        return False


@contextmanager
def pooler(postgres: RunningPostgres, **settings: str) -> Iterator[RunningPooler]:
    with new_folder() as folder:
        made = RunningPooler(folder, postgres, settings)
        try:
            yield made
        finally:
            made.kill()


def url_by_way_of(folder: Path, url: str) -> str:
    """The same database, found by the socket in a folder."""
    return f"postgresql://postgres@/{conninfo_to_dict(url)['dbname']}?host={quote(str(folder))}"
