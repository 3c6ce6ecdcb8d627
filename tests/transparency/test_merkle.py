"""Roots and proofs are those of RFC 6962, and a proof of anything else is refused."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transparency.errors import TransparencyError
from shared.transparency.merkle import (
    EMPTY_ROOT,
    Frontier,
    InvalidProofError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    leaf_hashes,
    node_hash,
    range_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from tests.transparency import naive_tree

# The leaves and roots that certificate-transparency's projects test their trees with.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    bytes.fromhex(root)
    for root in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
ENTRIES = [f"entry {number}".encode() for number in range(70)]
OTHER = leaf_hash(b"another entry")


def nodes_of(entries: Sequence[bytes]) -> Callable[[int, int], bytes]:
    """The full subtrees of a tree; asking for another one fails."""

    def node(level: int, index: int) -> bytes:
        of_node = entries[index << level : (index + 1) << level]
        assert len(of_node) == 1 << level
        return naive_tree.root(of_node)

    return node


@pytest.mark.parametrize("size", range(9))
def test_the_published_trees_have_the_published_roots(size: int) -> None:
    assert tree_root(leaf_hashes(LEAVES[:size])) == ROOTS[size]


def test_an_empty_tree_has_the_hash_of_nothing() -> None:
    assert tree_root([]) == Frontier().root() == EMPTY_ROOT == ROOTS[0]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 31, 32, 33, 63, 64, 65, 70])
def test_every_inclusion_proof_is_the_path_of_the_rfc_and_verifies(size: int) -> None:
    entries = ENTRIES[:size]
    root = naive_tree.root(entries)
    for index in range(size):
        proof = inclusion_proof(index, size, nodes_of(entries))
        assert proof == naive_tree.path(index, entries)
        verify_inclusion(leaf_hash(entries[index]), index, size, proof, root)


@pytest.mark.parametrize("new", [1, 2, 3, 5, 7, 8, 31, 32, 33, 63, 64, 65, 70])
def test_every_consistency_proof_is_the_proof_of_the_rfc_and_verifies(new: int) -> None:
    entries = ENTRIES[:new]
    root = naive_tree.root(entries)
    verify_consistency(0, EMPTY_ROOT, new, root, consistency_proof(0, new, nodes_of(entries)))
    for old in range(1, new + 1):
        proof = consistency_proof(old, new, nodes_of(entries))
        assert proof == naive_tree.proof(old, entries)
        verify_consistency(old, naive_tree.root(entries[:old]), new, root, proof)


@given(st.data())
def test_proofs_of_random_trees_verify_and_no_other_leaf_does(data: st.DataObject) -> None:
    entries = data.draw(st.lists(st.binary(max_size=8), min_size=1, max_size=200))
    size, index = len(entries), data.draw(st.integers(0, len(entries) - 1))
    root, proof = naive_tree.root(entries), inclusion_proof(index, size, nodes_of(entries))
    verify_inclusion(leaf_hash(entries[index]), index, size, proof, root)
    place = data.draw(st.integers(0, size - 1))
    if entries[place] != entries[index]:
        with pytest.raises(InvalidProofError):
            verify_inclusion(leaf_hash(entries[place]), index, size, proof, root)


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (1, 2), (4, 7), (6, 7), (0, 64), (63, 64), (64, 65)])
def test_an_inclusion_proof_with_any_change_is_refused(index: int, size: int) -> None:
    entries = ENTRIES[:size]
    leaf, root = leaf_hash(entries[index]), naive_tree.root(entries)
    proof = naive_tree.path(index, entries)
    wrong = [
        (OTHER, index, size, proof, root),
        (leaf, index, size, proof, OTHER),
        (leaf, index, size, [*proof, OTHER], root),
        *((leaf, index, size, changed, root) for changed in changes(proof)),
        *((leaf, place, size, proof, root) for place in range(-1, size + 1) if place != index),
    ]
    for arguments in wrong:
        with pytest.raises(InvalidProofError):
            verify_inclusion(*arguments)


@pytest.mark.parametrize(("old", "new"), [(0, 1), (1, 1), (1, 2), (3, 7), (4, 7), (6, 7), (4, 8), (63, 64), (64, 65)])
def test_a_consistency_proof_with_any_change_is_refused(old: int, new: int) -> None:
    entries = ENTRIES[:new]
    old_root, root = naive_tree.root(entries[:old]), naive_tree.root(entries)
    proof = naive_tree.proof(old, entries) if old else []
    wrong = [
        (old, OTHER, new, root, proof),
        (old, old_root, new, root, [*proof, OTHER]),
        *((old, old_root, new, root, changed) for changed in changes(proof)),
        *([(old, old_root, new, OTHER, proof)] if old else []),
        (new + 1, root, new, root, proof),
        (-1, old_root, new, root, proof),
    ]
    for arguments in wrong:
        with pytest.raises(InvalidProofError):
            verify_consistency(*arguments)


def changes(proof: Sequence[bytes]) -> list[list[bytes]]:
    """The proof without each of its hashes, with another one in each place, and with neighbours exchanged."""
    without = [[*proof[:at], *proof[at + 1 :]] for at in range(len(proof))]
    other = [[*proof[:at], OTHER, *proof[at + 1 :]] for at in range(len(proof))]
    shorter = [[*proof[:at], one[:-1], *proof[at + 1 :]] for at, one in enumerate(proof)]
    exchanged = [[*proof[:at], right, left, *proof[at + 2 :]] for at, (left, right) in enumerate(pairwise(proof))]
    return without + other + shorter + exchanged


def test_the_reason_why_a_proof_is_refused_is_named() -> None:
    root, path = naive_tree.root(ENTRIES[:7]), naive_tree.path(4, ENTRIES[:7])
    leaf = leaf_hash(ENTRIES[4])
    for proof, reason in (
        ([*path, OTHER], "too many hashes: 4"),
        (path[:-1], "too few hashes: 2"),
        ([b""], "32 bytes"),
    ):
        with pytest.raises(InvalidProofError, match=reason):
            verify_inclusion(leaf, 4, 7, proof, root)
    old_root, path = naive_tree.root(ENTRIES[:3]), naive_tree.proof(3, ENTRIES[:7])
    for proof, reason in (([*path, OTHER], "too many hashes: 5"), ([], "too few hashes: 0"), ([b""], "32 bytes")):
        with pytest.raises(InvalidProofError, match=reason):
            verify_consistency(3, old_root, 7, root, proof)


def test_the_root_of_a_smaller_tree_is_not_taken_for_that_of_a_larger_one() -> None:
    smaller = naive_tree.root(ENTRIES[:4])
    with pytest.raises(InvalidProofError, match="too few hashes"):
        verify_inclusion(leaf_hash(ENTRIES[1]), 1, 7, naive_tree.path(1, ENTRIES[:4]), smaller)
    with pytest.raises(InvalidProofError, match="too few hashes"):
        verify_consistency(3, naive_tree.root(ENTRIES[:3]), 7, smaller, naive_tree.proof(3, ENTRIES[:4]))


def test_two_different_trees_of_one_size_are_not_consistent() -> None:
    with pytest.raises(InvalidProofError, match="two trees of 2 leaves have different roots"):
        verify_consistency(2, ROOTS[2], 2, naive_tree.root([b"a", b"b"]), [])


def test_a_fork_is_refused_whatever_proof_its_own_tree_gives() -> None:
    ours, theirs = ENTRIES[:33], [*ENTRIES[:20], b"changed", *ENTRIES[21:33]]
    for old in range(21, 33):
        with pytest.raises(InvalidProofError):
            verify_consistency(
                old, naive_tree.root(ours[:old]), 33, naive_tree.root(theirs), naive_tree.proof(old, theirs)
            )


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 4), (4, 4)])
def test_no_inclusion_proof_is_made_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(InvalidProofError, match=f"a tree of {size} leaves does not have a leaf {index}"):
        inclusion_proof(index, size, nodes_of(ENTRIES))


def test_no_consistency_proof_is_made_backwards() -> None:
    with pytest.raises(InvalidProofError, match="a tree of 5 leaves is not the beginning of one of 4 leaves"):
        consistency_proof(5, 4, nodes_of(ENTRIES))


@given(st.lists(st.integers(0, 40), max_size=8), st.booleans())
def test_a_frontier_has_the_root_of_each_tree_that_it_grows_through(steps: list[int], stored: bool) -> None:
    hashes = leaf_hashes(f"{number}".encode() for number in range(sum(steps)))
    frontier = Frontier()
    size = 0
    for step in steps:
        frontier.extend(hashes[size : size + step])
        size += step
        if stored:
            frontier = Frontier.from_bytes(frontier.to_bytes())
        assert frontier.size == size
        assert frontier.root() == naive_tree.root([f"{number}".encode() for number in range(size)])


def test_a_frontier_that_grows_leaf_by_leaf_is_the_same() -> None:
    one_by_one, at_once = Frontier(), Frontier()
    for entry in ENTRIES:
        one_by_one.append(leaf_hash(entry))
    at_once.extend(leaf_hashes(ENTRIES))
    assert one_by_one.to_bytes() == at_once.to_bytes()


def test_a_stored_frontier_of_another_length_is_refused() -> None:
    frontier = Frontier()
    frontier.extend(leaf_hashes(ENTRIES))
    for data in (b"", frontier.to_bytes()[:-1], frontier.to_bytes() + b"\x00"):
        with pytest.raises(TransparencyError, match=f"does not have {len(data)} bytes"):
            Frontier.from_bytes(data)


def test_a_range_is_hashed_from_its_full_subtrees() -> None:
    assert range_hash(0, 7, nodes_of(LEAVES)) == ROOTS[7]
    assert range_hash(4, 7, nodes_of(LEAVES)) == naive_tree.root(LEAVES[4:7])
    assert node_hash(range_hash(0, 4, nodes_of(LEAVES)), range_hash(4, 8, nodes_of(LEAVES))) == ROOTS[8]
