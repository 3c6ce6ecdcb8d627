"""A disk is full, and later is not.

Servers keep their data on small file systems of their own (tmpfs, which takes root to mount). Where nothing can be
mounted, the server's processes may write to no file instead (RLIMIT_FSIZE), their logs included, so that they die of
it. What is told says which it was.
"""

import asyncio
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from shared.runtime.servers import Postgres
from tests.faults.nemeses.processes import deaths, part
from tests.faults.nemeses.target import Fired, Nemesis, Target, until

SIZES: Final[Mapping[str, int]] = {"nats": 32, "postgres": 160}
FILLER: Final = "filler"
FULL_SECONDS: Final = 1.0
SIGNS: Final[Mapping[str, tuple[str, ...]]] = {
    "nats": ("no space left on device", "insufficient", "file too large", "SIGXFSZ", "DISABLED"),
    "postgres": ("No space left on device", "File too large"),
}


@contextmanager
def small_disks(data_dir: Path) -> Iterator[Mapping[str, Path]]:
    """Puts what `nats` and `postgres` will keep in a data folder on file systems of some megabytes, before they start.

    Their folders by server; none where nothing can be mounted.
    """
    with ExitStack() as stack:
        disks = {}
        for server, megabytes in SIZES.items():
            folder = data_dir / server
            if server == "postgres":
                Postgres(data_dir).prepare()
            folder.mkdir(parents=True, exist_ok=True)
            if not _mounted(stack, folder, megabytes):
                break
            disks[server] = folder
        yield disks


def _mounted(stack: ExitStack, folder: Path, megabytes: int) -> bool:
    """Whether what is in the folder is now on a file system of its own, until the stack is left."""
    beside = folder.with_name(f"{folder.name}-before")
    folder.rename(beside)
    folder.mkdir()
    done = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)), capture_output=True, check=False
    )
    if done.returncode:
        folder.rmdir()
        beside.rename(folder)
        return False
    stack.callback(subprocess.run, ("umount", "--lazy", str(folder)), check=False)
    subprocess.run(("cp", "-a", f"{beside}/.", str(folder)), check=True)
    shutil.copystat(beside, folder)
    owner = beside.stat()
    shutil.chown(folder, owner.st_uid, owner.st_gid)
    shutil.rmtree(beside)
    return True


class DiskFull(Nemesis):
    """No space is left for a server, for a while."""

    def __init__(self, server: str) -> None:
        self.name = f"the disk of {server} is full"
        self._server = server

    async def act(self, target: Target) -> Fired:
        before, dead = self._signs(target), len(deaths(target.running, self._server))
        how, limit = await asyncio.to_thread(self._fill, target)
        try:
            await until(
                lambda: self._signs(target) > before or len(deaths(target.running, self._server)) > dead, 40,
                f"{self._server} to run out of space",
            )  # fmt: skip
            await asyncio.sleep(FULL_SECONDS)
        finally:
            await asyncio.to_thread(limit.close)
        over = time.monotonic_ns()
        return Fired(f"{how}; {self._server} said that it had no space, or died of it", over, {"disks full": 1})

    def _fill(self, target: Target) -> tuple[str, ExitStack]:
        """In which way; its end frees the space."""
        stack = ExitStack()
        disk = target.disks.get(self._server)
        if disk is not None:
            filler = disk / FILLER
            stack.callback(filler.unlink, missing_ok=True)
            _fill_up(filler)
            return f"tmpfs of {SIZES[self._server]} MB", stack
        server = part(target.running, self._server)
        for process in (server, *server.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                former = process.rlimit(resource.RLIMIT_FSIZE)
                process.rlimit(resource.RLIMIT_FSIZE, (1, former[1]))
                stack.callback(_raise_limit, process, former)
        return "RLIMIT_FSIZE of the server's processes", stack

    def _signs(self, target: Target) -> int:
        log = target.log(self._server)
        return sum(log.count(sign) for sign in SIGNS[self._server])


def _fill_up(filler: Path) -> None:
    """Takes what is left, to the last block."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while file.write(b"\0" * size) == size:
                    pass


def _raise_limit(process: psutil.Process, former: tuple[int, int]) -> None:
    with suppress(psutil.NoSuchProcess):
        process.rlimit(resource.RLIMIT_FSIZE, former)
