"""The checkpoints that the audit published while all broke, its trees, and what a verification of the log finds.

No two checkpoints may contradict each other, whatever was killed between hashing and signing. The last one must be that
of the log, by a tree that is made in the plainest way. Events that a nemesis has changed after they may have been
signed are in the trees as they were signed: a verification names them, and the audit may refuse to sign any more.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Container, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import nats
from nats.aio.msg import Msg

from services.ops.evidence.findings import Finding, Kind
from services.ops.evidence.heads import opened_head
from services.ops.evidence.tree_process import leaves_of
from services.ops.evidence.verify import LogToVerify, verify_log
from shared.language import subjects
from shared.process.row_scan import row_scan
from shared.process.tree_files import TREES, VERIFIER_KEYS
from shared.transparency.checkpoints import Checkpoint, parse_checkpoint
from shared.transparency.errors import TransparencyError
from shared.transparency.merkle import consistency_proof, verify_consistency
from shared.transparency.notes import VerifierKey, parse_note
from shared.transparency.tiles import TILE_WIDTH, TileReader, entries_of, entries_path
from tests.audit.past import rows
from tests.faults.verdict import Verdict
from tests.ops.evidence.signed_log import in_this_process
from tests.transparency import naive_tree

LOOK_SECONDS: Final = 0.1
REFUSED: Final = "SELECT tree, error FROM evidence.heads WHERE error IS NOT NULL"

# A tree, and a signed checkpoint of it.
Notes = Sequence[tuple[str, bytes]]


class Signed(NamedTuple):
    """
    Args:
        notes: every checkpoint that came on NATS, and those beside the tiles.
        keys: the verifier keys beside the evidence.
        files: the files of both trees, by paths such as `events/tile/0/000`.
        leaves: those of the rows as they are, by tree.
        refused: why the audit does not sign a tree, by tree.
        findings: of a verification, each with its tree.
    """

    notes: Notes
    keys: Sequence[VerifierKey]
    files: Mapping[str, bytes]
    leaves: Mapping[str, Sequence[bytes]]
    refused: Mapping[str, str]
    findings: Sequence[tuple[str, Finding]]


@asynccontextmanager
async def collected(nats_url: str) -> AsyncIterator[list[tuple[str, bytes]]]:
    """The checkpoints that are published within the block; some may be lost with a connection."""
    found: list[tuple[str, bytes]] = []

    async def note(message: Msg) -> None:
        found.append(((message.headers or {})[subjects.CHECKPOINT_TREE], message.data))

    client = await nats.connect(
        nats_url.split(","), error_cb=_noticed, max_reconnect_attempts=-1, reconnect_time_wait=0.1
    )  # fmt: skip
    try:
        await client.subscribe(subjects.CHECKPOINT, cb=note)
        yield found
    finally:
        await client.close()


async def _noticed(_error: Exception) -> None:
    """The bus goes away."""


async def gathered(postgres_url: str, evidence: Path, notes: Notes, seconds: float) -> Signed:
    """Return everything as soon as both trees are signed up to the end of the log, or the audit refuses to sign them.

    Raises:
        AssertionError: neither happens in time.
    """
    return await asyncio.to_thread(_gathered, postgres_url, evidence, notes, seconds)


def _gathered(postgres_url: str, evidence: Path, notes: Notes, seconds: float) -> Signed:
    with row_scan(postgres_url) as scan:
        leaves = {tree: [leaf for _, some in leaves_of(scan, tree, 0) for leaf in some] for tree in TREES}
    refused = _settled(postgres_url, evidence, leaves, seconds)
    files = {str(path.relative_to(evidence)): path.read_bytes() for path in evidence.rglob("*") if path.is_file()}
    last = [(tree, files[f"{tree}/checkpoint"]) for tree in TREES]
    keys = [VerifierKey.parse(line) for line in files[VERIFIER_KEYS].decode().splitlines()]
    reports = verify_log(LogToVerify(postgres_url, str(evidence)), lambda *_: None, in_this_process)
    findings = [(report.outcome.tree, one) for report in reports for one in report.findings]
    return Signed([*notes, *last], keys, files, leaves, refused, findings)


def _settled(
    postgres_url: str, evidence: Path, leaves: Mapping[str, Sequence[bytes]], seconds: float
) -> Mapping[str, str]:
    """Wait, and return why which tree is not signed any more."""
    until = time.monotonic() + seconds
    while True:
        refused = dict(rows(postgres_url, REFUSED))
        sizes = {tree: _size(evidence / tree / "checkpoint") for tree in TREES}
        if all(tree in refused or sizes[tree] == len(leaves[tree]) for tree in TREES):
            return refused
        ends = {tree: len(some) for tree, some in leaves.items()}
        assert time.monotonic() < until, f"the log ends at {ends}, and in {seconds:g} s signed were {sizes}"
        time.sleep(LOOK_SECONDS)


def _size(checkpoint: Path) -> int:
    return parse_checkpoint(parse_note(checkpoint.read_bytes()).text).size if checkpoint.exists() else 0


# ---- the judgement


def of_the_checkpoints(signed: Signed, changed: Container[int]) -> Verdict:
    """Judge it; `changed` are the positions that nemeses have changed after they may have been signed."""
    opened = [(tree, note, _opened(tree, note, signed.keys)) for tree, note in signed.notes]
    heads = {tree: _in_order(head for of, _, head in opened if of == tree and head) for tree in TREES}
    return {
        "checkpoints without valid signatures": [(tree, note) for tree, note, head in opened if head is None],
        "checkpoints that contradict each other": [
            (tree, old, new)
            for tree in TREES
            for old, new in pairwise(heads[tree])
            if not _extends(old, new, _reader(signed, tree, heads[tree][-1].size))
        ],
        "last checkpoints that are not of the log": [
            (tree, heads[tree][-1])
            for tree in TREES
            if not heads[tree] or heads[tree][-1].root != _plain_root(signed, tree, heads[tree][-1].size, changed)
        ],
        "not signed to the end": [
            (tree, why)
            for tree in TREES
            if (why := _unsigned(signed, tree, heads[tree])) and (tree != "events" or not _is_changed(signed, changed))
        ],
        "found by a verification of the log": [
            (tree, one) for tree, one in signed.findings if not (tree == "events" and _is_known(one, changed))
        ],
    }


def _opened(tree: str, note: bytes, keys: Sequence[VerifierKey]) -> Checkpoint | None:
    try:
        return opened_head(tree, note, keys, outside=False).checkpoint
    except TransparencyError:
        return None


def _in_order(heads: Iterable[Checkpoint]) -> list[Checkpoint]:
    return sorted(set(heads), key=lambda head: head.size)


def _reader(signed: Signed, tree: str, size: int) -> TileReader:
    def read(path: str) -> bytes:
        try:
            return signed.files[f"{tree}/{path}"]
        except KeyError as error:
            raise FileNotFoundError(path) from error

    return TileReader(read, size)


def _extends(old: Checkpoint, new: Checkpoint, tiles: TileReader) -> bool:
    try:
        proof = consistency_proof(old.size, new.size, tiles.node)
        verify_consistency(old.size, old.root, new.size, new.root, proof)
    except TransparencyError:
        return False
    return True


def _plain_root(signed: Signed, tree: str, size: int, changed: Container[int]) -> bytes:
    """The root of the rows as they are; of those that a nemesis has changed, as they were signed."""
    leaves = list(signed.leaves[tree][:size])
    if tree == "events":
        for index in range(len(leaves)):
            if index + 1 in changed:
                leaves[index] = _entry(signed, index, size)
    return naive_tree.root(leaves)


def _entry(signed: Signed, index: int, size: int) -> bytes:
    """The entry of an event."""
    of_bundle, at = divmod(index, TILE_WIDTH)
    width = min(size - of_bundle * TILE_WIDTH, TILE_WIDTH)
    return entries_of(signed.files[f"events/{entries_path(of_bundle, width)}"])[at]


def _unsigned(signed: Signed, tree: str, heads: Sequence[Checkpoint]) -> str:
    """Why the tree is not signed up to the end of the log; empty where it is."""
    size, end = heads[-1].size if heads else 0, len(signed.leaves[tree])
    return "" if size == end else f"{size} of {end}: {signed.refused.get(tree, 'nobody knows why')}"


def _is_changed(signed: Signed, changed: Container[int]) -> bool:
    """Whether the audit has a reason to refuse to sign the events."""
    return "events" in signed.refused and any(n in changed for n in range(1, len(signed.leaves["events"]) + 1))


def _is_known(finding: Finding, changed: Container[int]) -> bool:
    if finding.kind is not Kind.CHANGED or finding.first is None or finding.last is None:
        return False
    return all(position in changed for position in range(finding.first, finding.last + 1))


def counted(signed: Signed) -> dict[str, int]:
    return {"checkpoints": len(signed.notes), "trees refused after a nemesis changed events": len(signed.refused)}
