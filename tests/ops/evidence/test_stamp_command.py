"""`switchboard audit stamp`: openssl verifies what it keeps, and verify shows since when the log was so."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests import command_line
from tests.command_line import Ended
from tests.evidence.small_authority import SmallAuthority, openssl, stamping
from tests.ops.evidence.signed_log import SignedLog, signed_log
from tests.real_servers import free_port


@pytest.fixture
async def log(database: str) -> AsyncIterator[SignedLog]:
    async with signed_log(database, users=20) as made:
        yield made


@pytest.fixture
def authority(folder: Path) -> Iterator[SmallAuthority]:
    with stamping(folder) as made:
        yield made


async def audit(log: SignedLog, *arguments: str) -> Ended:
    place = ("--evidence", str(log.evidence.folder))
    return await command_line.run("audit", *arguments, *place, environment={"COLUMNS": "80"})


async def test_checkpoints_are_kept_with_their_stamps(log: SignedLog, authority: SmallAuthority) -> None:
    kept, roots = log.folder / "kept", str(authority.folder / "root.pem")
    done = await audit(log, "stamp", "--authority", authority.url, "--to", str(kept), "--stamp-roots", roots, "--json")
    assert done.code == 0
    made = json.loads(done.output)
    assert [one["size"] for one in made] == [log.size("events"), log.size("journal")]
    for one in made:
        openssl(kept, "ts", "-verify", "-data", one["checkpoint"], "-in", one["stamp"], "-CAfile", roots)
    given = [part for one in made for part in ("--checkpoint", one["checkpoint"])]
    verify = ("verify", "--only", "log", "--postgres", log.url, *given, "--stamp-roots", roots)
    verified = await audit(log, *verify)
    assert (verified.code, verified.output.count("stamped")) == (0, 2)
    found = json.loads((await audit(log, *verify, "--json")).output)
    stamps = [one["stamped"] for tree in found["log"] for one in tree["checkpoints"] if one["outside"]]
    assert stamps == [one["time"] for one in made]
    # The stamp of the other checkpoint is not that of this one.
    events, journal = (kept / Path(one["stamp"]).name for one in made)
    events.write_bytes(journal.read_bytes())
    wrong = await audit(log, *verify)
    assert (wrong.code, "the stamp is not valid" in " ".join(wrong.output.split())) == (1, True)


async def test_an_authority_that_is_away(log: SignedLog) -> None:
    done = await audit(log, "stamp", "--authority", f"http://127.0.0.1:{free_port()}/", "--to", str(log.folder))
    assert (done.code, "does not answer" in done.errors) == (3, True)
    wrong = await audit(log, "stamp", "--authority", "http://x.example/", "--stamp-roots", str(log.folder))
    assert wrong.code == 2
