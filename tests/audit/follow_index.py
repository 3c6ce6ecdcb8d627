"""A process that follows log and journal with the index until it has come to an ordinal: to be killed at any point.

`python -m tests.audit.follow_index <URL of PostgreSQL> <ordinal>`, with SWITCHBOARD_FAILPOINTS.
"""

import asyncio
import sys
from contextlib import suppress

import psycopg

from services.audit.index.follower import IndexFollower
from services.audit.index.schema import LIVE
from shared.process import failpoints
from shared.process.settings import Settings
from shared.projections.history.following import FollowerLimits

NAME = "indexer"
LIMITS = FollowerLimits(batch=7, look_seconds=0.02, rest_times=0.1)


async def main(url: str, ordinal: int) -> None:
    following = asyncio.create_task(IndexFollower(url, LIMITS).run())
    while not following.done():
        with suppress(psycopg.errors.UndefinedTable):
            async with await psycopg.AsyncConnection.connect(url) as connection:
                rows = await (await connection.execute(f"SELECT ordinal FROM {LIVE}.checkpoint".encode())).fetchall()
            if rows[0][0] >= ordinal:
                break
        await asyncio.sleep(0.02)
    following.cancel()
    await asyncio.wait({following})


if __name__ == "__main__":
    failpoints.arm(Settings().failpoints, NAME)
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
