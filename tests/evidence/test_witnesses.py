"""Cosignatures are asked for as tlog-witness says, and none is kept that the witness's key did not make."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.evidence.witnesses import (
    WITNESSES,
    Witness,
    WitnessAheadError,
    WitnessListError,
    WitnessRefusedError,
    WitnessUnavailableError,
    cosign,
    cosignatures,
    read_witnesses,
    with_cosignatures,
    write_witnesses,
)
from shared.transparency.checkpoints import Checkpoint
from shared.transparency.notes import Ed25519Signer, Note, open_note, parse_note, render
from tests.evidence.small_witness import SmallWitness, serving
from tests.real_servers import free_port
from tests.transparency.stored_tree import StoredTree, WitnessSigner

ORIGIN = "log.example/1/events"


class Log:
    """A log that grows, and signs."""

    def __init__(self, prefix: str = "entry") -> None:
        self.tree = StoredTree()
        self.signer = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
        self.prefix = prefix

    def grow(self, by: int) -> bytes:
        size = self.tree.edge.size
        self.tree.add([f"{self.prefix} {number}".encode() for number in range(size, size + by)])
        return self.note()

    def note(self) -> bytes:
        text = Checkpoint(ORIGIN, self.tree.edge.size, self.tree.edge.root()).text
        return render(Note(text, (self.signer.sign(text),)))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def witness(log: Log) -> Iterator[SmallWitness]:
    with serving(SmallWitness("witness.example/w1", {ORIGIN: [log.signer.key]})) as made:
        yield made


def test_a_cosignature_is_kept_in_the_note(log: Log, witness: SmallWitness) -> None:
    note = log.grow(300)
    signatures = cosign(witness.witness, note, log.tree.reader())
    cosigned = with_cosignatures(note, signatures)
    assert len(open_note(parse_note(cosigned), [log.signer.key, witness.signer.key])) == 2
    assert with_cosignatures(cosigned, signatures) == cosigned
    (found,) = cosignatures(parse_note(cosigned), [witness.witness])
    assert found.time
    assert cosignatures(parse_note(note), [witness.witness]) == []


def test_a_witness_that_knows_an_older_checkpoint_gets_the_proof_from_there(log: Log, witness: SmallWitness) -> None:
    cosign(witness.witness, log.grow(300), log.tree.reader())
    note = log.grow(450)
    assert cosign(witness.witness, note, log.tree.reader(), cosigned=300)
    # One that is asked without its size says so.
    assert cosign(witness.witness, log.grow(1), log.tree.reader())
    # The same checkpoint again is no conflict once the size is known.
    assert cosign(witness.witness, log.note(), log.tree.reader(), cosigned=751)
    assert witness.statuses == [200, 200, 409, 200, 200]


def test_a_rolled_back_log(log: Log, witness: SmallWitness) -> None:
    note = log.grow(300)
    log.grow(10)
    cosign(witness.witness, log.note(), log.tree.reader())
    with pytest.raises(WitnessAheadError, match="has cosigned 310, and the log has 300"):
        cosign(witness.witness, note, log.tree.reader(300))


def test_a_fork(log: Log, witness: SmallWitness) -> None:
    cosign(witness.witness, log.grow(300), log.tree.reader())
    fork = Log("another entry")
    with pytest.raises(WitnessRefusedError, match="422: it knows another tree") as refused:
        cosign(witness.witness, fork.grow(400), fork.tree.reader())
    assert refused.value.status == 422
    assert witness.latest[ORIGIN].size == 300


def test_a_witness_that_does_not_know_the_log_or_its_key(log: Log, witness: SmallWitness) -> None:
    witness.logs = {ORIGIN: [WitnessSigner("other").key]}
    with pytest.raises(WitnessRefusedError, match="403: it does not trust the key"):
        cosign(witness.witness, log.grow(3), log.tree.reader())
    witness.logs = {}
    with pytest.raises(WitnessRefusedError, match="404: it does not know this log"):
        cosign(witness.witness, log.note(), log.tree.reader())


def test_a_signature_of_another_key_is_not_kept(log: Log, witness: SmallWitness) -> None:
    note = log.grow(3)
    text = parse_note(note).text
    other = WitnessSigner(witness.signer.key.name)
    witness.answer = other.sign(text, 1_700_000_000).line.encode()
    with pytest.raises(WitnessUnavailableError, match="does not answer with its cosignature"):
        cosign(witness.witness, note, log.tree.reader())
    # Beside that of the right key it is ignored.
    witness.answer += witness.signer.sign(text, 1_700_000_000).line.encode()
    (kept,) = cosign(witness.witness, note, log.tree.reader(), cosigned=3)
    assert kept.key_id == witness.signer.key.key_id


@pytest.mark.parametrize("answer", [b"", b"hello", b"\xff\n"])
def test_an_answer_that_is_none(log: Log, witness: SmallWitness, answer: bytes) -> None:
    witness.answer = answer
    with pytest.raises(WitnessUnavailableError):
        cosign(witness.witness, log.grow(3), log.tree.reader())


def test_a_cosignature_without_a_time(log: Log, witness: SmallWitness) -> None:
    note = log.grow(3)
    witness.answer = witness.signer.sign(parse_note(note).text, 0).line.encode()
    with pytest.raises(WitnessUnavailableError, match="without a time"):
        cosign(witness.witness, note, log.tree.reader())


def test_a_witness_that_is_away(log: Log) -> None:
    away = Witness("w", f"http://127.0.0.1:{free_port()}", WitnessSigner("w").key)
    with pytest.raises(WitnessUnavailableError, match="does not answer"):
        cosign(away, log.grow(3), log.tree.reader())


def test_the_list_is_read_as_it_was_written(folder: Path, witness: SmallWitness) -> None:
    assert read_witnesses(folder) == []
    write_witnesses(folder, [witness.witness])
    assert read_witnesses(folder) == [witness.witness]
    (folder / WITNESSES).write_text("{}x")
    with pytest.raises(WitnessListError, match="cannot be read"):
        read_witnesses(folder)


def test_a_witness_has_a_url_and_a_key_that_cosigns(log: Log) -> None:
    with pytest.raises(WitnessListError, match="not a URL"):
        Witness("w", "ftp://w.example", WitnessSigner("w").key)
    with pytest.raises(WitnessListError, match="cosigns"):
        Witness("w", "https://w.example", log.signer.key)
