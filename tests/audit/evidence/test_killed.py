"""A process that is killed anywhere leaves evidence that the next one goes on with; no two checkpoints contradict."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg

from shared.language import subjects
from tests.audit.evidence.follow_evidence import NAME
from tests.audit.evidence.making import Evidence, leaves_of, require_no_contradiction
from tests.audit.past import Past, past_in
from tests.real_servers import RunningNats
from tests.transparency import naive_tree

STEPS = ("tiles", "head", "signed", "written", "published")


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        made.begin()
        yield made


@asynccontextmanager
async def collected(nats_url: str) -> AsyncIterator[list[tuple[str, bytes]]]:
    """Every checkpoint that is published meanwhile, with its tree."""
    found: list[tuple[str, bytes]] = []

    async def note(message: Msg) -> None:
        assert message.headers is not None
        found.append((message.headers[subjects.CHECKPOINT_TREE], message.data))

    client = await nats.connect(nats_url)
    await client.subscribe(subjects.CHECKPOINT, cb=note)
    await client.flush()
    yield found
    await client.drain()


async def follow(url: str, nats_url: str, folder: Path) -> int | None:
    """The exit code of a process that stops once the whole log is under a checkpoint."""
    argv = (sys.executable, "-m", "tests.audit.evidence.follow_evidence", url, nats_url, str(folder))
    environment = {**os.environ, "SWITCHBOARD_FAILPOINTS": str(folder)}
    process = await asyncio.create_subprocess_exec(*argv, env=environment)
    async with asyncio.timeout(60):
        return await process.wait()


@pytest.mark.parametrize("step", STEPS)
async def test_no_checkpoint_contradicts_another_after_a_kill(
    past: Past, nats: RunningNats, folder: Path, step: str
) -> None:
    async with collected(nats.url) as notes:
        for times in (1, 2):
            past.live(times, 150)
            (folder / f"evidence.{step}@{NAME}").write_text(f"kill {times}")
            assert await follow(past.url, nats.url, folder) == -signal.SIGKILL
            past.live(10 + times, 40)
            assert await follow(past.url, nats.url, folder) == 0
    evidence = Evidence(folder)
    assert require_no_contradiction(notes, evidence) >= 6
    for tree, leaves in (await leaves_of(past.url)).items():
        head = evidence.checkpoint(tree)
        assert (head.size, head.root) == (len(leaves), naive_tree.root(leaves))


async def test_keys_are_there_whole_or_not_at_all(past: Past, nats: RunningNats, folder: Path) -> None:
    (folder / f"evidence.keys@{NAME}").write_text("kill")
    assert await follow(past.url, nats.url, folder) == -signal.SIGKILL
    evidence = Evidence(folder)
    assert not [one for one in evidence.keys.iterdir() if not one.name.startswith(".")]
    async with collected(nats.url) as notes:
        assert await follow(past.url, nats.url, folder) == 0
    assert {one.name for one in (evidence.keys / "1").iterdir()} == {"ed25519.pem", "ml-dsa-44.pem"}
    assert {one.stat().st_mode & 0o777 for one in (evidence.keys / "1").iterdir()} == {0o600}
    assert evidence.keys.stat().st_mode & 0o777 == 0o700
    require_no_contradiction(notes, evidence)
