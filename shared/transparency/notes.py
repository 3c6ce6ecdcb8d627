"""Signed notes of C2SP: a text, and signatures of named keys over it.

Three types of keys: Ed25519 over the text (signed-note), and cosignatures with a time over a checkpoint, by Ed25519 or
ML-DSA-44 (tlog-cosignature).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from shared.transparency.checkpoints import parse_checkpoint
from shared.transparency.errors import TransparencyError
from shared.transparency.fields import LARGEST_NUMBER, from_base64, is_line, to_base64

# Of one note; the format asks for 16 at least.
MOST_SIGNATURES: Final = 100
# Of ML-DSA-44, with the key id and the time: 3,244 letters in base64.
LARGEST_NOTE: Final = 1_000_000

_KEY_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_SIGNED_CHECKPOINT: Final = b"subtree/v1\n\0"
_LONGEST_NAME: Final = 255
_BEGINNING: Final = "\N{EM DASH} "


class InvalidNoteError(TransparencyError):
    """A text that is not a signed note, or cannot become one."""


class InvalidKeyError(TransparencyError):
    """A verifier key that cannot be used, or a text that is not one."""


class UntrustedNoteError(TransparencyError):
    """A note without a signature by a trusted key, or with a wrong one."""


class SignatureType(IntEnum):
    """How a key signs; the numbers are C2SP's."""

    ED25519 = 0x01
    ED25519_COSIGNATURE = 0x04
    ML_DSA_44_COSIGNATURE = 0x06


PUBLIC_KEY_BYTES: Final = {
    SignatureType.ED25519: 32,
    SignatureType.ED25519_COSIGNATURE: 32,
    SignatureType.ML_DSA_44_COSIGNATURE: 1312,
}


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature: the name and the id (4 bytes) of its key, and the bytes that the key made.

    Raises:
        InvalidNoteError: the name, the id or the signature cannot be in a note.
    """

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        if not _is_key_name(self.name):
            raise InvalidNoteError(f"the name of a key has no spaces and no plus: {self.name[:80]!r}")
        if len(self.key_id) != _KEY_ID_BYTES or not self.signature:
            raise InvalidNoteError(f"a signature is a key id of {_KEY_ID_BYTES} bytes, and at least one byte more")

    @property
    def line(self) -> str:
        """The signature's line in a note, with its end."""
        return f"{_BEGINNING}{self.name} {to_base64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends with a newline, and at least one signature. Nothing about it is verified.

    Raises:
        InvalidNoteError: this text cannot be in a note.
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def __post_init__(self) -> None:
        if not self.text.endswith("\n"):
            raise InvalidNoteError("the text of a note ends with a newline")
        if not all(is_line(line) for line in self.text.split("\n") if line):
            raise InvalidNoteError("a note is text in UTF-8, without control characters but newlines")
        if not 1 <= len(self.signatures) <= MOST_SIGNATURES:
            raise InvalidNoteError(f"a note has 1 to {MOST_SIGNATURES} signatures, not {len(self.signatures)}")


def parse_note(data: bytes) -> Note:
    """Read a note. Verify it with `open_note` before its text is used.

    Raises:
        InvalidNoteError: it is not a signed note.
    """
    if len(data) > LARGEST_NOTE:
        raise InvalidNoteError(f"a note has at most {LARGEST_NOTE} bytes, not {len(data)}")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidNoteError("a note is text in UTF-8") from error
    end = whole.rfind("\n\n")
    if end < 0:
        raise InvalidNoteError("a note has an empty line between its text and its signatures")
    *lines, after = whole[end + 2 :].split("\n")
    if after:
        raise InvalidNoteError("the last line of a note ends with a newline")
    return Note(whole[: end + 1], tuple(_parse_line(line) for line in lines))


def render(note: Note) -> bytes:
    """Return the note as it is stored and sent."""
    return f"{note.text}\n{''.join(one.line for one in note.signatures)}".encode()


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name and type. As text: `<name>+<key id in hex>+<base64 of type and key>`.

    Raises:
        InvalidKeyError: the name or the key cannot be used.
    """

    name: str
    kind: SignatureType
    public_key: bytes

    def __post_init__(self) -> None:
        if not _is_key_name(self.name):
            raise InvalidKeyError(f"the name of a key has no spaces, no control characters and no plus: {self.name!r}")
        if self.kind is SignatureType.ML_DSA_44_COSIGNATURE and len(self.name.encode()) > _LONGEST_NAME:
            raise InvalidKeyError(f"the name of an ML-DSA key has at most {_LONGEST_NAME} bytes: {self.name[:80]!r} …")
        if len(self.public_key) != PUBLIC_KEY_BYTES[self.kind]:
            raise InvalidKeyError(
                f"the public key of {self.name} has {PUBLIC_KEY_BYTES[self.kind]} bytes, not {len(self.public_key)}"
            )

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read a verifier key.

        Raises:
            InvalidKeyError: it is not one, its id does not belong to it, or its type is not supported.
        """
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            kind, public_key = _parse_key(encoded)
        except TransparencyError as error:
            raise InvalidKeyError(f"not a verifier key: {text[:80]!r}: {error}") from error
        key = cls(name, kind, public_key)
        if key_id != key.key_id.hex():
            raise InvalidKeyError(f"the id of the key of {name} is {key.key_id.hex()}, not {key_id[:80]!r}")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{to_base64(bytes([self.kind]) + self.public_key)}"

    @property
    def key_id(self) -> bytes:
        """The four bytes that, with the name, identify the key in a note."""
        return hashlib.sha256(f"{self.name}\n".encode() + bytes([self.kind]) + self.public_key).digest()[:_KEY_ID_BYTES]

    def verify(self, text: str, signature: bytes) -> int | None:
        """Check a signature over the text of a note; return its time in POSIX seconds, None for a type without one.

        Raises:
            UntrustedNoteError: this key did not sign this text.
        """
        try:
            match self.kind:
                case SignatureType.ED25519:
                    Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
                    return None
                case SignatureType.ED25519_COSIGNATURE:
                    time, signature = _parse_timed(signature)
                    Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, _timed_text(time, text))
                    return time
                case SignatureType.ML_DSA_44_COSIGNATURE:
                    time, signature = _parse_timed(signature)
                    message = _cosigned_message(self.name, time, text)
                    MLDSA44PublicKey.from_public_bytes(self.public_key).verify(signature, message)
                    return time
        except InvalidSignature as error:
            raise UntrustedNoteError(f"the signature of {_described(self)} does not fit the text") from error
        except TransparencyError as error:
            raise UntrustedNoteError(f"the signature of {_described(self)} cannot be of this text: {error}") from error


@dataclass(frozen=True, slots=True)
class VerifiedSignature:
    """A trusted key that signed a note; `time` in POSIX seconds, None for a type without one."""

    key: VerifierKey
    time: int | None


def open_note(note: Note, keys: Iterable[VerifierKey]) -> list[VerifiedSignature]:
    """Verify each signature of a trusted key; those of other keys are ignored. Return at least one.

    Raises:
        UntrustedNoteError: a signature of a trusted key is wrong, or there is not any.
    """
    trusted = {(key.name, key.key_id): key for key in keys}
    verified = [
        VerifiedSignature(key, key.verify(note.text, one.signature))
        for one in note.signatures
        if (key := trusted.get((one.name, one.key_id))) is not None
    ]
    if not verified:
        signers = ", ".join(f"{one.name} ({one.key_id.hex()})" for one in note.signatures[:10])
        raise UntrustedNoteError(f"no trusted key signed this note; signed by {signers}")
    return verified


class Ed25519Signer:
    """Signs the text of a note, as the log itself does."""

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        """
        Raises:
            InvalidKeyError: the name cannot be used.
        """
        self.key = VerifierKey(name, SignatureType.ED25519, private_key.public_key().public_bytes_raw())
        self._private_key = private_key

    def sign(self, text: str) -> NoteSignature:
        """Return the signature over a text."""
        return NoteSignature(self.key.name, self.key.key_id, self._private_key.sign(text.encode()))


class MlDsaSigner:
    """Signs checkpoints with ML-DSA-44, under the time at which it does."""

    def __init__(self, name: str, private_key: MLDSA44PrivateKey) -> None:
        """
        Raises:
            InvalidKeyError: the name cannot be used.
        """
        self.key = VerifierKey(name, SignatureType.ML_DSA_44_COSIGNATURE, private_key.public_key().public_bytes_raw())
        self._private_key = private_key

    def sign(self, text: str, time: int) -> NoteSignature:
        """Return the signature over the text of a checkpoint; `time` in POSIX seconds.

        Raises:
            InvalidCheckpointError: the text is not a checkpoint.
            InvalidNoteError: the time or the length of the origin cannot be signed.
        """
        signature = self._private_key.sign(_cosigned_message(self.key.name, time, text))
        return NoteSignature(self.key.name, self.key.key_id, time.to_bytes(_TIME_BYTES, "big") + signature)


def _parse_line(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_BEGINNING).partition(" ")
    if not line.startswith(_BEGINNING) or not encoded:
        raise InvalidNoteError(f"a line of a signature is an em dash, a name and base64, not {line[:80]!r}")
    try:
        value = from_base64(encoded)
    except TransparencyError as error:
        raise InvalidNoteError(f"the signature of {name[:80]!r}: {error}") from error
    return NoteSignature(name, value[:_KEY_ID_BYTES], value[_KEY_ID_BYTES:])


def _parse_key(encoded: str) -> tuple[SignatureType, bytes]:
    value = from_base64(encoded)
    if not value or value[0] not in PUBLIC_KEY_BYTES:
        supported = ", ".join(f"0x{kind:02x}" for kind in SignatureType)
        raise InvalidKeyError(f"the type of the key is not one of {supported}")
    return SignatureType(value[0]), value[1:]


def _parse_timed(signature: bytes) -> tuple[int, bytes]:
    """Return the time and the rest of a `timestamped_signature`."""
    return int.from_bytes(signature[:_TIME_BYTES], "big"), signature[_TIME_BYTES:]


def _timed_text(time: int, text: str) -> bytes:
    """Return the message of an Ed25519 cosignature."""
    _require_time(time)
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _cosigned_message(name: str, time: int, text: str) -> bytes:
    """Return the `cosigned_message` of a checkpoint."""
    _require_time(time)
    checkpoint = parse_checkpoint(text)
    origin = checkpoint.origin.encode()
    if len(origin) > _LONGEST_NAME:
        raise InvalidNoteError(f"an ML-DSA key signs an origin of at most {_LONGEST_NAME} bytes")
    cosigner = name.encode()
    return b"".join(
        (
            _SIGNED_CHECKPOINT,
            bytes([len(cosigner)]), cosigner,
            time.to_bytes(_TIME_BYTES, "big"),
            bytes([len(origin)]), origin,
            (0).to_bytes(8, "big"),
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )  # fmt: skip


def _require_time(time: int) -> None:
    if not 0 <= time <= LARGEST_NUMBER:
        raise InvalidNoteError(f"the time of a signature is 0 to 2^63 - 1, not {time}")


def _is_key_name(name: str) -> bool:
    return is_line(name) and "+" not in name and not any(letter.isspace() for letter in name)


def _described(key: VerifierKey) -> str:
    return f"{key.name} ({key.key_id.hex()})"
