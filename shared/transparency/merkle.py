"""Merkle trees of RFC 6962 over SHA-256: hashes, roots, inclusion and consistency proofs.

A leaf is hashed as SHA-256(0x00 || entry), a node as SHA-256(0x01 || left || right). No node is ever duplicated.
Functions that make proofs read nodes by `node(level, index)`: the hash of the leaves from `index * 2^level` on, 2^level
of them.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from shared.transparency.errors import TransparencyError
from shared.transparency.fields import HASH_BYTES

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

Node = Callable[[int, int], bytes]

_SIZE_BYTES: Final = 8


class InvalidProofError(TransparencyError):
    """A proof that does not prove what it should, or cannot be read."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry as a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """Return the hashes of entries as leaves."""
    sha256 = hashlib.sha256
    return [sha256(b"\x00" + entry).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node above two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def parent_hashes(hashes: Sequence[bytes]) -> list[bytes]:
    """Return the hashes of the nodes above pairs; the last of an odd number has no parent yet."""
    sha256 = hashlib.sha256
    pairs = zip(hashes[::2], hashes[1::2], strict=False)
    return [sha256(b"\x01" + left + right).digest() for left, right in pairs]


def tree_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root of the tree with these leaf hashes."""
    frontier = Frontier()
    frontier.extend(hashes)
    return frontier.root()


class Frontier:
    """A tree that grows, as the roots of its largest full subtrees: a compact range, at most 63 hashes.

    `extend` with thousands of leaves at once costs one hash a leaf, and hardly anything else.
    """

    def __init__(self) -> None:
        self._size = 0
        # By level; None where the size has no subtree of that level.
        self._roots: list[bytes | None] = []

    @classmethod
    def from_bytes(cls, data: bytes) -> "Frontier":
        """Read what `to_bytes` wrote.

        Raises:
            TransparencyError: the length does not fit the size.
        """
        size = int.from_bytes(data[:_SIZE_BYTES], "big")
        if len(data) != _SIZE_BYTES + HASH_BYTES * size.bit_count():
            raise TransparencyError(f"a frontier of {size} leaves does not have {len(data)} bytes")
        frontier = cls()
        frontier._size = size
        at = _SIZE_BYTES
        for level in range(size.bit_length()):
            present = size >> level & 1
            frontier._roots.append(data[at : at + HASH_BYTES] if present else None)
            at += HASH_BYTES * present
        return frontier

    def to_bytes(self) -> bytes:
        """Return the size as 8 bytes (big-endian), then the roots of its subtrees, the smallest first."""
        return self._size.to_bytes(_SIZE_BYTES, "big") + b"".join(root for root in self._roots if root is not None)

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._size

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self.extend((leaf,))

    def extend(self, hashes: Sequence[bytes]) -> None:
        """Add leaf hashes, in their order."""
        self._size += len(hashes)
        level = 0
        while hashes:
            if level == len(self._roots):
                self._roots.append(None)
            before = self._roots[level]
            if before is not None:
                hashes = [before, *hashes]
            self._roots[level] = hashes[-1] if len(hashes) % 2 else None
            hashes = parent_hashes(hashes)
            level += 1

    def root(self) -> bytes:
        """Return the root of the tree as it is now."""
        right: bytes | None = None
        for left in self._roots:
            if left is not None:
                right = left if right is None else node_hash(left, right)
        return EMPTY_ROOT if right is None else right


def range_hash(start: int, end: int, node: Node) -> bytes:
    """Return the hash of the subtree over the leaves from `start` until before `end`.

    The range must be a subtree of some tree: `start` is a multiple of the smallest power of two that is not less than
    its length.
    """
    length = end - start
    if length & (length - 1) == 0:
        level = length.bit_length() - 1
        return node(level, start >> level)
    middle = start + _split(length)
    return node_hash(range_hash(start, middle, node), range_hash(middle, end, node))


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """Return the audit path of a leaf in a tree of `size` leaves: from the sibling of the leaf up.

    Raises:
        InvalidProofError: the tree does not have that leaf.
    """
    _require_leaf(index, size)
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_hash(middle, end, node))
            end = middle
        else:
            path.append(range_hash(start, middle, node))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """Return the proof that the tree of `old` leaves is the beginning of that of `new` leaves.

    It is empty where both sizes are equal or the old tree is empty.

    Raises:
        InvalidProofError: the old tree is larger than the new one.
    """
    _require_order(old, new)
    if old == 0:
        return []
    path = []
    start, end = 0, new
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(range_hash(middle, end, node))
            end = middle
        else:
            path.append(range_hash(start, middle, node))
            start = middle
    # The verifier has the old root itself; it needs the last subtree only where that is not the whole old tree.
    if start > 0:
        path.append(range_hash(start, end, node))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf hash is at `index` in the tree of `size` leaves with this root (RFC 9162, 2.1.3.2).

    Raises:
        InvalidProofError: the proof does not show it.
    """
    _require_leaf(index, size)
    _require_hashes((leaf, *proof))
    place, last = index, size - 1
    found = leaf
    for sibling in proof:
        if last == 0:
            raise InvalidProofError(f"the proof of leaf {index} of {size} has too many hashes: {len(proof)}")
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise InvalidProofError(f"the proof of leaf {index} of {size} has too few hashes: {len(proof)}")
    if found != root:
        raise InvalidProofError(f"the proof of leaf {index} of {size} leads to another root")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of `old` leaves is the beginning of that of `new` leaves (RFC 9162, 2.1.4.2).

    An empty tree is the beginning of each tree: its proof is empty.

    Raises:
        InvalidProofError: the proof does not show it.
    """
    _require_order(old, new)
    _require_hashes((old_root, new_root, *proof))
    if old in {0, new}:
        _require_trivial(old, old_root, new, new_root, proof)
        return
    if not proof:
        raise InvalidProofError(f"the proof between {old} and {new} leaves has too few hashes: 0")
    # The old root is the first node where the old tree is one full subtree.
    nodes = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    found_old = found_new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            raise InvalidProofError(f"the proof between {old} and {new} leaves has too many hashes: {len(proof)}")
        if place & 1 or place == last:
            found_old, found_new = node_hash(node, found_old), node_hash(node, found_new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found_new = node_hash(found_new, node)
        place, last = place >> 1, last >> 1
    if last:
        raise InvalidProofError(f"the proof between {old} and {new} leaves has too few hashes: {len(proof)}")
    if found_old != old_root:
        raise InvalidProofError(f"the proof between {old} and {new} leaves leads to another root of {old}")
    if found_new != new_root:
        raise InvalidProofError(f"the proof between {old} and {new} leaves leads to another root of {new}")


def _split(length: int) -> int:
    """Return the largest power of two that is less than `length`; that is at least 2."""
    return 1 << ((length - 1).bit_length() - 1)


def _require_trivial(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise InvalidProofError(f"the proof between {old} and {new} leaves has too many hashes: {len(proof)}")
    if old == 0 and old_root != EMPTY_ROOT:
        raise InvalidProofError("the root of 0 leaves is not that of an empty tree")
    if old == new and old_root != new_root:
        raise InvalidProofError(f"two trees of {old} leaves have different roots")


def _require_leaf(index: int, size: int) -> None:
    if not 0 <= index < size:
        raise InvalidProofError(f"a tree of {size} leaves does not have a leaf {index}")


def _require_order(old: int, new: int) -> None:
    if not 0 <= old <= new:
        raise InvalidProofError(f"a tree of {old} leaves is not the beginning of one of {new} leaves")


def _require_hashes(hashes: Iterable[bytes]) -> None:
    if any(len(one) != HASH_BYTES for one in hashes):
        raise InvalidProofError(f"each hash of a proof has {HASH_BYTES} bytes")
