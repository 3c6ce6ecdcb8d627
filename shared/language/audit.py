"""The questions of auditors about the past: who did what, what was refused, and who could read and send.

Auditors and super admins may ask them. A moment is a position of the log, or a time in RFC 3339 with an offset. A range
includes both of its ends; without one it reaches to the beginning or to the end of the log.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from shared.language.moments import Moment
from shared.language.questions import ListQuestion, Question
from shared.language.reasons import Reason
from shared.language.text import POINTER, Actor, AddressText, CommandId, CorrelationId, Id, Name

# The limit within which people who left should have lost their last access.
LEAVER_HOURS = 24

Hours = Annotated[int, Field(ge=0, le=100_000)]
JsonPointer = Annotated[str, StringConstraints(pattern=POINTER, max_length=1_000)]


def _reason(name: str) -> str:
    if name not in Reason.__members__:
        raise ValueError("there is no such reason")
    return name


ReasonName = Annotated[str, AfterValidator(_reason)]


class Range(Question):
    """The first and the last moment of a range."""

    from_: Moment | None = Field(default=None, alias="from")
    to: Moment | None = None


class OneThing(Question):
    """At most one thing that the question is about; without one, the whole account."""

    address: AddressText | None = None
    inbox: Id | None = None
    user: Id | None = None
    team: Id | None = None

    @model_validator(mode="after")
    def names_at_most_one_thing(self) -> Self:
        if len([one for one in (self.address, self.inbox, self.user, self.team) if one is not None]) > 1:
            raise ValueError("name at most one of address, inbox, user and team")
        return self


class Timeline(OneThing, Range, ListQuestion):
    """Every fact and every refused attempt about one thing or the account, oldest first."""

    given_by: Actor | None = None
    unchanged: bool = False


class Trace(ListQuestion):
    """The way of commands: as they were given, their outcome, their events, and the views that applied these."""

    command_id: CommandId | None = None
    correlation_id: CorrelationId | None = None
    event_id: CommandId | None = None

    @model_validator(mode="after")
    def names_exactly_one_id(self) -> Self:
        if len([one for one in (self.command_id, self.correlation_id, self.event_id) if one is not None]) != 1:
            raise ValueError("name exactly one of command_id, correlation_id and event_id")
        return self


class Refusals(Range, ListQuestion):
    """The refused attempts, counted by reason and command, and then one by one, oldest first."""

    reason: ReasonName | None = None
    given_by: Actor | None = None
    address: AddressText | None = None
    command: Name | None = None
    today: bool = False


class AtOrBetween(Range):
    """One moment, or a range."""

    at: Moment | None = None

    @model_validator(mode="after")
    def names_a_moment_or_a_range(self) -> Self:
        if self.at is not None and (self.from_ is not None or self.to is not None):
            raise ValueError("at goes without from and to")
        return self


class Access(AtOrBetween, ListQuestion):
    """The users who could read, send from or administer an address or an inbox: from when on, until when, why.

    Without a moment it answers for the present one.
    """

    address: AddressText | None = None
    inbox: Id | None = None

    @model_validator(mode="after")
    def names_exactly_one_place(self) -> Self:
        if (self.address is None) == (self.inbox is None):
            raise ValueError("name exactly one of address and inbox")
        return self


class AccessOf(AtOrBetween, ListQuestion):
    """Every address and inbox that a user could read, send from or administer: from when on, until when, why.

    Without a moment it answers for the present one.
    """

    user: Id


class Changes(OneThing, Range, ListQuestion):
    """The difference of two moments: everything that was added, removed or changed, by aggregate and name."""


class Bisect(Range):
    """The first position at which a value in the answer to a question became as given, and the event that did it.

    The question is one of the views, without the fields that every question takes; of a list, its first page counts. An
    absent `value` is null, as is a value of something that is not there. One that was so as of `from` was so before.
    """

    question: Name
    fields: Mapping[str, Any] = {}
    path: JsonPointer
    value: Any = None


class Leavers(Range, ListQuestion):
    """The people who were deactivated or removed: when their last access ended, and what had no owner meanwhile.

    Those whose last access ended later than `hours` after they left come first.
    """

    hours: Hours = LEAVER_HOURS


class About(ListQuestion):
    """Everything held about a person: facts and attempts, oldest first, and then who asked the audit about them."""

    user: Id


class Coverage(Question):
    """How far the answers of the audit reach: history and index, dead letters, and clocks that ran back."""


# Of the questions above, those that the audit service answers.
AUDIT_QUESTIONS: dict[str, type[Question]] = {
    message.__name__: message
    for message in (Timeline, Trace, Refusals, Access, AccessOf, Changes, Bisect, Leavers, About, Coverage)
}
