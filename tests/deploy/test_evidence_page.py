"""Every step of EVIDENCE.md does what it says, against a running Switchboard, with the tools that it names."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Final

import pytest

from shared.transparency.checkpoints import Checkpoint, parse_checkpoint
from shared.transparency.notes import VerifierKey, parse_note
from tests.audit.past import rows, run
from tests.deploy.production import DEPLOY
from tests.evidence.small_authority import SmallAuthority, stamping
from tests.evidence.small_witness import SmallWitness, serving
from tests.journeys.wire import Account, body, command_subject, connected
from tests.real_servers import ROOT, RunningSwitchboard, new_folder, wait_until

PAGE: Final = (DEPLOY / "EVIDENCE.md").read_text()
BLOCKS: Final[list[tuple[str, str]]] = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
# More than one bundle of entries, and an edge.
MONDAY, TUESDAY = 300, 30
LONGEST: Final = 1_200


class Step(IntEnum):
    """The blocks of the page, in their order."""

    TAKE = 0
    SIGNATURE = 1
    ROOT = 2
    VERIFY = 3
    TUESDAY = 4
    FOREIGN = 5
    WITNESS = 6
    WITNESSED = 7
    STAMP = 8
    EXPORT = 9


class Auditor:
    """Somebody in a folder of their own, who types what the page says."""

    def __init__(self, running: RunningSwitchboard, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.running = running
        self._more = environment

    def type(self, step: Step) -> str:
        """The output of a block, which must succeed."""
        code, output = self.run(step)
        assert code == 0, (step, output)
        return output

    def run(self, step: Step) -> tuple[int, str]:
        """Exit code and output of a block."""
        language, text = BLOCKS[step]
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
            "SWITCHBOARD_DATA_DIR": str(evidence_of(self.running).parent),
            **self._more,
        }


@pytest.fixture
def witness() -> Iterator[SmallWitness]:
    with serving(SmallWitness("witness.example/w1", {})) as made:
        yield made


@pytest.fixture
def authority() -> Iterator[SmallAuthority]:
    with new_folder() as folder, stamping(folder) as made:
        yield made


@pytest.fixture
async def auditor(folder: Path, witness: SmallWitness, authority: SmallAuthority) -> AsyncIterator[Auditor]:
    shutil.copy(authority.folder / "root.pem", folder / "roots.pem")
    others = {"WITNESS": witness.url, "WITNESS_KEY": str(witness.signer.key), "AUTHORITY": authority.url}
    with new_folder() as data:
        running = RunningSwitchboard(data, {"SWITCHBOARD_CHECKPOINT_SECONDS": "0.2"})
        try:
            await asyncio.to_thread(running.start)
            yield Auditor(running, folder, others)
        finally:
            running.close()


def evidence_of(running: RunningSwitchboard) -> Path:
    return running.data_dir / "data" / "evidence"


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
    checkpoint = evidence_of(running) / "events" / "checkpoint"
    await asyncio.to_thread(wait_until, lambda: size_of(checkpoint) == end, 30, "the checkpoint of all events")


def size_of(checkpoint: Path) -> int:
    return parse_checkpoint(parse_note(checkpoint.read_bytes()).text).size if checkpoint.exists() else 0


async def test_each_step_comes_out_as_it_says(auditor: Auditor, witness: SmallWitness) -> None:
    await recorded(auditor.running, MONDAY)
    said = await asyncio.to_thread(auditor.type, Step.TAKE)
    monday = auditor.head("monday/events")
    assert said.splitlines()[:2] == [monday.origin, str(monday.size)]
    assert monday.size > MONDAY
    assert "Signature Verified Successfully" in auditor.type(Step.SIGNATURE)
    last = await asyncio.to_thread(auditor.type, Step.ROOT)
    assert last.startswith("the root is right\n")
    assert f'"position":{monday.size},' in last

    await recorded(auditor.running, TUESDAY)
    assert "sound" in (await asyncio.to_thread(auditor.type, Step.VERIFY)).lower()
    done = await asyncio.to_thread(auditor.type, Step.TUESDAY)
    assert auditor.head("tuesday/events").size > monday.size
    assert "position 1 is in the log" in " ".join(done.split())
    assert (await asyncio.to_thread(auditor.type, Step.FOREIGN)).startswith('both proofs are right: {"account":"acme"')

    keys = [VerifierKey.parse(line) for line in (auditor.folder / "monday" / "verifier-keys").read_text().splitlines()]
    witness.logs.update({name: [key for key in keys if key.name == name] for name in {key.name for key in keys}})
    assert "partner" in await asyncio.to_thread(auditor.type, Step.WITNESS)
    checkpoint = evidence_of(auditor.running) / "events" / "checkpoint"
    await asyncio.to_thread(wait_until, lambda: "— witness." in checkpoint.read_text(), 30, "a cosignature")
    assert "by witness.example/w1" in await asyncio.to_thread(auditor.type, Step.WITNESSED)
    assert (await asyncio.to_thread(auditor.type, Step.STAMP)).count("Verification: OK") == 2
    assert "\nSOUND\n" in f"\n{await asyncio.to_thread(auditor.type, Step.EXPORT)}"


async def test_each_step_notices_a_change(auditor: Auditor) -> None:
    await recorded(auditor.running, TUESDAY)
    for step in (Step.TAKE, Step.SIGNATURE, Step.VERIFY, Step.TUESDAY):
        await asyncio.to_thread(auditor.type, step)
    event = auditor.folder / "event.tlog-proof"
    event.write_text(re.sub(r"^index 0$", "index 1", event.read_text(), flags=re.MULTILINE))
    code, said = await asyncio.to_thread(auditor.run, Step.FOREIGN)
    assert (code, "VerifyError" in said) == (1, True), said

    text = auditor.folder / "text"
    origin, size, _ = text.read_text().splitlines()
    text.write_text(f"{origin}\n{size}\n{'A' * 43}=\n")
    assert "THE ROOT IS WRONG" in await asyncio.to_thread(auditor.type, Step.ROOT)
    checkpoint = auditor.folder / "monday" / "events"
    checkpoint.write_text(checkpoint.read_text().replace(f"\n{size}\n", f"\n{int(size) - 1}\n"))
    code, said = await asyncio.to_thread(auditor.run, Step.SIGNATURE)
    assert (code, "Signature Verified Successfully" in said) == (1, False), said

    run(auditor.running.postgres_url, "UPDATE connections.events SET state = state || ' ' WHERE notification_id = 2")
    await asyncio.to_thread(auditor.run, Step.TAKE)
    code, said = await asyncio.to_thread(auditor.run, Step.VERIFY)
    assert code == 1
    assert "changed" in said.lower()


def test_it_is_short() -> None:
    prose = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(prose.split()) <= LONGEST
    assert len(BLOCKS) == len(Step)
