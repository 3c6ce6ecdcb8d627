"""Comparisons before anything is signed: the rows of the log, the tiles in the folder, and the heads."""

from services.audit.evidence.folder import TreeFolder
from services.audit.evidence.leaves import Leaves, LogChangedError
from shared.transparency.checkpoints import Checkpoint
from shared.transparency.errors import TransparencyError
from shared.transparency.merkle import consistency_proof, leaf_hash, verify_consistency
from shared.transparency.tiles import TileReader


def require_extends(folder: TreeFolder, old: Checkpoint, new: Checkpoint) -> None:
    """Require that the tiles in the folder lead to the new head, and that it extends the old one.

    Raises:
        LogChangedError: they do not.
    """
    reader = TileReader(folder.read, new.size)
    try:
        if reader.root() != new.root:
            raise LogChangedError(f"the tiles in the folder do not lead to the root of {new.size} leaves")
        proof = consistency_proof(old.size, new.size, reader.node)
        verify_consistency(old.size, old.root, new.size, new.root, proof)
    except TransparencyError as error:
        raise LogChangedError(f"the log does not extend the committed head of {old.size} leaves: {error}") from error


async def require_same_rows(leaves: Leaves, folder: TreeFolder, size: int, first: int, end: int) -> None:
    """Require that the log still has the rows that were hashed, from index `first` until before `end`.

    `size` is that of the tree in the folder.

    Raises:
        LogChangedError: it has others, or none.
        TransparencyError: a tile is missing.
    """
    found = await leaves.after(first, end - first)
    if len(found) < end - first:
        last = await leaves.end()
        raise LogChangedError(f"the log ends at {leaves.number} {last}, and {end} were hashed")
    hashed = TileReader(folder.read, size).leaf_hashes(first, end)
    for number, (leaf, expected) in enumerate(zip(found, hashed, strict=True), first + 1):
        if leaf_hash(leaf) != expected:
            raise LogChangedError(f"the log has another {leaves.row} at {leaves.number} {number} than was hashed")
