"""Evidence is read alike from a folder and from the URL where the audit serves it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.ops.evidence.sources import EvidenceSource, EvidenceUnavailableError, evidence_at
from shared.process.health import Health, serve_http
from shared.process.tree_files import PREFIX, tree_files
from shared.transparency.errors import TransparencyError
from tests.real_servers import free_port
from tests.transparency.stored_tree import StoredTree

ENTRIES = [b"entry %d" % number for number in range(300)]


@pytest.fixture
def files(folder: Path) -> Path:
    stored = StoredTree()
    stored.add(ENTRIES)
    for path, content in stored.files.items():
        (folder / "events" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "events" / path).write_bytes(content)
    (folder / "events" / "checkpoint").write_bytes(b"signed")
    return folder


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    async def health() -> Health:
        return Health("audit", {})

    async def metrics() -> bytes:
        return b""

    port = free_port()
    async with serve_http(port, health, metrics, routes={PREFIX: tree_files(folder)}):
        yield f"http://127.0.0.1:{port}"


def everything(source: EvidenceSource) -> None:
    tree = source.tree("events")
    assert tree.checkpoint() == b"signed"
    assert len(tree.tiles(300).leaf_hashes(0, 300)) == 300
    assert tree.entries(0) == ENTRIES[:256]
    # The partial bundle of a smaller tree gave way to a larger one.
    assert tree.entries(1, 44) == ENTRIES[256:]
    assert tree.entry(299, 300) == ENTRIES[299]
    with pytest.raises(FileNotFoundError):
        source.tree("journal").checkpoint()
    assert source.verifier_keys() == []


def test_a_folder(files: Path) -> None:
    everything(evidence_at(str(files)))


@pytest.mark.parametrize("ending", ["", "/", "/tlog", "/tlog/"])
async def test_a_url(files: Path, ending: str) -> None:
    async with served(files) as url:
        await asyncio.to_thread(everything, evidence_at(url + ending))


def test_places_without_evidence_are_errors_that_name_them(folder: Path) -> None:
    with pytest.raises(EvidenceUnavailableError, match="no folder /nowhere"):
        evidence_at("/nowhere")
    with pytest.raises(EvidenceUnavailableError, match="does not answer"):
        evidence_at(f"http://127.0.0.1:{free_port()}").tree("events").checkpoint()


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data[:40]])
def test_a_bundle_that_ends_early_is_an_error(files: Path, spoil: Callable[[bytes], bytes]) -> None:
    bundle = files / "events" / "tile" / "entries" / "001.p" / "44"
    bundle.write_bytes(spoil(bundle.read_bytes()))
    with pytest.raises(TransparencyError):
        evidence_at(str(files)).tree("events").entry(299, 300)
