"""The signing keys: pairs of Ed25519 and ML-DSA-44, each in a folder of its own that is there whole or not at all.

A checkpoint is signed by every pair that is not retired. So a new pair signs beside the old one until all verifiers
know it; then the old one is retired. The folder of keys belongs to the audit alone.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from shared.process import failpoints
from shared.process.durable_files import flush_folder, make_folder, write_files
from shared.transparency.checkpoints import Checkpoint
from shared.transparency.notes import Ed25519Signer, MlDsaSigner, Note, VerifierKey, render

ED25519: Final = "ed25519.pem"
ML_DSA_44: Final = "ml-dsa-44.pem"
RETIRED: Final = "retired"

PrivateKey = Ed25519PrivateKey | MLDSA44PrivateKey


class KeysError(Exception):
    """The signing keys cannot be used; the message says what to do."""


@dataclass(frozen=True)
class KeyPair:
    """Two private keys that sign together, and their number."""

    number: int
    ed25519: Ed25519PrivateKey
    ml_dsa: MLDSA44PrivateKey

    def signers(self, name: str) -> tuple[Ed25519Signer, MlDsaSigner]:
        """Return the signers under a name, which is the origin of the tree."""
        return Ed25519Signer(name, self.ed25519), MlDsaSigner(name, self.ml_dsa)


class KeyFolder:
    """The folder of the signing keys, one folder for each pair, called by its number.

    Args:
        path: the folder.
        verifier_keys: the file with the public keys, which exists as soon as one has signed.
    """

    def __init__(self, path: Path, verifier_keys: Path) -> None:
        self._path = path
        self._verifier_keys = verifier_keys

    def pairs_or_first(self) -> list[KeyPair]:
        """Return the pairs that sign, oldest first; the first one is made where none has ever signed.

        Raises:
            KeysError: a key is gone, cannot be read, or others may use it.
        """
        try:
            if not self.numbers() and not self._ever_signed():
                self._make_private()
                self._make(1)
        except OSError as error:
            raise KeysError(f"the folder of signing keys cannot be used: {error}") from error
        return self.pairs()

    def pairs(self) -> list[KeyPair]:
        """Return the pairs that sign, oldest first.

        Raises:
            KeysError: there is none, or a key is gone, cannot be read, or others may use it.
        """
        numbers = self.numbers()
        if not numbers:
            raise KeysError(self._why_none())
        try:
            return [self._load(number) for number in numbers]
        except OSError as error:
            raise KeysError(f"the folder of signing keys cannot be used: {error}") from error

    def add(self) -> int:
        """Make the next pair, and return its number.

        Raises:
            KeysError: none has signed yet, so the folder may be another one than that of the audit.
            OSError: the folder cannot be written.
        """
        if not self.numbers() and not self._ever_signed():
            raise KeysError(self._why_none())
        self._make_private()
        number = max((0, *self.numbers(), *self._former())) + 1
        while not self._make(number):
            number += 1
        return number

    def retire(self, number: int) -> None:
        """Let a pair sign no more; its files stay, under `retired`.

        Raises:
            KeysError: there is no such pair, or it is the only one.
        """
        numbers = self.numbers()
        if number not in numbers:
            raise KeysError(f"there is no pair {number} that signs; pairs: {', '.join(map(str, numbers)) or 'none'}")
        if len(numbers) == 1:
            raise KeysError(f"pair {number} is the only one that signs: add another first")
        make_folder(self._path / RETIRED, 0o700)
        (self._path / str(number)).rename(self._path / RETIRED / str(number))
        flush_folder(self._path / RETIRED)
        flush_folder(self._path)

    def _ever_signed(self) -> bool:
        return self._verifier_keys.exists() or bool(self._former())

    def _why_none(self) -> str:
        if self._ever_signed():
            return (
                f"the signing keys are gone from {self._path}: restore them, or run `switchboard audit evidence "
                "rotate-keys` and tell everybody who verifies"
            )
        return f"there are no signing keys in {self._path}: the audit makes them when it first signs, where it runs"

    def _make(self, number: int) -> bool:
        """Make the pair with a number; return whether this process did, and not another one before it."""
        keys: dict[str, PrivateKey] = {ED25519: Ed25519PrivateKey.generate(), ML_DSA_44: MLDSA44PrivateKey.generate()}
        made = Path(tempfile.mkdtemp(prefix=".new-", dir=self._path))
        try:
            write_files({made / name: _pem(key) for name, key in keys.items()}, mode=0o600)
            failpoints.reached("evidence.keys")
            made.rename(self._path / str(number))
        except OSError:
            if not (self._path / str(number)).exists():
                raise
            return False
        finally:
            shutil.rmtree(made, ignore_errors=True)
        flush_folder(self._path)
        return True

    def _make_private(self) -> None:
        if not self._path.exists():
            make_folder(self._path.parent)
            make_folder(self._path, 0o700)

    def numbers(self) -> list[int]:
        """Return the numbers of the pairs that sign, oldest first.

        Raises:
            KeysError: the folder cannot be read.
        """
        return _numbers_in(self._path)

    def _former(self) -> list[int]:
        return _numbers_in(self._path / RETIRED)

    def _load(self, number: int) -> KeyPair:
        folder = self._path / str(number)
        ed25519, ml_dsa = _read(folder / ED25519), _read(folder / ML_DSA_44)
        if not isinstance(ed25519, Ed25519PrivateKey) or not isinstance(ml_dsa, MLDSA44PrivateKey):
            raise KeysError(f"{folder} has keys of other kinds: put an Ed25519 and an ML-DSA-44 key there")
        return KeyPair(number, ed25519, ml_dsa)


def sign(head: Checkpoint, pairs: Sequence[KeyPair], time: int) -> bytes:
    """Return the checkpoint of a head, signed by every pair; `time` in POSIX seconds."""
    signatures = []
    for ed25519, ml_dsa in (pair.signers(head.origin) for pair in pairs):
        signatures += [ed25519.sign(head.text), ml_dsa.sign(head.text, time)]
    return render(Note(head.text, tuple(signatures)))


def verifier_keys(origin: str, pairs: Sequence[KeyPair]) -> list[VerifierKey]:
    """Return the public keys of the checkpoints with this origin."""
    return [signer.key for pair in pairs for signer in pair.signers(origin)]


def _numbers_in(folder: Path) -> list[int]:
    try:
        return sorted(int(one.name) for one in folder.iterdir() if one.name.isdigit())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise KeysError(f"the folder of signing keys cannot be read: {error}") from error


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read(path: Path) -> object:
    """
    Raises:
        KeysError: it is not a private key of its own user.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        # A volume of Kubernetes gives files to the group of the pod.
        if mode & stat.S_IRWXO:
            raise KeysError(f"others may use the signing key {path}: chmod 600 it, or replace it if others had access")
        content = file.read()
    try:
        return load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise KeysError(f"{path} is not an unencrypted private key in PEM") from error
