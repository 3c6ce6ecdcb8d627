"""Evidence of a real event store, made in folders of a test, and what everybody can check about it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path

from services.audit.evidence.follower import EvidenceFollower, EvidencePlace
from services.audit.evidence.signer import SigningLimits
from shared.process.journal_reader import JournalReader
from shared.process.log_reader import LogReader
from shared.process.tree_files import TREES
from shared.projections.history.following import FollowerLimits
from shared.transparency.checkpoints import Checkpoint, Tree, parse_checkpoint
from shared.transparency.leaves import event_leaves, journal_leaves
from shared.transparency.merkle import consistency_proof, verify_consistency
from shared.transparency.notes import VerifierKey, open_note, parse_note
from shared.transparency.tiles import TileReader
from tests.inbox_views.stories import eventually

FAST = FollowerLimits(look_seconds=0.02, check_seconds=0.1, rest_times=0.0)
SIGNING = SigningLimits(batch=100, checkpoint_seconds=0.05, check_seconds=0.1)
NAME = "log.example"


class Evidence:
    """The folder of one audit, and the checkpoints that it published."""

    def __init__(self, folder: Path, name: str = "one", keys: Path | None = None) -> None:
        self.folder = folder / name
        self.keys = keys or folder / f"{name}-keys"
        self.published: list[tuple[str, bytes]] = []

    @property
    def place(self) -> EvidencePlace:
        return EvidencePlace(self.folder, self.keys, NAME)

    async def publish(self, tree: Tree, note: bytes) -> None:
        self.published.append((tree, note))

    def verifier_keys(self) -> list[VerifierKey]:
        return [VerifierKey.parse(line) for line in (self.folder / "verifier-keys").read_text().splitlines()]

    def checkpoint(self, tree: str) -> Checkpoint:
        """The one in the folder, verified."""
        return opened((self.folder / tree / "checkpoint").read_bytes(), self.verifier_keys())

    def reader(self, tree: str, size: int) -> TileReader:
        return TileReader(lambda path: (self.folder / tree / path).read_bytes(), size)

    def heads(self) -> dict[str, Checkpoint]:
        """The last checkpoint of each tree; none before the first."""
        with suppress(FileNotFoundError):
            return {tree: self.checkpoint(tree) for tree in TREES}
        return {}


def opened(note: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint of a note on which the signatures of a whole pair are valid."""
    parsed = parse_note(note)
    assert len(open_note(parsed, keys)) >= 2
    return parse_checkpoint(parsed.text)


def require_no_contradiction(notes: Iterable[tuple[str, bytes]], evidence: Evidence) -> int:
    """Require that each checkpoint extends the smaller ones, by proofs from the tiles; return how many there are."""
    count = 0
    for tree in TREES:
        heads = [opened(note, evidence.verifier_keys()) for of, note in notes if of == tree]
        count += len(heads)
        heads.sort(key=lambda head: head.size)
        for old, new in pairwise(heads):
            proof = consistency_proof(old.size, new.size, evidence.reader(tree, heads[-1].size).node)
            verify_consistency(old.size, old.root, new.size, new.root, proof)
    return count


@asynccontextmanager
async def following(
    url: str, evidence: Evidence, limits: FollowerLimits = FAST, signing: SigningLimits = SIGNING
) -> AsyncIterator[EvidenceFollower]:
    follower = EvidenceFollower(url, evidence.place, evidence.publish, limits, signing)
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def leaves_of(url: str) -> dict[str, list[bytes]]:
    """All leaves that the log has now, by tree."""
    async with LogReader(url) as events, JournalReader(url) as journal:
        return {
            "events": event_leaves(await events.read(0, 1_000_000)),
            "journal": journal_leaves(await journal.read(0, 1_000_000)),
        }


async def until(condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds."""

    async def holds() -> bool:
        return condition()

    await eventually(holds)


async def signed(url: str, evidence: Evidence) -> dict[str, Checkpoint]:
    """The checkpoints of both trees, as soon as they have all that the log has now."""
    ends = {tree: len(leaves) for tree, leaves in (await leaves_of(url)).items()}

    async def there() -> dict[str, Checkpoint]:
        heads = evidence.heads()
        return heads if {tree: head.size for tree, head in heads.items()} == ends else {}

    found: dict[str, Checkpoint] = await eventually(there)
    return found


async def refused(follower: EvidenceFollower, *words: str) -> str:
    """What the follower says when it does not sign, as soon as all these words are in it."""

    async def said() -> str:
        fault = follower.fault() or ""
        return fault if all(word in fault for word in words) else ""

    found: str = await eventually(said)
    return found
