"""A whole Switchboard moves to another PostgreSQL by a bundle, and answers what it answered before."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.client import connect
from tests import command_line
from tests.ops.audit.story import AUDITOR, SUPPORT, play
from tests.ops.evidence.bundles import verify_elsewhere
from tests.real_servers import RunningPostgres, RunningSwitchboard

QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Address", {"address": SUPPORT}),
    ("Addresses", {}),
    ("Inboxes", {}),
    ("Users", {}),
    ("Teams", {}),
    ("Account", {}),
    ("Usage", {}),
    ("Identities", {"user": "cleo"}),
    ("Resolve", {"recipients": [SUPPORT], "sender": "somebody@else.example"}),
    ("Timeline", {}),
    ("Refusals", {}),
    ("Access", {"address": SUPPORT, "from": 1}),
    ("Leavers", {}),
)


@contextmanager
def switchboard_on(url: str, folder: Path) -> Iterator[RunningSwitchboard]:
    folder.mkdir()
    made = RunningSwitchboard(folder, {"SWITCHBOARD_POSTGRES_URL": url, "SWITCHBOARD_CHECKPOINT_SECONDS": "0.2"})
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def empty(postgres: RunningPostgres) -> Iterator[str]:
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)


async def test_a_moved_switchboard_answers_the_same_and_goes_on(database: str, empty: str, folder: Path) -> None:
    with switchboard_on(database, folder / "old") as old:
        async with connect(old.nats_url) as switchboard:
            await play(switchboard.account("acme", "service:tests"))
        end = await end_when_signed(old)
        before = await answers(old, end)
        bundle = await moved(old, database, empty, folder)
    assert verify_elsewhere(bundle)[0] == 0
    with switchboard_on(empty, folder / "new") as new:
        assert await answers(new, end) == before
        async with connect(new.nats_url) as switchboard:
            accepted = await switchboard.request(
                "switchboard.command.v1.acme.CreateInbox", {"actor": "ana", "inbox": "moved", "name": "Moved"}
            )
        assert (accepted["outcome"], accepted["position"]) == ("accepted", end + 1)


async def moved(old: RunningSwitchboard, source: str, target: str, folder: Path) -> Path:
    """Export and import; return the bundle."""
    bundle, evidence = folder / "bundle", old.data_dir / "data" / "evidence"
    words = ("--to", str(bundle), "--evidence", str(evidence), "--postgres", source)
    ended = await command_line.run("audit", "export", *words, merged=True)
    assert (ended.code, "not part of it" in ended.output) == (0, False), ended.output
    ended = await command_line.run("audit", "import", str(bundle), "--postgres", target, merged=True)
    assert ended.code == 0, ended.output
    return bundle


async def answers(running: RunningSwitchboard, at_least: int) -> dict[str, Any]:
    """The results of all questions, from that position on."""
    found = {}
    async with connect(running.nats_url, timeout=60) as switchboard:
        for name, fields in QUESTIONS:
            body = {"actor": AUDITOR, **fields} if name in {"Timeline", "Refusals", "Access", "Leavers"} else fields
            request = {"actor": "ana", "at_least": at_least, "wait_ms": 20_000, **body}
            async with asyncio.timeout(60):
                while "result" not in (
                    answer := await switchboard.request(f"switchboard.query.v1.acme.{name}", request)
                ):
                    await asyncio.sleep(0.1)
            found[name] = answer["result"]
    return found


async def end_when_signed(running: RunningSwitchboard) -> int:
    """The position of the last event, as soon as the checkpoints have the whole log."""
    async with connect(running.nats_url) as switchboard, asyncio.timeout(60):
        while True:
            answer = await switchboard.request("switchboard.query.v1.acme.Coverage", {"actor": AUDITOR})
            found = answer.get("result", {})
            if found.get("proof") and all(one["behind"] == 0 and one["time"] for one in found["proof"]):
                return int(found["log"]["position"])
            await asyncio.sleep(0.1)
