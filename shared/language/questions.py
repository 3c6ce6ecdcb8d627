"""The questions about the state, now or as of a moment: one frozen message each, exactly as on the wire.

`null` equals absent and is taken away before validation. Addresses are in any spelling. A list takes `limit` and
`after`, the `next` of the page before. Class names and field names are public.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.language.moments import Moment
from shared.language.text import Actor, AddressText, AddressTexts, Id, Kind

DEFAULT_WAIT_MS = 2_000
LONGEST_WAIT_MS = 30_000
# How long a service works on an answer; then it replies BUSY.
ANSWER_SECONDS = 8.0
DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1_000

Position = Annotated[int, Field(ge=0, le=2**63 - 1)]
State = Literal["free", "connected", "paused", "reauth_required", "orphaned"]


class Question(BaseModel):
    """The fields of every question. The answer reflects `at_least` or later, after at most `wait_ms`.

    A `wait_ms` above `LONGEST_WAIT_MS` is cut to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # Whether its texts come from other people's mail: invalid Unicode is then read as U+FFFD, not refused.
    any_text: ClassVar[bool] = False

    actor: Actor
    at_least: Position = 0
    wait_ms: Annotated[int, Field(ge=0)] = DEFAULT_WAIT_MS


class ListQuestion(Question):
    """A page of at most `limit` items; fewer when they would be too large for one message."""

    limit: Annotated[int, Field(ge=1, le=LARGEST_LIMIT)] = DEFAULT_LIMIT
    after: Annotated[str, Field(max_length=1_000)] | None = None


class StateQuestion(Question):
    """A question about the present state, or about the state as of a moment in the past.

    As of a time is as of the last position up to which no event is later.
    """

    as_of: Moment | None = None


class StateListQuestion(StateQuestion, ListQuestion):
    """A page of a list of what is so now, or was so as of a moment."""


# ---- inbox views


class Address(StateQuestion):
    """One address, free or held, with its holder if the actor may know."""

    address: AddressText


class Addresses(StateListQuestion):
    """Every address that was ever connected, by name."""

    state: State | None = None
    kind: Kind | None = None
    inbox: Id | None = None
    owner: Id | None = None


class Inbox(StateQuestion):
    """One inbox: its addresses, members, routing, and the readers of arriving mail."""

    inbox: Id


class Inboxes(StateListQuestion):
    """The inboxes that the actor may see, by id."""


class Identities(StateListQuestion):
    """The identities that a user may send as, best first."""

    user: Id


class User(StateQuestion):
    """One user, with teams, preferences and the default sender in effect."""

    user: Id


class Users(StateListQuestion):
    """All users, removed ones too, by id."""


class Teams(StateListQuestion):
    """All teams, by id."""


class Account(StateQuestion):
    """The plan, its limits, and the never-log list."""


class Orphans(StateListQuestion):
    """The addresses whose owners were removed."""


class Usage(StateQuestion):
    """The use of the plan's limits."""


class RemovalImpact(StateQuestion):
    """The effects of removing this user: addresses left behind, inboxes without their last reader."""

    user: Id


# ---- routing


class Routing(StateQuestion):
    """The rule of an inbox, and the users it can choose now."""

    inbox: Id


class Resolve(StateQuestion):
    """The destination of the mail to each recipient, its assignee, and why.

    `sender` is any text from the mail, an empty one too, or nothing; a `contact_owner` whom nobody knows
    counts as absent. `turn` replaces the stable choice per sender for callers that count.
    """

    any_text = True

    recipients: AddressTexts
    sender: AddressText = ""
    contact_owner: str | None = None
    turn: Annotated[int, Field(ge=0)] | None = None


VIEW_QUESTIONS: dict[str, type[Question]] = {
    message.__name__: message
    for message in (
        Address, Addresses, Inbox, Inboxes, Identities, User, Users, Teams, Account, Orphans, Usage, RemovalImpact,
    )
}  # fmt: skip
ROUTING_QUESTIONS: dict[str, type[Question]] = {message.__name__: message for message in (Resolve, Routing)}
