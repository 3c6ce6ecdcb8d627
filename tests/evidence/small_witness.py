"""A witness over HTTP, written from C2SP's tlog-witness: it knows some logs, and remembers one checkpoint of each."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from shared.evidence.witnesses import Witness
from shared.process import clock
from shared.transparency.checkpoints import Checkpoint, parse_checkpoint
from shared.transparency.errors import TransparencyError
from shared.transparency.merkle import EMPTY_ROOT, verify_consistency
from shared.transparency.notes import VerifierKey, open_note, parse_note
from tests.evidence.small_server import answering
from tests.transparency.stored_tree import WitnessSigner


class SmallWitness:
    """Its state: verifier keys by origin, and the last checkpoint that it cosigned of each.

    Attributes:
        statuses: of the answers so far.
        answer: what it answers in place of its cosignature; None for that.
    """

    def __init__(self, name: str, logs: Mapping[str, list[VerifierKey]]) -> None:
        self.signer = WitnessSigner(name)
        self.logs = dict(logs)
        self.latest: dict[str, Checkpoint] = {}
        self.statuses: list[int] = []
        self.answer: bytes | None = None
        self.url = ""

    @property
    def witness(self) -> Witness:
        return Witness(self.signer.key.name, self.url, self.signer.key)

    def add_checkpoint(self, body: bytes) -> tuple[int, bytes]:
        """The answer by the specification: status and body."""
        head, _, note = body.partition(b"\n\n")
        old_line, *lines = head.decode().split("\n")
        old, proof = int(old_line.removeprefix("old ")), [base64.b64decode(line) for line in lines]
        parsed = parse_note(note)
        checkpoint = parse_checkpoint(parsed.text)
        if checkpoint.origin not in self.logs:
            return 404, b""
        try:
            open_note(parsed, self.logs[checkpoint.origin])
        except TransparencyError:
            return 403, b""
        if old > checkpoint.size:
            return 400, b""
        latest = self.latest.get(checkpoint.origin, Checkpoint(checkpoint.origin, 0, EMPTY_ROOT))
        if old != latest.size:
            return 409, f"{latest.size}\n".encode()
        try:
            verify_consistency(old, latest.root, checkpoint.size, checkpoint.root, proof)
        except TransparencyError:
            return 422, b""
        self.latest[checkpoint.origin] = checkpoint
        if self.answer is not None:
            return 200, self.answer
        return 200, self.signer.sign(parsed.text, clock.posix_seconds()).line.encode()


@contextmanager
def serving(witness: SmallWitness) -> Iterator[SmallWitness]:
    """Serve it on a free port until the block ends."""

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        status, found = witness.add_checkpoint(body) if path == "/w/add-checkpoint" else (404, b"")
        witness.statuses.append(status)
        return status, found

    with answering(answer) as url:
        witness.url = f"{url}/w"
        yield witness
