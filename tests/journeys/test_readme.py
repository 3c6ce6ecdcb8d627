"""What the README tells users to type does what it says, as it stands there."""

import asyncio
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from shared.process.clock import new_id
from tests.client.installed import install
from tests.journeys.wire import Account, Wire
from tests.real_servers import ROOT, RunningSwitchboard

README: Final = (ROOT / "README.md").read_text()
NODE_CLIENT: Final = "@nats-io/transport-node@3"


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"{len(found)} blocks of {language}"
    return str(found[0])


@pytest.fixture
async def acme(wire: Wire) -> Account:
    """As it is after the README's first commands, under a name of its own."""
    account = Account(wire, f"readme-{new_id()[-12:]}")
    await account.do("RegisterAccount", plan="professional", admin="ana")
    await account.do("ConnectTeam", "ana", address="Support@Acme.example", inbox="inbox", visibility_acknowledged=True)
    await viewed(account)
    return account


async def viewed(account: Account) -> None:
    """Returns when both views show all that was done: who types is slower than they are, a test is not."""
    await account.do("RenameInbox", inbox="inbox", name=f"Inbox {new_id()}")
    await account.see("Usage")
    await account.see("Routing", inbox="inbox")


def here(text: str, running: RunningSwitchboard, account: Account) -> str:
    """For the account and the NATS of the test."""
    address = running.nats_url.removeprefix("nats://")
    return re.sub(r'"acme"', f'"{account.name}"', text.replace(".acme.", f".{account.name}.")).replace(
        "127.0.0.1:4222", address
    )


async def ran(*argv: str, cwd: Path = ROOT) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=cwd, env=os.environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_the_first_commands_come_out_as_it_says(running: RunningSwitchboard, wire: Wire) -> None:
    name, codes = f"readme-{new_id()[-12:]}", []
    for line in re.findall(r"^    switchboard ((?:command|query) .*)$", README, flags=re.MULTILINE):
        words = shlex.split(line.replace(" acme ", f" {name} "))
        if words[0] == "query":
            await viewed(Account(wire, name))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.ops.cli", *words,
            cwd=ROOT, env={**os.environ, "SWITCHBOARD_NATS_URL": running.nats_url},
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output = (await process.communicate())[0].decode()
        codes.append(process.returncode)
    assert codes == [0, 0, 1, 0]
    assert "inbox" in output


async def test_the_python_program_runs(running: RunningSwitchboard, acme: Account, folder: Path) -> None:
    """With the wheel of the client, where nothing of this repository can be imported."""
    python = await asyncio.to_thread(install, folder)
    told = await ran(str(python), "-c", here(block("python"), running, acme), cwd=folder)
    assert told.splitlines()[0] == "inbox"
    assert told.splitlines()[-1].endswith("switchboard.TeamConnected.v1")


async def test_the_requests_of_the_nats_command_line_are_answered(wire: Wire, acme: Account) -> None:
    """The same subjects and bodies, sent by another client: the `nats` command is no Python package."""
    for line in block("sh").splitlines():
        verb, subject, *body = shlex.split(line.replace(".acme.", f".{acme.name}."))[1:]
        if verb == "req":
            reply = await wire.ask(subject, body[0].encode())
            assert reply.error is None, reply.body
        else:
            assert (verb, subject) == ("micro", "ls")
            found = json.loads((await wire.client.request("$SRV.PING", timeout=5)).data)
            assert found["type"] == "io.nats.micro.v1.ping_response"


# It needs Node and its registry, which a bare machine has not; the requests themselves are those of the tests above.
@pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="there is no Node on this machine")
async def test_the_node_program_runs(running: RunningSwitchboard, acme: Account, folder: Path) -> None:
    await ran("npm", "install", "--no-audit", "--no-fund", "--silent", NODE_CLIENT, cwd=folder)
    await asyncio.to_thread((folder / "program.mjs").write_text, here(block("js"), running, acme))
    told = await ran("node", "program.mjs", cwd=folder)
    assert [line.split() for line in told.splitlines()] == [["accepted"], ["connected", "inbox"]]
