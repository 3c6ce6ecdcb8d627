"""A tree that grows in its folder: entries come in, full tiles go out, and the right edge stays in memory.

The memory that it takes is that of one bundle of entries and one tile for each level.
"""

from collections.abc import Iterator, Sequence
from typing import Self

from services.audit.evidence.folder import TreeFolder
from shared.transparency.merkle import leaf_hashes
from shared.transparency.tiles import TILE_WIDTH, TileEdge, TileReader, bundle, entries_path


class GrowingTree:
    """The tree in a folder. After an error of `append` or `write_edge` it has to be loaded again."""

    def __init__(self, folder: TreeFolder) -> None:
        self._folder = folder
        self._edge = TileEdge()
        # Of the last bundle, while it is not full.
        self._entries: list[bytes] = []
        # The partial tiles that are not in the folder yet: path and bytes by level.
        self._partial: dict[int, tuple[str, bytes]] = {}

    @classmethod
    def load(cls, folder: TreeFolder, size: int) -> Self:
        """Load the edge of the tree of that size.

        Raises:
            OSError, TransparencyError: a file is missing, or cannot be read.
        """
        tree = cls(folder)
        tree._edge = TileEdge.read(TileReader(folder.read, size))
        if width := size % TILE_WIDTH:
            tree._entries = folder.read_entries(size // TILE_WIDTH, width)
        return tree

    @property
    def size(self) -> int:
        """The number of entries."""
        return self._edge.size

    def root(self) -> bytes:
        """Return the root of the tree as it is now."""
        return self._edge.root()

    def append(self, entries: Sequence[bytes]) -> None:
        """Add entries; every tile and bundle that is full by them is durable afterwards."""
        full = dict(self._full_bundles(entries))
        for tile, content in self._edge.extend(leaf_hashes(entries)):
            if tile.width == TILE_WIDTH:
                full[tile.path] = content
                self._partial.pop(tile.level, None)
            else:
                self._partial[tile.level] = (tile.path, content)
        self._folder.write_tiles(full)

    def write_edge(self) -> None:
        """Make the partial tiles and the partial bundle of the present size durable."""
        files = dict(self._partial.values())
        if self._entries:
            files[entries_path(self.size // TILE_WIDTH, len(self._entries))] = bundle(self._entries)
        self._folder.write_tiles(files)
        self._partial.clear()

    def _full_bundles(self, entries: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
        """Add entries to the last bundle, and yield each that is full, by its path."""
        index = self.size // TILE_WIDTH
        waiting = [*self._entries, *entries]
        for start in range(0, len(waiting) - TILE_WIDTH + 1, TILE_WIDTH):
            yield entries_path(index), bundle(waiting[start : start + TILE_WIDTH])
            index += 1
        self._entries = waiting[len(waiting) - len(waiting) % TILE_WIDTH :]
