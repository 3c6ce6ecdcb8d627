"""A growing tree leaves exactly the files that tlog-tiles wants, however its leaves arrive, loaded again or not."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.audit.evidence.folder import TreeFolder
from services.audit.evidence.growth import GrowingTree
from shared.transparency.errors import TransparencyError
from shared.transparency.tiles import entries_of, entries_path, tiles_between
from tests.real_servers import new_folder
from tests.transparency import naive_tree

# Sums of the first ones are often full tiles.
COUNTS = st.sampled_from([56, 128, 200, 256, 512]) | st.integers(1, 700)


def leaves(start: int, count: int) -> list[bytes]:
    return [f"leaf {number}".encode() for number in range(start, start + count)]


def files(folder: Path) -> set[str]:
    return {one.relative_to(folder / "events").as_posix() for one in folder.rglob("*") if one.is_file()}


def expected(sizes: list[int]) -> set[str]:
    """The files after edges were written at these sizes, the last of them the present one."""
    full = {tile.path for tile in tiles_between(0, sizes[-1]) if tile.width == 256}
    found = set(full)
    for size in sizes:
        for tile in tiles_between(0, size):
            full_path = tile.path.partition(".p/")[0]
            if full_path not in full:
                found.add(tile.path)
    bundles = {path.replace("tile/0/", "tile/entries/") for path in found if path.startswith("tile/0/")}
    return found | bundles


@settings(deadline=None, max_examples=25)
@example([(200, False, False), (56, False, False)])
@given(st.lists(st.tuples(COUNTS, st.booleans(), st.booleans()), min_size=1, max_size=6))
def test_the_files_are_those_of_the_sizes_that_were_written(steps: list[tuple[int, bool, bool]]) -> None:
    with new_folder() as path:
        folder = TreeFolder(path, "events")
        tree, sizes = GrowingTree(folder), [0]
        for count, writes, loads in steps:
            tree.append(leaves(tree.size, count))
            if writes or loads:
                tree.write_edge()
                sizes.append(tree.size)
            if loads:
                tree = GrowingTree.load(folder, tree.size)
        tree.write_edge()
        sizes.append(tree.size)
        assert files(path) == expected(sizes)
        every = leaves(0, tree.size)
        assert tree.root() == GrowingTree.load(folder, tree.size).root() == naive_tree.root(every)
        for index in range(-(-tree.size // 256)):
            part = every[index * 256 : index * 256 + 256]
            assert entries_of(folder.read(entries_path(index, len(part)))) == part


@pytest.mark.parametrize("size", [255, 256, 257, 65_535, 65_536, 65_537])
def test_it_goes_on_from_the_edges_of_tiles(folder: Path, size: int) -> None:
    place = TreeFolder(folder, "events")
    tree = GrowingTree(place)
    tree.append(leaves(0, size))
    tree.write_edge()
    later = GrowingTree.load(place, size)
    later.append(leaves(size, 3))
    assert later.root() == naive_tree.root(leaves(0, size + 3))


def test_a_size_below_the_edge_is_loaded_from_full_tiles(folder: Path) -> None:
    place = TreeFolder(folder, "events")
    tree = GrowingTree(place)
    tree.append(leaves(0, 200))
    tree.write_edge()
    tree.append(leaves(200, 100))
    assert GrowingTree.load(place, 200).root() == naive_tree.root(leaves(0, 200))
    with pytest.raises((FileNotFoundError, TransparencyError)):
        GrowingTree.load(place, 299)
