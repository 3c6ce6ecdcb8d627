"""A log's files have the names and the content of tlog-tiles, and a tree is read back from them."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.transparency.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    leaf_hashes,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from shared.transparency.tiles import (
    InvalidTileError,
    MissingTileError,
    Tile,
    TileEdge,
    TileReader,
    bundle,
    entries_of,
    entries_path,
    hashes_of,
    tile_path,
    tiles_between,
)
from tests.transparency import naive_tree
from tests.transparency.stored_tree import StoredTree

SIZES = [0, 1, 2, 255, 256, 257, 511, 512, 513, 1000]


def entries(count: int) -> list[bytes]:
    return [f"entry {number}".encode() for number in range(count)]


@pytest.fixture(scope="module")
def large() -> StoredTree:
    """70,000 entries, the example of the specification."""
    tree = StoredTree()
    tree.add(entries(70_000))
    return tree


@pytest.mark.parametrize(
    ("index", "path"),
    [
        (0, "000"),
        (7, "007"),
        (999, "999"),
        (1_000, "x001/000"),
        (67_123, "x067/123"),
        (1_234_067, "x001/x234/067"),
        (2**55 - 1, "x036/x028/x797/x018/x963/967"),
    ],
)
def test_the_path_of_a_tile_has_its_index_in_groups_of_three_digits(index: int, path: str) -> None:
    assert tile_path(0, index) == f"tile/0/{path}"
    assert tile_path(63, index, 1) == f"tile/63/{path}.p/1"
    assert entries_path(index) == f"tile/entries/{path}"
    assert entries_path(index, 255) == f"tile/entries/{path}.p/255"


@pytest.mark.parametrize(("level", "index", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)])
def test_there_is_no_path_of_a_tile_that_cannot_be(level: int, index: int, width: int) -> None:
    with pytest.raises(InvalidTileError):
        tile_path(level, index, width)


def test_the_tree_of_the_specification_has_the_tiles_that_it_names() -> None:
    full = [*(Tile(0, index) for index in range(273)), Tile(0, 273, 112)]
    assert list(tiles_between(0, 70_000)) == [*full, Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert list(tiles_between(0, 256)) == [Tile(0, 0), Tile(1, 0, 1)]


def test_only_tiles_that_have_changed_are_between_two_sizes() -> None:
    assert list(tiles_between(5, 5)) == []
    assert list(tiles_between(0, 0)) == []
    assert list(tiles_between(255, 257)) == [Tile(0, 0), Tile(0, 1, 1), Tile(1, 0, 1)]
    assert list(tiles_between(257, 300)) == [Tile(0, 1, 44)]
    with pytest.raises(InvalidTileError, match="a tree of 5 leaves does not become one of 4"):
        list(tiles_between(5, 4))


def test_the_files_of_a_log_are_its_tiles_and_bundles(large: StoredTree) -> None:
    tiles = list(tiles_between(0, 70_000))
    bundles = [entries_path(tile.index, tile.width) for tile in tiles if tile.level == 0]
    assert sorted(large.files) == sorted([tile.path for tile in tiles] + bundles)
    assert all(len(large.files[tile.path]) == 32 * tile.width for tile in tiles)


def test_an_upper_tile_has_the_roots_of_full_tiles_below(large: StoredTree) -> None:
    for level, index, at in ((1, 0, 0), (1, 0, 255), (1, 1, 16), (2, 0, 0)):
        width = {(1, 1): 17, (2, 0): 1}.get((level, index), 256)
        below = large.files[tile_path(level - 1, index * 256 + at)]
        assert hashes_of(large.files[tile_path(level, index, width)])[at] == tree_root(hashes_of(below))


def test_each_entry_of_a_bundle_hashes_to_its_place_in_the_tile(large: StoredTree) -> None:
    for index, width in ((0, 256), (272, 256), (273, 112)):
        of_bundle = entries_of(large.files[entries_path(index, width)])
        assert leaf_hashes(of_bundle) == hashes_of(large.files[tile_path(0, index, width)])


@pytest.mark.parametrize("size", SIZES)
def test_a_tree_is_read_back_from_its_tiles(size: int) -> None:
    tree = StoredTree()
    tree.add(entries(size))
    reader = tree.reader()
    assert reader.leaf_hashes(0, size) == leaf_hashes(entries(size))
    assert reader.root() == tree.edge.root() == naive_tree.root(entries(size))
    for index in {0, size // 2, size - 1} & set(range(size)):
        proof = inclusion_proof(index, size, reader.node)
        assert proof == naive_tree.path(index, entries(size))
    for old in {1, 2, size // 2, size} & set(range(1, size + 1)):
        assert consistency_proof(old, size, reader.node) == naive_tree.proof(old, entries(size))


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 70_000])
def test_a_smaller_tree_is_read_from_the_tiles_of_a_larger_one(large: StoredTree, size: int) -> None:
    reader, whole = large.reader(size), large.reader()
    root = tree_root(leaf_hashes(large.entries[:size]))
    assert reader.root() == root
    verify_consistency(size, root, 70_000, whole.root(), consistency_proof(size, 70_000, whole.node))
    for index in {0, 255, 256, 65_535, size - 1} & set(range(size)):
        leaf = leaf_hash(large.entries[index])
        verify_inclusion(leaf, index, size, inclusion_proof(index, size, reader.node), root)


def test_leaf_hashes_are_read_from_any_place_to_any_other(large: StoredTree) -> None:
    reader = large.reader()
    for start, end in ((0, 0), (0, 1), (255, 257), (256, 512), (300, 900), (69_999, 70_000), (70_000, 70_000)):
        assert reader.leaf_hashes(start, end) == leaf_hashes(large.entries[start:end])
    for start, end in ((-1, 1), (2, 1), (0, 70_001)):
        with pytest.raises(InvalidTileError, match=f"a tree of 70000 leaves does not have those from {start} to {end}"):
            reader.leaf_hashes(start, end)


def test_a_node_that_is_not_full_yet_is_refused(large: StoredTree) -> None:
    for level, index in ((0, 70_000), (4, 4_375), (8, 273), (16, 1), (17, 0)):
        with pytest.raises(InvalidTileError):
            large.reader().node(level, index)
    with pytest.raises(InvalidTileError, match="a tree of 70000 leaves does not have tile 274 on level 0"):
        large.reader().node(0, 274 * 256)


def test_a_partial_tile_that_is_gone_is_cut_out_of_the_full_one(large: StoredTree) -> None:
    read: list[str] = []

    def recorded(path: str) -> bytes:
        read.append(path)
        return large.read(path)

    assert TileReader(recorded, 300).leaf_hashes(256, 300) == leaf_hashes(large.entries[256:300])
    assert read == ["tile/0/001.p/44", "tile/0/001"]


def test_a_tile_that_is_missing_is_named() -> None:
    tree = StoredTree()
    tree.add(entries(300))
    del tree.files["tile/0/001.p/44"]
    with pytest.raises(MissingTileError, match="tile/0/001 is missing"):
        tree.reader().root()


@pytest.mark.parametrize("path", ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"])
def test_a_tile_of_another_length_is_named(path: str) -> None:
    tree = StoredTree()
    tree.add(entries(300))
    tree.files[path] += b"\x00"
    with pytest.raises(InvalidTileError, match=f"{path} has {len(tree.files[path])} bytes"):
        TileEdge.read(tree.reader()).extend(tree.reader().leaf_hashes(0, 300))


def test_a_full_tile_of_another_length_is_named_where_a_partial_one_is_cut_out_of_it(large: StoredTree) -> None:
    files = {"tile/0/001": large.files["tile/0/001"][:-32]}

    def read(path: str) -> bytes:
        try:
            return files[path]
        except KeyError as error:
            raise FileNotFoundError(path) from error

    with pytest.raises(InvalidTileError, match="tile/0/001 has 8160 bytes, not 8192"):
        TileReader(read, 300).leaf_hashes(256, 300)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=6))
def test_an_edge_makes_the_tiles_between_sizes_however_the_tree_grows(steps: Sequence[int]) -> None:
    hashes = leaf_hashes(entries(sum(steps)))
    edge, frontier, files = TileEdge(), Frontier(), dict[str, bytes]()
    size = 0
    for step in steps:
        tiles = edge.extend(hashes[size : size + step])
        assert [tile for tile, _ in tiles] == list(tiles_between(size, size + step))
        size += step
        files |= {tile.path: data for tile, data in tiles}
        frontier.extend(hashes[size - step : size])
        assert edge.root() == frontier.root()
        edge = TileEdge.read(TileReader(files.__getitem__, size))
        assert (edge.size, edge.root()) == (size, frontier.root())


def test_an_edge_grows_over_two_levels_of_tiles(large: StoredTree) -> None:
    edge = TileEdge()
    hashes = leaf_hashes(large.entries)
    tiles = dict(edge.extend(hashes[:65_535]))
    assert edge.extend(hashes[65_535:65_536])[0][0] == Tile(0, 255)
    tiles |= dict(edge.extend(hashes[65_536:]))
    assert edge.root() == large.edge.root()
    assert tiles[Tile(1, 1, 17)] == large.files["tile/1/001.p/17"]


def test_an_edge_with_partial_tiles_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidTileError, match=r"the partial tiles of 257 leaves have the widths \[1, 1\]"):
        TileEdge(257, [[EMPTY_ROOT]])


def test_a_bundle_has_each_entry_after_its_length() -> None:
    assert bundle([]) == b""
    assert bundle([b"", b"a", b"b" * 258]) == b"\x00\x00" + b"\x00\x01a" + b"\x01\x02" + b"b" * 258


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_entries_come_back_out_of_a_bundle(written: list[bytes]) -> None:
    assert entries_of(bundle(written)) == written


def test_a_bundle_has_entries_of_up_to_65535_bytes_and_256_of_them() -> None:
    longest = hashlib.sha256(b"").digest() * 2048
    assert entries_of(bundle([longest[:65_535]])) == [longest[:65_535]]
    with pytest.raises(InvalidTileError, match="an entry has at most 65535 bytes, not 65536"):
        bundle([longest])
    with pytest.raises(InvalidTileError, match="a bundle has at most 256 entries, not 257"):
        bundle([b""] * 257)


@pytest.mark.parametrize(
    ("data", "place"),
    [(b"\x00", "the length of entry 0"), (b"\x00\x01", "entry 0"), (b"\x00\x01a\x00\x02b", "entry 1")],
)
def test_a_bundle_that_ends_too_early_is_refused(data: bytes, place: str) -> None:
    with pytest.raises(InvalidTileError, match=f"the bundle ends within {place}"):
        entries_of(data)


def test_a_tile_that_ends_within_a_hash_is_refused() -> None:
    with pytest.raises(InvalidTileError, match="a tile has a multiple of 32 bytes, not 33"):
        hashes_of(b"x" * 33)
