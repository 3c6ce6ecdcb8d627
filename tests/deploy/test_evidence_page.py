"""Every step of EVIDENCE.md does what it says, against a running Switchboard, with the tools that it names."""

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from shared.transparency.checkpoints import Checkpoint, parse_checkpoint
from shared.transparency.notes import parse_note
from tests.audit.past import rows, run
from tests.deploy.production import DEPLOY
from tests.journeys.wire import Account, body, command_subject, connected
from tests.real_servers import ROOT, RunningSwitchboard, new_folder, wait_until

PAGE: Final = (DEPLOY / "EVIDENCE.md").read_text()
BLOCKS: Final[list[tuple[str, str]]] = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
# More than one bundle of entries, and an edge.
MONDAY, TUESDAY = 300, 30
LONGEST: Final = 1_200


class Auditor:
    """Somebody in a folder of their own, who types what the page says."""

    def __init__(self, running: RunningSwitchboard, folder: Path) -> None:
        self.folder = folder
        self.running = running

    def type(self, number: int) -> str:
        """The output of a block, which must succeed."""
        code, output = self.run(number)
        assert code == 0, (BLOCKS[number], output)
        return output

    def run(self, number: int) -> tuple[int, str]:
        """Exit code and output of a block."""
        language, text = BLOCKS[number]
        argv = ("bash", "-ec", text) if language == "sh" else ("python3", "-c", text)
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def head(self, name: str) -> Checkpoint:
        return parse_checkpoint(parse_note((self.folder / name).read_bytes()).text)

    def _environment(self) -> Mapping[str, str]:
        return {
            **os.environ,
            "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
            "AUDIT": f"http://127.0.0.1:{self.running.http_port}",
            "SWITCHBOARD_POSTGRES_URL": self.running.postgres_url,
            "SWITCHBOARD_NATS_URL": self.running.nats_url,
        }


@pytest.fixture
async def auditor(folder: Path) -> AsyncIterator[Auditor]:
    with new_folder() as data:
        running = RunningSwitchboard(data, {"SWITCHBOARD_CHECKPOINT_SECONDS": "0.2"})
        try:
            await asyncio.to_thread(running.start)
            yield Auditor(running, folder)
        finally:
            running.close()


async def recorded(running: RunningSwitchboard, commands: int) -> None:
    """So many more commands are given, and signed."""
    async with connected(running.nats_url) as wire:
        account = Account(wire, "acme")
        await account.attempt("RegisterAccount", plan="professional", admin="ana")
        subject = command_subject("acme", "RenameInbox")
        await wire.flood(
            (subject, body("ana", {"inbox": "inbox", "name": f"Name {number} of {commands}"}))
            for number in range(commands)
        )
    end = rows(running.postgres_url, "SELECT max(notification_id) FROM connections.events")[0][0]
    checkpoint = running.data_dir / "data" / "evidence" / "events" / "checkpoint"
    await asyncio.to_thread(wait_until, lambda: size_of(checkpoint) == end, 30, "the checkpoint of all events")


def size_of(checkpoint: Path) -> int:
    return parse_checkpoint(parse_note(checkpoint.read_bytes()).text).size if checkpoint.exists() else 0


async def test_each_step_comes_out_as_it_says(auditor: Auditor) -> None:
    take, signature, root, verify, tuesday, foreign, export = range(7)
    await recorded(auditor.running, MONDAY)
    said = await asyncio.to_thread(auditor.type, take)
    monday = auditor.head("monday/events")
    assert said.splitlines()[:2] == [monday.origin, str(monday.size)]
    assert monday.size > MONDAY
    assert "Signature Verified Successfully" in auditor.type(signature)
    last = await asyncio.to_thread(auditor.type, root)
    assert last.startswith("the root is right\n")
    assert f'"position":{monday.size},' in last

    await recorded(auditor.running, TUESDAY)
    assert "sound" in (await asyncio.to_thread(auditor.type, verify)).lower()
    done = await asyncio.to_thread(auditor.type, tuesday)
    assert auditor.head("tuesday/events").size > monday.size
    assert "position 1 is in the log" in " ".join(done.split())
    assert (await asyncio.to_thread(auditor.type, foreign)).startswith('both proofs are right: {"account":"acme"')
    assert "\nSOUND\n" in f"\n{await asyncio.to_thread(auditor.type, export)}"


async def test_each_step_notices_a_change(auditor: Auditor) -> None:
    take, signature, root, verify, tuesday, foreign, _ = range(7)
    await recorded(auditor.running, TUESDAY)
    for step in (take, signature, verify, tuesday):
        await asyncio.to_thread(auditor.type, step)
    event = auditor.folder / "event.tlog-proof"
    event.write_text(re.sub(r"^index 0$", "index 1", event.read_text(), flags=re.MULTILINE))
    code, said = await asyncio.to_thread(auditor.run, foreign)
    assert (code, "VerifyError" in said) == (1, True), said

    text = auditor.folder / "text"
    origin, size, _ = text.read_text().splitlines()
    text.write_text(f"{origin}\n{size}\n{'A' * 43}=\n")
    assert "THE ROOT IS WRONG" in await asyncio.to_thread(auditor.type, root)
    checkpoint = auditor.folder / "monday" / "events"
    checkpoint.write_text(checkpoint.read_text().replace(f"\n{size}\n", f"\n{int(size) - 1}\n"))
    code, said = await asyncio.to_thread(auditor.run, signature)
    assert (code, "Signature Verified Successfully" in said) == (1, False), said

    run(auditor.running.postgres_url, "UPDATE connections.events SET state = state || ' ' WHERE notification_id = 2")
    await asyncio.to_thread(auditor.run, take)
    code, said = await asyncio.to_thread(auditor.run, verify)
    assert code == 1
    assert "changed" in said.lower()


def test_it_is_short() -> None:
    prose = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(prose.split()) <= LONGEST
    assert len(BLOCKS) == 7
