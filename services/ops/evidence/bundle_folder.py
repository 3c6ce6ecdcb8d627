"""The folder of a bundle while it is written: beside its place, under another name, until it is whole.

From time to time it is recorded how far the files are. After a kill or a full disk the next run cuts off what came
after the last record, and goes on from there.
"""

import base64
import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from services.ops.evidence import verify_bundle
from shared.process import failpoints
from shared.process.durable_files import flush_file, flush_folder
from shared.transparency.checkpoints import Tree
from shared.transparency.merkle import Frontier

UNFINISHED: Final = ".unfinished"
PROGRESS: Final = "progress.json"
LOCK: Final = "lock"
VERIFIER: Final = "verify.py"
CHECKPOINTS: Final[Mapping[Tree, str]] = {"events": "events.checkpoint", "journal": "journal.checkpoint"}

_PIECE: Final = 1 << 20


class BundleError(Exception):
    """The folder cannot be used; the message says what to do."""


@dataclass
class TreeProgress:
    """How far the files of one tree are written.

    `number` is that of the last row that was read, `first` and `last` are those of the entries in the files. `lines`
    and `proofs` count bytes. `frontier` is the tree over all entries so far, in hex; it is empty for an extract.
    """

    number: int = 0
    entries: int = 0
    first: int = 0
    last: int = 0
    lines: int = 0
    proofs: int = 0
    frontier: str = Frontier().to_bytes().hex()


class TreeFiles:
    """The lines and the proofs of one tree, appended to."""

    def __init__(self, folder: Path, tree: Tree, progress: TreeProgress) -> None:
        self.progress = progress
        self.frontier = Frontier.from_bytes(bytes.fromhex(progress.frontier))
        self._lines = HashedFile(folder / f"{tree}.jsonl", progress.lines)
        self._proofs = HashedFile(folder / f"{tree}.proofs", progress.proofs)

    def add(self, numbers: Sequence[int], lines: Sequence[bytes], proofs: Sequence[bytes]) -> None:
        """Append entries with their numbers."""
        if numbers:
            self._lines.write(b"".join(lines))
            self._proofs.write(b"".join(proofs))
            self.progress.entries += len(numbers)
            self.progress.first = self.progress.first or numbers[0]
            self.progress.last = numbers[-1]

    def flush(self) -> TreeProgress:
        """Bring everything to the disk, and return how far it is."""
        self._lines.flush()
        self._proofs.flush()
        self.progress.lines, self.progress.proofs = self._lines.size, self._proofs.size
        self.progress.frontier = self.frontier.to_bytes().hex()
        return self.progress

    def files(self) -> dict[str, dict[str, Any]]:
        """Return the hash and the size of both files, for the manifest."""
        return {file.path.name: recorded(file.digest(), file.size) for file in (self._lines, self._proofs)}

    def close(self) -> None:
        self._lines.close()
        self._proofs.close()


class HashedFile:
    """A file that grows, with the SHA-256 of its content; what an earlier run wrote after `size` bytes is cut off."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self._hash = hashlib.sha256()
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._file.truncate(size)
        for piece in iter(lambda: self._file.read(_PIECE), b""):
            self._hash.update(piece)
        if self._file.tell() != size:
            raise BundleError(f"{path} has lost what an earlier run wrote: remove {path.parent}, and start again.")

    def write(self, content: bytes) -> None:
        self._file.write(content)
        self._hash.update(content)
        self.size += len(content)

    def flush(self) -> None:
        flush_file(self._file)

    def digest(self) -> str:
        return self._hash.hexdigest()

    def close(self) -> None:
        # After an error the buffer has only what is beyond the last record.
        try:
            self._file.close()
        except OSError:
            self._file.close()


class BundleFolder:
    """The folder of one bundle, held by one process.

    Attributes:
        path: where it is written, beside its place.
        trees: the files of each tree.
        resumed: whether an earlier run has written something.
    """

    def __init__(self, target: Path, path: Path, query: Any, progress: Mapping[str, Any] | None) -> None:
        self.path = path
        self.resumed = progress is not None
        self._target = target
        self._query = query
        before = progress["trees"] if progress else {}
        self.trees = {tree: TreeFiles(path, tree, TreeProgress(**before.get(tree, {}))) for tree in CHECKPOINTS}

    @classmethod
    @contextmanager
    def opened(cls, target: Path, query: Any) -> Iterator[Self]:
        """Begin a bundle, or go on with one of the same query.

        Raises:
            BundleError: the place is taken, another process writes there, or an earlier run had another query.
            OSError: the folder cannot be written.
        """
        path = target.with_name(target.name + UNFINISHED)
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise BundleError(f"{target} is there already: give another folder, or remove it.")
        path.mkdir(parents=True, exist_ok=True)
        with (path / LOCK).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BundleError(f"Another export writes to {path}.") from None
            folder = cls(target, path, query, _progress_of(path, query))
            try:
                yield folder
            finally:
                for files in folder.trees.values():
                    files.close()

    def save(self) -> None:
        """Record how far everything is, on the disk."""
        trees = {tree: asdict(files.flush()) for tree, files in self.trees.items()}
        failpoints.reached("export.flushed")
        write_file(self.path / PROGRESS, _json({"query": self._query, "trees": trees}))
        failpoints.reached("export.saved")

    def finish(self, manifest: Mapping[str, Any], texts: Mapping[str, bytes]) -> None:
        """Add the small files and the manifest, and move the folder to its place.

        Args:
            manifest: everything but the files.
            texts: the content of the small files by name.
        """
        small = {**texts, VERIFIER: Path(verify_bundle.__file__).read_bytes()}
        files = {name: recorded(hashlib.sha256(content).hexdigest(), len(content)) for name, content in small.items()}
        for tree in self.trees.values():
            tree.flush()
            files |= tree.files()
        whole = _json({**manifest, "files": dict(sorted(files.items()))})
        digest = f"{hashlib.sha256(whole).hexdigest()}  {verify_bundle.MANIFEST}\n".encode()
        for name, content in {**small, verify_bundle.MANIFEST: whole, verify_bundle.MANIFEST_HASH: digest}.items():
            write_file(self.path / name, content)
        failpoints.reached("export.finished")
        for name in (PROGRESS, LOCK):
            (self.path / name).unlink(missing_ok=True)
        self.path.rename(self._target)
        flush_folder(self._target.parent)


def recorded(digest: str, size: int) -> dict[str, Any]:
    """Return what a manifest has of a file."""
    return {"sha256": digest, "bytes": size}


def proof_line(index: int, leaf: bytes, path: Sequence[bytes] = ()) -> bytes:
    """Return the line of an entry's proof: the index of its leaf, the leaf hash, and the path, in base64."""
    return b"%d %b\n" % (index, b" ".join(map(base64.b64encode, (leaf, *path))))


def write_file(path: Path, content: bytes) -> None:
    """Replace a file durably."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(content)
        flush_file(file)
    new.rename(path)
    flush_folder(path.parent)


def _progress_of(path: Path, query: Any) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = json.loads((path / PROGRESS).read_bytes())
    except FileNotFoundError:
        return None
    if found["query"] != query:
        raise BundleError(
            f"{path} has an unfinished export with other options: repeat it with those, or remove that folder."
        )
    return found


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=True).encode("ascii") + b"\n"
