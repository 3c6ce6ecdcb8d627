"""A proof is a file that verifies offline: the leaf is in the log that its owner signed, and witnesses saw."""

from dataclasses import replace
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.transparency.checkpoints import Checkpoint, InvalidCheckpointError
from shared.transparency.errors import TransparencyError
from shared.transparency.merkle import InvalidProofError, inclusion_proof, leaf_hash
from shared.transparency.notes import Ed25519Signer, InvalidNoteError, Note, NoteSignature, UntrustedNoteError
from shared.transparency.notes import render as render_note
from shared.transparency.proofs import TlogProof, parse_proof, render
from tests.transparency.stored_tree import StoredTree, WitnessSigner

ORIGIN = "log.example/events"
LOG = Ed25519Signer(ORIGIN, Ed25519PrivateKey.generate())
WITNESS = WitnessSigner("witness.example/w1")
TIME = 1_796_000_000


@pytest.fixture(scope="module")
def tree() -> StoredTree:
    tree = StoredTree()
    for start, end in pairwise((0, 1, 2, 256, 257, 300)):
        tree.add([f"entry {number}".encode() for number in range(start, end)])
    return tree


def proof_of(tree: StoredTree, index: int, size: int = 300, extra: bytes | None = None) -> TlogProof:
    reader = tree.reader(size)
    text = Checkpoint(ORIGIN, size, reader.root()).text
    note = Note(text, (LOG.sign(text), WITNESS.sign(text, TIME)))
    return TlogProof(index, tuple(inclusion_proof(index, size, reader.node)), note, extra)


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 300), (255, 256), (256, 257), (299, 300)])
def test_a_proof_comes_back_and_verifies(tree: StoredTree, index: int, size: int) -> None:
    proof = parse_proof(render(proof_of(tree, index, size)))
    assert proof == proof_of_same(proof, tree, index, size)
    verified = proof.verify(leaf_hash(tree.entries[index]), ORIGIN, [LOG.key], [WITNESS.key])
    assert verified.checkpoint == Checkpoint(ORIGIN, size, tree.reader(size).root())
    assert [(one.key, one.time) for one in verified.signatures] == [(LOG.key, None), (WITNESS.key, TIME)]


def proof_of_same(proof: TlogProof, tree: StoredTree, index: int, size: int) -> TlogProof:
    return replace(proof_of(tree, index, size), checkpoint=proof.checkpoint)


def test_a_proof_has_the_lines_of_the_specification(tree: StoredTree) -> None:
    proof = proof_of(tree, 0, 2, b"opaque")
    lines = render(proof).decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra b3BhcXVl", "index 0"]
    assert len(lines[3]) == 44
    assert lines[4] == ""
    assert render(proof).endswith(b"\n\n" + render_note(proof.checkpoint))
    assert parse_proof(render(proof)) == proof
    assert render(proof_of(tree, 0, 1)).startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\nlog.example")


def test_a_proof_of_another_leaf_place_or_log_is_refused(tree: StoredTree) -> None:
    proof = proof_of(tree, 7)
    leaf = leaf_hash(tree.entries[7])
    with pytest.raises(InvalidProofError, match="leads to another root"):
        proof.verify(leaf_hash(tree.entries[8]), ORIGIN, [LOG.key])
    with pytest.raises(InvalidProofError):
        replace(proof, index=8).verify(leaf, ORIGIN, [LOG.key])
    with pytest.raises(InvalidProofError, match="a tree of 300 leaves does not have a leaf 300"):
        replace(proof, index=300).verify(leaf, ORIGIN, [LOG.key])
    with pytest.raises(InvalidProofError, match=r"the proof is of the log 'log.example/events', not 'another'"):
        proof.verify(leaf, "another", [LOG.key])


def test_a_proof_needs_the_signature_of_the_log_and_no_wrong_one(tree: StoredTree) -> None:
    proof = proof_of(tree, 7)
    leaf = leaf_hash(tree.entries[7])
    with pytest.raises(UntrustedNoteError, match="no trusted key of the log"):
        proof.verify(leaf, ORIGIN, [], [WITNESS.key])
    with pytest.raises(UntrustedNoteError):
        proof.verify(leaf, ORIGIN, [], [])
    by_log = proof.checkpoint.signatures[0]
    wrong = NoteSignature(WITNESS.key.name, WITNESS.key.key_id, bytes(72))
    forged = replace(proof, checkpoint=Note(proof.checkpoint.text, (by_log, wrong)))
    forged.verify(leaf, ORIGIN, [LOG.key])
    with pytest.raises(UntrustedNoteError):
        forged.verify(leaf, ORIGIN, [LOG.key], [WITNESS.key])


def test_a_signed_text_that_is_not_a_checkpoint_proves_nothing(tree: StoredTree) -> None:
    text = "not a checkpoint\n"
    proof = replace(proof_of(tree, 7), checkpoint=Note(text, (LOG.sign(text),)))
    with pytest.raises(InvalidCheckpointError):
        proof.verify(leaf_hash(tree.entries[7]), ORIGIN, [LOG.key])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"c2sp.org/tlog-proof@v1", b"c2sp.org/tlog-proof@v2"),
        (b"c2sp.org/tlog-proof@v1\n", b""),
        (b"c2sp.org/tlog-proof@v1", b"c2sp.org/tlog-proof@v1 "),
        (b"index 7", b"index 07"),
        (b"index 7", b"index"),
        (b"index 7", b"index -7"),
        (b"index 7\n", b""),
        (b"index 7\n", b"index 7\nindex 7\n"),
        (b"index 7\n", b"index 7\nAAAA\n"),
        (b"index 7\n", b"index 7\nextra b3BhcXVl\n"),
        (b"extra b3BhcXVl", b"extra "),
        (b"extra b3BhcXVl", b"extra b3BhcXV"),
        (b"extra b3BhcXVl", b"extra b3BhcXVl\nextra b3BhcXVl"),
        (b"extra b3BhcXVl", "extra è".encode()),
        (b"=\n\nlog", b"=\nlog"),
        (b"\n", b"\r\n"),
    ],
)
def test_what_is_not_a_proof_is_refused(tree: StoredTree, old: bytes, new: bytes) -> None:
    data = render(proof_of(tree, 7, extra=b"opaque"))
    assert old in data
    with pytest.raises((InvalidProofError, InvalidNoteError)):
        parse_proof(data.replace(old, new))


def test_a_proof_cut_anywhere_is_refused(tree: StoredTree) -> None:
    data = render(proof_of(tree, 7))
    whole = parse_proof(data)
    for end in range(len(data)):
        try:
            cut = parse_proof(data[:end])
        except TransparencyError:
            continue
        # Cut between two signatures, it is still a proof, of fewer.
        assert cut.checkpoint.signatures == whole.checkpoint.signatures[:1]


def test_a_proof_that_cannot_be_written_is_not_made(tree: StoredTree) -> None:
    proof = proof_of(tree, 7)
    for change in ({"index": -1}, {"index": 2**63}, {"path": (b"short",)}, {"path": (bytes(32),) * 64}, {"extra": b""}):
        with pytest.raises(InvalidProofError):
            replace(proof, **change)
