"""The files of a tree over HTTP: as tlog-tiles says, and nothing beside them."""

import asyncio
import gzip
import http.client
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.process import health as health_page
from shared.process.health import Health
from shared.process.tree_files import PREFIX, tree_files
from tests.real_servers import free_port

FILES = {
    "verifier-keys": b"log.example+1+a\n",
    "events/checkpoint": b"log.example\n1\n",
    "events/tile/0/000": b"full",
    "events/tile/0/x001/x234/067.p/255": b"partial",
    "journal/tile/63/000": b"top",
    "journal/tile/entries/000.p/1": b"entries",
}
NO_NAMES = (
    "", "events", "events/", "heads/events", "evidence-keys/1/ed25519.pem", "../secret", "events/../../secret",
    "events/tile/../../../secret", "events/tile/0/..%2f..%2fsecret", "%2e%2e/secret", "events/tile/64/000",
    "events/tile/00/000", "events/tile/0/x000", "events/tile/0/0000", "events/tile/0/000.p/256",
    "events/tile/0/000.p/0", "events/tile/0/000.p/01", "events/tile/0/000.p", "other/checkpoint", "events/checkpoint/",
    "/verifier-keys",
)  # fmt: skip


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[int]:
    """The port of a process with these files."""
    for name, content in {**{f"evidence/{name}": content for name, content in FILES.items()}, "secret": b"!"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "evidence" / "heads").mkdir()
    (folder / "evidence" / "heads" / "events").write_bytes(b"head")

    async def healthy() -> Health:
        return Health("audit", {"process": "ok"}, {"evidence": "events: it is another log"})

    async def page() -> bytes:
        return b""

    port = free_port()
    async with health_page.serve_http(port, healthy, page, routes={PREFIX: tree_files(folder / "evidence")}):
        yield port


async def get(port: int, path: str, encoding: str = "identity") -> tuple[int, dict[str, str], bytes]:
    def ask() -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path, headers={"Accept-Encoding": encoding})
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


@pytest.mark.parametrize("name", FILES)
async def test_each_file_has_its_type_and_how_long_it_may_be_kept(folder: Path, name: str) -> None:
    async with served(folder) as port:
        status, headers, body = await get(port, f"{PREFIX}{name}")
    assert (status, body) == (200, FILES[name])
    if "tile" in name:
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    else:
        assert headers["Content-Type"] == "text/plain; charset=utf-8"
        assert headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", NO_NAMES)
async def test_nothing_else_is_looked_up(folder: Path, name: str) -> None:
    async with served(folder) as port:
        status, _, body = await get(port, f"{PREFIX}{name}")
    assert status == 404
    assert b"secret" not in body


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("identity", False), ("gzip;q=0", False), ("gzipped", False)],
)
async def test_bundles_are_compressed_where_the_caller_accepts_it(
    folder: Path, encoding: str, *, compressed: bool
) -> None:
    name = "journal/tile/entries/000.p/1"
    async with served(folder) as port:
        _, headers, body = await get(port, f"{PREFIX}{name}", encoding)
        _, of_tile, _ = await get(port, f"{PREFIX}events/tile/0/000", encoding)
    assert (headers.get("Content-Encoding") == "gzip") == compressed
    assert (gzip.decompress(body) if compressed else body) == FILES[name]
    assert "Content-Encoding" not in of_tile


async def test_a_tile_that_is_not_made_yet_is_not_found(folder: Path) -> None:
    async with served(folder) as port:
        assert (await get(port, f"{PREFIX}events/tile/0/001"))[0] == 404
        assert (await get(port, f"{PREFIX}journal/checkpoint"))[0] == 404


async def test_a_warning_is_shown_and_leaves_the_process_ready(folder: Path) -> None:
    async with served(folder) as port:
        status, _, body = await get(port, "/health/ready")
    assert status == 200
    assert b'"warnings":{"evidence":"events: it is another log"}' in body
