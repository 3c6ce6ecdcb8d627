"""The situations of an address (free, personal, team, orphaned, alias), and the constraint sets that each is in."""

from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from shared.core.mailbox import mailbox_name
from shared.language.reasons import Reason
from shared.language.text import Provider, Tool

# ---- situations


@dataclass(frozen=True, slots=True)
class Free:
    """The address is not connected; anybody entitled may connect it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The connection of an address to a mailbox; receiving, sending and reauthentication are independent.

    `since` is when the present holder's connection began. `claimed_at` is when the connection began of which a default
    sender may have been chosen: a move to another inbox, orphaning and the return of the same owner begin no other one.
    """

    address: str
    since: str
    claimed_at: str
    provider: Provider | None = None
    provider_identity: str | None = None
    from_name: str | None = None
    tools: frozenset[Tool] = frozenset()
    receiving: bool = True
    sending: bool = True
    reauthenticate: bool = False

    @property
    def paused(self) -> bool:
        return not (self.receiving and self.sending)


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal(Connection):
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Team(Connection):
    inbox: str
    connector: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphaned(Connection):
    """The owner was removed; the connection stays until it is reclaimed, transferred or released."""

    owner: str


@dataclass(frozen=True, slots=True)
class Alias:
    """A further address of the primary's mailbox; it follows the primary in everything."""

    address: str
    primary: str
    since: str

    @property
    def claimed_at(self) -> str:
        return self.since


LiveConnection: TypeAlias = Personal | Team
AnyConnection: TypeAlias = Personal | Team | Orphaned
ConnectionOrAlias: TypeAlias = AnyConnection | Alias
AddressState: TypeAlias = Free | ConnectionOrAlias


class AddressTakenError(Exception):
    """The address, or the mailbox behind it, has a holder; the refusal says of them what the actor may know."""

    def __init__(self, reason: Reason, holder: ConnectionOrAlias, *, via_mailbox: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.holder = holder
        self.via_mailbox = via_mailbox


def fields_of(connection: Connection) -> dict[str, Any]:
    """The fields that do not depend on the holder."""
    return {name: getattr(connection, name) for name in Connection.__slots__}


# ---- constraint sets


def owned_by(user: str) -> str:
    return f"owned:{user}"


def orphaned_from(user: str) -> str:
    return f"orphaned:{user}"


def connected_to(inbox: str) -> str:
    return f"in:{inbox}"


def aliases_of(address: str) -> str:
    return f"aliases:{address}"


def mailbox(provider: str | None, identity: str) -> str:
    return f"mailbox:{mailbox_name(provider, identity)}"


def constraint_sets(state: AddressState) -> frozenset[str]:
    """The sets that an address in this state is in."""
    match state:
        case Free():
            return frozenset()
        case Alias(primary=primary):
            return frozenset((aliases_of(primary),))
        case Personal(owner=owner):
            holder = owned_by(owner)
        case Orphaned(owner=owner):
            holder = orphaned_from(owner)
        case Team(inbox=inbox):
            holder = connected_to(inbox)
        case _:
            assert_never(state)
    if state.provider_identity is None:
        return frozenset((holder,))
    return frozenset((holder, mailbox(state.provider, state.provider_identity)))
