"""The messages that frame a replay: a range of the event log that is published again, for consumers that ask for it."""

import hashlib
from typing import Annotated, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.language.text import NOT_BLANK, AccountName, Actor

# Part of subjects.
REPLAY_NAME: Final = r"^[A-Za-z0-9_-]{1,32}$"
LONGEST_REASON: Final = 200
# Before the first message.
NO_DIGEST: Final = "0" * 64

ReplayName = Annotated[str, StringConstraints(pattern=REPLAY_NAME)]
ReplayReason = Annotated[str, StringConstraints(pattern=NOT_BLANK, max_length=LONGEST_REASON)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def digest_after(before: str, id_: str, position: int | str, body: bytes) -> str:
    """The digest behind an event: over the digest before it, its id, its position and its body."""
    return hashlib.sha256(bytes.fromhex(before) + f"{id_}\n{position}\n".encode() + body).hexdigest()


class ReplayMessage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    version: ClassVar[int] = 1

    @classmethod
    def stored_name(cls) -> str:
        return f"switchboard.{cls.__name__}.v{cls.version}"


class ReplayStarted(ReplayMessage):
    """The first message of a replay: what is published again behind it.

    The range is empty when `to` is before `from`.
    """

    replay: ReplayName
    replay_id: str
    log: str
    from_: int = Field(alias="from")
    to: int
    account: AccountName | None = None
    types: tuple[str, ...] = ()
    speed: str
    forced: bool
    reason: ReplayReason | None = None
    started_by: Actor


class ReplayEnded(ReplayMessage):
    """The last message of a replay: how much was published, and a hash over it.

    `complete` is false when the replay was stopped before the end of its range.
    """

    replay: ReplayName
    replay_id: str
    complete: bool
    position: int
    count: int
    digest: Digest
    unknown: int
    unreadable: int


# In place of an event whose stored bytes are not an event.
UNREADABLE: Final = "switchboard.UnreadableEvent.v1"
REPLAY_MESSAGES: Final[dict[str, type[ReplayMessage]]] = {
    message.stored_name(): message for message in (ReplayStarted, ReplayEnded)
}
