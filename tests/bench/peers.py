"""Others that do the same command: a plain service on the same libraries, and an event store without a bus."""

import signal
import socket
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from tests.bench.load import answers
from tests.bench.run_load import Told, WrongRepliesError, run_load, told_by
from tests.bench.stage import Stage
from tests.real_servers import free_port, wait_until

RIVAL_SUBJECT = "rival.command.ConnectPersonal"
THREADS = 64


def rival(stage: Stage, folder: Path, commands: int, in_flight: int) -> Told:
    """The rival alone on an empty database, under its own load generator."""
    environment = {
        "SWITCHBOARD_NATS_URL": stage.nats.url,
        "SWITCHBOARD_POSTGRES_URL": stage.postgres.new_database(),
    }
    argv = (sys.executable, str(folder / "naive_service.py"))
    with stage.program("rival", argv, environment, signal.SIGINT):
        wait_until(lambda: answers(stage.nats.url, RIVAL_SUBJECT), 60, "the rival to answer")
        program = folder / "load.py"
        return run_load(stage.nats.url, RIVAL_SUBJECT, commands=commands, in_flight=in_flight, program=program)


def umadb_is_there() -> bool:
    return find_spec("umadb") is not None


def umadb(stage: Stage, commands: int) -> Told:
    """UmaDB with an empty file, durable as it is by default, driven by 64 threads of one Python process."""
    port = free_port()
    data = stage.folder / f"umadb-{port}"
    argv = (str(Path(sys.executable).with_name("umadb")), "--listen", f"127.0.0.1:{port}", "--db-path", str(data))
    with stage.program("umadb", argv, stop_signal=signal.SIGINT):
        wait_until(lambda: _listens(port), what="UmaDB to listen")
        options = ["--url", f"http://127.0.0.1:{port}", "--commands", str(commands), "--threads", str(THREADS)]
        told = told_by(["-m", "tests.bench.umadb_load"], options)
    if told["not_accepted"]:
        raise WrongRepliesError(f"{told['not_accepted']} of {commands}, the first: {told['first_wrong']}")
    return told


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
