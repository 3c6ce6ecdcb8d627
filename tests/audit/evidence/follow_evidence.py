"""A process that makes evidence until the whole log is under a published checkpoint: to be killed at any point.

`python -m tests.audit.evidence.follow_evidence <URL of PostgreSQL> <URL of NATS> <folder>`, with
SWITCHBOARD_FAILPOINTS.
"""

import asyncio
import sys
from pathlib import Path

import nats

from services.audit.evidence.follower import EvidenceFollower
from services.audit.evidence.publication import publish_to
from shared.process import failpoints
from shared.process.settings import Settings
from shared.transparency.checkpoints import Tree, parse_checkpoint
from shared.transparency.notes import parse_note
from tests.audit.evidence.making import FAST, SIGNING, Evidence, leaves_of

NAME = "signer"


async def main(url: str, nats_url: str, folder: Path) -> None:
    ends = {tree: len(leaves) for tree, leaves in (await leaves_of(url)).items()}
    client = await nats.connect(nats_url)
    send, done = publish_to(client), asyncio.Event()
    sizes: dict[str, int] = {}

    async def publish(tree: Tree, note: bytes) -> None:
        await send(tree, note)
        await client.flush()
        sizes[tree] = parse_checkpoint(parse_note(note).text).size
        if sizes == ends:
            done.set()

    following = asyncio.create_task(EvidenceFollower(url, Evidence(folder).place, publish, FAST, SIGNING).run())
    await done.wait()
    following.cancel()
    await asyncio.wait({following})
    await client.close()


if __name__ == "__main__":
    failpoints.arm(Settings().failpoints, NAME)
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
