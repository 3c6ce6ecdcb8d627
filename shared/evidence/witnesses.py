"""Witnesses of C2SP's tlog-witness: the list of those that are asked, and the request for their cosignatures."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.transparency.checkpoints import parse_checkpoint
from shared.transparency.errors import TransparencyError
from shared.transparency.fields import to_base64, to_number
from shared.transparency.merkle import consistency_proof
from shared.transparency.notes import (
    Note,
    NoteSignature,
    SignatureType,
    VerifiedSignature,
    VerifierKey,
    open_note,
    parse_note,
    render,
)
from shared.transparency.tiles import TileReader

WITNESSES: Final = "witnesses.json"
ANSWER_SECONDS: Final = 5.0
LARGEST_ANSWER: Final = 100_000
# The size that a witness names in a conflict may be out of date when two processes ask it.
MOST_REQUESTS: Final = 3

OK: Final = 200
CONFLICT: Final = 409
WHY: Final = {
    400: "the request is malformed",
    403: "it does not trust the key of this log: give its operator the verifier keys",
    404: "it does not know this log: give its operator the origin and the verifier keys",
    422: "it knows another tree of this log: the log was forked or rewritten",
}


class WitnessError(Exception):
    """A witness that did not cosign; the message says why."""


class WitnessUnavailableError(WitnessError):
    """It does not answer, or its answer is not that of a witness."""


class WitnessRefusedError(WitnessError):
    """It refuses the checkpoint. `status` is that of HTTP."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class WitnessAheadError(WitnessError):
    """It has cosigned a larger tree: the log was rolled back."""


class WitnessListError(Exception):
    """The list of witnesses cannot be read or changed so; the message says why."""


@dataclass(frozen=True)
class Witness:
    """
    Args:
        name: as the operator calls it.
        url: the submission prefix, to which `/add-checkpoint` is added.
        key: the one that cosigns.
    """

    name: str
    url: str
    key: VerifierKey

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise WitnessListError(f"{self.url} is not a URL of HTTP")
        if self.key.kind is SignatureType.ED25519:
            raise WitnessListError(f"the key of {self.name} signs notes; a witness has one that cosigns (0x04, 0x06)")


def read_witnesses(evidence: Path) -> list[Witness]:
    """Return the witnesses in the folder of the evidence, none where there is no list.

    Raises:
        WitnessListError: the list cannot be read.
    """
    path = evidence / WITNESSES
    try:
        return [Witness(one["name"], one["url"], VerifierKey.parse(one["key"])) for one in json.loads(path.read_text())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WitnessListError(f"{path} cannot be read as a list of witnesses: {error}") from error


def write_witnesses(evidence: Path, witnesses: Iterable[Witness]) -> None:
    """Replace the list.

    Raises:
        OSError: the folder cannot be written.
    """
    content = [{"name": one.name, "url": one.url, "key": str(one.key)} for one in witnesses]
    unfinished = evidence / f"{WITNESSES}.unfinished.{os.getpid()}"
    unfinished.write_text(json.dumps(content, indent=1) + "\n")
    unfinished.replace(evidence / WITNESSES)


def add_checkpoint_body(old_size: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """Return the body of `add-checkpoint`: the old size, the proof, an empty line, the checkpoint."""
    return "\n".join([f"old {old_size}", *map(to_base64, proof), "", ""]).encode() + note


def cosign(witness: Witness, note: bytes, tiles: TileReader, cosigned: int = 0) -> list[NoteSignature]:
    """Offer a checkpoint to a witness; return its cosignatures, each verified with the witness's key.

    Args:
        tiles: of the tree of the checkpoint.
        cosigned: the size of the last checkpoint that the witness has cosigned, as far as one knows.

    Raises:
        WitnessError: it does not cosign.
        TransparencyError: the note is not a checkpoint, or the tiles do not have a proof.
    """
    size = parse_checkpoint(parse_note(note).text).size
    for _ in range(MOST_REQUESTS):
        proof = consistency_proof(cosigned, size, tiles.node)
        status, answer = _post(witness, add_checkpoint_body(cosigned, proof, note))
        if status == OK:
            return _verified(witness, note, answer)
        if status != CONFLICT:
            raise WitnessRefusedError(status, f"{witness.name} answers {status}: {WHY.get(status, 'it does not say')}")
        cosigned = _size_in(witness, answer)
        if cosigned > size:
            raise WitnessAheadError(
                f"{witness.name} has cosigned {cosigned:,}, and the log has {size:,}: it was rolled back"
            )
    raise WitnessUnavailableError(f"{witness.name} names another size each time")


def cosignatures(note: Note, witnesses: Iterable[Witness]) -> list[VerifiedSignature]:
    """Return the valid cosignatures that a note has of these witnesses."""
    found = []
    for one in witnesses:
        try:
            found += open_note(note, [one.key])
        except TransparencyError:
            continue
    return found


def with_cosignatures(note: bytes, signatures: Iterable[NoteSignature]) -> bytes:
    """Return the note with these signatures at its end, each in place of an earlier one of the same key."""
    parsed, added = parse_note(note), {(one.name, one.key_id): one for one in signatures}
    kept = [one for one in parsed.signatures if (one.name, one.key_id) not in added]
    return render(Note(parsed.text, (*kept, *added.values())))


def _verified(witness: Witness, note: bytes, answer: bytes) -> list[NoteSignature]:
    """Return the signatures of the witness's key; those of other keys are ignored."""
    text = parse_note(note).text
    try:
        answered = parse_note(text.encode() + b"\n" + answer)
        signatures = open_note(answered, [witness.key])
    except TransparencyError as error:
        raise WitnessUnavailableError(f"{witness.name} does not answer with its cosignature: {error}") from error
    if not all(one.time for one in signatures):
        raise WitnessUnavailableError(f"{witness.name} cosigns without a time")
    return [one for one in answered.signatures if (one.name, one.key_id) == (witness.key.name, witness.key.key_id)]


def _size_in(witness: Witness, answer: bytes) -> int:
    try:
        return to_number(answer.decode("ascii").removesuffix("\n"))
    except (UnicodeDecodeError, TransparencyError) as error:
        raise WitnessUnavailableError(f"{witness.name} answers {CONFLICT} without a size") from error


def _post(witness: Witness, body: bytes) -> tuple[int, bytes]:
    request = urllib.request.Request(  # noqa: S310  a URL of HTTP, as the list requires
        f"{witness.url.rstrip('/')}/add-checkpoint", body, {"Content-Type": "text/plain"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            return answer.status, answer.read(LARGEST_ANSWER)
    except urllib.error.HTTPError as error:
        return error.code, error.read(LARGEST_ANSWER)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise WitnessUnavailableError(f"{witness.name} at {witness.url} does not answer: {reason}") from error
