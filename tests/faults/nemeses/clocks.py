"""The wall clock of a process jumps, and jumps back."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Final

import psutil

from tests.faults.nemeses.processes import armed, struck
from tests.faults.nemeses.target import Fired, Nemesis, Target, until

POINT: Final = "ledger.decided"
LAST_TIMES: Final = """
SELECT convert_from(state, 'UTF8')::json->>'time' FROM connections.events ORDER BY notification_id DESC LIMIT 20
"""


class ClockJumps(Nemesis):
    """The writer takes it for an hour later or earlier for a while; events bear these times, and stay in order."""

    def __init__(self, hours: float) -> None:
        self.name = f"the writer's clock jumps by {hours:+g} h"
        self._seconds = hours * 3_600

    async def act(self, target: Target) -> Fired:
        await self._jump(target, self._seconds)
        try:
            await until(lambda: self._off(target) > 0, 20, "events of another hour")
            await target.log_grows(30)
            off = self._off(target)
            await self._jump(target, -self._seconds)
        except BaseException:
            # The clock of a process that is started anew is right.
            await asyncio.to_thread(struck, target.running, "connections", psutil.Process.kill)
            raise
        over = time.monotonic_ns()
        await until(lambda: self._off(target) == 0, 20, "events of this hour again")
        return Fired(f"{off} of 20 events bore a time of another hour", over, {"clock jumps": 2})

    async def _jump(self, target: Target, seconds: float) -> None:
        with armed(target, POINT, "connections", f"jump 1 {seconds:g}") as whom:
            await until(lambda: whom() is not None, 20, "the clock to jump")

    def _off(self, target: Target) -> int:
        """How many of the last events bear a time of another hour."""
        now = datetime.now(UTC)  # noqa: TID251  what a clock on the wall says
        times = [datetime.fromisoformat(told) for (told,) in target.sql(LAST_TIMES)]
        return sum(abs((told - now).total_seconds()) > abs(self._seconds) / 2 for told in times)
