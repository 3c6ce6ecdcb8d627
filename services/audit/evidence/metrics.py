"""Metrics of the evidence: those of PostgreSQL's heads in every process, and the follower's own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, LiteralString

from services.audit.evidence.follower import EvidenceFollower
from shared.process.journal_reader import CommandJournal
from shared.process.log_reader import EventLog
from shared.process.metrics import Metric, Source, gauge
from shared.process.read_connection import ReadConnection

HEADS: Final[LiteralString] = """
SELECT DISTINCT ON (tree) tree, size, greatest(extract(epoch FROM now() - signed_at), 0)::float, error IS NULL
FROM evidence.heads ORDER BY tree, began DESC, origin DESC
"""


@asynccontextmanager
async def of_evidence(follower: EvidenceFollower, postgres_url: str) -> AsyncIterator[Sequence[Source]]:
    """Metrics of the evidence, in every process of the audit."""
    reading = ReadConnection(postgres_url)

    async def following() -> Sequence[Metric]:
        description = "1 while this process makes the checkpoints, 0 while it is on standby."
        return [gauge("switchboard_evidence_following", description, follower.follows)]

    async def trees() -> Sequence[Metric]:
        # The database is the suspect, so this process asks its own signers, too.
        failed = {signer.tree for signer in follower.signers if signer.error is not None}
        ends = {"events": await EventLog(reading.rows).end(), "journal": await CommandJournal(reading.rows).end()}
        return [
            metric
            for tree, size, seconds, signs in await reading.rows(HEADS)
            for metric in _of_tree(
                tree, size, ends[tree], seconds, signs=signs and tree not in failed and not follower.fails
            )
        ]

    try:
        yield [following, trees]
    finally:
        await reading.close()


def _of_tree(tree: str, size: int, end: int, seconds: float | None, *, signs: bool) -> Sequence[Metric]:
    behind = "Events or journal entries after the last checkpoint: nothing proves yet that they do not change."
    found = [
        gauge("switchboard_evidence_size", "Leaves in the committed tree.", size, tree=tree),
        gauge("switchboard_evidence_unprotected", behind, max(end - size, 0), tree=tree),
        gauge(
            "switchboard_evidence_signing", "1 while the tree is signed, 0 while an error keeps it.", signs, tree=tree
        ),
    ]
    if seconds is not None:
        age = "Time since the last checkpoint was made; it grows while nothing happens, too."
        found.append(gauge("switchboard_evidence_checkpoint_age_seconds", age, seconds, tree=tree))
    return found
