"""The verification of the log: every stored row, both trees in the evidence, and checkpoints from outside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.x509 import Certificate

from services.ops.evidence.findings import Finding, Kind, in_order
from services.ops.evidence.heads import (
    TREES,
    WrongInputError,
    opened_head,
    read_head,
    stamped_at,
    tree_of,
    trusted_keys,
    trusted_roots,
)
from services.ops.evidence.sources import EvidenceSource, TreeSource, evidence_at
from services.ops.evidence.tree_check import GivenHead
from services.ops.evidence.tree_process import NotReadError, OnStep, TreeJob, TreeOutcome, check_trees
from shared.evidence.stamps import StampError
from shared.transparency.checkpoints import Checkpoint, Tree, parse_checkpoint
from shared.transparency.errors import TransparencyError
from shared.transparency.notes import UntrustedNoteError, VerifierKey, parse_note


@dataclass(frozen=True)
class LogToVerify:
    """
    Args:
        place: of the evidence, a folder or a URL.
        keys: verifier keys or files of them; none for those beside the evidence.
        checkpoints: files from outside.
        starts: files of trusted checkpoints; rows up to there are not read.
        stamp_roots: certificates of the authorities whose stamps beside checkpoints are verified.
    """

    postgres_url: str
    place: str
    keys: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    stamp_roots: Path | None = None


@dataclass(frozen=True)
class TreeReport:
    """Result of the comparison of one tree.

    Args:
        origin: of the evidence; None where it has no checkpoint.
        start: the size of the trusted checkpoint from which it was compared; 0 for the whole tree.
    """

    outcome: TreeOutcome
    origin: str | None
    start: int
    findings: tuple[Finding, ...]
    counts: Mapping[Kind, int]

    @property
    def protected(self) -> int:
        """The number up to which a checkpoint that fits protects the rows."""
        return max((one.checkpoint.size for one in self.outcome.fitting), default=self.start)

    @property
    def outside(self) -> int:
        """The number up to which a checkpoint from outside that fits protects the rows; 0 without any."""
        return max((one.checkpoint.size for one in self.outcome.fitting if one.outside), default=self.start)

    @property
    def witnesses(self) -> Sequence[tuple[str, int | None, int]]:
        """The name of each witness, the time of its last cosignature, and the size."""
        found = {
            name: (name, time, one.checkpoint.size)
            for one in sorted(self.outcome.fitting, key=lambda one: one.checkpoint.size)
            for name, time in one.witnesses
        }
        return list(found.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "tree": self.outcome.tree,
            "origin": self.origin,
            "compared_from": self.start + 1,
            "rows": self.outcome.rows,
            "last": self.outcome.last,
            "protected": self.protected,
            "protected_from_outside": self.outside,
            "unprotected": max(self.outcome.last - self.protected, 0),
            "checkpoints": [
                {
                    "name": one.name,
                    "size": one.checkpoint.size,
                    "outside": one.outside,
                    "stamped": one.stamped.isoformat().replace("+00:00", "Z") if one.stamped else None,
                }
                for one in self.outcome.fitting
            ],
            "witnesses": [{"name": name, "time": time, "size": size} for name, time, size in self.witnesses],
            "findings": [_finding(one) for one in self.findings],
            "counts": dict(self.counts),
            "seconds": round(self.outcome.seconds, 3),
        }  # fmt: skip


def _finding(one: Finding) -> dict[str, Any]:
    return {"kind": one.kind, "first": one.first, "last": one.last, "to": one.to, "about": one.about}


@dataclass
class _Tree:
    """The evidence of one tree as it is put together."""

    source: TreeSource
    heads: list[GivenHead] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    beside: Checkpoint | None = None
    # Of the tree in the tiles.
    size: int = 0
    start: Checkpoint | None = None


def verify_log(
    log: LogToVerify,
    on_step: OnStep,
    check: Callable[[Sequence[TreeJob], OnStep], Sequence[TreeOutcome]] = check_trees,
) -> list[TreeReport]:
    """Compare everything; `check` compares the rows of both trees.

    Raises:
        WrongInputError: a file or a key that the user gave cannot be used.
        EvidenceUnavailableError, NotReadError: evidence or log could not be read.
    """
    source = evidence_at(log.place)
    keys = trusted_keys(log.keys, source)
    trees = {name: _Tree(source.tree(name)) for name in TREES}
    for one in trees.values():
        _take_beside(one, keys)
    roots = trusted_roots(log.stamp_roots)
    for path in log.checkpoints:
        _take_outside(trees, path, keys, roots)
    for path in log.starts:
        _take_start(trees, path, keys)
    _require_something(trees, source)
    jobs = [
        TreeJob(name, log.postgres_url, log.place, one.size, tuple(one.heads), one.start) for name, one in trees.items()
    ]
    return [_report(trees[outcome.tree], outcome) for outcome in check(jobs, on_step)]


def _take_beside(tree: _Tree, keys: Sequence[VerifierKey]) -> None:
    """Take the checkpoint beside the tiles."""
    try:
        data = tree.source.checkpoint()
        tree.beside = parse_checkpoint(parse_note(data).text)
    except FileNotFoundError:
        return
    except TransparencyError as error:
        tree.findings.append(Finding(Kind.DAMAGED_EVIDENCE, about=f"the checkpoint cannot be read: {error}"))
        return
    name = f"the checkpoint in {tree.source.place}"
    try:
        tree.heads.append(opened_head(name, data, keys, outside=False))
        tree.size = tree.beside.size
    except TransparencyError as error:
        tree.findings.append(Finding(Kind.UNTRUSTED, about=f"{name}: {error}"))
        # Somebody wrote its size who has no key: it counts where the tiles lead to the root.
        tree.size = tree.beside.size if _leads_to(tree.source, tree.beside) else 0


def _take_outside(
    trees: Mapping[Tree, _Tree], path: str, keys: Sequence[VerifierKey], roots: Sequence[Certificate]
) -> None:
    checkpoint, data = read_head(path)
    tree = trees[_tree_of(path, checkpoint)]
    try:
        tree.heads.append(opened_head(path, data, keys, outside=True))
        tree.heads[-1] = replace(tree.heads[-1], stamped=stamped_at(Path(path), data, roots))
    except (UntrustedNoteError, StampError) as error:
        why = f"{path}: {error}{_of_other_origin(tree, checkpoint)}"
        tree.findings.append(Finding(Kind.UNTRUSTED, about=why))


def _of_other_origin(tree: _Tree, checkpoint: Checkpoint) -> str:
    """Return what to do with a checkpoint of an origin that a new one has replaced; nothing for one of this origin."""
    if tree.beside is None or checkpoint.origin == tree.beside.origin:
        return ""
    return (
        f". The evidence is of another origin, {tree.beside.origin}: for one that was replaced give its verifier keys "
        "with --key, and as --evidence the folder `former`"
    )


def _take_start(trees: Mapping[Tree, _Tree], path: str, keys: Sequence[VerifierKey]) -> None:
    """Take a trusted checkpoint. Where the tiles do not lead to it, the whole tree is compared, to find out why."""
    checkpoint, data = read_head(path)
    tree = trees[_tree_of(path, checkpoint)]
    try:
        head = opened_head(path, data, keys, outside=True)
    except UntrustedNoteError as error:
        raise WrongInputError(f"--from {path} is not to be trusted: {error}.") from error
    tree.heads.append(head)
    if _leads_to(tree.source, checkpoint):
        tree.start = max((tree.start, checkpoint), key=lambda one: one.size if one else -1)


def _tree_of(path: str, checkpoint: Checkpoint) -> Tree:
    try:
        return tree_of(checkpoint)
    except TransparencyError as error:
        raise WrongInputError(f"{path}: {error}.") from error


def _leads_to(source: TreeSource, head: Checkpoint) -> bool:
    try:
        return source.tiles(head.size).root() == head.root
    except TransparencyError:
        return False


def _require_something(trees: Mapping[Tree, _Tree], source: EvidenceSource) -> None:
    for name, one in trees.items():
        if one.beside is None and not one.findings and not one.heads:
            raise NotReadError(
                f"There is no checkpoint of {name} in {source.place}. Is the audit service running with "
                "SWITCHBOARD_EVIDENCE_DIR? Give --evidence, or a checkpoint from outside with --checkpoint."
            )


def _report(tree: _Tree, outcome: TreeOutcome) -> TreeReport:
    counts = dict(outcome.counts)
    for one in tree.findings:
        counts[one.kind] = counts.get(one.kind, 0) + one.count
    start = tree.start.size if tree.start else 0
    origin = tree.beside.origin if tree.beside else None
    findings = tuple(in_order([*tree.findings, *outcome.findings]))
    return TreeReport(replace(outcome, findings=()), origin, start, findings, counts)
