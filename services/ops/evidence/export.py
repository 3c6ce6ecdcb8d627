"""The export of the log, or of an extract of it, as a bundle that proves itself elsewhere.

The rows come from PostgreSQL in one snapshot, the checkpoints and the paths of proofs from the evidence. Each leaf is
made from the stored bytes here, outside the database; where it is not the one that was signed, the export stops.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.ops.evidence import verify_bundle
from services.ops.evidence.bundle_entries import BundleEntries, EventEntries, ExportQuery, JournalEntries
from services.ops.evidence.bundle_folder import CHECKPOINTS, BundleFolder, TreeFiles, proof_line, write_file
from services.ops.evidence.sources import EvidenceSource
from shared import __version__
from shared.process import clock, failpoints
from shared.process.row_scan import RowScan
from shared.transparency.checkpoints import Checkpoint, Tree, parse_checkpoint
from shared.transparency.errors import TransparencyError
from shared.transparency.fields import to_base64
from shared.transparency.merkle import InvalidProofError, inclusion_proof, leaf_hashes, verify_inclusion
from shared.transparency.notes import VerifierKey, open_note, parse_note
from shared.transparency.tiles import TileReader

COMPLETE: Final = (
    "All entries of both trees up to their checkpoints are here, in their order, unchanged since the checkpoints were "
    "signed."
)
EXTRACT: Final = (
    "This is an extract. Each entry is in the log, unchanged since the checkpoints were signed. That there are no "
    "others of the same kind is not proven."
)


class LogContradictsError(Exception):
    """The log is not the one that was signed; the message names the place."""


class NoEvidenceError(Exception):
    """There is no checkpoint that can be trusted; the message says why."""


@dataclass(frozen=True)
class ExportLimits:
    """How many rows are worked on at once, and the least seconds between two records of the progress."""

    rows: int = 1_024
    save_seconds: float = 2.0


@dataclass(frozen=True)
class Exported:
    """A finished bundle: the entries of each tree, and how many rows came after its checkpoint."""

    heads: Mapping[Tree, Checkpoint]
    entries: Mapping[Tree, int]
    after: Mapping[Tree, int]


# Called with a tree, the number of the last row that was read, and that of the last row to read.
OnProgress = Callable[[Tree, int, int], None]


class Export:
    """One run of an export, from its start or from where an earlier run stopped."""

    def __init__(
        self,
        scan: RowScan,
        evidence: EvidenceSource,
        keys: Sequence[VerifierKey],
        folder: BundleFolder,
        query: ExportQuery,
        on_progress: OnProgress = lambda *_: None,
        limits: ExportLimits = ExportLimits(),
    ) -> None:
        self._scan = scan
        self._evidence = evidence
        self._keys = keys
        self._folder = folder
        self._query = query
        self._on_progress = on_progress
        self._limits = limits
        self._saved = time.monotonic()

    def run(self, made_by: str, typed: Mapping[str, Any]) -> Exported:
        """Write the rest of the bundle, and move it to its place.

        Args:
            made_by: who wants it.
            typed: the query as it was typed.

        Raises:
            NoEvidenceError: there is no checkpoint that can be trusted.
            LogContradictsError: the log is not the one that was signed.
            EvidenceUnavailableError: the evidence does not answer.
            OSError: the folder cannot be written.
            psycopg.OperationalError: PostgreSQL does not answer.
        """
        notes = {tree: self._note(tree) for tree in CHECKPOINTS}
        heads = {tree: self._opened(tree, note) for tree, note in notes.items()}
        self._require_signed(heads["events"])
        for entries in (EventEntries(self._scan, self._query), JournalEntries(self._scan, self._query)):
            self._write(entries, heads[entries.tree])
        return self._finish(heads, notes, {"by": made_by, "typed": dict(typed)})

    # ---- checkpoints

    def _note(self, tree: Tree) -> bytes:
        """Return the checkpoint at which the bundle ends: that of its first run."""
        path = self._folder.path / CHECKPOINTS[tree]
        if not path.exists():
            try:
                write_file(path, self._evidence.tree(tree).checkpoint())
            except FileNotFoundError as error:
                raise NoEvidenceError(f"{self._evidence.place} has no checkpoint of the {tree}.") from error
        return path.read_bytes()

    def _opened(self, tree: Tree, note: bytes) -> Checkpoint:
        try:
            parsed = parse_note(note)
            head = parse_checkpoint(parsed.text)
            open_note(parsed, [key for key in self._keys if key.name == head.origin])
        except TransparencyError as error:
            raise NoEvidenceError(f"The checkpoint of the {tree} cannot be trusted: {error}.") from error
        log_id = self._scan.log_id()
        if f"/{log_id}/" not in head.origin:
            raise NoEvidenceError(f"The evidence is of {head.origin}, and the log in this PostgreSQL is {log_id}.")
        return head

    def _require_signed(self, head: Checkpoint) -> None:
        if self._query.last is not None and self._query.last > head.size:
            raise NoEvidenceError(
                f"The extract ends at position {self._query.last:,}, and the last checkpoint is at {head.size:,}."
            )

    # ---- rows

    def _write(self, entries: BundleEntries[Any], head: Checkpoint) -> None:
        files = self._folder.trees[entries.tree]
        tiles = None if self._query.complete else self._evidence.tree(entries.tree).tiles(head.size)
        begin, last = entries.bounds(head.size)
        number = max(begin, files.progress.number)
        for rows in self._rows(entries, number, last):
            number = _last_of(entries, number, rows)
            self._add(entries, files, rows, head, tiles)
            files.progress.number = number
            failpoints.reached("export.written")
            self._on_progress(entries.tree, number, last)
            if time.monotonic() - self._saved >= self._limits.save_seconds:
                self._save()
        if number < last:
            raise LogContradictsError(
                f"The {entries.tree} end at {entries.number} {number:,}, and {head.size:,} were signed."
            )
        if self._query.complete and files.frontier.root() != head.root:
            raise LogContradictsError(
                f"The {entries.tree} do not lead to the root that was signed, so something was changed. "
                "`switchboard audit verify` names the place."
            )
        self._save()

    def _rows(self, entries: BundleEntries[Any], after: int, last: int) -> Iterator[Sequence[Any]]:
        """Yield the rows after a number, as many at once as the limits say, until the last one."""
        if after >= last:
            return
        for batch in entries.read(after):
            for at in range(0, len(batch), self._limits.rows):
                rows = [row for row in batch[at : at + self._limits.rows] if entries.number_of(row) <= last]
                if rows:
                    yield rows
            if entries.number_of(batch[-1]) >= last:
                return

    def _add(
        self,
        entries: BundleEntries[Any],
        files: TreeFiles,
        rows: Sequence[Any],
        head: Checkpoint,
        tiles: TileReader | None,
    ) -> None:
        selected, leaves = entries.select(rows)
        numbers, hashes = list(map(entries.number_of, selected)), leaf_hashes(leaves)
        if tiles is None:
            files.frontier.extend(hashes)
            proofs = [proof_line(number - 1, leaf) for number, leaf in zip(numbers, hashes, strict=True)]
        else:
            proofs = [_proof(entries, number, leaf, head, tiles) for number, leaf in zip(numbers, hashes, strict=True)]
        files.add(numbers, list(map(entries.line, selected)), proofs)

    def _save(self) -> None:
        self._folder.save()
        self._saved = time.monotonic()

    # ---- the end

    def _finish(
        self, heads: Mapping[Tree, Checkpoint], notes: Mapping[Tree, bytes], made: Mapping[str, Any]
    ) -> Exported:
        ends = dict(zip(CHECKPOINTS, self._scan.ends(), strict=True))
        after = {tree: max(ends[tree] - head.size, 0) for tree, head in heads.items()}
        names = {head.origin for head in heads.values()}
        keys = "".join(f"{key}\n" for key in sorted(map(str, self._keys)) if key.partition("+")[0] in names)
        manifest = {
            "format": verify_bundle.FORMAT,
            "proves": COMPLETE if self._query.complete else EXTRACT,
            "query": self._query.written(),
            "log": self._scan.log_id(),
            "trees": {tree: self._described(tree, head) for tree, head in heads.items()},
            "made": {**made, "at": clock.now(), "with": f"switchboard {__version__}", "rows_after": after},
        }
        texts = {CHECKPOINTS[tree]: note for tree, note in notes.items()} | {verify_bundle.KEYS: keys.encode()}
        self._folder.finish(manifest, texts)
        entries = {tree: files.progress.entries for tree, files in self._folder.trees.items()}
        return Exported(heads, entries, after)

    def _described(self, tree: Tree, head: Checkpoint) -> dict[str, Any]:
        progress = self._folder.trees[tree].progress
        return {
            "origin": head.origin,
            "size": head.size,
            "root": to_base64(head.root),
            "complete": self._query.complete,
            "entries": progress.entries,
            "first": progress.first or None,
            "last": progress.last or None,
        }


def _last_of(entries: BundleEntries[Any], number: int, rows: Sequence[Any]) -> int:
    """Return the number of the last row.

    Raises:
        LogContradictsError: one is missing before it.
    """
    for wanted, row in enumerate(rows, number + 1):
        if entries.number_of(row) != wanted:
            raise LogContradictsError(
                f"The {entries.tree} have no {entries.number} {wanted:,}; the next is {entries.number_of(row):,}."
            )
    return number + len(rows)


def _proof(entries: BundleEntries[Any], number: int, leaf: bytes, head: Checkpoint, tiles: TileReader) -> bytes:
    path = inclusion_proof(number - 1, head.size, tiles.node)
    try:
        verify_inclusion(leaf, number - 1, head.size, path, head.root)
    except InvalidProofError as error:
        raise LogContradictsError(
            f"The {entries.tree} at {entries.number} {number:,} are not what was signed: {error}."
        ) from error
    return proof_line(number - 1, leaf, path)
