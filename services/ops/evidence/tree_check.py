"""Compares the rows of one tree with its leaves, tile by tile, and the tree with its checkpoints.

The rows are the suspect. Leaves are what tiles say; that the tiles are those that were signed shows in the root of
their own tree, which is recomputed here from the leaves up.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from services.ops.evidence.findings import Finding, Findings, Kind
from services.ops.evidence.matching import Matcher
from services.ops.evidence.sources import TreeSource
from shared.transparency.checkpoints import Checkpoint, Tree
from shared.transparency.errors import TransparencyError
from shared.transparency.merkle import EMPTY_ROOT, leaf_hash, leaf_hashes, range_hash
from shared.transparency.tiles import TILE_HEIGHT, TILE_WIDTH, Tile, TileEdge

# The field of a leaf that has its number.
NUMBER_OF: dict[Tree, str] = {"events": "position", "journal": "ordinal"}


@dataclass(frozen=True)
class GivenHead:
    """A checkpoint with a valid signature.

    Args:
        name: where it is from, for messages.
        outside: it was kept elsewhere, by somebody who does not have the log.
        witnesses: those of the trusted keys that cosigned it, with their times in POSIX seconds.
        stamped: when a trusted authority has stamped it.
    """

    name: str
    checkpoint: Checkpoint
    outside: bool
    witnesses: tuple[tuple[str, int | None], ...] = ()
    stamped: datetime | None = None


class TreeCheck:
    """Takes the rows of one tree in their order.

    Attributes:
        last: the largest number of a row.
        rows: how many rows were compared.
        fitting: the heads that log and tiles lead to.
    """

    def __init__(self, source: TreeSource, size: int, heads: Sequence[GivenHead], start: Checkpoint | None) -> None:
        """
        Args:
            size: of the tree that the tiles have.
            heads: those to compare with.
            start: a trusted head; rows up to there are not compared.

        Raises:
            TransparencyError: the tiles do not lead to the trusted head.
        """
        self.findings = Findings()
        self.rows = 0
        self.last = start.size if start else 0
        self.fitting: list[GivenHead] = []
        self._source = source
        self._size = size
        self._tiles = source.tiles(size)
        self._edge = _edge_of(source, start)
        self._matcher = Matcher(self.findings)
        self._start = start.size if start else 0
        self._done = self._start
        # The first number whose row is not its leaf.
        self._wrong: int | None = None
        # Whether the edge has every leaf up to `_done`.
        self._whole = True
        self._heads = sorted(heads, key=lambda head: head.checkpoint.size)
        self._waiting = list(self._heads)
        self._bundle: tuple[int, list[bytes]] = (-1, [])
        self._damages: set[str] = set()
        self._check_heads()

    # ---- rows in

    def add(self, numbers: Sequence[int], leaves: Sequence[bytes]) -> None:
        """Compare the next rows: their numbers in ascending order, and the leaves that they have now."""
        self.rows += len(leaves)
        self.last = max(self.last, numbers[-1])
        if numbers == list(range(self._done + 1, self._done + 1 + len(numbers))):
            self._add_consecutive(leaves)
        else:
            self._add_scattered(numbers, leaves)

    def finish(self) -> None:
        """Compare what the tree has after the last row."""
        self._add_absent(self._size)
        for head in self._heads:
            if head.checkpoint.size > self.last:
                self.findings.add(Finding(Kind.ROLLED_BACK, self.last + 1, head.checkpoint.size, about=head.name))
        self._matcher.finish()

    def _add_consecutive(self, leaves: Sequence[bytes]) -> None:
        while leaves:
            end = self._next_end(self._done + len(leaves))
            part, leaves = leaves[: end - self._done], leaves[end - self._done :]
            hashes = leaf_hashes(part)
            if self._done < self._size:
                hashes = self._compared(part, hashes)
            elif self._matcher.waits:
                for number, leaf in enumerate(part, self._done + 1):
                    self._matcher.add_new(number, self._content(leaf))
            self._extend(hashes, end)

    def _add_scattered(self, numbers: Sequence[int], leaves: Sequence[bytes]) -> None:
        at: dict[int, list[bytes]] = {}
        for number, leaf in zip(numbers, leaves, strict=True):
            at.setdefault(number, []).append(leaf)
        for number, found in at.items():
            if number <= self._done:
                # It was compared already: a second row with the same number.
                self._matcher.add(number, None, [self._content(leaf) for leaf in found], lost=False)
                self._is_wrong(number)
                continue
            self._add_absent(number - 1)
            expected = self._expected_at(number)
            own = next((leaf for leaf in found if expected in (None, leaf_hash(leaf))), found[0])
            found.remove(own)
            if found:
                self._matcher.add(number, None, [self._content(leaf) for leaf in found], lost=False)
                self._is_wrong(number)
            self._add_consecutive([own])

    def _add_absent(self, end: int) -> None:
        """Compare numbers without a row, up to `end`."""
        while self._done < min(end, self._size):
            first = self._done
            until = self._next_end(min(end, (first // TILE_WIDTH + 1) * TILE_WIDTH))
            self._is_wrong(first + 1)
            hashes = self._expected(first, until)
            if hashes is None:
                self.findings.at(Kind.MISSING, first + 1, until)
            else:
                for number, expected in enumerate(hashes, first + 1):
                    self._matcher.add(number, self._content_at(number, expected), [], lost=True)
            self._extend(hashes, until)
        if self._done < end:
            self.findings.at(Kind.MISSING, self._done + 1, end)
            self._is_wrong(self._done + 1)
            self._extend(None, end)

    # ---- comparison with the tiles

    def _compared(self, leaves: Sequence[bytes], hashes: list[bytes]) -> list[bytes]:
        """Compare rows with the leaves of the tiles; return the hashes of those leaves."""
        first = self._done
        expected = self._expected(first, first + len(leaves))
        if expected is None:
            return self._compared_by_tile(leaves, hashes)
        if expected == hashes:
            self._check_bundles(leaves, hashes)
            return hashes
        self._check_bundles(None, expected)
        for number, (leaf, has, should) in enumerate(zip(leaves, hashes, expected, strict=True), first + 1):
            if has != should:
                self._is_wrong(number)
                self._matcher.add(number, self._content_at(number, should), [self._content(leaf)], lost=True)
        return expected

    def _compared_by_tile(self, leaves: Sequence[bytes], hashes: list[bytes]) -> list[bytes]:
        """Compare the rows of each tile on its own; where it cannot be read, the rows are taken for its leaves."""
        found: list[bytes] = []
        done = self._done
        while len(found) < len(leaves):
            at = len(found)
            width = min(TILE_WIDTH - self._done % TILE_WIDTH, len(leaves) - at)
            part = hashes[at : at + width]
            readable = width < len(leaves) and self._expected(self._done, self._done + width) is not None
            found += self._compared(leaves[at : at + width], part) if readable else part
            self._done += width
        self._done = done
        return found

    def _expected(self, start: int, end: int) -> list[bytes] | None:
        """Return leaf hashes of the tiles; None where they cannot be read."""
        try:
            return self._tiles.leaf_hashes(start, end)
        except TransparencyError as error:
            if end - start <= TILE_WIDTH:
                self._damaged(str(error))
            return None

    def _expected_at(self, number: int) -> bytes | None:
        found = self._expected(number - 1, number) if number <= self._size else None
        return found[0] if found else None

    def _check_bundles(self, leaves: Sequence[bytes] | None, expected: Sequence[bytes]) -> None:
        """Require that the bundles have the entries of the tiles; where `leaves` are given, these are the entries."""
        start, end = self._done, self._done + len(expected)
        for index in range(start // TILE_WIDTH, -(-end // TILE_WIDTH)):
            first = max(index * TILE_WIDTH, start)
            last = min((index + 1) * TILE_WIDTH, end)
            entries = self._entries(index)[first - index * TILE_WIDTH : last - index * TILE_WIDTH]
            if leaves is None or entries != leaves[first - start : last - start]:
                self._check_entries(first, entries, expected[first - start : last - start])

    def _check_entries(self, first: int, entries: Sequence[bytes], expected: Sequence[bytes]) -> None:
        """Require that entries of a bundle have the hashes of the tile."""
        hashes = leaf_hashes(entries)
        if hashes != expected:
            at = next((at for at, one in enumerate(hashes) if one != expected[at]), len(hashes))
            self._damaged(f"the bundle of entries does not fit the tile from {first + at + 1:,} on")

    def _entries(self, index: int) -> list[bytes]:
        if self._bundle[0] != index:
            try:
                found = self._source.entries(index, min(self._size - index * TILE_WIDTH, TILE_WIDTH))
            except (FileNotFoundError, TransparencyError) as error:
                self._damaged(f"the bundle of entries {index:,} cannot be read: {error}")
                found = []
            self._bundle = (index, found)
        return self._bundle[1]

    # ---- contents

    def _content_at(self, number: int, expected: bytes) -> bytes | None:
        """Return the content of the leaf at a number; None where the bundle does not have it."""
        index, at = divmod(number - 1, TILE_WIDTH)
        entries = self._entries(index)
        if at >= len(entries) or leaf_hash(entries[at]) != expected:
            return None
        return self._content(entries[at])

    def _content(self, leaf: bytes) -> bytes:
        """Return a digest of a leaf without its number."""
        try:
            fields = orjson.loads(leaf)
            fields.pop(NUMBER_OF[self._source.name], None)
        except (ValueError, AttributeError):
            return hashlib.sha256(leaf).digest()
        return hashlib.sha256(orjson.dumps(fields)).digest()

    # ---- the tree

    def _next_end(self, wanted: int) -> int:
        """Return where to stop on the way: at a checkpoint, or at the end of the tiles."""
        stops = [head.checkpoint.size for head in self._waiting[:1]]
        if self._done < self._size:
            stops.append(self._size)
        return min([wanted, *(stop for stop in stops if stop > self._done)])

    def _extend(self, hashes: Sequence[bytes] | None, end: int) -> None:
        if hashes is None:
            self._whole = False
        elif self._whole:
            for tile, content in self._edge.extend(hashes):
                self._check_tile(tile, content)
        self._done = end
        self._check_heads()

    def _check_tile(self, tile: Tile, content: bytes) -> None:
        """Compare a tile above level 0 with that of the evidence; those of smaller trees are not needed any more."""
        width = (self._size >> (TILE_HEIGHT * tile.level)) - tile.index * TILE_WIDTH
        if tile.level and tile.width == min(width, TILE_WIDTH):
            try:
                fits = b"".join(self._tiles.tile_hashes(tile.level, tile.index)) == content
            except TransparencyError:
                fits = False
            if not fits:
                self._damaged(f"{tile.path} is missing, or is not that of the tiles below it")

    def _check_heads(self) -> None:
        while self._waiting and self._waiting[0].checkpoint.size <= self._done:
            self._check_head(self._waiting.pop(0))

    def _check_head(self, head: GivenHead) -> None:
        size = head.checkpoint.size
        if self._root_of(size) == head.checkpoint.root:
            self.fitting.append(head)
            return
        if self._wrong is not None and self._wrong <= size:
            why = f"{head.name}: neither the rows nor the tiles lead to it"
        else:
            why = f"{head.name}: rows and tiles agree with each other, and lead to another root"
        self.findings.add(Finding(Kind.CONTRADICTION, self._undisputed(size) + 1, size, about=why))

    def _undisputed(self, size: int) -> int:
        """Return the size of the last smaller checkpoint from outside that fits; others are those of a suspect."""
        sizes = [head.checkpoint.size for head in self.fitting if head.outside]
        return max([self._start, *(one for one in sizes if one < size)])

    def _root_of(self, size: int) -> bytes | None:
        """Return the root of the first leaves; None where not all of them are known."""
        if not self._whole:
            return None
        if size == self._edge.size:
            return self._edge.root()
        # Before the trusted head, which the tiles lead to.
        return range_hash(0, size, self._tiles.node) if size else EMPTY_ROOT

    # ---- notes

    def _is_wrong(self, number: int) -> None:
        self._wrong = number if self._wrong is None else min(number, self._wrong)

    def _damaged(self, why: str) -> None:
        if why in self._damages:
            return
        self._damages.add(why)
        self.findings.add(Finding(Kind.DAMAGED_EVIDENCE, about=why))


def _edge_of(source: TreeSource, start: Checkpoint | None) -> TileEdge:
    if start is None:
        return TileEdge()
    reader = source.tiles(start.size)
    if reader.root() != start.root:
        raise TransparencyError(f"the tiles do not lead to the trusted checkpoint of {start.size:,}")
    return TileEdge.read(reader)
