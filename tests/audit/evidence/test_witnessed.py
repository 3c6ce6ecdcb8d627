"""Checkpoints are offered to the witnesses beside the signing; their cosignatures are in the served checkpoint."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.evidence.witnesses import write_witnesses
from shared.transparency.notes import open_note, parse_note
from tests.audit.evidence.making import Evidence, following, signed, until
from tests.audit.past import Past, past_in, rows, run
from tests.command_line import run_blocking
from tests.evidence.small_witness import SmallWitness, serving


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        made.begin()
        yield made


@pytest.fixture
def evidence(folder: Path) -> Evidence:
    return Evidence(folder)


@pytest.fixture
def witness() -> Iterator[SmallWitness]:
    with serving(SmallWitness("witness.example/w1", {})) as made:
        yield made


def trust(witness: SmallWitness, evidence: Evidence) -> None:
    for key in evidence.verifier_keys():
        witness.logs.setdefault(key.name, []).append(key)


def cosigned(evidence: Evidence, witness: SmallWitness, tree: str) -> bool:
    note = parse_note((evidence.folder / tree / "checkpoint").read_bytes())
    names = {one.name for one in note.signatures}
    return witness.signer.key.name in names and bool(open_note(note, [witness.signer.key]))


async def test_each_checkpoint_is_cosigned(past: Past, evidence: Evidence, witness: SmallWitness) -> None:
    async with following(past.url, evidence):
        heads = await signed(past.url, evidence)
        write_witnesses(evidence.folder, [witness.witness])
        # It does not know the log yet, which is no fault of the signer.
        await until(lambda: 404 in witness.statuses)
    trust(witness, evidence)
    async with following(past.url, evidence) as follower:
        await until(lambda: all(cosigned(evidence, witness, tree) for tree in heads))
        past.live(3, 200)
        heads = await signed(past.url, evidence)
        await until(lambda: all(cosigned(evidence, witness, tree) for tree in heads))
        expected = [(tree, witness.signer.key.name, head.size) for tree, head in sorted(heads.items())]
        recorded = "SELECT tree, name, size FROM evidence.witnessed ORDER BY tree"
        await until(lambda: rows(past.url, recorded) == expected)
        assert follower.fault() is None
    listed = run_blocking("audit", "witness", "list", "--evidence", str(evidence.folder))
    assert f"cosigned {heads['events'].size:,} at" in listed.output
    verified = run_blocking(
        "audit", "verify", "--only", "log", "--postgres", past.url, "--evidence", str(evidence.folder),
        "--key", str(evidence.folder / "verifier-keys"), "--key", str(witness.signer.key),
    )  # fmt: skip
    assert verified.code == 0
    assert f"witnessed    by {witness.signer.key.name} at" in verified.output


async def test_a_fork_that_a_witness_sees_is_a_fault(past: Past, evidence: Evidence, witness: SmallWitness) -> None:
    async with following(past.url, evidence):
        await signed(past.url, evidence)
    trust(witness, evidence)
    write_witnesses(evidence.folder, [witness.witness])
    async with following(past.url, evidence):
        await until(lambda: all(cosigned(evidence, witness, tree) for tree in ("events", "journal")))
    # Database, tiles and heads are rewritten by somebody who has the keys; the witness remembers.
    run(past.url, r"UPDATE connections.events SET state = state || '\x20' WHERE notification_id = 2")
    run(past.url, "DELETE FROM evidence.heads")
    for path in sorted(evidence.folder.rglob("*"), reverse=True):
        if path.is_file() and path.name not in {"verifier-keys", "witnesses.json"}:
            path.unlink()
    past.live(5, 50)
    async with following(past.url, evidence) as follower:
        await until(lambda: "knows another tree" in (follower.fault() or ""))
        await until((evidence.folder / "journal" / "checkpoint").exists)
        offered = run_blocking("audit", "witness", "offer", "--evidence", str(evidence.folder))
    assert offered.code == 1
    assert "events: witness.example/w1 answers 422" in offered.output
    assert f"journal: {witness.signer.key.name} cosigns" in offered.output


def test_the_list_of_witnesses(folder: Path, witness: SmallWitness) -> None:
    def audit(*words: str) -> tuple[int, str]:
        ended = run_blocking("audit", "witness", *words, "--evidence", str(folder), merged=True)
        return ended.code, ended.output

    assert audit("list")[1].startswith("No witnesses.")
    added = audit("add", "one", witness.url, str(witness.signer.key))
    assert added[0] == 0
    assert "not cosigned yet" in audit("list")[1]
    assert audit("offer") == (1, "events: there is no checkpoint yet\njournal: there is no checkpoint yet\n")
    assert audit("add", "two", "ftp://x", str(witness.signer.key))[0] == 2
    assert audit("add", "two", witness.url, "nothing")[0] == 2
    assert audit("remove", "two")[0] == 2
    assert audit("remove", "one")[0] == 0
    assert audit("list")[1].startswith("No witnesses.")
