"""Proofs for others: made against the newest checkpoint, checked without the log, refused where they prove nothing."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.transparency.checkpoints import Checkpoint
from shared.transparency.leaves import event_leaf
from shared.transparency.merkle import leaf_hash, verify_consistency
from shared.transparency.notes import Ed25519Signer, Note
from shared.transparency.proofs import TlogProof, parse_proof, render
from tests import command_line
from tests.audit.past import rows
from tests.command_line import Ended
from tests.ops.evidence import attacks
from tests.ops.evidence.attacks import as_owner
from tests.ops.evidence.signed_log import SignedLog, signed_log


@pytest.fixture
async def log(database: str) -> AsyncIterator[SignedLog]:
    async with signed_log(database, users=300) as made:
        yield made


async def audit(log: SignedLog, verb: str, *arguments: str) -> Ended:
    more = ("--postgres", log.url) if verb == "prove" else ()
    place = ("--evidence", str(log.evidence.folder))
    return await command_line.run("audit", verb, *arguments, *place, *more, environment={"COLUMNS": "80"})


async def offline(log: SignedLog, path: Path, *arguments: str) -> Ended:
    keys = ("--key", str(log.evidence.folder / "verifier-keys"))
    return await command_line.run("audit", "check-proof", str(path), *keys, *arguments, environment={"COLUMNS": "80"})


@pytest.mark.parametrize("position", [1, 256, 257, 300])
async def test_an_event_is_proven(log: SignedLog, position: int) -> None:
    path = log.folder / "event.tlog-proof"
    made = await audit(log, "prove", str(position), "--to", str(path))
    assert (made.code, made.errors) == (0, "")
    assert f"position {position:,} is in the log" in " ".join(made.output.split())
    assert all(len(line) <= 80 for line in made.output.splitlines() if str(path) not in line)
    (row,) = rows(
        log.url,
        "SELECT originator_id, originator_version, topic, state, notification_id FROM connections.events "
        f"WHERE notification_id = {position}",
    )
    leaf, state = log.folder / "leaf", log.folder / "state"
    leaf.write_bytes(event_leaf(*row))
    state.write_bytes(row[3])
    assert parse_proof(path.read_bytes()).extra == leaf.read_bytes()
    checked = await offline(log, path, "--leaf", str(leaf), "--event", str(state), "--json")
    assert checked.code == 0
    found = json.loads(checked.output)
    assert (found["proven"], found["leaf"]["position"]) == (True, position)
    assert len(found["signatures"]) == 2
    state.write_bytes(row[3] + b" ")
    changed = await offline(log, path, "--event", str(state))
    assert (changed.code, "does not have the hash" in changed.errors) == (1, True)
    leaf.write_bytes(leaf.read_bytes() + b" ")
    assert (await offline(log, path, "--leaf", str(leaf))).code == 1


async def test_a_command_is_proven_after_its_row_was_deleted_from_the_evidence_that_is_left(log: SignedLog) -> None:
    ((command_id, ordinal),) = rows(
        log.url, "SELECT command_id, ordinal FROM connections.journal WHERE outcome = 'refused' AND kept LIMIT 1"
    )
    path = log.folder / "refusal.tlog-proof"
    made = await audit(log, "prove", str(command_id), "--to", str(path), "--json")
    assert made.code == 0
    found = json.loads(made.output)
    assert (found["tree"], found["number"]) == ("journal", ordinal)
    assert json.loads(found["leaf"])["outcome"] == "refused"
    assert (await offline(log, path)).code == 0
    with as_owner(log.url) as owner:
        attacks.delete(owner, "events", 8)
    # What was recorded is proven, whatever the database has now.
    assert (await audit(log, "prove", "8", "--to", str(path))).code == 0


@pytest.mark.parametrize("leaf", [b"\x1b[31mred", b"7"])
async def test_the_proof_of_another_kind_of_log_is_refused(folder: Path, leaf: bytes) -> None:
    signer = Ed25519Signer("other.example", Ed25519PrivateKey.generate())
    head = Checkpoint("other.example", 1, leaf_hash(leaf))
    path = folder / "proof"
    path.write_bytes(render(TlogProof(0, (), Note(head.text, (signer.sign(head.text),)), extra=leaf)))
    arguments = ("audit", "check-proof", str(path), "--key", str(signer.key))
    checked = await command_line.run(*arguments, environment={"COLUMNS": "80"})
    assert (checked.code, checked.output) == (1, "")
    assert checked.errors.startswith("Not proven: the leaf is neither")


async def test_what_is_not_proven(log: SignedLog) -> None:
    later = log.size("events") + 1
    beyond = await audit(log, "prove", str(later))
    assert beyond.code == 1
    assert f"{later:,} is not protected yet" in beyond.errors
    unknown = await audit(log, "prove", "0198c0de-0000-7000-8000-000000000001")
    assert (unknown.code, "is on record" in unknown.errors) == (1, True)
    assert (await audit(log, "prove", "seven")).code == 2
    path = log.folder / "p"
    await audit(log, "prove", "7", "--to", str(path))
    proof = path.read_bytes()
    path.write_bytes(proof.replace(b"\nindex 6\n", b"\nindex 7\n"))
    moved = await offline(log, path)
    assert (moved.code, moved.errors.startswith("Not proven: ")) == (1, True)
    path.write_bytes(b"nothing")
    assert (await offline(log, path)).code == 1
    assert (await offline(log, log.folder / "none")).code == 2


async def test_a_newer_checkpoint_continues_an_older_one(log: SignedLog) -> None:
    old = log.keep("old")
    before = log.evidence.checkpoint("events")
    log.past.live(2, 200)
    await log.sign()
    new = log.keep("new")
    after = log.evidence.checkpoint("events")
    path = log.folder / "proof"
    done = await audit(log, "consistency", old[0], new[0], "--to", str(path))
    assert (done.code, done.errors) == (0, "")
    head, _, note = path.read_bytes().partition(b"\n\n")
    first, *hashes = head.decode().split("\n")
    assert first == f"old {before.size}"
    assert note == (log.folder / "new-events").read_bytes()
    verify_consistency(before.size, before.root, after.size, after.root, [base64.b64decode(one) for one in hashes])
    found = json.loads((await audit(log, "consistency", old[0], new[0], "--json")).output)
    assert (found["consistent"], found["proof"]) == (True, hashes)
    assert (await audit(log, "consistency", new[0], old[0])).code == 2
    assert (await audit(log, "consistency", old[0], new[1])).code == 2


async def test_a_forged_checkpoint_is_not_continued(log: SignedLog) -> None:
    old, new = log.keep("old")[0], log.keep("new")[0]
    kept = log.folder / "old-events"
    forged = kept.read_text().split("\n")
    forged[1] = str(int(forged[1]) - 1)
    kept.write_text("\n".join(forged))
    done = await audit(log, "consistency", old, new)
    assert (done.code, done.errors.startswith("Not proven: ")) == (1, True)
