"""One address serves one person or one team, never both; whoever wants it next learns who holds it."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, TypeAlias, assert_never

from shared.core.address import AddressInvalid, canonical
from shared.language.events import (
    AddressEvent,
    AddressOrphaned,
    AddressReclaimed,
    AddressReleased,
    AliasAdded,
    AliasPromoted,
    AliasRemoved,
    ConnectionConverted,
    ConnectionPaused,
    Disconnected,
    FromNameChanged,
    OwnershipTransferred,
    PersonalConnected,
    ReauthenticationRequired,
    Reconnected,
    TeamAddressMoved,
    TeamConnected,
    ToolBound,
    ToolUnbound,
)
from shared.language.reasons import Reason
from shared.language.text import Provider, Tool

# Reads as an e-mail address, though no mail can be sent there: bob@corp.local, a login of Microsoft's.
_LOGIN: Final = re.compile(r"[!-?A-~]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\Z")

# ---- situations


@dataclass(frozen=True, slots=True)
class Free:
    """Nobody holds the address; anybody entitled may claim it."""


@dataclass(frozen=True, slots=True)
class Link:
    """The connection itself, whoever holds it; receiving, sending and reauthentication are independent."""

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


@dataclass(frozen=True, slots=True)
class Personal:
    """`since`, here and below: when the present holder's claim began.

    `claimed_at` is when the claim began of which a default sender may have been chosen: a move to another inbox,
    orphaning and the return of the same owner begin no other one.
    """

    address: str
    owner: str
    since: str
    link: Link
    claimed_at: str


@dataclass(frozen=True, slots=True)
class Team:
    address: str
    inbox: str
    connector: str
    since: str
    link: Link
    claimed_at: str


@dataclass(frozen=True, slots=True)
class Orphaned:
    """The owner was removed; the claim stands until it is reclaimed, transferred or released."""

    address: str
    owner: str
    since: str
    link: Link
    claimed_at: str


@dataclass(frozen=True, slots=True)
class Alias:
    """A further address of the primary's mailbox; it follows the primary in everything."""

    address: str
    primary: str
    since: str

    @property
    def claimed_at(self) -> str:
        return self.since


Connected: TypeAlias = Personal | Team
Claim: TypeAlias = Personal | Team | Orphaned
AddressState: TypeAlias = Free | Personal | Team | Orphaned | Alias


class Claimed(Exception):
    """Somebody holds the address, or the mailbox behind it; what is told of the holder depends on who asks."""

    def __init__(self, reason: Reason, claim: Claim | Alias, *, via_mailbox: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.claim = claim
        self.via_mailbox = via_mailbox


# ---- what the facts make of an address


def evolve(state: AddressState, event: AddressEvent, time: str) -> AddressState:
    match state, event:
        case _, PersonalConnected():
            return Personal(
                event.address,
                event.owner,
                time,
                Link(event.provider, event.provider_identity, event.from_name),
                time,
            )
        case _, TeamConnected():
            return Team(
                event.address,
                event.inbox,
                event.connector,
                time,
                Link(event.provider, event.provider_identity, event.from_name),
                time,
            )
        case _, AliasAdded():
            return Alias(event.address, event.primary, time)
        case _, Disconnected() | AddressReleased() | AliasRemoved():
            return Free()
        case Free(), _:
            return state
        case _, AliasPromoted():
            return promoted(state, event, time)
        case Alias(), _:
            return state
        case Personal(), AddressOrphaned(owner=owner):
            return Orphaned(state.address, owner, time, state.link, state.claimed_at)
        case _, OwnershipTransferred(to=owner, from_=former) | AddressReclaimed(owner=owner, from_=former):
            if owner == former:
                return Personal(state.address, owner, time, state.link, state.claimed_at)
            return Personal(state.address, owner, time, for_somebody_else(state.link), time)
        case Team(), TeamAddressMoved(to=inbox):
            return replace(state, inbox=inbox, since=time)
        case _, ConnectionConverted(to="team"):
            return Team(state.address, event.inbox, event.connector or "", time, for_somebody_else(state.link), time)
        case _, ConnectionConverted():
            return Personal(state.address, event.owner, time, for_somebody_else(state.link), time)
        case Team(), Reconnected(connector=str(connector)):
            return replace(state, connector=connector, link=evolve_link(state.link, event))
        case _:
            return replace(state, link=evolve_link(state.link, event))


def promoted(state: Claim | Alias, event: AliasPromoted, time: str) -> AddressState:
    """An alias becomes the primary with all of the claim; the former primary and the other aliases follow it."""
    if event.address != event.primary:
        return Alias(event.address, event.primary, state.since if isinstance(state, Alias) else time)
    link = Link(
        event.provider,
        event.provider_identity,
        event.from_name,
        frozenset(event.tools),
        event.receiving,
        event.sending,
        event.reauthentication_required,
    )
    if event.kind == "team":
        return Team(event.address, event.inbox or "", event.connector or "", event.since, link, state.since)
    return Personal(event.address, event.owner or "", event.since, link, state.since)


def for_somebody_else(link: Link) -> Link:
    """Tools and the From name were the former person's (zammad#889: the wrong sender after a move)."""
    return replace(link, tools=frozenset(), from_name=None)


def evolve_link(link: Link, event: AddressEvent) -> Link:
    match event:
        case ReauthenticationRequired():
            return replace(link, reauthenticate=True)
        case Reconnected(provider_identity=identity, provider=provider):
            return replace(link, reauthenticate=False, provider_identity=identity, provider=provider or link.provider)
        case ConnectionPaused(receiving=receiving, sending=sending):
            return replace(link, receiving=receiving, sending=sending)
        case ToolBound(tool=tool):
            return replace(link, tools=link.tools | {tool})
        case ToolUnbound(tool=tool):
            return replace(link, tools=link.tools - {tool})
        case FromNameChanged(from_name=from_name):
            return replace(link, from_name=from_name)
        case _:
            return link


# ---- the sets an address belongs to


def owned_by(user: str) -> str:
    return f"owned:{user}"


def orphaned_from(user: str) -> str:
    return f"orphaned:{user}"


def connected_to(inbox: str) -> str:
    return f"in:{inbox}"


def aliases_of(address: str) -> str:
    return f"aliases:{address}"


# A command with an identity asks for it when it is read, decided and applied.
@lru_cache(maxsize=10_000)
def mailbox(provider: str | None, identity: str) -> str:
    """The mailbox by its name: an e-mail address whatever its spelling and provider, other text within its provider."""
    try:
        return f"mailbox:@:{canonical(identity).address}"
    except AddressInvalid:
        # ASCII only: other letters have capitals that two different names share.
        login = identity.strip(" ")
        return f"mailbox:@:{login.lower()}" if _LOGIN.match(login) else f"mailbox:{provider or ''}:{identity}"


def memberships(state: AddressState) -> frozenset[str]:
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
    if state.link.provider_identity is None:
        return frozenset((holder,))
    return frozenset((holder, mailbox(state.link.provider, state.link.provider_identity)))
