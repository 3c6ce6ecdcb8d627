"""The files of a log as C2SP's tlog-tiles names and fills them: tiles of 256 hashes, and bundles of their entries.

A tile on level 0 has leaf hashes; one on the next level has the root of a full tile below in each place. The last tile
of a level may be partial, and never goes into a level above.
"""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from shared.transparency.errors import TransparencyError
from shared.transparency.fields import HASH_BYTES
from shared.transparency.merkle import EMPTY_ROOT, range_hash, tree_root

TILE_WIDTH: Final = 256
# Levels of the tree in one level of tiles.
TILE_HEIGHT: Final = 8
LARGEST_LEVEL: Final = 63
LARGEST_ENTRY: Final = 65_535

# The path of a file within the log in, its bytes out.
ReadFile = Callable[[str], bytes]

_LENGTH: Final = struct.Struct(">H")
# A proof reads a few tiles on each level, and those of neighbours are mostly the same.
_TILES_AT_ONCE: Final = 64


class InvalidTileError(TransparencyError):
    """A tile or a bundle that cannot be: its name, its length, or a length inside it."""


class MissingTileError(TransparencyError):
    """A tile that the tree has and the log does not."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile: its level, its index within the level, and how many hashes it has (1 to 256)."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path of the tile within the log."""
        return tile_path(self.level, self.index, self.width)


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile within the log, such as `tile/0/x001/x234/067` or `tile/1/000.p/17`.

    Raises:
        InvalidTileError: there cannot be such a tile.
    """
    if not 0 <= level <= LARGEST_LEVEL:
        raise InvalidTileError(f"the level of a tile is 0 to {LARGEST_LEVEL}, not {level}")
    return f"tile/{level}/{_place(index, width)}"


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a bundle within the log, such as `tile/entries/x001/x234/067`.

    Raises:
        InvalidTileError: there cannot be such a bundle.
    """
    return f"tile/entries/{_place(index, width)}"


def tiles_between(old_size: int, new_size: int) -> Iterator[Tile]:
    """Yield the tiles that a tree of `new_size` leaves has and one of `old_size` has not, level by level.

    Bundles of entries have the places and widths of the tiles on level 0.

    Raises:
        InvalidTileError: the tree has become smaller.
    """
    if not 0 <= old_size <= new_size:
        raise InvalidTileError(f"a tree of {old_size} leaves does not become one of {new_size}")
    level, old, new = 0, old_size, new_size
    while new:
        if new > old:
            first, last = old // TILE_WIDTH, new // TILE_WIDTH
            yield from (Tile(level, index) for index in range(first, last))
            if width := new % TILE_WIDTH:
                yield Tile(level, last, width)
        level, old, new = level + 1, old >> TILE_HEIGHT, new >> TILE_HEIGHT


def bundle(entries: Sequence[bytes]) -> bytes:
    """Return the file of up to 256 entries, each after its length.

    Raises:
        InvalidTileError: there are more, or one of them has more than 65,535 bytes.
    """
    if len(entries) > TILE_WIDTH:
        raise InvalidTileError(f"a bundle has at most {TILE_WIDTH} entries, not {len(entries)}")
    lengths = [len(entry) for entry in entries]
    if lengths and max(lengths) > LARGEST_ENTRY:
        raise InvalidTileError(f"an entry has at most {LARGEST_ENTRY} bytes, not {max(lengths)}")
    pack = _LENGTH.pack
    return b"".join([pack(length) + entry for length, entry in zip(lengths, entries, strict=True)])


def entries_of(data: bytes) -> list[bytes]:
    """Return the entries in a bundle.

    Raises:
        InvalidTileError: it ends within an entry.
    """
    entries: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        start = at + _LENGTH.size
        if start > end:
            raise InvalidTileError(f"the bundle ends within the length of entry {len(entries)}")
        at = start + _LENGTH.unpack_from(data, at)[0]
        if at > end:
            raise InvalidTileError(f"the bundle ends within entry {len(entries)}")
        entries.append(data[start:at])
    return entries


def hashes_of(data: bytes) -> list[bytes]:
    """Return the hashes in a tile, of any width.

    Raises:
        InvalidTileError: it ends within a hash.
    """
    if len(data) % HASH_BYTES:
        raise InvalidTileError(f"a tile has a multiple of {HASH_BYTES} bytes, not {len(data)}")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


class TileReader:
    """A tree of `size` leaves, read from its tiles.

    `read` returns the file at a path, and raises FileNotFoundError where there is not any. A partial tile that is
    missing is cut out of the full one, as a log may delete it then. Nothing is checked against a checkpoint: compare
    `root()` with one, and verify proofs.

    Raises, from each method:
        MissingTileError: a tile is missing.
        InvalidTileError: a tile does not have its length.
    """

    def __init__(self, read: ReadFile, size: int) -> None:
        self.size = size
        self._read = read
        self._hashes = lru_cache(maxsize=_TILES_AT_ONCE)(self._read_tile)

    def node(self, level: int, index: int) -> bytes:
        """Return the hash of the leaves from `index * 2^level` on, 2^level of them; all must be in the tree."""
        of_tile, within = divmod(level, TILE_HEIGHT)
        first = index << within
        hashes = self._hashes(of_tile, first // TILE_WIDTH)
        at = first % TILE_WIDTH
        found = hashes[at : at + (1 << within)]
        if len(found) < 1 << within:
            raise InvalidTileError(f"node {index} on level {level} is not full in a tree of {self.size} leaves")
        return tree_root(found)

    def leaf_hashes(self, start: int, end: int) -> list[bytes]:
        """Return the hashes of the leaves from `start` until before `end`."""
        if not 0 <= start <= end <= self.size:
            raise InvalidTileError(f"a tree of {self.size} leaves does not have those from {start} to {end}")
        found: list[bytes] = []
        for index in range(start // TILE_WIDTH, -(-end // TILE_WIDTH)):
            first = index * TILE_WIDTH
            found += self._hashes(0, index)[max(start - first, 0) : end - first]
        return found

    def tile_hashes(self, level: int, index: int) -> list[bytes]:
        """Return the hashes of a tile, as many as this tree has there."""
        return list(self._hashes(level, index))

    def root(self) -> bytes:
        """Return the root of the tree."""
        return range_hash(0, self.size, self.node) if self.size else EMPTY_ROOT

    def _read_tile(self, level: int, index: int) -> list[bytes]:
        width = min((self.size >> TILE_HEIGHT * level) - index * TILE_WIDTH, TILE_WIDTH)
        if width < 1:
            raise InvalidTileError(f"a tree of {self.size} leaves does not have tile {index} on level {level}")
        path = tile_path(level, index, width)
        try:
            data = self._read(path)
        except FileNotFoundError:
            path = tile_path(level, index)
            data = self._read_full(path, width)
        if len(data) != width * HASH_BYTES:
            raise InvalidTileError(f"{path} has {len(data)} bytes, not {width * HASH_BYTES}")
        return hashes_of(data)

    def _read_full(self, path: str, width: int) -> bytes:
        """Return the beginning of a full tile."""
        try:
            data = self._read(path)
        except FileNotFoundError as error:
            raise MissingTileError(f"{path} is missing") from error
        if len(data) != TILE_WIDTH * HASH_BYTES:
            raise InvalidTileError(f"{path} has {len(data)} bytes, not {TILE_WIDTH * HASH_BYTES}")
        return data[: width * HASH_BYTES]


class TileEdge:
    """The right edge of a tree: the hashes of the partial tile on each level, which is all that new leaves need.

    `extend` makes the tiles of `tiles_between` with their bytes, and `root` costs a few hundred hashes at most.
    """

    def __init__(self, size: int = 0, partial: Sequence[Sequence[bytes]] = ()) -> None:
        """`partial` has the hashes of the partial tile on each level, none where the last tile is full.

        Raises:
            InvalidTileError: they do not fit the size.
        """
        widths = [one % TILE_WIDTH for one in _widths(size)]
        if [len(hashes) for hashes in partial] != widths:
            raise InvalidTileError(f"the partial tiles of {size} leaves have the widths {widths}")
        self._size = size
        self._partial = [list(hashes) for hashes in partial]

    @classmethod
    def read(cls, reader: TileReader) -> "TileEdge":
        """Read the edge from the tiles of a tree.

        Raises:
            MissingTileError: a tile is missing.
            InvalidTileError: a tile does not have its length.
        """
        partial = [
            reader.tile_hashes(level, width // TILE_WIDTH) if width % TILE_WIDTH else []
            for level, width in enumerate(_widths(reader.size))
        ]
        return cls(reader.size, partial)

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._size

    def extend(self, leaf_hashes: Sequence[bytes]) -> list[tuple[Tile, bytes]]:
        """Add leaf hashes, in their order; return the tiles that the tree has now and had not before.

        The number of leaves does not matter: each costs one hash, and each tile is joined once.
        """
        tiles: list[tuple[Tile, bytes]] = []
        level, hashes, old = 0, leaf_hashes, self._size
        self._size += len(leaf_hashes)
        while hashes:
            if level == len(self._partial):
                self._partial.append([])
            hashes = self._add(level, old // TILE_WIDTH, hashes, tiles)
            level, old = level + 1, old >> TILE_HEIGHT
        return tiles

    def root(self) -> bytes:
        """Return the root of the tree as it is now."""
        right: list[bytes] = []
        for hashes in self._partial:
            if row := [*hashes, *right]:
                right = [tree_root(row)]
        return right[0] if right else EMPTY_ROOT

    def _add(self, level: int, index: int, hashes: Sequence[bytes], tiles: list[tuple[Tile, bytes]]) -> list[bytes]:
        """Add hashes on a level, from its partial tile `index` on; return the roots of the tiles that are full now."""
        row = [*self._partial[level], *hashes]
        roots = []
        full = len(row) - len(row) % TILE_WIDTH
        for at in range(0, full, TILE_WIDTH):
            of_tile = row[at : at + TILE_WIDTH]
            tiles.append((Tile(level, index), b"".join(of_tile)))
            roots.append(tree_root(of_tile))
            index += 1
        self._partial[level] = row[full:]
        if len(row) > full:
            tiles.append((Tile(level, index, len(row) - full), b"".join(row[full:])))
        return roots


def _widths(size: int) -> list[int]:
    """Return how many hashes each level of tiles has, from level 0 on."""
    widths = []
    while size:
        widths.append(size)
        size >>= TILE_HEIGHT
    return widths


def _place(index: int, width: int) -> str:
    """Return the end of a path: the index in groups of three digits, and the width of a partial tile."""
    if index < 0 or not 1 <= width <= TILE_WIDTH:
        raise InvalidTileError(f"there cannot be a tile {index} of width {width}")
    digits = f"{index:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = re.findall("...", digits)
    path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return path if width == TILE_WIDTH else f"{path}.p/{width}"
