"""The head of a log as text, by C2SP's tlog-checkpoint: origin, size and root hash, a line each."""

from dataclasses import dataclass
from typing import Literal

from shared.transparency.errors import TransparencyError
from shared.transparency.fields import (
    HASH_BYTES,
    LARGEST_NUMBER,
    InvalidFieldError,
    is_line,
    to_base64,
    to_hash,
    to_number,
)

Tree = Literal["events", "journal"]


class InvalidCheckpointError(TransparencyError):
    """A text that is not a checkpoint, or a head that no log can have."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log with this origin has `size` leaves, and `root` is the hash over them.

    Raises:
        InvalidCheckpointError: no log can have this head.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not is_line(self.origin):
            raise InvalidCheckpointError(f"the origin is one line of text, not {self.origin[:80]!r}")
        if not 0 <= self.size <= LARGEST_NUMBER:
            raise InvalidCheckpointError(f"the size is 0 to 2^63 - 1, not {self.size}")
        if len(self.root) != HASH_BYTES:
            raise InvalidCheckpointError(f"the root hash has {HASH_BYTES} bytes, not {len(self.root)}")

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"


def log_origin(name: str, log_id: str, tree: Tree) -> str:
    """Return the origin of one of the two trees of a Switchboard."""
    return f"{name}/{log_id}/{tree}"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint from the text of a note. Extension lines are allowed, and left out.

    Raises:
        InvalidCheckpointError: it is not a checkpoint.
    """
    *lines, after = text.split("\n")
    if after or len(lines) < 3 or not all(lines):  # noqa: PLR2004  origin, size, root
        raise InvalidCheckpointError("a checkpoint has an origin, a size and a root hash, a line each, no line empty")
    origin, size, root = lines[:3]
    try:
        return Checkpoint(origin, to_number(size), to_hash(root))
    except InvalidFieldError as error:
        raise InvalidCheckpointError(f"the checkpoint of {origin[:80]!r}: {error}") from error
