"""`switchboard audit verify` as people and scripts use it: exit codes, JSON, and what it says."""

import json
from collections.abc import AsyncIterator

import pytest

from services.audit.evidence.heads import TREES, begin_origin
from shared.process.postgres import DirectAsync
from tests import command_line
from tests.audit.evidence.making import NAME, following, until
from tests.command_line import Ended
from tests.ops.evidence import attacks
from tests.ops.evidence.attacks import as_owner
from tests.ops.evidence.signed_log import SignedLog, signed_log
from tests.real_servers import free_port


@pytest.fixture
async def log(database: str) -> AsyncIterator[SignedLog]:
    async with signed_log(database, users=40) as made:
        yield made


async def verify(log: SignedLog, *arguments: str, url: str | None = None) -> Ended:
    place = () if "--evidence" in arguments else ("--evidence", str(log.evidence.folder))
    parts = () if "--from" in arguments else ("--only", "log")
    return await command_line.run(
        "audit", "verify", *place, *parts, "--postgres", url or log.url, *arguments, environment={"COLUMNS": "80"}
    )


async def test_a_sound_log(log: SignedLog) -> None:
    kept = log.keep("kept")
    given = [part for path in kept for part in ("--checkpoint", path)]
    keys = ("--key", str(log.evidence.folder / "verifier-keys"))
    ended = await verify(log, *given, *keys)
    assert (ended.code, ended.errors) == (0, "")
    assert "Sound: no difference was found." in ended.output
    assert f"by a checkpoint from outside up to position {log.size('events'):,}" in ended.output
    assert "Keep a copy" not in ended.output
    assert "beside the evidence" not in ended.output
    assert max(map(len, ended.output.splitlines())) <= 80
    incremental = await verify(log, "--from", kept[0], "--from", kept[1])
    assert (incremental.code, incremental.output.count("0 events after the trusted checkpoint")) == (0, 1)


async def test_what_nobody_from_outside_attests_is_said(log: SignedLog) -> None:
    log.past.live(3, 40)
    ended = await verify(log)
    assert ended.code == 0
    words = " ".join(ended.output.split())
    assert "Keep a copy of each checkpoint elsewhere" in words
    assert "A copy of the keys that you keep elsewhere is better" in words
    assert f"since position {log.size('events') + 1:,}" in words


async def test_a_checkpoint_of_a_former_origin_says_how_it_is_verified(log: SignedLog) -> None:
    kept, _ = log.keep("kept")
    async with await DirectAsync.connect(log.url, autocommit=True) as connection:
        origins = await begin_origin(connection, NAME, "a backup was restored")
    async with following(log.url, log.evidence):
        await until(lambda: [head.origin for head in log.evidence.heads().values()] == origins)
    ended = await verify(log, "--checkpoint", kept)
    assert ended.code == 1
    words = " ".join(ended.output.split())
    assert "The evidence is of another origin" in words
    former = log.evidence.folder / "former"
    keys = [part for tree in TREES for part in ("--key", str(former / tree / "verifier-keys"))]
    ended = await verify(log, "--checkpoint", kept, "--evidence", str(former), *keys)
    assert (ended.code, "by a checkpoint from outside" in ended.output) == (0, True)


async def test_findings(log: SignedLog) -> None:
    with as_owner(log.url) as owner:
        attacks.change_byte(owner, 7)
        attacks.delete(owner, "journal", 9)
    ended = await verify(log)
    assert (ended.code, ended.errors) == (1, "")
    words = " ".join(ended.output.split())
    assert "changed at position 7" in words
    assert "missing at ordinal 9" in words
    assert "NOT SOUND." in words
    found = json.loads((await verify(log, "--json")).output)
    assert found["verdict"] == "findings"
    assert [tree["findings"] for tree in found["log"]] == [
        [{"kind": "changed", "first": 7, "last": 7, "to": None, "about": None}],
        [{"kind": "missing", "first": 9, "last": 9, "to": None, "about": None}],
    ]


async def test_what_cannot_be_read(log: SignedLog) -> None:
    port = free_port()
    away = await verify(log, "--json", url=f"postgresql://127.0.0.1:{port}/x")
    assert away.code == 3
    assert json.loads(away.output)["verdict"] == "not_read"
    assert str(port) in json.loads(away.output)["log"]["not_read"]
    nowhere = await verify(log, "--evidence", f"http://127.0.0.1:{port}")
    assert (nowhere.code, "does not answer" in nowhere.output) == (3, True)
    empty = await verify(log, "--evidence", str(log.folder))
    assert empty.code == 3
    assert "There is no checkpoint of events" in " ".join(empty.output.split())


@pytest.mark.parametrize("option", ["--checkpoint", "--from", "--key"])
async def test_a_file_that_is_none_of_these_is_wrong_usage(log: SignedLog, option: str) -> None:
    wrong = log.folder / "wrong"
    wrong.write_text("nothing")
    ended = await verify(log, option, str(wrong))
    assert ended.code == 2
    assert "wrong" in ended.errors
