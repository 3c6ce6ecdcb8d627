"""The evidence of a report about access: a checkpoint, a proof of its last event, and its author's signature."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.ops.evidence.access_report import FORMAT, last_position
from services.ops.evidence.heads import opened_head
from services.ops.evidence.sources import EvidenceSource, EvidenceUnavailableError
from shared.transparency.errors import TransparencyError
from shared.transparency.fields import to_base64
from shared.transparency.merkle import inclusion_proof, leaf_hash
from shared.transparency.notes import Ed25519Signer, Note, VerifierKey, parse_note, render
from shared.transparency.proofs import TlogProof
from shared.transparency.proofs import render as render_proof

PROOF: Final = "last-event.tlog-proof"
CHECKPOINT: Final = "events.checkpoint"
NOTE: Final = "report.note"


class SigningKeyError(Exception):
    """The private key cannot be used; the message says what to do."""


class ReportEvidence(NamedTuple):
    """The evidence of a report: fields for the report, and files beside it."""

    fields: Mapping[str, Any]
    files: Mapping[str, bytes]


def without_evidence(problem: str) -> ReportEvidence:
    names = ("checkpoint", "origin", "size", "root", "last_event")
    return ReportEvidence({**dict.fromkeys(names), "problem": problem}, {})


def evidence_of(report: Mapping[str, Any], source: EvidenceSource, keys: Sequence[VerifierKey]) -> ReportEvidence:
    """Return the checkpoint of the events, and the proof of the last event that the report names.

    A report without evidence says why it has none.
    """
    tree = source.tree("events")
    try:
        note = tree.checkpoint()
        head = opened_head(CHECKPOINT, note, keys, outside=False).checkpoint
    except FileNotFoundError:
        return without_evidence(f"there is no checkpoint at {source.place}.")
    except (EvidenceUnavailableError, TransparencyError) as error:
        return without_evidence(f"{error}")
    if f"/{report['log']['id']}/" not in head.origin:
        return without_evidence(f"the checkpoint at {source.place} is of another log, {head.origin}.")
    last = last_position(report)
    fields = {
        "checkpoint": note.decode(),
        "origin": head.origin,
        "size": head.size,
        "root": to_base64(head.root),
        "last_event": last,
        "problem": None,
    }
    if last > head.size:
        why = f"Events after position {head.size:,} are under no checkpoint yet; the last one named here is {last:,}."
        return ReportEvidence({**fields, "problem": why}, {CHECKPOINT: note})
    files = {CHECKPOINT: note}
    try:
        if last:
            leaf = tree.entry(last - 1, head.size)
            path = inclusion_proof(last - 1, head.size, tree.tiles(head.size).node)
            proof = TlogProof(last - 1, tuple(path), parse_note(note), leaf)
            proof.verify(leaf_hash(leaf), head.origin, keys)
            files[PROOF] = render_proof(proof)
    except (OSError, EvidenceUnavailableError, TransparencyError) as error:
        return ReportEvidence({**fields, "problem": f"The last event cannot be proven: {error}."}, files)
    return ReportEvidence(fields, files)


def signer_of(path: Path, name: str) -> Ed25519Signer:
    """Read the private key of who signs the report.

    Raises:
        SigningKeyError: it is not an Ed25519 key in PEM without a password.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(f"{path} is not a private key in PEM without a password: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError(f"{path} is not an Ed25519 key: make one with openssl genpkey -algorithm ed25519")
    return Ed25519Signer(name, key)


def signed_note(report: Mapping[str, Any], files: Mapping[str, bytes], signer: Ed25519Signer) -> bytes:
    """Return a signed note (C2SP signed-note) with the account and the hash of every file, in the form of sha256sum."""
    hashes = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    text = f"{FORMAT}\n{report['account']}\n{report['made']['at']}\n{hashes}"
    return render(Note(text, (signer.sign(text),)))
