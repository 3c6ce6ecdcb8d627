"""The state of an address after each of its events."""

from dataclasses import replace
from typing import Any, Final, TypeVar

from services.connections.domain.address.state import (
    AddressState,
    Alias,
    AnyConnection,
    ConnectionOrAlias,
    Free,
    Orphaned,
    Personal,
    Team,
    fields_of,
)
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

H = TypeVar("H", bound=AnyConnection)
# Tools and the From name were the former person's (zammad#889: the wrong sender after a move).
OF_THE_PERSON: Final = {"tools": frozenset[Any](), "from_name": None}


def evolve(state: AddressState, event: AddressEvent, time: str) -> AddressState:
    """The state after the event, from any state before; an event that does not fit changes nothing."""
    match event:
        case PersonalConnected() | TeamConnected():
            return connected(event, time)
        case AliasAdded(address=address, primary=primary):
            return Alias(address, primary, time)
        case Disconnected() | AddressReleased() | AliasRemoved():
            return Free()
    if isinstance(state, Free):
        return state
    if isinstance(event, AliasPromoted):
        return promoted(state, event, time)
    return state if isinstance(state, Alias) else with_holder(state, event, time)


def connected(event: PersonalConnected | TeamConnected, time: str) -> Personal | Team:
    if isinstance(event, PersonalConnected):
        return Personal(
            address=event.address,
            since=time,
            claimed_at=time,
            provider=event.provider,
            provider_identity=event.provider_identity,
            from_name=event.from_name,
            owner=event.owner,
        )
    return Team(
        address=event.address,
        since=time,
        claimed_at=time,
        provider=event.provider,
        provider_identity=event.provider_identity,
        from_name=event.from_name,
        inbox=event.inbox,
        connector=event.connector,
    )


def with_holder(state: AnyConnection, event: AddressEvent, time: str) -> AddressState:
    """The connection after an event that may give it to somebody else."""
    match event:
        case AddressOrphaned(owner=owner) if isinstance(state, Personal):
            return Orphaned(**fields_of(state) | {"since": time}, owner=owner)
        case OwnershipTransferred(to=owner, from_=former) | AddressReclaimed(owner=owner, from_=former):
            fields = fields_of(state) | ({"since": time} if owner == former else for_somebody_else(time))
            return Personal(**fields, owner=owner)
        case TeamAddressMoved(to=inbox) if isinstance(state, Team):
            return replace(state, inbox=inbox, since=time)
        case ConnectionConverted(to="team"):
            fields = fields_of(state) | for_somebody_else(time)
            return Team(**fields, inbox=event.inbox, connector=event.connector or "")
        case ConnectionConverted():
            return Personal(**fields_of(state) | for_somebody_else(time), owner=event.owner)
        case Reconnected(connector=str(connector)) if isinstance(state, Team):
            return with_mail(replace(state, connector=connector), event)
        case _:
            return with_mail(state, event)


def for_somebody_else(time: str) -> dict[str, Any]:
    return {"since": time, "claimed_at": time, **OF_THE_PERSON}


def promoted(state: ConnectionOrAlias, event: AliasPromoted, time: str) -> AddressState:
    """An alias becomes the primary with all of the connection; the former primary and other aliases follow it."""
    if event.address != event.primary:
        return Alias(event.address, event.primary, state.since if isinstance(state, Alias) else time)
    connection: dict[str, Any] = {
        "address": event.address,
        "since": event.since,
        "claimed_at": state.since,
        "provider": event.provider,
        "provider_identity": event.provider_identity,
        "from_name": event.from_name,
        "tools": frozenset(event.tools),
        "receiving": event.receiving,
        "sending": event.sending,
        "reauthenticate": event.reauthentication_required,
    }
    if event.kind == "team":
        return Team(**connection, inbox=event.inbox or "", connector=event.connector or "")
    return Personal(**connection, owner=event.owner or "")


def with_mail(state: H, event: AddressEvent) -> H:
    """The same holder's connection after an event of its mail, tools or From name."""
    match event:
        case ReauthenticationRequired():
            return replace(state, reauthenticate=True)
        case Reconnected(provider_identity=identity, provider=provider):
            return replace(state, reauthenticate=False, provider_identity=identity, provider=provider or state.provider)
        case ConnectionPaused(receiving=receiving, sending=sending):
            return replace(state, receiving=receiving, sending=sending)
        case ToolBound(tool=tool):
            return replace(state, tools=state.tools | {tool})
        case ToolUnbound(tool=tool):
            return replace(state, tools=state.tools - {tool})
        case FromNameChanged(from_name=from_name):
            return replace(state, from_name=from_name)
        case _:
            return state
