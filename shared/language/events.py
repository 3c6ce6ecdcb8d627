"""The events: one fact each, in the past tense; all of them are public.

A body has the fields of the command that the fact keeps, resolved, as full sets rather than differences.
`aggregate` names the stream's kind and is part of the subject. The stored name is `switchboard.<Event>.v<version>`:
stored names are for ever, and the golden file pins them with their fields.
"""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.language.rules import Rule
from shared.language.text import (
    Access,
    AddressText,
    Availability,
    Cause,
    Kind,
    Name,
    Note,
    Permission,
    PersonName,
    Plan,
    Policy,
    Provider,
    ProviderIdentity,
    Signature,
    Tool,
)

Aggregate = Literal["account", "user", "inbox", "address"]


class Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    aggregate: ClassVar[Aggregate]
    version: ClassVar[int] = 1

    @classmethod
    def stored_name(cls) -> str:
        return f"switchboard.{cls.__name__}.v{cls.version}"


# ---- account


class AccountEvent(Event):
    aggregate = "account"


class AccountRegistered(AccountEvent):
    """An account began; `admin` is its first user."""

    plan: Plan
    admin: str


class PlanChanged(AccountEvent):
    plan: Plan


class TeamCreated(AccountEvent):
    team: str
    name: Name
    members: tuple[str, ...] = ()


class TeamMembersChanged(AccountEvent):
    """`members` are all members from now on."""

    team: str
    members: tuple[str, ...] = ()


class AccountNeverLogChanged(AccountEvent):
    """`entries` are all entries from now on."""

    entries: tuple[AddressText, ...] = ()


# ---- user


class UserEvent(Event):
    aggregate = "user"

    user: str


class UserAdded(UserEvent):
    """A user began, even if the id was used before: of the earlier user only places in lists are kept."""

    name: PersonName
    permissions: tuple[Permission, ...] = ()


class PermissionsChanged(UserEvent):
    """`permissions` are all permissions from now on."""

    permissions: tuple[Permission, ...] = ()


class SeatAssigned(UserEvent):
    pass


class SeatUnassigned(UserEvent):
    pass


class UserDeactivated(UserEvent):
    """Everything that the user holds is kept, and has no effect meanwhile."""


class UserReactivated(UserEvent):
    """A deactivated or removed user is active again, with the former permissions and preferences."""


class UserRemoved(UserEvent):
    """The seat is free; permissions and preferences are kept for a return."""

    policy: Policy
    new_owner: str | None = None


class AvailabilityChanged(UserEvent):
    availability: Availability
    cause: Cause | None = None


class DefaultSenderChanged(UserEvent):
    """The choice ends with the claim of the address, which began at `claimed_at`."""

    address: AddressText
    claimed_at: str | None = None


class SignatureChanged(UserEvent):
    signature: Signature


class DefaultFontChanged(UserEvent):
    font: str
    size: int | None = None


class LoggingPreferencesChanged(UserEvent):
    """All preferences from now on, also unchanged ones."""

    log_replies: bool
    track_opens: bool
    track_clicks: bool
    never_log: tuple[AddressText, ...] = ()


# ---- inbox


class InboxEvent(Event):
    aggregate = "inbox"

    inbox: str


class InboxCreated(InboxEvent):
    name: Name
    access: Access
    members: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()


class InboxRenamed(InboxEvent):
    name: Name


class InboxAccessChanged(InboxEvent):
    """The access from now on; `members` and `teams` are the full sets."""

    access: Access
    members: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()


class RoutingChanged(InboxEvent):
    rule: Rule


class InboxArchived(InboxEvent):
    """The inbox keeps its name and takes no more addresses."""


class InboxRestored(InboxEvent):
    pass


# ---- address


class AddressEvent(Event):
    aggregate = "address"

    address: AddressText


class PersonalConnected(AddressEvent):
    """A user claims an address. `canonical_form` is the version of the rules that derived `address` from `display`."""

    display: AddressText
    owner: str
    provider: Provider | None = None
    provider_identity: ProviderIdentity | None = None
    from_name: str | None = None
    canonical_form: int


class TeamConnected(AddressEvent):
    """An inbox claims an address. `connector` connected it: a user id or `service:<name>`."""

    display: AddressText
    inbox: str
    connector: str
    visibility_acknowledged: bool
    provider: Provider | None = None
    provider_identity: ProviderIdentity | None = None
    from_name: str | None = None
    canonical_form: int


class Disconnected(AddressEvent):
    """The claim is over; `kind` with `owner` or `inbox` names its former holder."""

    kind: Kind
    owner: str | None = None
    inbox: str | None = None
    note: Note | None = None


class ReauthenticationRequired(AddressEvent):
    """The mailbox rejects its credentials; the claim is kept."""

    cause: Cause


class Reconnected(AddressEvent):
    """The connection works again. `provider_identity` is the pinned one from now on, absent without a pin.

    `provider` is given when it became known with the pin; `connector` of a team address is its new connector.
    """

    provider_identity: ProviderIdentity | None = None
    provider: Provider | None = None
    connector: str | None = None


class ConnectionPaused(AddressEvent):
    """`receive` and `send` are the changed directions; `receiving` and `sending` say whether each is on afterwards."""

    receive: bool
    send: bool
    receiving: bool
    sending: bool


class ConnectionResumed(ConnectionPaused):
    """`receive` and `send` are the changed directions; `receiving` and `sending` say whether each is on afterwards."""


class TeamAddressMoved(AddressEvent):
    """A team address moved from one inbox to another."""

    from_: str = Field(alias="from")
    to: str


class ConnectionConverted(AddressEvent):
    """To personal: `owner` is new and `inbox` is the former one. To team: `inbox` is new and `owner` the former one.

    The From name was the former holder's and is cleared.
    """

    from_: Kind = Field(alias="from")
    to: Kind
    owner: str
    inbox: str
    connector: str | None = None
    visibility_acknowledged: bool | None = None


class OwnershipTransferred(AddressEvent):
    """A personal address has another owner. For another person, tools are unbound and the From name is cleared."""

    from_: str = Field(alias="from")
    to: str


class AddressOrphaned(AddressEvent):
    """The address has no owner now; nothing else has changed. `owner` is the removed user."""

    owner: str


class AddressReclaimed(AddressEvent):
    """`owner` is the new one, `from` the former. For another person, tools are unbound and the From name is cleared."""

    from_: str = Field(alias="from")
    owner: str
    cause: Literal["reclaimed", "owner_returned"]


class AddressReleased(AddressEvent):
    """The address is free. `owner` is the former one."""

    owner: str


class ToolBound(AddressEvent):
    tool: Tool


class ToolUnbound(AddressEvent):
    tool: Tool


class AliasAdded(AddressEvent):
    """`address` is the alias; the event is on the alias's own stream."""

    display: AddressText
    primary: AddressText
    canonical_form: int


class AliasRemoved(AddressEvent):
    """`address` is the alias; the event is on the alias's own stream."""

    primary: AddressText


class AliasPromoted(AddressEvent):
    """`primary` was an alias of `former_primary` and is the primary from now on; `former_primary` is its alias.

    The event is on the stream of both, and of each further alias, whose primary is `primary` now. The other fields are
    the claim: its holder, its beginning, and the connection.
    """

    primary: AddressText
    former_primary: AddressText
    kind: Kind
    owner: str | None = None
    inbox: str | None = None
    connector: str | None = None
    since: str
    provider: Provider | None = None
    provider_identity: ProviderIdentity | None = None
    from_name: str | None = None
    tools: tuple[Tool, ...] = ()
    receiving: bool
    sending: bool
    reauthentication_required: bool


class FromNameChanged(AddressEvent):
    from_name: str


EVENTS: dict[str, type[Event]] = {
    message.stored_name(): message
    for message in (
        AccountRegistered, PlanChanged, TeamCreated, TeamMembersChanged, AccountNeverLogChanged,
        UserAdded, PermissionsChanged, SeatAssigned, SeatUnassigned, UserDeactivated, UserReactivated, UserRemoved,
        AvailabilityChanged, DefaultSenderChanged, SignatureChanged, DefaultFontChanged, LoggingPreferencesChanged,
        InboxCreated, InboxRenamed, InboxAccessChanged, RoutingChanged, InboxArchived, InboxRestored,
        PersonalConnected, TeamConnected, Disconnected, ReauthenticationRequired, Reconnected,
        ConnectionPaused, ConnectionResumed, TeamAddressMoved, ConnectionConverted, OwnershipTransferred,
        AddressOrphaned, AddressReclaimed, AddressReleased, ToolBound, ToolUnbound, AliasAdded, AliasRemoved,
        AliasPromoted, FromNameChanged,
    )
}  # fmt: skip
