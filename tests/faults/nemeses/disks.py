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
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import nats.errors
import psutil

from services.ops.local.postgres_server import Postgres
from tests.faults.nemeses.processes import deaths, part
from tests.faults.nemeses.target import ASK_AGAIN_SECONDS, LOG_END, PROBE, Fired, Nemesis, Target, bus, until
from tests.journeys.wire import Wire, body

# In MB: what a campaign of some minutes takes, and no more, since the rest is filled up.
SIZES: Final[Mapping[str, int]] = {"nats": 96, "postgres": 512}
FILLER: Final = "filler"
# A command that is not decided is told BUSY after 2.5 s; the rest is for slow machines.
HEARD_SECONDS: Final = 4.0
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
    """No space is left for a server, for so many seconds; whoever gives commands meanwhile hears something.

    Without file systems of their own the servers have space again as soon as they are started again.
    """

    def __init__(self, server: str, seconds: float) -> None:
        self.name = f"the disk of {server} is full"
        self._server = server
        self._seconds = seconds

    async def act(self, target: Target) -> Fired:
        before, dead = self._signs(target), len(deaths(target.running, self._server))
        how, limit = await asyncio.to_thread(self._fill, target)
        try:
            await until(
                lambda: self._signs(target) > before or len(deaths(target.running, self._server)) > dead, 40,
                f"{self._server} to run out of space",
            )  # fmt: skip
            heard = await self._heard(target)
        finally:
            await asyncio.to_thread(limit.close)
        over = time.monotonic_ns()
        told = f"{how}, for {self._seconds:g} s; commands meanwhile: {heard}"
        return Fired(told, over, {"disks full": 1})

    async def _heard(self, target: Target) -> str:
        """What commands are answered while the disk is full, asserted to be what is promised."""
        stored, panics = None, target.log("postgres").count("PANIC")
        if self._server == "nats":
            stored, dead = (await asyncio.to_thread(target.sql, LOG_END))[0][0], len(deaths(target.running, "nats"))
        async with bus(target) as wire:
            heard = await _answers(wire, self._seconds)
        if stored is not None and self._server in target.disks:
            # Commands pass NATS without its disk; a NATS that is started again while it is full only drops them.
            stored = (await asyncio.to_thread(target.sql, LOG_END))[0][0] - stored
            assert stored > 0, f"no command was accepted while the disk of NATS was full: {heard}"
            await until(
                lambda: "no space" in str(target.running.health()), 20, "somebody to say that NATS has no space"
            )
            assert len(deaths(target.running, "nats")) == dead, "NATS was started again before there was space"
            heard["events stored"] = stored
        if self._server in target.disks:
            # Whose commit was under way when PostgreSQL died of it is answered when that can be known.
            unclear = target.log("postgres").count("PANIC") - panics
            assert heard["silence"] <= unclear, f"commands that heard nothing for {HEARD_SECONDS:g} s: {heard}"
        return ", ".join(f"{how} {number}" for how, number in sorted(heard.items()))

    def _fill(self, target: Target) -> tuple[str, ExitStack]:
        """In which way; its end frees the space."""
        stack = ExitStack()
        disk = target.disks.get(self._server)
        if disk is not None:
            filler = disk / FILLER
            stack.callback(filler.unlink, missing_ok=True)
            fill_up(filler)
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


async def _answers(wire: Wire, seconds: float) -> Counter[str]:
    """Gives commands one after the other; how many were decided, told BUSY, or heard nothing in time."""
    heard: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            reply = await wire.ask(PROBE, body("service:nemesis", {"user": "nobody"}), seconds=HEARD_SECONDS)
            heard["BUSY" if reply.reason == "BUSY" else "decided"] += 1
        except (nats.errors.Error, OSError):
            heard["silence"] += 1
        await asyncio.sleep(ASK_AGAIN_SECONDS)
    return heard


def fill_up(filler: Path) -> None:
    """Takes what is left, to the last block."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while file.write(b"\0" * size) == size:
                    pass


def _raise_limit(process: psutil.Process, former: tuple[int, int]) -> None:
    with suppress(psutil.NoSuchProcess):
        process.rlimit(resource.RLIMIT_FSIZE, former)
