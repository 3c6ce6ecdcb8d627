"""A follower that is not our Python client: the Node program of deploy/README.md, as it stands there, as its users."""

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.production import DEPLOY, Production
from tests.journeys.wire import STREAM, TRUSTED
from tests.scale.fleet import SERVICES

CLIENT: Final = ("@nats-io/transport-node@3", "@nats-io/jetstream@3")
FILTERS: Final = {
    "crm": "switchboard.event.v1.acme.>",
    "siem": "switchboard.event.v1.>",
    "ops": "switchboard.event.v1.>",
}

# It needs Node and its registry, which a bare machine has not; the same requests are those of test_nats_permissions.
pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="node and npm are not on this machine: install Node 20"
)


def program(guarded: Production, user: str) -> str:
    """As it stands in the README; of another user with the name and the filter that it says."""
    (found,) = re.findall(r"^```js\n(.*?)^```$", (DEPLOY / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    for here, there in {
        '"deploy/secrets/crm/': f'"{guarded.secrets.folder}/{user}/',
        '"127.0.0.1:4222"': f'"{guarded.nats.url.removeprefix("nats://")}"',
        '"crm"': f'"{user}"',
        '"switchboard.event.v1.acme.>"': f'"{FILTERS[user]}"',
    }.items():
        assert found.count(here) == 1, here
        found = found.replace(here, there)
    return str(found)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("node")


class Follower:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def until(self, type_: str, position: int = 1) -> list[tuple[int, str]]:
        """Positions and types that it prints, up to the first of the type from the position on."""
        assert self._process.stdout is not None
        found: list[tuple[int, str]] = []
        async with asyncio.timeout(60):
            while not found or found[-1][1] != f"switchboard.{type_}.v1" or found[-1][0] < position:
                line = (await self._process.stdout.readline()).decode()
                assert line, "it ended"
                if match := re.fullmatch(r"([0-9]+) (\S+) (\{.*\})\n", line):
                    json.loads(match[3])
                    found.append((int(match[1]), match[2]))
        return found


@asynccontextmanager
async def following(packages: Path, text: str) -> AsyncIterator[Follower]:
    """The program runs until the block ends."""
    if not (packages / "node_modules").exists():
        install = ("npm", "install", "--no-audit", "--no-fund", "--silent", *CLIENT)
        installing = await asyncio.create_subprocess_exec(*install, cwd=packages)
        if await installing.wait():
            pytest.skip("npm does not install the NATS client here: its registry is not reached")
    (packages / "follow.mjs").write_text(text)
    process = await asyncio.create_subprocess_exec(
        "node",
        "follow.mjs",
        cwd=packages,
        env=os.environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Follower(process)
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.parametrize("user", FILTERS)
async def test_a_node_program_follows_events_under_the_allow_lists_and_acknowledges_them(
    user: str, guarded: Production, packages: Path
) -> None:
    async with following(packages, program(guarded, user)) as follower:
        told = await follower.until("InboxArchived")
        assert [position for position, _ in told] == list(range(1, len(told) + 1))
        async with guarded.nats.connected_as("ops") as ops, asyncio.timeout(30):
            while (info := await ops.client.jetstream().consumer_info(STREAM, user)).num_ack_pending:
                await asyncio.sleep(0.1)
        assert info.ack_floor is not None
        assert info.ack_floor.stream_seq >= told[-1][0]


async def test_a_node_program_goes_on_over_a_stream_that_was_lost(guarded: Production, packages: Path) -> None:
    async with following(packages, program(guarded, "siem")) as follower:
        async with guarded.nats.connected_as("ops") as ops:
            added = await ops.command("acme", "AddUser", TRUSTED, user="before", name="Before", permissions=[])
            before = await follower.until("UserAdded", added.position)
            assert await ops.client.jetstream().delete_stream(STREAM)
            reply = await ops.command("acme", "CreateTeam", TRUSTED, team="after", name="After")
        told = await follower.until("TeamCreated")
    # What was told before is told once, though the consumer begins again at the first event.
    assert told == [(reply.position, "switchboard.TeamCreated.v1")]
    assert before[-1][0] == reply.position - 1
    for service in SERVICES:
        await asyncio.to_thread(guarded.members[service][0].wait_until_ready)
