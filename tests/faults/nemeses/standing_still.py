"""Processes that stand still for longer than every lease, alone or beside another that relieves them."""

import asyncio
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import psutil

from services.ops.local.children import Child, Program
from shared.process.lease import LEASE_SECONDS
from tests.faults.nemeses.processes import MODULES, part
from tests.faults.nemeses.target import SCHEMAS, Fired, Nemesis, Target, bus, the_stream_grows, until
from tests.real_servers import ROOT, RunningSwitchboard, free_port, wait_until

LONGER_THAN_A_LEASE: Final = LEASE_SECONDS + 1.0


class Stopped(Nemesis):
    """SIGSTOP of one part for longer than every lease; it wakes up with old things to do."""

    def __init__(self, part_name: str, seconds: float = LONGER_THAN_A_LEASE) -> None:
        self.name = f"{part_name} stands still"
        self._part, self._seconds = part_name, seconds

    async def act(self, target: Target) -> Fired:
        process = await asyncio.to_thread(part, target.running, self._part)
        process.suspend()
        try:
            await until(lambda: bool(process.status() == psutil.STATUS_STOPPED), 5, f"{self._part} to stand still")
            await asyncio.sleep(self._seconds)
            assert process.status() == psutil.STATUS_STOPPED
        finally:
            process.resume()
        over = time.monotonic_ns()
        await until(lambda: bool(process.status() != psutil.STATUS_STOPPED), 5, f"{self._part} to wake up")
        return Fired(f"stood still for {self._seconds:g} s", over, {"SIGSTOP": 1})


class Relieved(Nemesis):
    """SIGSTOP of a service beside a second process of it, which does the work until the first one wakes up.

    The work of a view is to come further; of the others, that the stream grows.
    """

    def __init__(self, service: str) -> None:
        self.name = f"{service} stands still and is relieved"
        self._service = service

    async def act(self, target: Target) -> Fired:
        schema = SCHEMAS.get(self._service)
        async with another(target.running, self._service) as second, bus(target) as wire:
            first = await asyncio.to_thread(part, target.running, self._service)
            first.suspend()
            try:
                await until(lambda: bool(first.status() == psutil.STATUS_STOPPED), 5, f"{self._service} to stand still")
                await asyncio.sleep(LONGER_THAN_A_LEASE)
                await the_stream_grows(wire, 20)
                if schema is not None:
                    await target.view_grows(schema, 20)
                assert first.status() == psutil.STATUS_STOPPED
            finally:
                first.resume()
            over = time.monotonic_ns()
            await target.log_grows(20)
            assert second.poll() is None
        return Fired("stood still while another worked", over, {"SIGSTOP": 1})


@asynccontextmanager
async def another(running: RunningSwitchboard, name: str) -> AsyncIterator[Child]:
    """A second process of a service, beside the launcher's, that is ready."""
    port = free_port()
    environment = {
        "PYTHONPATH": str(ROOT),
        "SWITCHBOARD_NATS_URL": running.nats_url,
        "SWITCHBOARD_POSTGRES_URL": running.postgres_url,
        "SWITCHBOARD_HTTP_PORT": str(port),
    }
    argv = (sys.executable, "-m", MODULES[name])
    log = running.data_dir / f"{name}-2.log"
    child = Child(Program(f"{name}-2", argv, environment=environment, cwd=ROOT, log=log))
    try:
        await asyncio.to_thread(wait_until, lambda: answers_ready(port), 20, f"a second {name} to be ready")
        yield child
    finally:
        await asyncio.to_thread(child.stop)


def answers_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False
