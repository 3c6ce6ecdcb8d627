"""The folder of one tree, exactly as C2SP's tlog-tiles has it, and the head up to which the tree is there."""

import shutil
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from shared.evidence.witnesses import with_cosignatures
from shared.process.durable_files import flush_folder, make_folder, write_file, write_files
from shared.process.tree_files import VERIFIER_KEYS
from shared.transparency.checkpoints import Checkpoint, parse_checkpoint
from shared.transparency.notes import NoteSignature, VerifierKey, parse_note
from shared.transparency.tiles import entries_of, entries_path

CHECKPOINT: Final = "checkpoint"
HEADS: Final = "heads"
FORMER: Final = "former"


class TreeFolder:
    """The files of one tree in the folder of all evidence. Everything that it writes is durable.

    Args:
        evidence: the folder of all evidence.
        tree: the name of the tree.
    """

    def __init__(self, evidence: Path, tree: str) -> None:
        self._evidence = evidence
        self._path = evidence / tree
        self._head = evidence / HEADS / tree
        # The signer writes checkpoints, and what witnesses answer is added to them beside it.
        self._writing = threading.Lock()

    # ---- head and checkpoint

    def head(self) -> Checkpoint | None:
        """Return the head up to which the tree is here, which may have been signed; None where there is not any.

        Raises:
            InvalidCheckpointError: the file cannot be read as a head.
        """
        try:
            return parse_checkpoint(self._head.read_text())
        except FileNotFoundError:
            return None

    def write_head(self, head: Checkpoint) -> None:
        write_file(self._head, head.text.encode())

    def checkpoint(self) -> bytes | None:
        """Return the signed checkpoint; None before the first."""
        try:
            return self.read(CHECKPOINT)
        except FileNotFoundError:
            return None

    def has_checkpoint_of(self, head: Checkpoint) -> bool:
        """Return whether the checkpoint here is that of a head; its signatures are not looked at."""
        return (self.checkpoint() or b"").startswith(f"{head.text}\n".encode())

    def write_checkpoint(self, note: bytes) -> None:
        with self._writing:
            write_file(self._path / CHECKPOINT, note)

    def add_cosignatures(self, text: str, signatures: Iterable[NoteSignature]) -> bytes | None:
        """Add signatures to the checkpoint with this text, and return it; None where another one has replaced it."""
        with self._writing:
            note = self.checkpoint()
            if note is None or parse_note(note).text != text:
                return None
            cosigned = with_cosignatures(note, signatures)
            write_file(self._path / CHECKPOINT, cosigned)
            return cosigned

    def write_verifier_keys(self, origin: str, keys: Iterable[VerifierKey]) -> None:
        """Show the public keys of an origin, a line each, beside those of the other tree."""
        before = self._verifier_keys()
        others = [line for line in before if not line.startswith(f"{origin}+")]
        after = sorted([*others, *(f"{key}\n" for key in keys)])
        if before != after:
            write_file(self._evidence / VERIFIER_KEYS, "".join(after).encode())

    def put_aside(self, origin: str) -> Path:
        """Move the tree of a former origin, with its last checkpoint and verifier keys; return where it is now."""
        aside = self._unused(self._evidence / FORMER / origin.rpartition("/")[2])
        make_folder(aside.parent)
        if self._path.exists():
            own = [line for line in self._verifier_keys() if line.startswith(f"{origin}+")]
            write_file(self._path / VERIFIER_KEYS, "".join(own).encode())
            self._path.rename(aside)
            flush_folder(aside.parent)
            flush_folder(self._evidence)
        self.write_verifier_keys(origin, ())
        self._head.unlink(missing_ok=True)
        flush_folder(self._head.parent)
        return aside

    def _verifier_keys(self) -> list[str]:
        try:
            return (self._evidence / VERIFIER_KEYS).read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return []

    @staticmethod
    def _unused(path: Path) -> Path:
        """Return the path, with a number where there is such a folder: the trees of two logs may have the same name."""
        taken, number = path, 1
        while taken.exists():
            number += 1
            taken = path.with_name(f"{path.name}~{number}")
        return taken

    # ---- tiles

    def read(self, path: str) -> bytes:
        """Return a tile or a bundle.

        Raises:
            FileNotFoundError: it is not here.
        """
        return (self._path / path).read_bytes()

    def read_entries(self, index: int, width: int) -> list[bytes]:
        """Return the first `width` entries of a bundle, also where the full one has taken the place of the partial one.

        Raises:
            FileNotFoundError: it is not here.
            InvalidTileError: it cannot be read.
        """
        try:
            bundle = self.read(entries_path(index, width))
        except FileNotFoundError:
            bundle = self.read(entries_path(index))
        return entries_of(bundle)[:width]

    def write_tiles(self, files: Mapping[str, bytes]) -> None:
        """Write tiles and bundles by their paths; a full one takes the place of its partial ones."""
        write_files({self._path / path: content for path, content in files.items()})
        for path in files:
            if ".p/" not in path:
                shutil.rmtree(self._path / f"{path}.p", ignore_errors=True)
