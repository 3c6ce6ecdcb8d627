"""A program that is meant to run is started again whenever it ends, and soon."""

import asyncio
import os
import signal
import time

from services.ops.local.children import Program
from services.ops.local.supervisor import Supervisor

ASLEEP = Program("asleep", ("sleep", "60"))
SOON_SECONDS = 2.6


async def other_than(kept: Supervisor, pid: int | None) -> float:
    """The seconds until another process runs."""
    began = time.monotonic()
    async with asyncio.timeout(10):
        while kept.pid in (pid, None):
            await asyncio.sleep(0.01)
    return time.monotonic() - began


async def test_what_is_killed_again_and_again_is_away_for_two_seconds_at_most() -> None:
    kept = Supervisor(lambda: ASLEEP)
    await kept.start()
    try:
        away = []
        for _ in range(5):
            pid = kept.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            away.append(await other_than(kept, pid))
        assert max(away) < SOON_SECONDS, away
        assert kept.deaths == 5
    finally:
        await kept.stop(1, asyncio.Event())


async def test_what_is_asked_to_start_again_ends_and_runs_anew() -> None:
    kept = Supervisor(lambda: ASLEEP)
    await kept.start()
    try:
        pid = kept.pid
        kept.restart()
        await other_than(kept, pid)
    finally:
        await kept.stop(1, asyncio.Event())
