"""The answers of the audit, exactly as on the wire. Readers ignore unknown fields and accept unknown words.

Every text that comes from the log is data: it is as somebody sent it, and has to be escaped wherever it is shown.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from shared.language import audit as a
from shared.language.answers import Answer, OpenEnum
from shared.language.questions import Question

AttemptOutcome = Annotated[Literal["accepted", "unchanged", "refused"], OpenEnum]


class FromTo(Answer):
    model_config = ConfigDict(populate_by_name=True)


class EventNamed(Answer):
    """An event: its id, its name, and the aggregate that it belongs to."""

    id: str | None
    type: str
    subject: str


class Change(Answer):
    """A field with its value before and after; null for a value that is not there."""

    field: str
    before: Any
    after: Any


# ---- Timeline, Refusals, About


class TimelineEntry(Answer):
    """A fact or an attempt. A refused or unchanged attempt has no event and no changes.

    `position` is that of the event; of an attempt that of the last event before it. `ordinal` counts the entries of the
    command journal. `dead_letter` is true for an event that no row has, since it could not be applied.
    """

    position: int
    ordinal: int | None
    time: str
    outcome: AttemptOutcome
    actor: str | None
    command: str | None
    command_id: str | None
    correlation_id: str | None
    event: EventNamed | None
    reason: str | None
    message: str | None
    sentence: str
    changes: tuple[Change, ...] = ()
    dead_letter: bool = False


class RefusalGroup(Answer):
    """Refused attempts with the same reason and command: how many, and the times of the first and the last one."""

    reason: str
    command: str
    count: int
    first: str
    last: str


class Today(Answer):
    """The outcome that the same command would have now, by a dry run; without one, `missing` says why."""

    outcome: AttemptOutcome | None
    reason: str | None
    message: str | None
    missing: str | None


class RefusalItem(Answer):
    """A group, or one refused attempt. The groups are the first items of the first page, beyond its limit."""

    group: RefusalGroup | None
    entry: TimelineEntry | None
    today: Today | None = None


class RecordedQuestion(Answer):
    """A question that somebody asked the audit; `outcome` is `answered`, or the error that it got."""

    number: int
    question: str
    fields: Mapping[str, Any]
    actor: str | None
    time: str
    position: int
    outcome: str


class AboutEntry(Answer):
    """A fact or an attempt that concerns the person, or a question about them: one of the two is null."""

    entry: TimelineEntry | None
    question: RecordedQuestion | None


# ---- Trace


class TracedEvent(Answer):
    """An event, when the stream got it, and when each view applied it.

    `after_ms` are the milliseconds from the command's time until the stream (`published`) and each view had the event;
    `missing` says why such a time is not known.
    """

    id: str | None
    type: str
    position: int
    time: str
    sentence: str
    published: str | None
    applied: Mapping[str, str | None]
    after_ms: Mapping[str, float]
    missing: Mapping[str, str]


class TracedCommand(Answer):
    """A command: how it was given, its outcome, its reply and its events.

    A command that could not be read has no body. `event_count` counts all events, of which the first hundred are here.
    """

    command: str
    command_id: str | None
    correlation_id: str | None
    actor: str | None
    ordinal: int | None
    position: int | None
    time: str
    body: Mapping[str, Any] | None
    outcome: AttemptOutcome
    reason: str | None
    reply: Mapping[str, Any]
    events: tuple[TracedEvent, ...]
    event_count: int


# ---- Access, AccessOf, Leavers


class AccessEdge(Answer):
    """The event at which access began or ended, and the command and actor that caused it.

    `time` is as the event has it, also where a clock ran back: only positions are in order. All but `position` is null
    where the event cannot be read any more.
    """

    position: int
    time: str | None
    event: str | None
    type: str | None
    actor: str | None
    command_id: str | None


class AccessInterval(FromTo):
    """A time during which a user had access, by one rule. `to` is null while it lasts.

    `via` is the inbox, the team or the primary address through which the rule applies. An administrator's access of
    `AccessOf` is to the whole account: `address` and `inbox` are null. `name` is the person who had the id from the
    position `added` on; another person may have it later. The ends may be beyond those of the question:
    `began_before` says that it was there before, and `goes_on_after` that it did not end within.
    """

    user: str
    name: str
    added: int
    address: str | None
    inbox: str | None
    can: Annotated[Literal["read", "send", "administer"], OpenEnum]
    rule: Annotated[Literal["member", "team", "everyone", "owner", "alias", "administrator"], OpenEnum]
    via: str | None
    from_: AccessEdge = Field(alias="from")
    to: AccessEdge | None
    began_before: bool
    goes_on_after: bool


class OrphanedMeanwhile(FromTo):
    """A time in which an address had no owner; `to` is null while it has none.

    `owner` or `inbox` has it from then on. Both are null while it has no owner, and where it was released.
    """

    address: str
    from_: AccessEdge = Field(alias="from")
    to: AccessEdge | None
    owner: str | None
    inbox: str | None


class Leaver(Answer):
    """A person who was deactivated, and mostly removed later. `hours` passed until their last access ended.

    While some access lasts, since the person is active again, `hours` and `last_access` are null. `remaining` has its
    first hundred intervals: at inboxes, which include their addresses, and at own addresses. Another person may have
    the id later; that person's access does not count.
    """

    user: str
    name: str
    added: int
    left: AccessEdge
    removed: AccessEdge | None
    last_access: AccessEdge | None
    hours: float | None
    over_limit: bool
    remaining: tuple[AccessInterval, ...]
    orphaned: tuple[OrphanedMeanwhile, ...]


# ---- Changes, Bisect


class ChangedThing(Answer):
    """One thing that differs between two moments: the fields, and the sentences of the first events that changed it.

    An address is added when it is connected, and removed when it is free again; a user is removed by `RemoveUser`.
    """

    aggregate: Annotated[Literal["account", "user", "inbox", "address", "team"], OpenEnum]
    name: str
    change: Annotated[Literal["added", "removed", "changed"], OpenEnum]
    fields: tuple[Change, ...]
    sentences: tuple[str, ...]


class Bisected(Answer):
    """The event after which the value was first as given, and the value before and after.

    `position` is null when it never was, from the position `first` to `last`. `event` is null where it was so as of
    `first` already. Where the search is not `complete`, ask again from `last`.
    """

    position: int | None
    time: str | None
    event: EventNamed | None
    sentence: str | None
    before: Any
    after: Any
    first: int
    last: int
    complete: bool


# ---- Coverage


class LogReach(Answer):
    """The log: its identity, its last position and its last ordinal, and the times of its first and last event."""

    id: str | None
    position: int
    ordinal: int
    first_time: str | None
    last_time: str | None


class Reach(Answer):
    """How far a part follows the log: its position, the number of events behind, and the age of the oldest of them."""

    position: int
    behind: int
    seconds: float | None


class IndexReach(Reach):
    """How far the index follows the log and the command journal."""

    ordinal: int


class ClockStep(FromTo):
    """Events whose time is before that of an earlier event, by at most `milliseconds`, between two positions."""

    from_: int = Field(alias="from")
    to: int
    events: int
    milliseconds: int
    time: str


class Clocks(Answer):
    """Clocks that ran back by more than a second: how many events have such a time, and the last places."""

    events: int
    places: tuple[ClockStep, ...]


class DeadLetters(Answer):
    """Events of one kind that could not be applied, with those behind them; `given_up` were dropped by an operator."""

    type: str
    parked: int
    given_up: int
    first: int
    last: int


class Witnessed(Answer):
    """A witness that has signed a checkpoint after a look that the tree only grew: its name, the size, the time."""

    name: str
    size: int
    time: str


class ProofReach(Answer):
    """How far checkpoints prove that a tree of the log does not change.

    `size` is the last position, or ordinal, under the checkpoint of `time`; `behind` come after it, and `seconds` have
    passed since. `error` is why the tree is not signed at present.
    """

    tree: Annotated[Literal["events", "journal"], OpenEnum]
    origin: str
    size: int
    time: str | None
    behind: int
    seconds: float | None
    error: str | None
    witnessed: tuple[Witnessed, ...] = ()


class CoverageShown(Answer):
    """How far history, index and proof reach, the end of the log, clocks that ran back, and the account's dead letters.

    `proof` has the tree of events and that of the command journal; none where no checkpoints are made.
    """

    log: LogReach
    history: Reach
    index: IndexReach
    proof: tuple[ProofReach, ...]
    clocks: Clocks
    dead_letters: tuple[DeadLetters, ...]


# The type of a question's `result`; of a list question, that of each item.
AUDIT_RESULTS: Final[Mapping[type[Question], Any]] = {
    a.Timeline: TimelineEntry,
    a.Trace: TracedCommand,
    a.Refusals: RefusalItem,
    a.Access: AccessInterval,
    a.AccessOf: AccessInterval,
    a.Changes: ChangedThing,
    a.Bisect: Bisected,
    a.Leavers: Leaver,
    a.About: AboutEntry,
    a.Coverage: CoverageShown,
}
