"""The replies to commands and the results of questions, exactly as on the wire.

Readers ignore unknown fields and accept unknown words, since answers may grow.
Times are RFC 3339 in UTC. Names are public.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from shared.language import questions as q
from shared.language.questions import State
from shared.language.text import Access, Availability, Kind, Permission, Plan, Tool


def _or_newer(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        if isinstance(value, str):
            return value
        raise


# A choice that may have more words in a later release: an unknown word is accepted, so that one entry does not make a
# whole page unreadable.
OpenEnum: Final = WrapValidator(_or_newer)


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


# ---- replies to commands


class EventTold(Answer):
    """An event of an accepted command; a dry run has none with an id."""

    type: str
    id: str | None = None


class Warned(Answer):
    """A warning about an accepted command; `inboxes`, `teams` and `rules` are those concerned.

    At most a hundred of each are named; `count` is how many there are.
    """

    code: str
    message: str
    count: int | None = None
    field: str | None = None
    inboxes: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


class NextStep(Answer):
    """The usual next step."""

    step: str
    command: str
    why: str


class NextAction(Answer):
    """A command that a user in one of these roles may send next, and why it helps."""

    command: str
    by: tuple[str, ...]
    why: str


class Accepted(Answer):
    """Accepted and durable. A question at `position` or later sees the effect; a dry run has no position."""

    outcome: Literal["accepted"] = "accepted"
    command_id: str
    position: int | None = None
    events: tuple[EventTold, ...]
    event_count: int
    warnings: tuple[Warned, ...] = ()
    next_steps: tuple[NextStep, ...] = ()
    dry_run: bool = False


class Unchanged(Answer):
    """Nothing had to change. A warning names a value that was not applied."""

    outcome: Literal["unchanged"] = "unchanged"
    command_id: str
    position: int | None = None
    warnings: tuple[Warned, ...] = ()
    dry_run: bool = False


class Refused(Answer):
    """Nothing was changed. `reason` is a reason of the language, or of a newer release."""

    outcome: Literal["refused"] = "refused"
    command_id: str | None = None
    reason: str
    message: str
    details: Mapping[str, Any] = {}
    next_actions: tuple[NextAction, ...] = ()
    dry_run: bool = False


Reply = Accepted | Unchanged | Refused
AnyReply = Annotated[Reply, Field(discriminator="outcome")]


class DryRunOutcomes(Answer):
    """The reply to a batch of dry runs: the reply that each command would get alone after those before it, in order."""

    outcome: Literal["decided"] = "decided"
    outcomes: tuple[AnyReply, ...]


# ---- errors of questions


class NotAnswered(Answer):
    """There is no result. `error` is an error of the language, or of a newer release."""

    error: str
    message: str
    details: Mapping[str, Any] = {}
    incomplete_since: int | None = None


# ---- results of questions


class AddressEntry(Answer):
    """One address, free or held; an alias shows its primary. `since` is the beginning of the present holder's claim."""

    address: str
    display: str
    state: Annotated[State, OpenEnum]
    kind: Annotated[Kind | None, OpenEnum]
    owner: str | None
    inbox: str | None
    since: str | None
    tools: tuple[Annotated[Tool, OpenEnum], ...]
    aliases: tuple[str, ...]
    primary: str | None
    from_name: str | None
    receiving: bool
    sending: bool
    connector: str | None
    connector_gone: bool
    health: Annotated[Literal["healthy", "degraded", "paused", "reauth_required", "orphaned", "disconnected"], OpenEnum]


class Concealed(Answer):
    """Everything that this actor may know about a held address."""

    kind: Annotated[Kind, OpenEnum]
    advice: str


class InboxAddress(Answer):
    """An address of an inbox."""

    address: str
    health: str
    from_name: str | None
    aliases: tuple[str, ...]


class RoutingShown(Answer):
    """The rule of an inbox, and the same in words."""

    kind: Annotated[Literal["unassigned", "users_and_teams", "contact_owner"], OpenEnum]
    words: str
    users: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    fallback: Mapping[str, Any] | None = None


class InboxEntry(Answer):
    """One inbox. `readers` are the active users who see arriving mail; `inactive` are members who are not active."""

    inbox: str
    name: str
    archived: bool
    access: Annotated[Access, OpenEnum]
    members: tuple[str, ...]
    inactive: tuple[str, ...] = ()
    addresses: tuple[InboxAddress, ...]
    routing: RoutingShown
    readers: tuple[str, ...]


class Identity(Answer):
    """An identity that a user may send as; `why_not` says why it is unusable now."""

    address: str
    from_name: str | None
    signature: str
    via: Annotated[Literal["personal", "alias", "inbox"], OpenEnum]
    inbox: str | None
    default: bool
    usable: bool
    why_not: str | None


class FontShown(Answer):
    """The font of a user's mail."""

    font: str
    size: int | None


class LoggingShown(Answer):
    """Logging and tracking of a user's mail."""

    log_replies: bool
    track_opens: bool
    track_clicks: bool
    never_log: tuple[str, ...]


class UserEntry(Answer):
    """One user; `default_sender` is the address in effect."""

    user: str
    name: str
    status: Annotated[Literal["active", "deactivated", "removed"], OpenEnum]
    permissions: tuple[Annotated[Permission, OpenEnum], ...]
    seat: bool
    availability: Annotated[Availability, OpenEnum]
    teams: tuple[str, ...]
    signature: str
    font: FontShown | None
    logging: LoggingShown
    default_sender: str | None


class TeamEntry(Answer):
    """One team. `inactive` are deactivated or removed members; they count again after their return."""

    team: str
    name: str
    members: tuple[str, ...]
    inactive: tuple[str, ...] = ()


class Limits(Answer):
    inboxes: int


class AccountEntry(Answer):
    plan: Annotated[Plan, OpenEnum]
    limits: Limits
    never_log: tuple[str, ...]


class Orphan(Answer):
    address: str
    former_owner: str
    since: str


class Used(Answer):
    used: int
    limit: int


class UsageShown(Answer):
    plan: Annotated[Plan, OpenEnum]
    inboxes: Used


class Impact(Answer):
    """The effects of a removal: the user's addresses, aliases too, and everything that depends on the user.

    `inboxes` and `rules` name the user, directly or through a team. `connections` are the team addresses that the
    user connected; `last_reader_of` are the inboxes that nobody would read afterwards.
    """

    addresses: tuple[str, ...]
    inboxes: tuple[str, ...]
    teams: tuple[str, ...]
    rules: tuple[str, ...]
    connections: tuple[str, ...] = ()
    last_reader_of: tuple[str, ...] = ()


class Candidate(Answer):
    """A user whom a rule names; `why_not` says why routing cannot choose them now."""

    user: str
    eligible: bool
    why_not: str | None


class RoutingEntry(Answer):
    """The rule of an inbox. The `targets` of a rule `contact_owner` are those of its fallback."""

    inbox: str
    rule: Mapping[str, Any]
    words: str
    targets: tuple[Candidate, ...]


class Destination(Answer):
    """The destination of the mail to one recipient, its assignee, and why.

    `reason` says why it goes nowhere, or NO_READERS when nobody reads the inbox. `suspected` is the connected address
    that was probably meant when the recipient itself, with a `+tag`, is not connected.
    """

    recipient: str
    destination: Annotated[Literal["inbox", "personal", "none"], OpenEnum]
    inbox: str | None
    owner: str | None
    assignee: str | None
    rule: str | None
    candidates: tuple[Candidate, ...]
    reason: str | None
    suspected: str | None = None


# The type of a question's `result`; of a list question, that of each item.
VIEW_RESULTS: Final[Mapping[type[q.Question], Any]] = {
    q.Address: AddressEntry | Concealed,
    q.Addresses: AddressEntry,
    q.Inbox: InboxEntry,
    q.Inboxes: InboxEntry,
    q.Identities: Identity,
    q.User: UserEntry,
    q.Users: UserEntry,
    q.Teams: TeamEntry,
    q.Account: AccountEntry,
    q.Orphans: Orphan,
    q.Usage: UsageShown,
    q.RemovalImpact: Impact,
    q.Routing: RoutingEntry,
    q.Resolve: tuple[Destination, ...],
}
