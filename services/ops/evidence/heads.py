"""Checkpoints that somebody gives, and the keys that are trusted to sign them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import get_args

from cryptography.x509 import Certificate

from services.ops.evidence.sources import EvidenceSource
from services.ops.evidence.tree_check import GivenHead
from shared.evidence.stamps import StampError, roots_in, verify_stamp
from shared.transparency.checkpoints import Checkpoint, InvalidCheckpointError, Tree, parse_checkpoint
from shared.transparency.errors import TransparencyError
from shared.transparency.notes import UntrustedNoteError, VerifierKey, open_note, parse_note

TREES: Sequence[Tree] = get_args(Tree)


class WrongInputError(Exception):
    """A file or a key that the user gave cannot be used; the message says why."""


def trusted_keys(options: Iterable[str], source: EvidenceSource) -> list[VerifierKey]:
    """Return the keys that the user trusts, each a verifier key or a file of them; without any, those of the evidence.

    Raises:
        WrongInputError: one cannot be read.
        EvidenceUnavailableError: the evidence does not answer.
    """
    keys: list[VerifierKey] = []
    for one in options:
        path = Path(one)
        try:
            lines = path.read_text().splitlines() if path.is_file() else [one]
            keys += [VerifierKey.parse(line) for line in lines if line]
        except (OSError, ValueError) as error:
            raise WrongInputError(f"--key {one[:80]}: {error}") from error
    try:
        return keys or source.verifier_keys()
    except TransparencyError as error:
        raise WrongInputError(f"The verifier keys of {source.place} cannot be read: {error}. Give --key.") from error


def tree_of(checkpoint: Checkpoint) -> Tree:
    """Return the tree that an origin names; one that began later has its time after the name.

    Raises:
        InvalidCheckpointError: it names none.
    """
    name = checkpoint.origin.rpartition("/")[2].partition("-")[0]
    for tree in TREES:
        if tree == name:
            return tree
    raise InvalidCheckpointError(f"the origin {checkpoint.origin[:80]!r} is not that of a log of Switchboard")


def read_head(path: str) -> tuple[Checkpoint, bytes]:
    """Read a checkpoint that the user gave; nothing about it is verified.

    Raises:
        WrongInputError: it is not one.
    """
    try:
        data = Path(path).read_bytes()
        return parse_checkpoint(parse_note(data).text), data
    except (OSError, TransparencyError) as error:
        raise WrongInputError(f"{path} is not a checkpoint: {error}") from error


def opened_head(name: str, data: bytes, keys: Sequence[VerifierKey], *, outside: bool) -> GivenHead:
    """Return a checkpoint that a trusted key of its log has signed. Such a key has the origin as its name.

    Raises:
        UntrustedNoteError: none has, or a signature of a trusted key is wrong.
        TransparencyError: it is not a checkpoint.
    """
    note = parse_note(data)
    checkpoint = parse_checkpoint(note.text)
    signatures = open_note(note, keys)
    if not any(one.key.name == checkpoint.origin for one in signatures):
        raise UntrustedNoteError(f"no trusted key of {checkpoint.origin} signed it")
    witnesses = {(one.key.name, one.time) for one in signatures if one.key.name != checkpoint.origin}
    return GivenHead(name, checkpoint, outside, tuple(sorted(witnesses, key=str)))


def stamp_of(checkpoint: Path) -> Path:
    """Return where the stamp of a checkpoint is kept: beside it."""
    return checkpoint.with_name(f"{checkpoint.name}.tsr")


def trusted_roots(path: Path | None) -> list[Certificate]:
    """Return the root certificates of authorities that the user trusts; none without a file.

    Raises:
        WrongInputError: the file has none.
    """
    if path is None:
        return []
    try:
        return roots_in(path.read_bytes())
    except (OSError, StampError) as error:
        raise WrongInputError(f"--stamp-roots {path}: {error}.") from error


def stamped_at(path: Path, data: bytes, roots: Sequence[Certificate]) -> datetime | None:
    """Return when an authority has stamped a checkpoint; None without roots, or without a stamp beside it.

    Raises:
        StampError: the stamp is not valid.
    """
    stamp = stamp_of(path)
    return verify_stamp(stamp.read_bytes(), data, roots) if roots and stamp.is_file() else None
