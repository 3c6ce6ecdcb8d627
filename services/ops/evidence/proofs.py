"""Proofs for others: that a row is in the log, and that one checkpoint continues another."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.ops.evidence.heads import WrongInputError, opened_head, read_head, tree_of
from services.ops.evidence.sources import EvidenceSource
from services.ops.evidence.tree_process import NotReadError
from shared.evidence.witnesses import add_checkpoint_body
from shared.process.postgres import PostgresError, reason_of
from shared.process.row_scan import row_scan
from shared.transparency.checkpoints import Checkpoint, Tree
from shared.transparency.errors import TransparencyError
from shared.transparency.merkle import consistency_proof, inclusion_proof, leaf_hash, verify_consistency
from shared.transparency.notes import VerifierKey, parse_note
from shared.transparency.proofs import TlogProof, VerifiedProof, parse_proof


class NotProvenError(Exception):
    """A statement that is not so, or cannot be proven; the message says why."""


@dataclass(frozen=True)
class Row:
    """A row of the log: an event by its position, or a journal entry by its ordinal."""

    tree: Tree
    number: int


@dataclass(frozen=True)
class RowProof:
    """A proof whose extra data is the leaf, so that it can be checked on its own."""

    row: Row
    leaf: bytes
    proof: TlogProof
    checkpoint: Checkpoint


def row_of(text: str, postgres_url: str) -> Row:
    """Return the event at a position, or the entry that recorded a command.

    Raises:
        WrongInputError: it is neither a position nor a command id.
        NotProvenError: no entry has the command id.
        NotReadError: PostgreSQL does not answer.
    """
    digits = text.replace(",", "")
    if digits.isascii() and digits.isdigit() and 0 < int(digits) < 1 << 63:
        return Row("events", int(digits))
    try:
        command_id = UUID(text)
    except ValueError as error:
        raise WrongInputError(f"{text} is neither a position (1, 2, 3 …) nor a command id.") from error
    try:
        with row_scan(postgres_url) as scan:
            ordinals = scan.ordinals_of(command_id)
    except PostgresError as error:
        raise NotReadError(f"PostgreSQL: {reason_of(error)}") from error
    if not ordinals:
        raise NotProvenError(f"No command {command_id} is on record.")
    return Row("journal", ordinals[0])


def prove_row(source: EvidenceSource, row: Row, keys: Sequence[VerifierKey]) -> RowProof:
    """Prove that a row is in the tree of the newest checkpoint of the evidence.

    Raises:
        NotProvenError: it is under no checkpoint yet, or the evidence contradicts itself.
        EvidenceUnavailableError: the evidence does not answer.
    """
    tree = source.tree(row.tree)
    try:
        data = tree.checkpoint()
        checkpoint = opened_head("the checkpoint", data, keys, outside=False).checkpoint
        if row.number > checkpoint.size:
            raise NotProvenError(
                f"{row.number:,} is not protected yet: the newest checkpoint of {row.tree} ends at "
                f"{checkpoint.size:,}. If there is such a row, the audit service makes the next one within seconds."
            )
        leaf = tree.entry(row.number - 1, checkpoint.size)
        path = inclusion_proof(row.number - 1, checkpoint.size, tree.tiles(checkpoint.size).node)
        proof = TlogProof(row.number - 1, tuple(path), parse_note(data), extra=leaf)
        proof.verify(leaf_hash(leaf), checkpoint.origin, keys)
    except FileNotFoundError as error:
        raise NotProvenError(f"{tree.place} has no file {error}.") from error
    except TransparencyError as error:
        raise NotProvenError(f"The evidence in {tree.place} does not prove it: {error}.") from error
    return RowProof(row, leaf, proof, checkpoint)


def check_proof(data: bytes, leaf: bytes | None, keys: Sequence[VerifierKey]) -> tuple[bytes, VerifiedProof]:
    """Verify a proof offline; return the leaf, and what was verified.

    Args:
        leaf: the leaf that it should prove; None for the one that it has with it.

    Raises:
        NotProvenError: it does not prove that.
    """
    try:
        proof = parse_proof(data)
        entry = proof.extra if leaf is None else leaf
        if entry is None:
            raise NotProvenError("The proof has no leaf with it: give the leaf with --leaf.")
        origin = proof.checkpoint.text.partition("\n")[0]
        log_keys = [key for key in keys if key.name == origin]
        witness_keys = [key for key in keys if key.name != origin]
        return entry, proof.verify(leaf_hash(entry), origin, log_keys, witness_keys)
    except TransparencyError as error:
        raise NotProvenError(f"Not proven: {error}.") from error


@dataclass(frozen=True)
class ConsistencyProof:
    """The first leaves of the new tree are the old tree.

    Args:
        text: the proof as tlog-witness sends it: `old <size>`, a hash in base64 a line, an empty line, the new
            checkpoint.
    """

    tree: Tree
    old: Checkpoint
    new: Checkpoint
    text: bytes


def prove_consistency(source: EvidenceSource, old: str, new: str, keys: Sequence[VerifierKey]) -> ConsistencyProof:
    """Prove by the tiles that one checkpoint continues another; both are files.

    Raises:
        WrongInputError: a file is not a checkpoint, or they are of different trees.
        NotProvenError: a trusted key has not signed one of them, or they contradict each other.
        EvidenceUnavailableError: the evidence does not answer.
    """
    (before, old_note), (after, new_note) = read_head(old), read_head(new)
    if before.origin != after.origin:
        raise WrongInputError(f"{old} is of {before.origin}, and {new} of {after.origin}.")
    if before.size > after.size:
        raise WrongInputError(f"{old} has {before.size:,} leaves and {new} {after.size:,}: give the older one first.")
    try:
        for path, note in ((old, old_note), (new, new_note)):
            opened_head(path, note, keys, outside=True)
        tree = tree_of(after)
        path_up = consistency_proof(before.size, after.size, source.tree(tree).tiles(after.size).node)
        verify_consistency(before.size, before.root, after.size, after.root, path_up)
    except TransparencyError as error:
        raise NotProvenError(f"Not proven: {error}.") from error
    return ConsistencyProof(tree, before, after, add_checkpoint_body(before.size, path_up, new_note))
