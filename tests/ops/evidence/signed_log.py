"""A log with its evidence, both as an attacker finds them, and the reports of a verification."""

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from services.ops.evidence.findings import Finding, Kind
from services.ops.evidence.tree_process import OnStep, TreeJob, TreeOutcome, check_tree
from services.ops.evidence.verify import LogToVerify, TreeReport, verify_log
from shared.language.commands import AddUser, RegisterAccount
from tests.audit.evidence.making import Evidence, following, signed
from tests.audit.past import Past, past_in
from tests.connections.anything import SERVICE
from tests.real_servers import new_folder


class SignedLog:
    """A log of some hundred rows in each tree, signed up to its end."""

    def __init__(self, past: Past, evidence: Evidence, folder: Path) -> None:
        self.past = past
        self.url = past.url
        self.evidence = evidence
        self.folder = folder

    async def sign(self) -> None:
        """Let the audit sign what the log has now."""
        async with following(self.url, self.evidence):
            await signed(self.url, self.evidence)

    def keep(self, name: str) -> tuple[str, str]:
        """Keep both checkpoints elsewhere, and return their paths."""
        kept = []
        for tree in ("events", "journal"):
            path = self.folder / f"{name}-{tree}"
            shutil.copy(self.evidence.folder / tree / "checkpoint", path)
            kept.append(str(path))
        return kept[0], kept[1]

    def size(self, tree: str) -> int:
        return self.evidence.checkpoint(tree).size

    def verify(
        self,
        checkpoints: Sequence[str] = (),
        starts: Sequence[str] = (),
        keys: Sequence[str] = (),
        url: str | None = None,
    ) -> dict[str, TreeReport]:
        log = LogToVerify(
            url or self.url, str(self.evidence.folder), tuple(keys), tuple(checkpoints), tuple(starts)
        )  # fmt: skip
        return {one.outcome.tree: one for one in verify_log(log, lambda *_: None, in_this_process)}


def in_this_process(jobs: Sequence[TreeJob], on_step: OnStep) -> list[TreeOutcome]:
    """Check one tree after the other."""
    return [check_tree(job, lambda rows, end, tree=job.tree: on_step(tree, rows, end)) for job in jobs]  # type: ignore[misc]


def named(report: TreeReport) -> list[tuple[Kind, int | None, int | None, int | None]]:
    """The findings without their texts."""
    return [(one.kind, one.first, one.last, one.to) for one in report.findings]


def kinds(findings: Sequence[Finding]) -> list[Kind]:
    return [one.kind for one in findings]


@asynccontextmanager
async def signed_log(url: str, users: int = 400) -> AsyncIterator[SignedLog]:
    """A log of three accounts in the database of that URL; two have a life, and one has many users."""
    with new_folder() as folder, past_in(url) as past:
        for account in ("acme", "zenith"):
            past.begin(account)
        past.live(15, 300)
        past.give(RegisterAccount(actor=SERVICE, plan="enterprise", admin="ana"), account="large")
        past.give(
            *(AddUser(actor=SERVICE, user=f"u{one}", name="One", permissions=()) for one in range(users)),
            account="large",
        )
        log = SignedLog(past, Evidence(folder), folder)
        await log.sign()
        yield log
