"""metamorphic-log, a verifier that others wrote in Rust, takes every checkpoint and proof that we make.

It verifies plain Ed25519 signatures and no cosignatures, and has no consistency proof from an empty tree.
"""

import random
from collections.abc import Sequence
from itertools import pairwise

import metamorphic_log
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from metamorphic_log import VerifyError

from shared.transparency.checkpoints import Checkpoint
from shared.transparency.merkle import consistency_proof, inclusion_proof, leaf_hash
from shared.transparency.notes import Ed25519Signer, MlDsaSigner, Note, render
from tests.transparency.stored_tree import StoredTree, WitnessSigner

ORIGIN = "log.example/events"
LOG = Ed25519Signer(ORIGIN, Ed25519PrivateKey.generate())
ML_DSA = MlDsaSigner(ORIGIN, MLDSA44PrivateKey.generate())
WITNESS = WitnessSigner("witness.example/w1")
TIME = 1_796_000_000
SIZES = (0, 1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 70_000)
# Of larger trees, the leaves at these places and as many chosen ones are proven; of the others, all.
ALL_LEAVES = 257
PLACES = (0, 1, 254, 255, 256, 257, 65_279, 65_280, 65_534, 65_535, 65_536)


@pytest.fixture(scope="module")
def tree() -> StoredTree:
    """A log of random entries that had a checkpoint at each size."""
    chance = random.Random(15)  # noqa: S311  seeded
    tree = StoredTree()
    for old, new in pairwise(SIZES):
        tree.add([chance.randbytes(chance.randrange(100)) for _ in range(new - old)])
    return tree


@pytest.fixture(scope="module")
def checkpoints(tree: StoredTree) -> dict[int, str]:
    """The signed checkpoint of each size."""
    return {size: signed(size, tree.reader(size).root()) for size in SIZES}


def signed(size: int, root: bytes) -> str:
    text = Checkpoint(ORIGIN, size, root).text
    return render(Note(text, (LOG.sign(text), ML_DSA.sign(text, TIME), WITNESS.sign(text, TIME)))).decode()


def leaves_of(size: int) -> Sequence[int]:
    if size <= ALL_LEAVES:
        return range(size)
    chance = random.Random(size)  # noqa: S311  seeded
    return sorted({*PLACES, size - 1, *(chance.randrange(size) for _ in PLACES)} & set(range(size)))


@pytest.mark.parametrize("size", SIZES)
def test_it_takes_every_checkpoint(tree: StoredTree, checkpoints: dict[int, str], size: int) -> None:
    head = metamorphic_log.checkpoint_verify(checkpoints[size], [str(LOG.key)])
    assert (head.origin, head.size, head.root, head.extensions) == (ORIGIN, size, tree.reader(size).root(), [])


@pytest.mark.parametrize("size", SIZES)
def test_it_takes_every_inclusion_proof(tree: StoredTree, checkpoints: dict[int, str], size: int) -> None:
    reader = tree.reader(size)
    for index in leaves_of(size):
        proof = inclusion_proof(index, size, reader.node)
        metamorphic_log.checkpoint_verify_inclusion(
            checkpoints[size], [str(LOG.key)], index, leaf_hash(tree.entries[index]), proof
        )


@pytest.mark.parametrize("new", SIZES[1:])
def test_it_takes_every_consistency_proof(tree: StoredTree, checkpoints: dict[int, str], new: int) -> None:
    for old in (size for size in SIZES if 0 < size <= new):
        proof = consistency_proof(old, new, tree.reader(new).node)
        metamorphic_log.checkpoint_verify_consistency(checkpoints[old], checkpoints[new], [str(LOG.key)], proof)


def test_it_takes_nothing_else(tree: StoredTree, checkpoints: dict[int, str]) -> None:
    keys = [str(LOG.key)]
    other = str(Ed25519Signer(ORIGIN, Ed25519PrivateKey.generate()).key)
    leaf, proof = leaf_hash(tree.entries[7]), inclusion_proof(7, 257, tree.reader(257).node)
    with pytest.raises(VerifyError):
        metamorphic_log.checkpoint_verify(checkpoints[257], [other])
    with pytest.raises(VerifyError):
        metamorphic_log.checkpoint_verify(checkpoints[257].replace("\n257\n", "\n258\n"), keys)
    with pytest.raises(VerifyError):
        metamorphic_log.checkpoint_verify_inclusion(checkpoints[257], keys, 8, leaf, proof)
    with pytest.raises(VerifyError):
        metamorphic_log.checkpoint_verify_inclusion(checkpoints[256], keys, 7, leaf, proof)
    fork = signed(257, leaf_hash(b"another history"))
    with pytest.raises(VerifyError):
        metamorphic_log.checkpoint_verify_consistency(
            fork, checkpoints[70_000], keys, consistency_proof(257, 70_000, tree.reader().node)
        )
