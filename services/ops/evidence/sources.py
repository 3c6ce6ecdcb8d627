"""Evidence where it is: the files of both trees, in a folder or at the URL where the audit serves them."""

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shared.process.tree_files import PREFIX, VERIFIER_KEYS
from shared.transparency.checkpoints import Tree
from shared.transparency.errors import TransparencyError
from shared.transparency.notes import VerifierKey
from shared.transparency.tiles import TILE_WIDTH, TileReader, entries_of, entries_path

CHECKPOINT: Final = "checkpoint"
HTTP_SECONDS: Final = 10.0
# Of a full bundle, 256 entries of 65,535 bytes with their lengths; nothing larger is read from elsewhere.
LARGEST_FILE: Final = TILE_WIDTH * (65_535 + 2)


class EvidenceUnavailableError(Exception):
    """The evidence cannot be read; the message says where, and why."""


class EvidenceSource:
    """The files of both trees.

    Attributes:
        place: the folder or the URL, as text.
    """

    def __init__(self, place: str, read: Callable[[str], bytes]) -> None:
        self.place = place
        self._read = read

    def read(self, path: str) -> bytes:
        """Return a file by its path below the place, such as `events/checkpoint`.

        Raises:
            FileNotFoundError: there is no such file.
            EvidenceUnavailableError: the place does not answer.
        """
        return self._read(path)

    def tree(self, name: Tree) -> "TreeSource":
        """Return the files of one tree."""
        return TreeSource(self, name)

    def verifier_keys(self) -> list[VerifierKey]:
        """Return the public keys beside the evidence; none where there is no such file.

        Raises:
            InvalidKeyError: a line is not a verifier key.
            EvidenceUnavailableError: the place does not answer.
        """
        try:
            lines = self.read(VERIFIER_KEYS).decode(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [VerifierKey.parse(line) for line in lines if line]


class TreeSource:
    """The files of one tree, as C2SP's tlog-tiles names them.

    Attributes:
        name: of the tree.
        place: the folder or the URL, as text.
    """

    def __init__(self, source: EvidenceSource, name: Tree) -> None:
        self.name = name
        self.place = f"{source.place}/{name}"
        self._source = source

    def read(self, path: str) -> bytes:
        """Return a file by its path below the tree, such as `tile/0/000`. Errors as of `EvidenceSource.read`."""
        return self._source.read(f"{self.name}/{path}")

    def checkpoint(self) -> bytes:
        """Return the signed checkpoint. Errors as of `read`."""
        return self.read(CHECKPOINT)

    def tiles(self, size: int) -> TileReader:
        """Return a reader of the tree of that size."""
        return TileReader(self.read, size)

    def entries(self, index: int, width: int = TILE_WIDTH) -> list[bytes]:
        """Return the first `width` entries of a bundle.

        Raises, beside the errors of `read`:
            InvalidTileError: it cannot be read as a bundle.
        """
        try:
            found = self.read(entries_path(index, width))
        except FileNotFoundError:
            # The full bundle may have taken the place of the partial one.
            found = self.read(entries_path(index))
        return entries_of(found)[:width]

    def entry(self, index: int, size: int) -> bytes:
        """Return one entry of the tree of that size.

        Raises, beside the errors of `entries`:
            TransparencyError: the bundle does not have it.
        """
        of_bundle, at = divmod(index, TILE_WIDTH)
        found = self.entries(of_bundle, min(size - of_bundle * TILE_WIDTH, TILE_WIDTH))
        if at >= len(found):
            raise TransparencyError(f"{entries_path(of_bundle)} of {self.name} ends before entry {index}")
        return found[at]


def evidence_at(place: str) -> EvidenceSource:
    """Return the evidence in a folder, or at a URL such as `http://audit:8080` or `http://audit:8080/tlog`.

    Raises:
        EvidenceUnavailableError: there is no such folder.
    """
    if place.startswith(("http://", "https://")):
        base = place.rstrip("/")
        return _at_url(base if base.endswith(PREFIX.rstrip("/")) else base + PREFIX.rstrip("/"))
    folder = Path(place)
    if not folder.is_dir():
        raise EvidenceUnavailableError(f"There is no folder {place}.")
    return _in_folder(folder)


def _in_folder(folder: Path) -> EvidenceSource:
    def read(path: str) -> bytes:
        try:
            return (folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise FileNotFoundError(path) from error
        except OSError as error:
            raise EvidenceUnavailableError(f"{folder / path} cannot be read: {error.strerror}.") from error

    return EvidenceSource(str(folder), read)


def _at_url(base: str) -> EvidenceSource:
    def read(path: str) -> bytes:
        try:
            with urllib.request.urlopen(f"{base}/{path}", timeout=HTTP_SECONDS) as answer:  # noqa: S310  http(s) only
                found: bytes = answer.read(LARGEST_FILE + 1)
        except urllib.error.HTTPError as error:
            if error.code == 404:  # noqa: PLR2004  not found
                raise FileNotFoundError(path) from error
            raise EvidenceUnavailableError(f"{base}/{path} answers {error.code} {error.reason}.") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise EvidenceUnavailableError(f"{base}/{path} does not answer: {reason}.") from error
        if len(found) > LARGEST_FILE:
            raise EvidenceUnavailableError(f"{base}/{path} is larger than any file of a log.")
        return found

    return EvidenceSource(base, read)
