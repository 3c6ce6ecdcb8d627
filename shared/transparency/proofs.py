"""Proofs that work offline, by C2SP's tlog-proof: a checkpoint, the place of a leaf, and its audit path."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from shared.transparency.checkpoints import Checkpoint, parse_checkpoint
from shared.transparency.errors import TransparencyError
from shared.transparency.fields import HASH_BYTES, LARGEST_NUMBER, from_base64, to_base64, to_hash, to_number
from shared.transparency.merkle import InvalidProofError, verify_inclusion
from shared.transparency.notes import Note, UntrustedNoteError, VerifiedSignature, VerifierKey, open_note, parse_note
from shared.transparency.notes import render as render_note

FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
# Of a tree of up to 2^63 leaves.
LONGEST_PATH: Final = 63

_EXTRA: Final = "extra "
_INDEX: Final = "index "


@dataclass(frozen=True, slots=True)
class VerifiedProof:
    """The checkpoint that has the leaf, and the trusted keys that signed it: of the log and of witnesses."""

    checkpoint: Checkpoint
    signatures: list[VerifiedSignature]


@dataclass(frozen=True, slots=True)
class TlogProof:
    """The leaf at `index` is in the tree of the signed checkpoint, by this path from its sibling up.

    `extra` is not protected by the proof; None where there is not any.

    Raises:
        InvalidProofError: it cannot be written as a proof.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: Note
    extra: bytes | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index <= LARGEST_NUMBER:
            raise InvalidProofError(f"the index of a leaf is 0 to 2^63 - 1, not {self.index}")
        if len(self.path) > LONGEST_PATH or any(len(one) != HASH_BYTES for one in self.path):
            raise InvalidProofError(f"a path has at most {LONGEST_PATH} hashes, each of {HASH_BYTES} bytes")
        if self.extra == b"":
            raise InvalidProofError("extra data of a proof has at least one byte")

    def verify(
        self, leaf: bytes, origin: str, log_keys: Collection[VerifierKey], witness_keys: Collection[VerifierKey] = ()
    ) -> VerifiedProof:
        """Check that a leaf hash is in the log of this origin, as one of the log's keys has signed.

        How many witnesses must have signed is up to the caller, who finds them in the result.

        Raises:
            UntrustedNoteError: no key of the log signed it, or a signature of a trusted key is wrong.
            InvalidCheckpointError: the note is not a checkpoint.
            InvalidProofError: it is of another log, or the path does not lead to its root.
        """
        signatures = open_note(self.checkpoint, [*log_keys, *witness_keys])
        if not any(one.key in log_keys for one in signatures):
            raise UntrustedNoteError("witnesses signed the checkpoint of this proof, but no trusted key of the log")
        checkpoint = parse_checkpoint(self.checkpoint.text)
        if checkpoint.origin != origin:
            raise InvalidProofError(f"the proof is of the log {checkpoint.origin!r}, not {origin!r}")
        verify_inclusion(leaf, self.index, checkpoint.size, self.path, checkpoint.root)
        return VerifiedProof(checkpoint, signatures)


def parse_proof(data: bytes) -> TlogProof:
    """Read a proof. Nothing about it is verified.

    Raises:
        InvalidProofError: it is not a proof of this format.
        InvalidNoteError: its checkpoint is not a signed note.
    """
    head, separator, checkpoint = data.partition(b"\n\n")
    if not separator:
        raise InvalidProofError("a proof has an empty line before its checkpoint")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise InvalidProofError("a proof is ASCII text before its checkpoint") from error
    if first != FIRST_LINE:
        raise InvalidProofError(f"a proof begins with the line {FIRST_LINE}, not {first[:80]!r}")
    try:
        extra = from_base64(lines.pop(0).removeprefix(_EXTRA)) if lines and lines[0].startswith(_EXTRA) else None
        if not lines or not lines[0].startswith(_INDEX):
            raise InvalidProofError("a proof has a line with the index of its leaf")
        index = to_number(lines[0].removeprefix(_INDEX))
        path = tuple(to_hash(line) for line in lines[1:])
    except TransparencyError as error:
        raise InvalidProofError(f"not a proof: {error}") from error
    return TlogProof(index, path, parse_note(checkpoint), extra)


def render(proof: TlogProof) -> bytes:
    """Return the proof as it is stored: a `.tlog-proof` file."""
    lines = [FIRST_LINE]
    if proof.extra is not None:
        lines.append(_EXTRA + to_base64(proof.extra))
    lines += [f"{_INDEX}{proof.index}", *map(to_base64, proof.path)]
    return "\n".join([*lines, "", ""]).encode() + render_note(proof.checkpoint)
