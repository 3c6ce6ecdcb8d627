"""pymerkle, written by others for the same RFC, has the roots and the inclusion proofs that we make.

Its consistency proofs have a form of their own, so only the roots at their two ends are compared.
"""

import random

import pytest
from pymerkle import InclusionProof, InmemoryTree, verify_inclusion

from shared.transparency.merkle import EMPTY_ROOT, inclusion_proof, leaf_hash, leaf_hashes
from shared.transparency.tiles import TileEdge, TileReader

SIZES = (1, 2, 3, 7, 8, 255, 256, 257, 1_000)


@pytest.fixture(scope="module")
def entries() -> list[bytes]:
    chance = random.Random(15)  # noqa: S311  seeded
    return [chance.randbytes(chance.randrange(200)) for _ in range(SIZES[-1])]


def test_the_roots_and_the_inclusion_proofs_are_those_of_pymerkle(entries: list[bytes]) -> None:
    theirs = InmemoryTree(algorithm="sha256")
    edge, files = TileEdge(), dict[str, bytes]()
    assert theirs.get_root() == edge.root() == EMPTY_ROOT
    for size in SIZES:
        new = entries[edge.size : size]
        for entry in new:
            theirs.append_entry(entry)
        files |= {tile.path: data for tile, data in edge.extend(leaf_hashes(new))}
        reader = TileReader(files.__getitem__, size)
        assert theirs.get_root() == edge.root()
        for index in {0, size // 3, size // 2, size - 1}:
            leaf, path = leaf_hash(entries[index]), inclusion_proof(index, size, reader.node)
            proof = theirs.prove_inclusion(index + 1, size)
            assert proof.path == [leaf, *path]
            ours = InclusionProof("sha256", True, size, index + 1, proof.rule, [leaf, *path])
            verify_inclusion(leaf, edge.root(), ours, index=index + 1, size=size)
