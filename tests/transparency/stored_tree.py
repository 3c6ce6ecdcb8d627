"""A log's files in memory, and the keys of a log and of a witness."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.transparency.fields import to_base64
from shared.transparency.merkle import leaf_hashes
from shared.transparency.notes import NoteSignature, SignatureType, VerifierKey
from shared.transparency.tiles import TILE_WIDTH, TileEdge, TileReader, bundle, entries_path


class StoredTree:
    """The files of a log that grows by `add`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.entries: list[bytes] = []
        self.edge = TileEdge()

    def add(self, entries: Sequence[bytes]) -> None:
        self.entries += entries
        for tile, data in self.edge.extend(leaf_hashes(entries)):
            self.files[tile.path] = data
            if tile.level == 0:
                start = tile.index * TILE_WIDTH
                path = entries_path(tile.index, tile.width)
                self.files[path] = bundle(self.entries[start : start + tile.width])

    def reader(self, size: int | None = None) -> TileReader:
        return TileReader(self.read, self.edge.size if size is None else size)

    def read(self, path: str) -> bytes:
        try:
            return self.files[path]
        except KeyError as error:
            raise FileNotFoundError(path) from error


class WitnessSigner:
    """Cosigns with Ed25519, written from tlog-cosignature: the package itself only verifies such lines."""

    def __init__(self, name: str) -> None:
        self._private_key = Ed25519PrivateKey.generate()
        public_key = self._private_key.public_key().public_bytes_raw()
        self.key = VerifierKey(name, SignatureType.ED25519_COSIGNATURE, public_key)

    def sign(self, text: str, time: int) -> NoteSignature:
        message = f"cosignature/v1\ntime {time}\n{text}".encode()
        return NoteSignature(self.key.name, self.key.key_id, time.to_bytes(8, "big") + self._private_key.sign(message))


def line(name: str, key_id: bytes, signature: bytes) -> str:
    """A line of a signature, whatever its parts are."""
    return f"— {name} {to_base64(key_id + signature)}\n"
