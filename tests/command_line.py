"""The command line as a process of its own, forked from one that has loaded its modules.

Tests start the command line hundreds of times, and most of each start is the import of modules. `run` does the same as
`python -m services.ops.cli`, in a fraction of the time. Tests of signals and of the start itself start Python.
"""

import asyncio
import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.real_servers import ROOT, wait_until

LARGEST_REQUEST = 1 << 18


class Ended(NamedTuple):
    """The exit code, what was printed, and what was printed as an error."""

    code: int
    output: str
    errors: str


def run_blocking(
    *arguments: str, environment: Mapping[str, str] | None = None, typed: str = "", merged: bool = False
) -> Ended:
    """Returns when the command line has ended. `environment` adds to ours; `merged` has errors in the output."""
    variables = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **(environment or {})}
    request = json.dumps({"arguments": arguments, "environment": variables}).encode()
    assert len(request) < LARGEST_REQUEST
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection,
    ):
        given.write(typed.encode())
        given.seek(0)
        connection.connect(str(_loaded()))
        files = (given, output, output if merged else errors)
        socket.send_fds(connection, [request], [file.fileno() for file in files])
        code = int(connection.recv(64))
        for file in (output, errors):
            file.seek(0)
        return Ended(code, output.read().decode(), errors.read().decode())


async def run(
    *arguments: str, environment: Mapping[str, str] | None = None, typed: str = "", merged: bool = False
) -> Ended:
    """As `run_blocking`, without blocking the test's loop."""
    return await asyncio.to_thread(run_blocking, *arguments, environment=environment, typed=typed, merged=merged)


@functools.cache
def _loaded() -> Path:
    """The socket of a process that has loaded the modules; it ends with this one, which holds its standard input."""
    folder = tempfile.TemporaryDirectory(prefix="switchboard-test-")
    path = Path(folder.name) / "socket"
    process = subprocess.Popen(
        (sys.executable, "-c", "import sys; from tests.command_line import serve; serve(sys.argv[1])", str(path)),
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        stdin=subprocess.PIPE,
    )

    def end() -> None:
        process.communicate()
        folder.cleanup()

    atexit.register(end)
    wait_until(path.exists, 120, "the command line to be loaded")
    return path


# ---- in the process that has loaded the modules


def serve(socket_path: str) -> None:
    """Forks once for each request, until standard input ends."""
    path = Path(socket_path)
    package = importlib.import_module("services.ops")
    for module in pkgutil.walk_packages(package.__path__, "services.ops."):
        importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path.with_suffix(".new")))
    listener.listen(64)
    path.with_suffix(".new").rename(path)
    standard_input = sys.stdin.fileno()
    while standard_input not in select.select([listener, standard_input], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            answer(connection)
            return
        connection.close()


def answer(connection: socket.socket) -> None:
    """Runs one request in a child, and tells its exit code; returns in the child alone, when it is over."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, files, _, _ = socket.recv_fds(connection, LARGEST_REQUEST, 3)
    if child := os.fork():
        _, status = os.waitpid(child, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    connection.close()
    for standard, file in enumerate(files):
        os.dup2(file, standard)
        os.close(file)
    asked = json.loads(request)
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = ["switchboard", *asked["arguments"]]
    importlib.import_module("services.ops.cli").main()
