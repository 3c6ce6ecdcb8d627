"""The messages of a replay: its events as the relay publishes them with headers of the replay, and two that frame them.

Each message has a running number and a running digest, so that a consumer can check what it has at any of them, and a
replay can be resumed behind any of them. The digest of a message is SHA-256 over that of the message before (32 bytes,
zeros at first), `ce-id`, a line feed, `ce-position`, a line feed and the body. The frames are not part of it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from shared.language import subjects
from shared.language.events import EVENTS
from shared.language.recorded import named
from shared.language.replays import (
    NO_DIGEST,
    UNREADABLE,
    ReplayEnded,
    ReplayMessage,
    ReplayStarted,
    digest_after,
)
from shared.language.subjects import Ce
from shared.process.log_reader import StoredEvent
from shared.wire.cloud_events import stored_to_wire
from shared.wire.event_body import Undecodable

BYTES: Final = "application/octet-stream"
# CloudEvents has all characters of a header escaped but these: printable ASCII without blank, quotation mark, percent.
PLAIN: Final = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"

Message = tuple[str, dict[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Progress:
    """The messages that were published up to a position of the log, and a digest over them.

    `unknown` of the events have a type that this release does not know, `unreadable` are not events.
    """

    position: int
    count: int = 0
    digest: str = NO_DIGEST
    unknown: int = 0
    unreadable: int = 0

    def after(self, id_: str, position: int, body: bytes, *, unknown: bool, unreadable: bool) -> "Progress":
        """Return the progress behind one more message."""
        return Progress(
            position,
            self.count + 1,
            digest_after(self.digest, id_, position, body),
            self.unknown + unknown,
            self.unreadable + unreadable,
        )

    @property
    def headers(self) -> dict[str, str]:
        found = {Ce.REPLAY_SEQUENCE: str(self.count), Ce.REPLAY_DIGEST: self.digest}
        if self.unknown:
            found[Ce.REPLAY_UNKNOWN] = str(self.unknown)
        if self.unreadable:
            found[Ce.REPLAY_UNREADABLE] = str(self.unreadable)
        return found


def progress_in(headers: Mapping[str, str]) -> Progress:
    """Return the progress that a message of an event holds."""
    return Progress(
        int(headers[Ce.POSITION]),
        int(headers[Ce.REPLAY_SEQUENCE]),
        headers[Ce.REPLAY_DIGEST],
        int(headers.get(Ce.REPLAY_UNKNOWN, "0")),
        int(headers.get(Ce.REPLAY_UNREADABLE, "0")),
    )


# ---- events


def of_event(started: ReplayStarted, stored: StoredEvent, before: Progress) -> tuple[Message, Progress] | None:
    """Return the message of an event and the progress behind it; None when it is not part of the replay."""
    if started.types and not _is_one_of(stored.topic, started.types):
        return None
    try:
        subject, headers, body = stored_to_wire(*stored)
    except Undecodable:
        return _unreadable(started, stored, before)
    if started.account not in (None, headers[Ce.ACCOUNT]):
        return None
    _, _, _, account, aggregate, name = subject.split(".")
    if started.forced:
        headers |= {Ce.REPLAY_OF: headers[Ce.ID], Ce.ID: _new_id(started, stored.position)}
    unknown = stored.topic not in EVENTS
    progress = before.after(headers[Ce.ID], stored.position, body, unknown=unknown, unreadable=False)
    headers |= {subjects.MESSAGE_ID: f"{started.replay_id}:{stored.position}"}
    headers |= _of_replay(started) | progress.headers
    return (subjects.replayed(started.replay, account, aggregate, name), headers, body), progress


def _unreadable(started: ReplayStarted, stored: StoredEvent, before: Progress) -> tuple[Message, Progress]:
    """The stored bytes as they are; none in a replay of one account, since they may belong to another one."""
    body = stored.state if started.account is None else b""
    id_ = _new_id(started, stored.position)
    progress = before.after(id_, stored.position, body, unknown=False, unreadable=True)
    headers = {
        subjects.MESSAGE_ID: f"{started.replay_id}:{stored.position}",
        Ce.SPECVERSION: "1.0",
        Ce.ID: id_,
        Ce.SOURCE: subjects.EVENT_SOURCE,
        Ce.TYPE: UNREADABLE,
        Ce.CONTENT_TYPE: BYTES,
        Ce.POSITION: str(stored.position),
        Ce.REPLAY_TYPE: in_header(stored.topic),
    }
    return (_own_subject(started, "UnreadableEvent"), headers | _of_replay(started) | progress.headers, body), progress


def _is_one_of(topic: str, types: Collection[str]) -> bool:
    """Whether the stored name, or the name of the event in it, is among these."""
    return topic in types or topic.removeprefix("switchboard.").rpartition(".v")[0] in types


def _new_id(started: ReplayStarted, position: int) -> str:
    """An id that belongs to the position in this replay, the same after a resumption."""
    return str(named(f"replay/{started.replay_id}/{position}"))


# ---- frames


def started_message(started: ReplayStarted, time: str) -> Message:
    return _frame(started, started, "started", time)


def ended_message(started: ReplayStarted, progress: Progress, time: str, *, complete: bool) -> Message:
    ended = ReplayEnded(
        replay=started.replay,
        replay_id=started.replay_id,
        complete=complete,
        position=progress.position,
        count=progress.count,
        digest=progress.digest,
        unknown=progress.unknown,
        unreadable=progress.unreadable,
    )
    return _frame(started, ended, "ended", time)


def _frame(started: ReplayStarted, message: ReplayMessage, what: str, time: str) -> Message:
    type_ = message.stored_name()
    headers = {
        subjects.MESSAGE_ID: f"{started.replay_id}:{what}",
        Ce.SPECVERSION: "1.0",
        Ce.ID: str(named(f"replay/{started.replay_id}/{what}")),
        Ce.SOURCE: subjects.REPLAY_SOURCE,
        Ce.TYPE: type_,
        Ce.CONTENT_TYPE: subjects.JSON,
        Ce.SCHEMA: subjects.replay_schema(type_),
        Ce.SUBJECT: f"replay/{started.replay}",
        Ce.TIME: time,
        Ce.ACTOR: started.started_by,
    }
    if started.account:
        headers[Ce.ACCOUNT] = started.account
    body = message.model_dump_json(by_alias=True, exclude_none=True).encode()
    return _own_subject(started, type(message).__name__), headers | _of_replay(started), body


def _own_subject(started: ReplayStarted, name: str) -> str:
    return subjects.replayed(started.replay, started.account or subjects.ALL_ACCOUNTS, "replay", name)


def _of_replay(started: ReplayStarted) -> dict[str, str]:
    found = {
        Ce.REPLAY_ID: started.replay_id,
        Ce.REPLAY_FROM: str(started.from_),
        Ce.REPLAY_TO: str(started.to),
    }
    if started.reason:
        found[Ce.REPLAY_REASON] = in_header(started.reason)
    return found


def in_header(text: str) -> str:
    """Text as CloudEvents writes it in a header."""
    return quote(text, safe=PLAIN)
