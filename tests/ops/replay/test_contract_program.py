"""The program of the contract reads a replay with nats-py alone, and notices an event that is missing or changed."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
from nats.js.api import StreamConfig

from shared.language import subjects
from shared.wire.connection import connect_to_nats
from tests.deploy.production import DEPLOY
from tests.ops.replay.replaying import Servers, Told

FAST = ("--speed", "100000/s")


def program() -> str:
    found = re.search(r"## Replays.*?```python\n(.*?)```", (DEPLOY / "CONTRACT.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


async def read(url: str, folder: Path) -> tuple[int, str]:
    file = folder / "reader.py"
    file.write_text(program().replace("nats://127.0.0.1:4222", url))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(file), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_it_reads_a_whole_replay(servers: Servers, folder: Path) -> None:
    servers.log.append_new(120)
    await servers.done("start", "crm-2026", *FAST)
    code, output = await read(servers.nats, folder)
    assert (code, output.splitlines()[-1]) == (0, "complete 120 events"), output
    assert output.splitlines()[1] == "1 switchboard.TeamConnected.v1"


@pytest.mark.parametrize("fault", ["missing", "changed", "swapped", "cut"])
async def test_it_notices_what_is_not_as_it_was_published(fault: str, servers: Servers, folder: Path) -> None:
    servers.log.append_new(5)
    await servers.done("start", "crm-2026", *FAST)
    messages = await servers.published("crm-2026")
    match fault:
        case "missing":
            del messages[3]
        case "changed":
            messages[3] = messages[3]._replace(body=messages[3].body.replace(b"support", b"suppport"))
        case "swapped":
            messages[2], messages[3] = messages[3], messages[2]
        case "cut":
            del messages[5]
    await publish_again(servers.nats, messages)
    code, output = await read(servers.nats, folder)
    assert (code, "missing or changed" in output) == (1, True), output


async def publish_again(url: str, messages: list[Told]) -> None:
    """In place of what is in the stream."""
    client = await connect_to_nats(url, "test")
    js = client.jetstream()
    await js.delete_stream(subjects.REPLAY_STREAM)
    await js.add_stream(StreamConfig(name=subjects.REPLAY_STREAM, subjects=[subjects.REPLAYS]))
    for message in messages:
        headers = {name: value for name, value in message.headers.items() if not name.startswith("Nats-")}
        await js.publish(message.subject, message.body, headers=headers)
    await client.close()
