"""The evidence within a whole audit service: on NATS, over HTTP, in `Coverage`, in metrics and in readiness."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.audit.app import wire
from shared.messaging.service import Service
from shared.process.health import serve_http
from shared.process.settings import Settings
from shared.process.tree_files import TREES
from shared.transparency.checkpoints import parse_checkpoint
from shared.transparency.merkle import leaf_hash
from shared.transparency.notes import parse_note
from tests.audit.evidence.making import Evidence, leaves_of, opened, require_no_contradiction, signed, until
from tests.audit.evidence.test_killed import collected
from tests.audit.past import Past, past_in, run
from tests.audit.test_service import AUDITOR, ask
from tests.connections.given_when_then import COMPANY
from tests.inbox_views.stories import Bus, eventually, is_ready, on_bus
from tests.metrics_page import Page
from tests.real_servers import RunningNats, free_port


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        made.give(*COMPANY)
        yield made


@asynccontextmanager
async def audited(past: Past, nats_url: str, *places: Evidence) -> AsyncIterator[list[Service]]:
    """One audit service for each folder, all of them ready."""
    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(_service(past, nats_url, one)) for one in places]
        for service in services:
            await eventually(partial(is_ready, service))
        yield services


@asynccontextmanager
async def _service(past: Past, nats_url: str, place: Evidence) -> AsyncIterator[Service]:
    settings = Settings(
        nats_url=nats_url,
        postgres_url=past.url,
        http_port=0,
        evidence_dir=place.folder,
        evidence_keys_dir=place.keys,
        evidence_name="log.example",
        checkpoint_seconds=0.1,
    )
    service = Service("audit", settings)
    await service.connect()
    try:
        async with wire(service):
            service.started = True
            yield service
    finally:
        service.stopping.set()
        await service.broker.stop()


async def proof(bus: Bus, past: Past) -> dict[str, Any]:
    told = await ask(bus, "Coverage", past)
    assert told.error is None, told
    return {one["tree"]: one for one in told.result["proof"]}


async def test_checkpoints_are_published_and_served_and_told(past: Past, nats: RunningNats, folder: Path) -> None:
    evidence = Evidence(folder)
    async with collected(nats.url) as notes, on_bus(nats.url) as bus, audited(past, nats.url, evidence) as (service,):
        heads = await signed(past.url, evidence)
        await until(lambda: {parse_checkpoint(parse_note(note).text) for _, note in notes} >= set(heads.values()))
        port = free_port()
        async with serve_http(port, service.health, service.metrics_page, routes=service.routes):
            await require_served(port, past, evidence)
            page = Page((await get(port, "/metrics")).decode())
        for tree, head in heads.items():
            assert page.value("switchboard_evidence_size", tree=tree) == head.size
            assert page.value("switchboard_evidence_unprotected", tree=tree) == 0
            assert page.value("switchboard_evidence_signing", tree=tree) == 1
        assert page.value("switchboard_evidence_following") == 1
        found = await proof(bus, past)
        for tree, head in heads.items():
            told = found[tree]
            assert (told["origin"], told["size"], told["behind"]) == (head.origin, head.size, 0)
            assert (told["error"], told["witnessed"], told["seconds"] >= 0) == (None, [], True)
            assert told["time"].endswith("Z")
    require_no_contradiction([(tree, note) for tree, note in notes if ours(note, evidence)], evidence)


def ours(note: bytes, evidence: Evidence) -> bool:
    origins = {key.name for key in evidence.verifier_keys()}
    return parse_checkpoint(parse_note(note).text).origin in origins


async def require_served(port: int, past: Past, evidence: Evidence) -> None:
    """Whoever has the port alone can verify the last checkpoint and the leaves under it."""
    note = await get(port, "/tlog/events/checkpoint")
    assert (await get(port, "/tlog/verifier-keys")).decode() == (evidence.folder / "verifier-keys").read_text()
    head = opened(note, evidence.verifier_keys())
    leaves = (await leaves_of(past.url))["events"]
    tile = await get(port, f"/tlog/events/tile/0/000.p/{head.size}")
    assert tile == b"".join(map(leaf_hash, leaves))


async def get(port: int, path: str) -> bytes:
    def read() -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
            found: bytes = reply.read()
            return found

    return await asyncio.to_thread(read)


async def test_a_tree_that_is_not_signed_leaves_questions_alone(past: Past, nats: RunningNats, folder: Path) -> None:
    evidence = Evidence(folder)
    async with on_bus(nats.url) as bus, audited(past, nats.url, evidence) as (service,):
        heads = await signed(past.url, evidence)
        end = heads["events"].size
        run(past.url, f"UPDATE connections.events SET state = state || ' ' WHERE notification_id = {end}")
        expected = f"the log has another event at position {end} than was hashed"
        await until(lambda: service.warnings.keys() == {"evidence"})

        async def warned() -> bool:
            return (await service.health()).warnings == {"evidence": f"events: {expected}"}

        await eventually(warned)
        assert (await service.health()).ready
        found = await proof(bus, past)
        assert (found["events"]["error"], found["journal"]["error"]) == (expected, None)
        page = Page((await service.metrics_page()).decode())
        assert page.value("switchboard_evidence_signing", tree="events") == 0
        assert page.value("switchboard_evidence_signing", tree="journal") == 1
        assert (await bus.ask("Timeline", actor=AUDITOR)).error is None


async def test_a_folder_that_cannot_be_written_shows_in_the_metrics(
    past: Past, nats: RunningNats, folder: Path
) -> None:
    evidence = Evidence(folder)
    async with audited(past, nats.url, evidence) as (service,):
        await signed(past.url, evidence)
        heads = evidence.folder / "heads"
        heads.rename(evidence.folder / "heads-before")
        heads.write_text("")
        past.live(5, 20)

        async def says() -> bool:
            page = Page((await service.metrics_page()).decode())
            return all(page.value("switchboard_evidence_signing", tree=tree) == 0 for tree in TREES)

        await eventually(says)
        heads.unlink()
        (evidence.folder / "heads-before").rename(heads)
        await signed(past.url, evidence)


async def test_of_two_services_one_signs(past: Past, nats: RunningNats, folder: Path) -> None:
    one = Evidence(folder, "one")
    other = Evidence(folder, "other", one.keys)
    async with audited(past, nats.url, one, other) as services:
        await until(lambda: bool(one.heads()) != bool(other.heads()))
        pages = [Page((await service.metrics_page()).decode()) for service in services]
        assert sum(page.value("switchboard_evidence_following") for page in pages) == 1


async def test_without_a_place_no_checkpoints_are_made(past: Past, nats: RunningNats) -> None:
    settings = Settings(nats_url=nats.url, postgres_url=past.url, http_port=0)
    service = Service("audit", settings)
    await service.connect()
    async with on_bus(nats.url) as bus, wire(service):
        service.started = True
        await eventually(lambda: is_ready(service))
        assert await proof(bus, past) == {}
    await service.broker.stop()
