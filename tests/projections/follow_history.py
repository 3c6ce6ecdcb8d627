"""A process that follows the log with one history until it has come to a position: to be killed at any point.

`python -m tests.projections.follow_history <URL of PostgreSQL> <position>`, with SWITCHBOARD_FAILPOINTS.
"""

import asyncio
import sys

import psycopg

from shared.process import failpoints
from shared.process.settings import Settings
from shared.projections.history.follower import HistoryFollower
from shared.projections.history.following import FollowerLimits
from tests.projections.histories import HISTORY, position_of

NAME = "follower"
FOLLOWER_LIMITS = FollowerLimits(batch=7, batches=2, poll_seconds=0.02, rest_times=0.1)


async def main(url: str, position: int) -> None:
    following = asyncio.create_task(HistoryFollower(url, HISTORY, limits=FOLLOWER_LIMITS).run())
    while not following.done():
        try:
            if await position_of(url) >= position:
                break
        except psycopg.errors.UndefinedTable:
            pass
        await asyncio.sleep(0.02)
    following.cancel()
    await asyncio.wait({following})


if __name__ == "__main__":
    failpoints.arm(Settings().failpoints, NAME)
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
